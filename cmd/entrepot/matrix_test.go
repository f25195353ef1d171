package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"
)

// The matrix of permissions through the protocols: every way in which a client
// of STOMP, MQTT and AMQP receives and sends, each to a destination that the
// guest may use and to one that only its owner may. What a refusal looks like
// is the protocol's; here counts that nothing was changed and nothing arrives.
// core/broker has the same for its own operations, protocols/openwire for
// OpenWire, and console/api for HTTP.

// matrixWait is how long something that is allowed may take.
const matrixWait = time.Minute

// reading subscribes the guest to name, a queue or a topic, and returns what
// arrives. An error is a refusal; some protocols refuse in other ways.
type reading struct {
	name  string
	topic bool
	open  func(m *matrix, name string) (<-chan string, error)
}

// writing sends a message as the guest.
type writing struct {
	name  string
	topic bool
	send  func(m *matrix, name, body string) error
}

// matrix is a broker with an owner of everything and a guest who may use what
// is called "may.>".
type matrix struct {
	*child
	t *testing.T
}

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	dir := t.TempDir()
	users, permissions := filepath.Join(dir, "users"), filepath.Join(dir, "permissions")
	for _, user := range []string{"owner --groups admins", "guest"} {
		r := runWith(t.Context(), "password\n", nil, append(strings.Fields("user add "+user), "--users", users)...)
		if r.code != exitOK {
			t.Fatalf("%+v", r)
		}
	}
	grants := "queue://> all owner\ntopic://> all owner\nqueue://may.> all guest\ntopic://may.> all guest\n"
	if err := os.WriteFile(permissions, []byte(grants), 0o600); err != nil {
		t.Fatal(err)
	}
	m := &matrix{t: t, child: startChild(t, "--listen", "mqtt://127.0.0.1:0", "--listen", "amqp://127.0.0.1:0",
		"--data-dir", filepath.Join(dir, "data"), "--set", "security.users="+users, "--set", "security.permissions="+permissions)}
	m.owner("queue", "create", "may.answer")
	return m
}

// owner runs a command as the owner of everything.
func (m *matrix) owner(args ...string) string {
	m.t.Helper()
	r := runWith(m.t.Context(), "", []string{
		"ENTREPOT_SERVER=" + m.stomp, "ENTREPOT_MQTT_SERVER=" + m.mqtt, "ENTREPOT_CONSOLE_ADDRESS=" + m.console,
		"ENTREPOT_LOGIN=owner", "ENTREPOT_PASSCODE=password",
	}, args...)
	if r.code != exitOK {
		m.t.Fatalf("%q: %+v", args, r)
	}
	return r.out
}

// found decodes the only line that a command prints with -o jsonl, nothing if
// it prints none.
func (m *matrix) found(args ...string) (out struct{ Consumers, Enqueued, Subscribers int }) {
	m.t.Helper()
	if text := m.owner(append(args, "-o", "jsonl")...); strings.TrimSpace(text) != "" {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			m.t.Fatalf("%s: %v", text, err)
		}
	}
	return out
}

// readers says how many consumers a destination has.
func (m *matrix) readers(topic bool, name string) int {
	m.t.Helper()
	if topic {
		return strings.Count(m.owner("sub", "ls", "--filter", name, "-o", "jsonl"), "\n")
	}
	return m.found("queue", "info", name).Consumers
}

// publish sends as the owner; a topic remembers it.
func (m *matrix) publish(topic bool, name, body string) {
	m.t.Helper()
	if topic {
		m.owner("pub", "--mqtt", strings.ReplaceAll(name, ".", "/"), body, "--retain", "--qos", "1")
		return
	}
	m.owner("pub", "/queue/"+name, body, "--receipt", "--persistent")
}

func (m *matrix) dialSTOMP() *stomp.Conn {
	m.t.Helper()
	c, err := stomp.Dial("tcp", m.stomp, stomp.ConnOpt.Login("guest", "password"),
		stomp.ConnOpt.Header("client-id", m.t.Name()), stomp.ConnOpt.Logger(silent{}))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = c.MustDisconnect() })
	return c
}

