package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
	"github.com/spf13/cobra"
)

type subFlags struct {
	clientFlags
	mqttFlags
	amqpFlags
	openwireFlags
	destination string
	count       int
	timeout     time.Duration
	ack         string
	durable     string
	selector    string
	browser     bool
	prefetch    int
	output      string
}

var ackModes = map[string]stomp.AckMode{
	"auto":              stomp.AckAuto,
	"client":            stomp.AckClient,
	"client-individual": stomp.AckClientIndividual,
}

func (p *program) subCommand() *cobra.Command {
	var f subFlags
	cmd := &cobra.Command{
		Use:   "sub DESTINATION [flags]",
		Short: "Receive messages",
		Long: `Prints the body of each message that arrives, a line each, until it is
interrupted or has printed --count. A message is acknowledged after it was
printed, so that nothing is lost when the command is stopped. With --browser it
prints what waits in a queue, leaves it there, and ends. Its commands manage the
subscriptions that exist.`,
		Example: `  entrepot sub /queue/hello
  entrepot sub /topic/news.> -o json
  entrepot sub /queue/orders --count 1 --timeout 10s
  entrepot sub /queue/orders --browser --selector "amount > 100"
  entrepot sub /topic/news --durable reader --client-id office
  entrepot sub --amqp queue://orders --selector "colour = 'red'"
  entrepot sub --openwire queue://orders --browser -o json
  entrepot sub --mqtt 'sensors/+/temperature' --qos 2`,
		Annotations: map[string]string{"alone": "yes"}, // it does something without a subcommand
		Args:        arguments(1),
		RunE:        func(cmd *cobra.Command, args []string) error { return p.sub(cmd.Context(), &f, args) },
	}
	flags := cmd.Flags()
	f.clientFlags.register(flags)
	f.mqttFlags.register(flags)
	f.amqpFlags.register(flags)
	f.openwireFlags.register(flags)
	flags.StringVarP(&f.destination, "destination", "d", "", "destination, instead of the argument")
	flags.IntVarP(&f.count, "count", "n", 0, "end after so many messages; 0 goes on")
	flags.DurationVar(&f.timeout, "timeout", 0, "end with code 7 when there was no message for so long; 0 waits")
	flags.StringVar(&f.ack, "ack", "client-individual", "auto, client or client-individual")
	flags.StringVar(&f.durable, "durable", "", "name of a durable subscription to a topic; needs --client-id")
	flags.StringVar(&f.selector, "selector", "", "condition on headers, in SQL-92: \"colour = 'red'\"")
	flags.BoolVar(&f.browser, "browser", false, "look at what waits in a queue without taking it")
	flags.IntVar(&f.prefetch, "prefetch", 100, "messages that the broker may send ahead")
	flags.StringVarP(&f.output, "output", "o", "body", "body, or json: an object a line with headers")
	p.subManagement(cmd)
	return cmd
}

// subscribeOptions checks the flags and returns the headers of SUBSCRIBE.
func (f *subFlags) subscribeOptions() ([]func(*frame.Frame) error, error) {
	switch {
	case f.durable != "" && f.clientID == "":
		return nil, usagef("--durable needs --client-id: the subscription belongs to that client")
	case f.output != "body" && f.output != "json":
		return nil, usagef("--output %q is neither body nor json", f.output)
	case f.count < 0:
		return nil, usagef("--count %d is negative: 0 goes on without end", f.count)
	case f.prefetch < 1 || f.prefetch > 65535:
		return nil, usagef("--prefetch %d is out of range: give 1 to 65535", f.prefetch)
	}
	headers, err := parseHeaders(f.headers)
	if err != nil {
		return nil, err
	}
	headers = append(headers, [2]string{"activemq.prefetchSize", strconv.Itoa(f.prefetch)})
	if f.durable != "" {
		headers = append(headers, [2]string{"activemq.subscriptionName", f.durable})
	}
	if f.selector != "" {
		headers = append(headers, [2]string{"selector", f.selector})
	}
	if f.browser {
		headers = append(headers, [2]string{"browser", "true"})
	}
	var options []func(*frame.Frame) error
	for _, h := range headers {
		options = append(options, header(h[0], h[1]))
	}
	return options, nil
}

