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
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire"
	"github.com/entrepot-mq/entrepot/protocols/openwire/client"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// openwireFlags make pub and sub speak OpenWire instead of STOMP.
type openwireFlags struct{ openwire bool }

func (o *openwireFlags) register(f *pflag.FlagSet) {
	f.BoolVar(&o.openwire, "openwire", false, "speak OpenWire, as JMS applications do: the server is tcp://host:port,\nssl://host:port or failover:(tcp://a:61616,tcp://b:61616)")
}

// openwireScheme is how OpenWire's addresses are written.
var openwireScheme = scheme{"OpenWire", []string{"tcp", "openwire", "nio"}, []string{"ssl", "openwire+ssl", "nio+ssl"}, "61616", "61617"}

// openwireServers reads an address, or a list of them as ActiveMQ's clients
// take it.
func openwireServers(s string) (all []endpoint, failOver bool, err error) {
	list, failOver := strings.CutPrefix(s, "failover:")
	if failOver {
		list, _, _ = strings.Cut(strings.TrimPrefix(list, "//"), "?")
		list = strings.TrimSuffix(strings.TrimPrefix(list, "("), ")")
	}
	for one := range strings.SplitSeq(list, ",") {
		e, err := openwireScheme.parse(strings.TrimSpace(one))
		if err != nil {
			return nil, failOver, err
		}
		all = append(all, e)
	}
	return all, failOver, nil
}

// dialOpenWire connects to the first server that lets it in, logs in and makes
// a session.
func (p *program) dialOpenWire(ctx context.Context, c *clientFlags) (*client.Conn, *client.Session, error) {
	servers, failOver, err := openwireServers(p.serverOf(c, "OPENWIRE_SERVER"))
	if err != nil {
		return nil, nil, err
	}
	o := client.Options{ClientID: c.clientID, FailOver: failOver}
	if o.User, o.Password, err = p.credentials(c); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var errs []error
	for _, to := range servers {
		conn, session, err := openSession(ctx, to, c.ca, o)
		if err == nil {
			return conn, session, nil
		}
		errs = append(errs, openwireConnectError(to, err))
	}
	return nil, nil, errors.Join(errs...)
}

func openSession(ctx context.Context, to endpoint, ca string, o client.Options) (*client.Conn, *client.Session, error) {
	socket, err := to.open(ctx, ca)
	if err != nil {
		return nil, nil, err
	}
	conn, err := client.New(ctx, socket, o)
	if err != nil {
		return nil, nil, err
	}
	session, err := conn.NewSession(ctx)
	if err != nil {
		_ = conn.Close(ctx) // the first error is the one to tell
		return nil, nil, err
	}
	return conn, session, nil
}

func openwireConnectError(to endpoint, err error) error {
	if refused, ok := errors.AsType[*client.RemoteError](err); ok {
		return fmt.Errorf("the broker at %s refused: %s", to.address, refused.Text)
	}
	return errors.New(strings.ReplaceAll(connectError(to, err).Error(), "STOMP", "OpenWire"))
}