// overSTOMP reads prefix and name, with headers.
func overSTOMP(prefix string, headers ...string) func(*matrix, string) (<-chan string, error) {
	return func(m *matrix, name string) (<-chan string, error) {
		c := m.dialSTOMP()
		var options []func(*frame.Frame) error
		for i := 0; i < len(headers); i += 2 {
			options = append(options, stomp.SubscribeOpt.Header(headers[i], headers[i+1]))
		}
		sub, err := c.Subscribe(prefix+name, stomp.AckAuto, options...)
		if err != nil {
			return nil, err
		}
		got, refused := make(chan string, 16), make(chan error, 1)
		go func() {
			defer close(got)
			for msg := range sub.C {
				if msg.Err != nil {
					refused <- msg.Err
					return
				}
				if len(msg.Body) > 0 { // a pattern gets that, too
					got <- string(msg.Body)
				}
			}
		}()
		// It is decided when the client is told no, or what it sends next is carried out.
		before := m.found("queue", "info", "may.answer").Enqueued
		if sendErr := c.Send("/queue/may.answer", "text/plain", nil); sendErr != nil {
			return got, <-refused
		}
		until(m.t, "the subscription's answer", func() bool {
			select {
			case err = <-refused:
				return true
			default:
				return m.found("queue", "info", "may.answer").Enqueued > before
			}
		})
		return got, err
	}
}

func (m *matrix) dialMQTT() paho.Client {
	m.t.Helper()
	o := paho.NewClientOptions().AddBroker("tcp://" + m.mqtt).SetClientID(m.t.Name()).SetUsername("guest").SetPassword("password").
		SetAutoReconnect(false).SetConnectTimeout(matrixWait)
	c := paho.NewClient(o)
	if err := finished(c.Connect()); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func finished(t paho.Token) error {
	if !t.WaitTimeout(matrixWait) {
		return context.DeadlineExceeded
	}
	return t.Error()
}

func overMQTT(qos byte, filter string) func(*matrix, string) (<-chan string, error) {
	return func(m *matrix, name string) (<-chan string, error) {
		c := m.dialMQTT()
		got := make(chan string, 16)
		filter := strings.ReplaceAll(filter, "{}", strings.ReplaceAll(name, ".", "/"))
		return got, finished(c.Subscribe(filter, qos, func(_ paho.Client, p paho.Message) { got <- string(p.Payload()) }))
	}
}

func (m *matrix) dialAMQP() (*amqp.Session, context.Context) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), matrixWait)
	c, err := amqp.Dial(ctx, "amqp://"+m.amqp, &amqp.ConnOptions{SASLType: amqp.SASLTypePlain("guest", "password"), ContainerID: m.t.Name()})
	if err != nil {
		cancel()
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = c.Close()
		cancel()
	})
	s, err := c.NewSession(ctx, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	return s, ctx
}

func overAMQP(prefix string, options *amqp.ReceiverOptions) func(*matrix, string) (<-chan string, error) {
	return func(m *matrix, name string) (<-chan string, error) {
		s, ctx := m.dialAMQP()
		r, err := s.NewReceiver(ctx, prefix+name, options)
		if err != nil {
			return nil, err
		}
		got := make(chan string, 16)
		go func() {
			defer close(got)
			for {
				msg, err := r.Receive(ctx, nil)
				if err != nil {
					return
				}
				got <- fmt.Sprint(string(msg.GetData()), msg.Value)
			}
		}()
		return got, nil
	}
}

func readings() []reading {
	durable := &amqp.ReceiverOptions{
		Name: "durable", SourceDurability: amqp.DurabilityUnsettledState, SourceExpiryPolicy: amqp.ExpiryPolicyNever,
	}
	return []reading{
		{"STOMP queue", false, overSTOMP("/queue/")},
		{"STOMP queues by a pattern", false, overSTOMP("/queue/*.*,/queue/")},
		{"STOMP browser", false, overSTOMP("/queue/", "browser", "true")},
		{"STOMP composite", false, overSTOMP("/queue/may.other,/queue/")},
		{"STOMP selector", false, overSTOMP("/queue/", "selector", "1 = 1")},
		{"STOMP topic", true, overSTOMP("/topic/", "activemq.retroactive", "true")},
		{"STOMP durable", true, overSTOMP("/topic/", "activemq.subscriptionName", "durable")},
		{"STOMP composite of kinds", true, overSTOMP("/queue/may.other,/topic/")},
		{"MQTT at most once", true, overMQTT(0, "{}")},
		{"MQTT at least once", true, overMQTT(1, "{}")},
		{"MQTT exactly once", true, overMQTT(2, "{}")},
		{"MQTT below", true, overMQTT(1, "{}/#")},
		{"MQTT shared", true, overMQTT(1, "$share/all/{}")},
		{"AMQP queue", false, overAMQP("queue://", nil)},
		{"AMQP selector", false, overAMQP("queue://", &amqp.ReceiverOptions{Filters: []amqp.LinkFilter{amqp.NewSelectorFilter("1 = 1")}})},
		{"AMQP topic", true, overAMQP("topic://", nil)},
		{"AMQP durable", true, overAMQP("topic://", durable)},
	}
}

