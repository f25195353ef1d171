package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/spf13/pflag"
)

// mqttFlags make pub and sub speak MQTT instead of STOMP.
type mqttFlags struct {
	mqtt bool
	qos  int
}

func (m *mqttFlags) register(f *pflag.FlagSet) {
	f.BoolVar(&m.mqtt, "mqtt", false, "speak MQTT 3.1.1: the destination is a topic such as a/b, the server mqtt://host:port")
	f.IntVar(&m.qos, "qos", 1, "quality of service with --mqtt: 0, 1 or 2")
}

func (m *mqttFlags) check() error {
	if m.qos < 0 || m.qos > 2 {
		return usagef("--qos %d is none: give 0, 1 or 2", m.qos)
	}
	return nil
}

// mqttScheme is how MQTT's addresses are written.
var mqttScheme = scheme{"MQTT", []string{"mqtt", "tcp"}, []string{"mqtt+ssl", "mqtts"}, "1883", "8883"}

// dialMQTT connects and logs in. A kept session is that of the client id.
func (p *program) dialMQTT(c *clientFlags, keep bool, lost func(error)) (paho.Client, error) {
	to, err := mqttScheme.parse(p.serverOf(c, "MQTT_SERVER"))
	if err != nil {
		return nil, err
	}
	login, passcode, err := p.credentials(c)
	if err != nil {
		return nil, err
	}
	o := paho.NewClientOptions().AddBroker("tcp://" + to.address).SetClientID(c.clientID).SetProtocolVersion(4)
	o.SetCleanSession(!keep).SetAutoReconnect(false).SetConnectTimeout(c.timeout).SetKeepAlive(30 * time.Second).SetAutoAckDisabled(true)
	o.SetUsername(login).SetPassword(passcode).SetConnectionLostHandler(func(_ paho.Client, err error) { lost(err) })
	o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
		defer cancel()
		return to.open(ctx, c.ca)
	})
	client := paho.NewClient(o)
	token := client.Connect()
	if !token.WaitTimeout(c.timeout) {
		return nil, connectError(to, context.DeadlineExceeded)
	}
	if err := token.Error(); err != nil {
		return nil, mqttConnectError(to, err)
	}
	return client, nil
}

func mqttConnectError(to endpoint, err error) error {
	for code, refused := range packets.ConnErrors {
		if code != packets.Accepted && code != packets.ErrNetworkError && refused != nil && errors.Is(err, refused) {
			return fmt.Errorf("the broker at %s refused: %w", to.address, err)
		}
	}
	text := connectError(to, err).Error()
	return errors.New(strings.ReplaceAll(text, "STOMP", "MQTT"))
}

// goodbyeMQTT is how long what is on its way may take at the end, in ms.
const goodbyeMQTT = 250

// pubMQTT publishes bodies and waits for their acknowledgements.
func (p *program) pubMQTT(f *pubFlags, topic string, source func(func([]byte) error) error) (err error) {
	lost := make(chan error, 1)
	client, err := p.dialMQTT(&f.clientFlags, false, func(err error) { lost <- err })
	if err != nil {
		return err
	}
	defer client.Disconnect(goodbyeMQTT)
	const window = 100
	var open []paho.Token
	wait := func(most int) error {
		for ; len(open) > most; open = open[1:] {
			select {
			case <-open[0].Done():
			case err := <-lost:
				return fmt.Errorf("the connection was lost: %w", err)
			}
			if err := open[0].Error(); err != nil {
				return err
			}
		}
		return nil
	}
	sent := 0
	err = source(func(body []byte) error {
		open = append(open, client.Publish(topic, byte(f.qos), f.retain, body))
		sent++
		return wait(window)
	})
	if err == nil {
		err = wait(0)
	}
	if err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	if !f.quiet {
		fmt.Fprintf(p.err, "sent %d to %s\n", sent, topic)
	}
	return nil
}

// subMQTT prints messages; each is acknowledged when it was printed.
func (p *program) subMQTT(ctx context.Context, f *subFlags, topic string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	lost := make(chan error, 1)
	client, err := p.dialMQTT(&f.clientFlags, f.durable != "", func(err error) { lost <- err })
	if err != nil {
		return err
	}
	defer client.Disconnect(goodbyeMQTT)
	messages := make(chan paho.Message)
	ended, end := context.WithCancel(ctx)
	defer end()
	token := client.Subscribe(topic, byte(f.qos), func(_ paho.Client, m paho.Message) {
		select {
		case messages <- m:
		case <-ended.Done(): // it stays unacknowledged, and comes again
		}
	})
	if !token.WaitTimeout(f.clientFlags.timeout) || token.Error() != nil {
		return fmt.Errorf("subscribe to %s: no consent of the broker: %w", topic, errors.Join(token.Error(), ctx.Err()))
	}
	if granted, ok := token.(*paho.SubscribeToken); ok && granted.Result()[topic] == 0x80 {
		return fmt.Errorf("subscribe to %s: the broker refused", topic)
	}
	var silence <-chan time.Time
	for n := 0; f.count == 0 || n < f.count; n++ {
		if f.timeout > 0 {
			silence = time.After(f.timeout)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-silence:
			return &timeoutError{fmt.Sprintf("no message from %s for %s", topic, f.timeout)}
		case err := <-lost:
			return fmt.Errorf("the connection was lost: %w", err)
		case m := <-messages:
			if err := printMQTT(p.out, f.output, m); err != nil {
				return err
			}
			m.Ack()
		}
	}
	return nil
}

// printedMQTT is a message as -o json shows it.
type printedMQTT struct {
	Topic      string `json:"topic"`
	QoS        byte   `json:"qos"`
	Retained   bool   `json:"retained,omitempty"`
	Duplicate  bool   `json:"duplicate,omitempty"`
	Body       string `json:"body,omitempty"`
	BodyBase64 string `json:"body_base64,omitempty"` // instead of Body, if it is not UTF-8
}

func printMQTT(w io.Writer, output string, m paho.Message) error {
	if output == "body" {
		_, err := w.Write(append(append([]byte(nil), m.Payload()...), '\n'))
		return err
	}
	out := printedMQTT{Topic: m.Topic(), QoS: m.Qos(), Retained: m.Retained(), Duplicate: m.Duplicate()}
	if utf8.Valid(m.Payload()) {
		out.Body = string(m.Payload())
	} else {
		out.BodyBase64 = base64.StdEncoding.EncodeToString(m.Payload())
	}
	return json.NewEncoder(w).Encode(out)
}
