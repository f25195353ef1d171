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
	"unicode/utf8"

	"github.com/Azure/go-amqp"
	"github.com/spf13/pflag"
)

// amqpFlags make pub and sub speak AMQP 1.0 instead of STOMP.
type amqpFlags struct{ amqp bool }

func (a *amqpFlags) register(f *pflag.FlagSet) {
	f.BoolVar(&a.amqp, "amqp", false, "speak AMQP 1.0: the server is amqp://host:port")
}

// amqpScheme is how AMQP's addresses are written.
var amqpScheme = scheme{"AMQP", []string{"amqp", "tcp"}, []string{"amqp+ssl", "amqps"}, "5672", "5671"}

// dialAMQP connects, logs in and begins a session.
func (p *program) dialAMQP(ctx context.Context, c *clientFlags) (*amqp.Conn, *amqp.Session, error) {
	to, err := amqpScheme.parse(p.serverOf(c, "AMQP_SERVER"))
	if err != nil {
		return nil, nil, err
	}
	login, passcode, err := p.credentials(c)
	if err != nil {
		return nil, nil, err
	}
	o := &amqp.ConnOptions{ContainerID: c.clientID, HostName: to.host, SASLType: amqp.SASLTypeAnonymous()}
	if login != "" || passcode != "" {
		o.SASLType = amqp.SASLTypePlain(login, passcode)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	socket, err := to.open(ctx, c.ca)
	if err != nil {
		return nil, nil, amqpConnectError(to, err)
	}
	conn, err := amqp.NewConn(ctx, socket, o)
	if err != nil {
		_ = socket.Close() // nothing was said on it that matters
		return nil, nil, amqpConnectError(to, err)
	}
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		_ = conn.Close() // the first error is the one to tell
		return nil, nil, amqpConnectError(to, err)
	}
	return conn, session, nil
}

func amqpConnectError(to endpoint, err error) error {
	if refused, ok := errors.AsType[*amqp.Error](err); ok {
		return fmt.Errorf("the broker at %s refused: %s", to.address, refused.Description)
	}
	return errors.New(strings.ReplaceAll(connectError(to, err).Error(), "STOMP", "AMQP"))
}