func TestMatrixOfReadingThroughTheProtocols(t *testing.T) {
	m := newMatrix(t)
	for i, way := range readings() {
		for _, allowed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, allowed %v", way.name, allowed), func(t *testing.T) {
				m := &matrix{t: t, child: m.child}
				name := fmt.Sprintf("not.q%d", i)
				if allowed {
					name = fmt.Sprintf("may.q%d", i)
				}
				m.publish(way.topic, name, "secret")
				got, err := way.open(m, name)
				if !allowed {
					if n := m.readers(way.topic, name); n != 0 {
						t.Errorf("%d consumers, and the client was told %v", n, err)
					}
					m.publish(way.topic, name, "secret")
					m.nothing(got)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				m.publish(way.topic, name, "secret")
				select {
				case body := <-got:
					if body != "secret" && body != "secret<nil>" {
						t.Errorf("got %q", body)
					}
				case <-time.After(matrixWait):
					t.Error("what is allowed does not arrive")
				}
			})
		}
	}
}

// nothing checks that nothing has arrived. No consumer is there that could have
// something on its way.
func (m *matrix) nothing(got <-chan string) {
	m.t.Helper()
	for {
		select {
		case body, ok := <-got:
			if !ok {
				return
			}
			m.t.Errorf("%q arrived", body)
		default:
			return
		}
	}
}

func sendOverSTOMP(prefix string, options ...func(*frame.Frame) error) func(*matrix, string, string) error {
	return func(m *matrix, name, body string) error {
		return m.dialSTOMP().Send(prefix+name, "text/plain", []byte(body), append(options, stomp.SendOpt.Receipt)...)
	}
}

func sendInTransaction(m *matrix, name, body string) error {
	tx := m.dialSTOMP().Begin()
	if err := tx.Send("/queue/"+name, "text/plain", []byte(body), stomp.SendOpt.Receipt); err != nil {
		return err
	}
	return tx.CommitWithReceipt()
}

func sendOverMQTT(qos byte, retain bool) func(*matrix, string, string) error {
	return func(m *matrix, name, body string) error {
		c := m.dialMQTT()
		err := finished(c.Publish(strings.ReplaceAll(name, ".", "/"), qos, retain, body))
		// What the broker has done with it is over when it answers what comes later.
		return errorsOf(err, finished(c.Subscribe("may/answer", 0, nil)))
	}
}