func explainOpenWire(doing string, err error) error {
	if err == nil {
		return nil
	}
	if refused, ok := errors.AsType[*client.RemoteError](err); ok {
		return fmt.Errorf("%s: the broker refused: %s", doing, refused.Text)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// openwireDestination reads a destination as any protocol spells it.
func openwireDestination(s string) (wire.Destination, error) {
	d, err := message.ParseDestination(uriDestination(s), message.KindQueue)
	if err != nil {
		return nil, usagef("%v", err)
	}
	return client.Destination(d), nil
}

// closeOpenWire says goodbye, for a while.
func closeOpenWire(conn *client.Conn, err error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if closeErr := conn.Close(ctx); err == nil {
		err = explainOpenWire("say goodbye", closeErr)
	}
	return err
}

// pubOpenWire sends bodies and waits until the broker has them.
func (p *program) pubOpenWire(ctx context.Context, f *pubFlags, name string, headers [][2]string, source func(func([]byte) error) error) error {
	to, err := openwireDestination(name)
	if err != nil {
		return err
	}
	conn, session, err := p.dialOpenWire(ctx, &f.clientFlags)
	if err != nil {
		return err
	}
	sent, err := sendOpenWire(ctx, f, session, to, headers, source)
	if err = closeOpenWire(conn, explainOpenWire("send to "+name, err)); err == nil && !f.quiet {
		fmt.Fprintf(p.err, "sent %d to %s\n", sent, name)
	}
	return err
}

func sendOpenWire(ctx context.Context, f *pubFlags, s *client.Session, to wire.Destination, headers [][2]string, source func(func([]byte) error) error) (sent int, err error) {
	producer, err := s.NewProducer(ctx, client.ProducerOptions{Destination: to})
	if err != nil {
		return 0, err
	}
	const window = 100
	answers, open := make(chan error, window), 0
	err = source(func(body []byte) error {
		if open == window {
			open--
			if err := <-answers; err != nil {
				return err
			}
		}
		sent++
		open++
		return producer.SendAsync(newOpenWire(f, headers, body), func(err error) { answers <- err })
	})
	for ; err == nil && open > 0; open-- {
		err = <-answers
	}
	return sent, err
}

// newOpenWire makes a message: text is a TextMessage, everything else bytes.
func newOpenWire(f *pubFlags, headers [][2]string, body []byte) wire.Message {
	properties := make([]message.Property, 0, len(headers))
	for _, h := range headers {
		properties = append(properties, message.Property{Name: h[0], Value: message.StringValue(h[1])})
	}
	var m wire.Message
	if f.binary || !utf8.Valid(body) {
		m = client.NewBytes(body, properties...)
	} else {
		m = client.NewText(string(body), properties...)
	}
	m.Fields().Persistent = f.persistent
	return m
}

// subOpenWire prints messages; each is acknowledged when it was printed.
func (p *program) subOpenWire(ctx context.Context, f *subFlags, name string) error {
	from, err := openwireDestination(name)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	conn, session, err := p.dialOpenWire(ctx, &f.clientFlags)
	if err != nil {
		return err
	}
	consumer, err := session.NewConsumer(ctx, client.ConsumerOptions{
		Destination: from, Selector: f.selector, Durable: f.durable, Browse: f.browser, Prefetch: int32(f.prefetch),
	})
	if err != nil {
		return closeOpenWire(conn, explainOpenWire("subscribe to "+name, err))
	}
	return closeOpenWire(conn, p.printOpenWire(ctx, f, name, consumer))
}

func (p *program) printOpenWire(ctx context.Context, f *subFlags, name string, consumer *client.Consumer) error {
	for n := 0; f.count == 0 || n < f.count; n++ {
		d, err := f.nextOpenWire(ctx, consumer)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the user ended it
		}
		switch {
		case errors.Is(err, client.ErrEnd):
			return nil
		case errors.Is(err, context.DeadlineExceeded):
			return &timeoutError{fmt.Sprintf("no message from %s for %s", name, f.timeout)}
		case err != nil:
			return explainOpenWire("receive from "+name, err)
		}
		if err := printOpenWire(p.out, f.output, d); err != nil {
			return err
		}
		if err := consumer.AcceptSync(ctx, d); err != nil && !f.browser {
			return explainOpenWire("acknowledge", err)
		}
	}
	return nil
}

func (f *subFlags) nextOpenWire(ctx context.Context, c *client.Consumer) (*wire.MessageDispatch, error) {
	ctx, cancel := f.patience(ctx)
	defer cancel()
	return c.Receive(ctx)
}

// printedOpenWire is a message as -o json shows it.
type printedOpenWire struct {
	Destination   string         `json:"destination"`
	ID            string         `json:"id"`
	Type          string         `json:"type"`
	Persistent    bool           `json:"persistent"`
	Redeliveries  int32          `json:"redeliveries"`
	CorrelationID string         `json:"correlation_id,omitempty"`
	Properties    map[string]any `json:"properties,omitempty"`
	Value         any            `json:"value,omitempty"` // of a map or a list
	Body          string         `json:"body,omitempty"`
	BodyBase64    string         `json:"body_base64,omitempty"` // instead of Body, if it is not UTF-8
}

func printOpenWire(w io.Writer, output string, d *wire.MessageDispatch) error {
	v, err := openwire.ReadMessage(d.Message)
	if err != nil {
		return fmt.Errorf("read a message: %w", err)
	}
	text := v.Body.Data
	if v.Body.Kind == message.BodyText {
		text = []byte(v.Body.Text())
	}
	isValue := v.Body.Kind == message.BodyMap || v.Body.Kind == message.BodyStream
	if output == "body" {
		if isValue {
			text = []byte(v.Body.Value.String())
		}
		_, err := w.Write(append(append([]byte(nil), text...), '\n'))
		return err
	}
	f := d.Message.Fields()
	out := printedOpenWire{
		Type: d.Message.StructureType().String(), Persistent: f.Persistent, Redeliveries: d.RedeliveryCounter,
		CorrelationID: f.CorrelationID.String(), ID: openwire.MessageName(f.MessageID),
	}
	if f.Destination != nil {
		out.Destination = openwire.DestinationName(f.Destination)
	}
	for _, p := range v.Properties {
		if out.Properties == nil {
			out.Properties = map[string]any{}
		}
		out.Properties[p.Name] = p.Value.String()
	}
	switch {
	case isValue:
		out.Value = v.Body.Value.String()
	case utf8.Valid(text):
		out.Body = string(text)
	default:
		out.BodyBase64 = base64.StdEncoding.EncodeToString(text)
	}
	return json.NewEncoder(w).Encode(out)
}