// explainAMQP puts what the broker said into err.
func explainAMQP(doing string, err error) error {
	if err == nil {
		return nil
	}
	if refused, ok := errors.AsType[*amqp.Error](err); ok {
		return fmt.Errorf("%s: the broker refused: %s (%s)", doing, refused.Description, refused.Condition)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// pubAMQP sends bodies and waits for their outcomes.
func (p *program) pubAMQP(ctx context.Context, f *pubFlags, address string, headers [][2]string, source func(func([]byte) error) error) error {
	conn, session, err := p.dialAMQP(ctx, &f.clientFlags)
	if err != nil {
		return err
	}
	defer conn.Close()
	sender, err := session.NewSender(ctx, address, nil)
	if err != nil {
		return explainAMQP("send to "+address, err)
	}
	const window = 100
	var open []amqp.SendReceipt
	wait := func(most int) error {
		for ; len(open) > most; open = open[1:] {
			if state, err := open[0].Wait(ctx); err != nil {
				return err
			} else if rejected, ok := state.(*amqp.StateRejected); ok && rejected.Error != nil {
				return rejected.Error
			}
		}
		return nil
	}
	sent := 0
	err = source(func(body []byte) error {
		receipt, err := sender.SendWithReceipt(ctx, newAMQP(f, headers, body), nil)
		if err != nil {
			return err
		}
		open = append(open, receipt)
		sent++
		return wait(window)
	})
	if err == nil {
		err = wait(0)
	}
	if err != nil {
		return explainAMQP("send to "+address, err)
	}
	if !f.quiet {
		fmt.Fprintf(p.err, "sent %d to %s\n", sent, address)
	}
	return nil
}

// newAMQP makes a message: text is a string, everything else bytes.
func newAMQP(f *pubFlags, headers [][2]string, body []byte) *amqp.Message {
	m := &amqp.Message{Header: &amqp.MessageHeader{Durable: f.persistent, Priority: 4}}
	if f.contentType != "" {
		m.Properties = &amqp.MessageProperties{ContentType: &f.contentType}
	}
	if f.binary || !utf8.Valid(body) {
		m.Data = [][]byte{body}
	} else {
		m.Value = string(body)
	}
	for _, h := range headers {
		if m.ApplicationProperties == nil {
			m.ApplicationProperties = map[string]any{}
		}
		m.ApplicationProperties[h[0]] = h[1]
	}
	return m
}

// subAMQP prints messages; each is accepted when it was printed.
func (p *program) subAMQP(ctx context.Context, f *subFlags, address string) error {
	if f.browser {
		return usagef("--browser is not for --amqp: use entrepot queue browse, or STOMP")
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	conn, session, err := p.dialAMQP(ctx, &f.clientFlags)
	if err != nil {
		return err
	}
	defer conn.Close()
	o := &amqp.ReceiverOptions{Credit: int32(f.prefetch)}
	if f.durable != "" {
		o.Name, o.SourceDurability, o.SourceExpiryPolicy = f.durable, amqp.DurabilityUnsettledState, amqp.ExpiryPolicyNever
	}
	if f.selector != "" {
		o.Filters = []amqp.LinkFilter{amqp.NewSelectorFilter(f.selector)}
	}
	receiver, err := session.NewReceiver(ctx, address, o)
	if err != nil {
		return explainAMQP("subscribe to "+address, err)
	}
	for n := 0; f.count == 0 || n < f.count; n++ {
		m, err := f.nextAMQP(ctx, receiver)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, context.DeadlineExceeded):
			return &timeoutError{fmt.Sprintf("no message from %s for %s", address, f.timeout)}
		case err != nil:
			return explainAMQP("receive from "+address, err)
		}
		if err := printAMQP(p.out, f.output, address, m); err != nil {
			return err
		}
		if err := receiver.AcceptMessage(ctx, m); err != nil {
			return explainAMQP("accept", err)
		}
	}
	return nil
}

func (f *subFlags) nextAMQP(ctx context.Context, r *amqp.Receiver) (*amqp.Message, error) {
	ctx, cancel := f.patience(ctx)
	defer cancel()
	return r.Receive(ctx, nil)
}

// printedAMQP is a message as -o json shows it.
type printedAMQP struct {
	Address     string         `json:"address"`
	Durable     bool           `json:"durable"`
	Deliveries  uint32         `json:"deliveries"` // that failed
	Properties  map[string]any `json:"properties,omitempty"`
	Annotations map[string]any `json:"annotations,omitempty"`
	Value       any            `json:"value,omitempty"`
	Body        string         `json:"body,omitempty"`
	BodyBase64  string         `json:"body_base64,omitempty"` // instead of Body, if it is not UTF-8
}

func printAMQP(w io.Writer, output, address string, m *amqp.Message) error {
	text, isText := m.Value.(string)
	data := m.GetData()
	if isText {
		data = []byte(text)
	}
	if output == "body" {
		if len(data) == 0 && m.Value != nil && !isText {
			_, err := fmt.Fprintln(w, m.Value)
			return err
		}
		_, err := w.Write(append(append([]byte(nil), data...), '\n'))
		return err
	}
	out := printedAMQP{Address: address, Properties: m.ApplicationProperties}
	if m.Header != nil {
		out.Durable, out.Deliveries = m.Header.Durable, m.Header.DeliveryCount
	}
	for k, v := range m.Annotations {
		if out.Annotations == nil {
			out.Annotations = map[string]any{}
		}
		out.Annotations[fmt.Sprint(k)] = v
	}
	switch {
	case !isText && m.Value != nil:
		out.Value = fmt.Sprint(m.Value)
	case utf8.Valid(data):
		out.Body = string(data)
	default:
		out.BodyBase64 = base64.StdEncoding.EncodeToString(data)
	}
	return json.NewEncoder(w).Encode(out)
}