func errorsOf(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

// leaveWill has the broker publish the guest's will.
func leaveWill(m *matrix, name, body string) error {
	u, err := url.Parse("tcp://" + m.mqtt)
	if err != nil {
		return err
	}
	o := paho.NewClientOptions().SetClientID("guest-will").SetUsername("guest").SetPassword("password").
		SetAutoReconnect(false).SetConnectTimeout(matrixWait).SetWill(strings.ReplaceAll(name, ".", "/"), body, 1, false)
	o.Servers = []*url.URL{u}
	conn := &heldConn{}
	o.SetCustomOpenConnectionFn(conn.open)
	c := paho.NewClient(o)
	if err := finished(c.Connect()); err != nil {
		return err
	}
	return conn.Close() // without DISCONNECT
}

func sendOverAMQP(prefix string, relay bool) func(*matrix, string, string) error {
	return func(m *matrix, name, body string) error {
		s, ctx := m.dialAMQP()
		address, msg := prefix+name, amqp.NewMessage([]byte(body))
		to := address
		if relay {
			msg.Properties, address = &amqp.MessageProperties{To: &to}, ""
		}
		sender, err := s.NewSender(ctx, address, nil)
		if err != nil {
			return err
		}
		return sender.Send(ctx, msg, nil)
	}
}

func writings() []writing {
	return []writing{
		{"STOMP queue", false, sendOverSTOMP("/queue/")},
		{"STOMP persistent", false, sendOverSTOMP("/queue/", stomp.SendOpt.Header("persistent", "true"))},
		{"STOMP composite", false, sendOverSTOMP("/queue/may.other,/queue/")},
		{"STOMP transaction", false, sendInTransaction},
		{"STOMP scheduled", false, sendOverSTOMP("/queue/", stomp.SendOpt.Header("AMQ_SCHEDULED_DELAY", "1"))},
		{"STOMP topic", true, sendOverSTOMP("/topic/")},
		{"MQTT at most once", true, sendOverMQTT(0, false)},
		{"MQTT at least once", true, sendOverMQTT(1, false)},
		{"MQTT exactly once", true, sendOverMQTT(2, false)},
		{"MQTT retained", true, sendOverMQTT(1, true)},
		{"MQTT will", true, leaveWill},
		{"AMQP queue", false, sendOverAMQP("queue://", false)},
		{"AMQP topic", true, sendOverAMQP("topic://", false)},
		{"AMQP anonymous relay to a queue", false, sendOverAMQP("queue://", true)},
		{"AMQP anonymous relay to a topic", true, sendOverAMQP("topic://", true)},
	}
}

// watch has the owner receive what is published on a topic, or sent to a queue.
func (m *matrix) watch(topic bool, name string) <-chan string {
	m.t.Helper()
	c, err := stomp.Dial("tcp", m.stomp, stomp.ConnOpt.Login("owner", "password"), stomp.ConnOpt.Logger(silent{}))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = c.MustDisconnect() })
	to := "/queue/" + name
	if topic {
		to = "/topic/" + name
	}
	sub, err := c.Subscribe(to, stomp.AckAuto)
	if err != nil {
		m.t.Fatal(err)
	}
	got := make(chan string, 16)
	go func() {
		defer close(got)
		for msg := range sub.C {
			if msg.Err == nil {
				got <- string(msg.Body)
			}
		}
	}()
	until(m.t, "the owner's subscription", func() bool {
		if topic {
			return m.readers(true, name) == 1
		}
		return m.found("queue", "ls", "--filter", name).Consumers == 1
	})
	return got
}

func TestMatrixOfWritingThroughTheProtocols(t *testing.T) {
	m := newMatrix(t)
	for i, way := range writings() {
		for _, allowed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, allowed %v", way.name, allowed), func(t *testing.T) {
				m := &matrix{t: t, child: m.child}
				name := fmt.Sprintf("not.w%d", i)
				if allowed {
					name = fmt.Sprintf("may.w%d", i)
				}
				got := m.watch(way.topic, name)
				err := way.send(m, name, "forged")
				want := "marker"
				if allowed {
					want = "forged"
					if err != nil {
						t.Fatal(err)
					}
				} else {
					m.mark(way, name)
				}
				select {
				case body := <-got:
					if body != want {
						t.Errorf("%q arrived, want %q; the client was told %v", body, want, err)
					}
				case <-time.After(matrixWait):
					t.Errorf("%q does not arrive", want)
				}
			})
		}
	}
}

// mark sends something after all that a guest has done, whose connection is
// gone by then.
func (m *matrix) mark(way writing, name string) {
	m.t.Helper()
	if strings.Contains(way.name, "scheduled") || strings.Contains(way.name, "will") {
		until(m.t, "the end of the guest", func() bool { return !strings.Contains(m.owner("conn", "ls", "-o", "jsonl"), `"guest-will"`) })
	}
	m.owner("pub", map[bool]string{true: "/topic/", false: "/queue/"}[way.topic]+name, "marker", "--receipt")
}

// heldConn is a client's connection that can be cut off.
type heldConn struct{ net.Conn }

func (h *heldConn) open(to *url.URL, _ paho.ClientOptions) (c net.Conn, err error) {
	h.Conn, err = net.Dial("tcp", to.Host)
	return h.Conn, err
}