func (p *program) sub(ctx context.Context, f *subFlags, args []string) error {
	destination, _, err := destinationArg(f.destination, args)
	if err != nil {
		return err
	}
	mode, ok := ackModes[f.ack]
	if !ok {
		return usagef("--ack %q is not one of auto, client, client-individual", f.ack)
	}
	if f.browser {
		mode = stomp.AckAuto // there is nothing to acknowledge
	}
	options, err := f.subscribeOptions()
	if err = errors.Join(err, f.check()); err != nil {
		return err
	}
	if f.mqtt {
		return p.subMQTT(ctx, f, destination)
	}
	if f.amqp {
		return p.subAMQP(ctx, f, uriDestination(destination))
	}
	if f.openwire {
		return p.subOpenWire(ctx, f, destination)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	conn, err := p.dial(ctx, &f.clientFlags)
	if err != nil {
		return err
	}
	subscription, err := conn.Subscribe(destination, mode, options...)
	if err != nil {
		_ = conn.MustDisconnect() // the first error is the one to tell
		return explain("subscribe to "+destination, err)
	}
	acks := startAcks(conn, f.prefetch)
	err = p.receive(ctx, f, subscription, mode, acks)
	// What was sent ahead goes back to the queue; until then it must hold up
	// neither the last acknowledgements, which let the broker send more, nor the
	// goodbye.
	go func() {
		for range subscription.C {
		}
	}()
	if ackErr := acks.finish(); err == nil {
		err = explain("acknowledge", ackErr)
	}
	if closeErr := conn.Disconnect(); err == nil {
		err = explain("say goodbye", closeErr)
	}
	return err
}

// patience bounds how long the next message is waited for.
func (f *subFlags) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	if f.timeout > 0 {
		return context.WithTimeout(ctx, f.timeout)
	}
	return context.WithCancel(ctx)
}

// receive prints messages until there are enough, the user stops it, or an
// error ends it.
func (p *program) receive(ctx context.Context, f *subFlags, s *stomp.Subscription, mode stomp.AckMode, acks *acker) error {
	var silence <-chan time.Time
	for n := 0; f.count == 0 || n < f.count; n++ {
		if f.timeout > 0 {
			silence = time.After(f.timeout)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-silence:
			return &timeoutError{fmt.Sprintf("no message from %s for %s", s.Destination(), f.timeout)}
		case m, ok := <-s.C:
			switch {
			case !ok:
				return errors.New("the broker ended the subscription")
			case m.Err != nil:
				return explain("receive from "+s.Destination(), m.Err)
			case m.Header.Get("browser") == "end":
				return nil
			}
			if err := printMessage(p.out, f.output, m); err != nil {
				return err
			}
			if mode != stomp.AckAuto {
				acks.queue <- m
			}
		}
	}
	return nil
}

// acker acknowledges on a goroutine of its own: the library stops reading the
// socket while received messages wait to be taken, so taking them must never
// wait for an acknowledgement to be written.
type acker struct {
	queue chan *stomp.Message
	done  chan error
}

func startAcks(conn *stomp.Conn, prefetch int) *acker {
	// No more than prefetch can be unacknowledged: sending to queue never waits.
	a := &acker{queue: make(chan *stomp.Message, prefetch), done: make(chan error, 1)}
	go func() {
		var first error
		for m := range a.queue {
			if first == nil {
				first = conn.Ack(m)
			}
		}
		a.done <- first
	}()
	return a
}

// finish waits until everything in the queue is acknowledged.
func (a *acker) finish() error {
	close(a.queue)
	return <-a.done
}

// printedMessage is a message as -o json shows it.
type printedMessage struct {
	Destination string            `json:"destination"`
	Headers     map[string]string `json:"headers"`
	Body        string            `json:"body,omitempty"`
	BodyBase64  string            `json:"body_base64,omitempty"` // instead of Body, if it is not UTF-8
}

func printMessage(w io.Writer, output string, m *stomp.Message) error {
	if output == "body" {
		_, err := w.Write(append(m.Body, '\n'))
		return err
	}
	out := printedMessage{Destination: m.Destination, Headers: map[string]string{}}
	for i := range m.Header.Len() {
		k, v := m.Header.GetAt(i)
		if _, seen := out.Headers[k]; !seen { // the first one counts
			out.Headers[k] = v
		}
	}
	if utf8.Valid(m.Body) {
		out.Body = string(m.Body)
	} else {
		out.BodyBase64 = base64.StdEncoding.EncodeToString(m.Body)
	}
	return json.NewEncoder(w).Encode(out)
}
