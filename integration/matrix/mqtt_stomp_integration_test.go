//go:build integration

package matrix

import (
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/entrepot-mq/entrepot/integration/harness"
	"github.com/entrepot-mq/entrepot/integration/wire"
)

// five is a client of MQTT 5.
type five struct {
	t   *testing.T
	c   *paho.Client
	got chan *paho.Publish

	present bool // the broker had its session
}

func openFive(t *testing.T, addr, id string, clean bool) *five {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	f := &five{t: t, got: make(chan *paho.Publish, 100)}
	f.c = paho.NewClient(paho.ClientConfig{
		ClientID: id, Conn: conn,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
			f.got <- r.Packet
			return true, nil
		}},
	})
	hour := uint32(3600)
	ack, err := f.c.Connect(t.Context(), &paho.Connect{
		ClientID: id, CleanStart: clean, KeepAlive: 60, Properties: &paho.ConnectProperties{SessionExpiryInterval: &hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.present = ack.SessionPresent
	t.Cleanup(func() { _ = conn.Close() })
	return f
}

func (f *five) subscribe(qos byte, filters ...string) {
	f.t.Helper()
	s := &paho.Subscribe{}
	for _, filter := range filters {
		s.Subscriptions = append(s.Subscriptions, paho.SubscribeOptions{Topic: filter, QoS: qos})
	}
	if _, err := f.c.Subscribe(f.t.Context(), s); err != nil {
		f.t.Fatal(err)
	}
}

func (f *five) publish(p *paho.Publish) {
	f.t.Helper()
	if _, err := f.c.Publish(f.t.Context(), p); err != nil {
		f.t.Fatal(err)
	}
}

func (f *five) leave() {
	f.t.Helper()
	if err := f.c.Disconnect(&paho.Disconnect{}); err != nil {
		f.t.Fatal(err)
	}
}

// message is the next one; its body has to be this.
func (f *five) message(body string) *paho.Publish {
	f.t.Helper()
	select {
	case m := <-f.got:
		if string(m.Payload) != body {
			f.t.Fatalf("MQTT got %q, want %q", m.Payload, body)
		}
		return m
	case <-time.After(2 * wait):
		f.t.Fatalf("MQTT did not get %q in time", body)
	}
	return nil
}

// frames is a client of STOMP 1.2.
type frames struct {
	t *testing.T
	*wire.Conn
	receipts int
	early    []wire.Frame // messages that came before a receipt
}

func openFrames(t *testing.T, addr, id string) *frames {
	t.Helper()
	c, err := wire.Open(addr, 2*wait, "client-id", id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &frames{t: t, Conn: c}
}

// do sends a frame and waits until the broker has done it.
func (s *frames) do(command, body string, headers ...string) {
	s.t.Helper()
	s.receipts++
	f := wire.New(command, append([]string{"receipt", strconv.Itoa(s.receipts)}, headers...)...)
	f.Body = []byte(body)
	if err := s.Send(f); err != nil {
		s.t.Fatal(err)
	}
	for {
		f, err := s.Read(2 * wait)
		if err != nil {
			s.t.Fatal(err)
		}
		switch f.Command {
		case "MESSAGE":
			s.early = append(s.early, f)
			continue
		case "RECEIPT":
		default:
			s.t.Fatalf("%s was answered with %s: %s", command, f, f.Body)
		}
		return
	}
}

// next is the next message, and ok that one came in time.
func (s *frames) next(timeout time.Duration) (f wire.Frame, ok bool) {
	if len(s.early) > 0 {
		f, s.early = s.early[0], s.early[1:]
		return f, true
	}
	f, err := s.Expect("MESSAGE", timeout)
	return f, err == nil
}

func (s *frames) subscribe(destination string, headers ...string) {
	s.t.Helper()
	s.do("SUBSCRIBE", "", append([]string{"id", destination, "destination", destination}, headers...)...)
}

// message is the next one; it has that body and those headers.
func (s *frames) message(body string, headers ...string) wire.Frame {
	s.t.Helper()
	f, ok := s.next(2 * wait)
	if !ok {
		s.t.Fatalf("STOMP did not get %q in time", body)
	}
	if string(f.Body) != body {
		s.t.Fatalf("STOMP got %s %q, want body %q", f, f.Body, body)
	}
	for i := 0; i < len(headers); i += 2 {
		if f.Headers[headers[i]] != headers[i+1] {
			s.t.Errorf("%q: header %s is %q, want %q", body, headers[i], f.Headers[headers[i]], headers[i+1])
		}
	}
	return f
}

// startMQTTAndSTOMP starts a broker and returns its addresses.
func startMQTTAndSTOMP(t *testing.T) (mqtt, stomp string) {
	t.Helper()
	b, err := harness.Start(t.Context(), harness.Options{
		Program: program, Dir: t.TempDir(), Listen: []string{"mqtt://127.0.0.1:0", "stomp://127.0.0.1:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b.Addr("mqtt"), b.Addr("stomp")
}

func TestBodiesAndPropertiesOfMQTTReachSTOMP(t *testing.T) {
	mqtt, stomp := startMQTTAndSTOMP(t)
	f, s := openFive(t, mqtt, "five", true), openFrames(t, stomp, "frames")
	s.subscribe("/topic/x.>")
	text, minute := byte(1), uint32(60)
	for qos, persistent := range []string{"", "true", "true"} {
		for body, length := range map[string]string{"": "0", "\x00\x01\xff": "3", "é": "2"} {
			f.publish(&paho.Publish{Topic: "x/bytes", QoS: byte(qos), Payload: []byte(body)})
			s.message(body, "destination", "/topic/x.bytes", "persistent", persistent, "content-length", length,
				"ActiveMQ.MQTT.QoS", strconv.Itoa(qos), "expires", "0")
		}
		f.publish(&paho.Publish{
			Topic: "x/text", QoS: byte(qos), Payload: []byte("é: ü"), Properties: &paho.PublishProperties{PayloadFormat: &text},
		})
		s.message("é: ü", "content-length", "", "persistent", persistent)
	}
	before := time.Now()
	f.publish(&paho.Publish{Topic: "x/y z/€", QoS: 1, Payload: []byte("all"), Properties: &paho.PublishProperties{
		ContentType: "text/x", CorrelationData: []byte("c1"), ResponseTopic: "re/ply", MessageExpiry: &minute,
		User: paho.UserProperties{{Key: "colour", Value: "red"}, {Key: "a:b", Value: "\\"}, {Key: "colour", Value: "blue"}},
	}})
	m := s.message("all", "destination", "/topic/x.y z.€", "content-type", "text/x", "correlation-id", "c1",
		"reply-to", "/topic/re.ply", "colour", "red", "a:b", "\\", "persistent", "true", "priority", "4")
	expires, err := strconv.ParseInt(m.Headers["expires"], 10, 64)
	if due := time.UnixMilli(expires); err != nil || due.Before(before.Add(59*time.Second)) || due.After(time.Now().Add(time.Minute)) {
		t.Errorf("it expires at %v (%v), published at %v for a minute", due, err, before)
	}
	f.publish(&paho.Publish{Topic: "x/binary", Payload: []byte("id"), Properties: &paho.PublishProperties{CorrelationData: []byte{0, 0xff}}})
	s.message("id", "correlation-id", "base64:AP8=")
}

func TestBodiesAndPropertiesOfSTOMPReachMQTT(t *testing.T) {
	mqtt, stomp := startMQTTAndSTOMP(t)
	f, s := openFive(t, mqtt, "five", true), openFrames(t, stomp, "frames")
	f.subscribe(2, "from/#")
	for _, persistent := range []string{"false", "true"} {
		for body, kind := range map[string]string{"é": "text", "\x00\xff": "bytes", "": "text"} {
			s.do("SEND", body, "destination", "/topic/from.stomp", "persistent", persistent, "amq-msg-type", kind)
			m := f.message(body)
			format := m.Properties.PayloadFormat
			if isText := format != nil && *format == 1; isText != (kind == "text") || (m.QoS == 1) != (persistent == "true") || m.Topic != "from/stomp" {
				t.Errorf("%s %q came with payload format %v, QoS %d, on %s", kind, body, format, m.QoS, m.Topic)
			}
		}
	}
	s.do("SEND", "all", "destination", "/topic/from.a/b", "persistent", "true", "colour", "r:é\\", "empty", "", "correlation-id", "c2",
		"reply-to", "/topic/an.swer", "content-type", "text/y", "type", "kind", "JMSXGroupID", "g",
		"expires", strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10))
	m := f.message("all")
	p := m.Properties
	if m.Topic != "from/a.b" || p.ContentType != "text/y" || p.ResponseTopic != "an/swer" || string(p.CorrelationData) != "c2" {
		t.Errorf("topic %q, properties %+v", m.Topic, p)
	}
	want := paho.UserProperties{
		{Key: "colour", Value: "r:é\\"}, {Key: "empty"}, {Key: "JMSType", Value: "kind"}, {Key: "JMSXGroupID", Value: "g"},
	}
	sort := func(ps paho.UserProperties) { // the test's client sends headers in any order
		slices.SortFunc(ps, func(a, b paho.UserProperty) int { return slices.Compare([]byte(a.Key), []byte(b.Key)) })
	}
	sort(p.User)
	sort(want)
	if !slices.Equal(p.User, want) {
		t.Errorf("user properties %v, want %v", p.User, want)
	}
	if e := p.MessageExpiry; e == nil || *e < 3500 || *e > 3600 {
		t.Errorf("message expiry %v, want an hour or a little less", e)
	}
}

// Sessions of MQTT and durable subscriptions of STOMP collect while their
// clients are away.
func TestDurableSubscribersGetWhatTheOtherProtocolSent(t *testing.T) {
	mqtt, stomp := startMQTTAndSTOMP(t)
	f, s := openFive(t, mqtt, "five", true), openFrames(t, stomp, "frames")
	f.subscribe(2, "d/+")
	s.subscribe("/topic/d.*", "activemq.subscriptionName", "sub", "ack", "client-individual")
	f.leave()
	s.do("DISCONNECT", "")

	second := int64(1000)
	p, q := openFive(t, mqtt, "publisher", true), openFrames(t, stomp, "sender")
	expiry := uint32(1)
	p.publish(&paho.Publish{Topic: "d/1", QoS: 1, Payload: []byte("gone by then"), Properties: &paho.PublishProperties{MessageExpiry: &expiry}})
	expires := time.Now().UnixMilli() + second
	q.do("SEND", "gone too", "destination", "/topic/d.2", "persistent", "true", "expires", strconv.FormatInt(expires, 10))
	p.publish(&paho.Publish{Topic: "d/3", QoS: 0, Payload: []byte("not kept")})
	q.do("SEND", "not kept", "destination", "/topic/d.4", "persistent", "false")
	p.publish(&paho.Publish{Topic: "d/5", QoS: 2, Payload: []byte("by mqtt")})
	q.do("SEND", "by stomp", "destination", "/topic/d.6", "persistent", "true")
	if err := harness.Until(t.Context(), 2*wait, "both have expired", func() bool { return time.Now().UnixMilli() > expires+second }); err != nil {
		t.Fatal(err)
	}

	f = openFive(t, mqtt, "five", false)
	if !f.present {
		t.Error("the session is gone")
	}
	if m := f.message("by mqtt"); m.QoS != 2 {
		t.Errorf("QoS %d", m.QoS)
	}
	f.message("by stomp")
	s = openFrames(t, stomp, "frames")
	s.subscribe("/topic/d.*", "activemq.subscriptionName", "sub", "ack", "client-individual")
	for _, body := range []string{"not kept", "not kept", "by mqtt", "by stomp"} {
		// A durable subscription of the JMS keeps what isn't persistent, too.
		m := s.message(body)
		s.do("ACK", "", "id", m.Headers["ack"])
	}
}

func TestBothProtocolsGetWhatTopicsRemember(t *testing.T) {
	mqtt, stomp := startMQTTAndSTOMP(t)
	f, s := openFive(t, mqtt, "five", true), openFrames(t, stomp, "frames")
	f.publish(&paho.Publish{Topic: "kept/a", QoS: 1, Retain: true, Payload: []byte("by mqtt")})
	s.subscribe("/topic/kept.*", "activemq.retroactive", "true")
	s.message("by mqtt", "destination", "/topic/kept.a")
	s.do("SEND", "by stomp", "destination", "/topic/kept.b", "persistent", "true", "ActiveMQ.Retain", "true")
	s.message("by stomp")
	f.subscribe(1, "kept/b")
	if m := f.message("by stomp"); !m.Retain {
		t.Error("it does not say that it was retained")
	}
	// What is forgotten by one protocol is forgotten for the other one.
	f.publish(&paho.Publish{Topic: "kept/b", QoS: 1, Retain: true})
	s.message("")
	late := openFrames(t, stomp, "late")
	late.subscribe("/topic/kept.*", "activemq.retroactive", "true")
	late.message("by mqtt")
	f.publish(&paho.Publish{Topic: "kept/c", QoS: 1, Payload: []byte("end")})
	late.message("end")
}

// Members of a $share group and consumers of a shared subscription of STOMP
// are the same subscription's: each message goes to one of them.
func TestMembersOfASharedSubscriptionSpeakBothProtocols(t *testing.T) {
	mqtt, stomp := startMQTTAndSTOMP(t)
	f, s := openFive(t, mqtt, "five", true), openFrames(t, stomp, "frames")
	f.subscribe(1, "$share/workers/jobs/#")
	s.subscribe("/topic/jobs.>", "activemq.subscriptionName", "workers:jobs.>", "activemq.shared", "true", "ack", "client-individual")
	p := openFive(t, mqtt, "publisher", true)
	const n = 200
	for i := range n {
		p.publish(&paho.Publish{Topic: "jobs/a", QoS: 1, Payload: []byte(strconv.Itoa(i))})
	}
	got := make([]int, n)
	count := func(body []byte) {
		i, err := strconv.Atoi(string(body))
		if err != nil || i < 0 || i >= n {
			t.Fatalf("got %q", body)
		}
		got[i]++
	}
	bodies := make(chan []byte, n)
	go func() { // it has the connection from here on
		for {
			m, ok := s.next(4 * wait)
			if !ok || s.Send(wire.New("ACK", "id", m.Headers["ack"])) != nil {
				return
			}
			bodies <- m.Body
		}
	}()
	byMQTT, bySTOMP := 0, 0
	for byMQTT+bySTOMP < n {
		select {
		case m := <-f.got:
			byMQTT++
			count(m.Payload)
		case body := <-bodies:
			bySTOMP++
			count(body)
		case <-time.After(2 * wait):
			t.Fatalf("MQTT got %d and STOMP %d of %d", byMQTT, bySTOMP, n)
		}
	}
	for i, times := range got {
		if times != 1 {
			t.Errorf("%d was delivered %d times", i, times)
		}
	}
	if byMQTT == 0 || bySTOMP == 0 {
		t.Errorf("MQTT got %d, STOMP %d: they don't compete", byMQTT, bySTOMP)
	}
}

// A virtual topic's queue collects what MQTT publishes.
func TestAVirtualTopicOfMQTTFillsTheQueueOfAnotherProtocol(t *testing.T) {
	mqtt, stomp := startMQTTAndSTOMP(t)
	f, s := openFive(t, mqtt, "five", true), openFrames(t, stomp, "frames")
	s.subscribe("/queue/Consumer.A.VirtualTopic.orders")
	f.publish(&paho.Publish{Topic: "VirtualTopic/orders", QoS: 1, Payload: []byte("order")})
	s.message("order", "destination", "/queue/Consumer.A.VirtualTopic.orders", "original-destination", "/topic/VirtualTopic.orders")
}

// An answer finds its way back through the reply-to of the other protocol.
func TestRequestsAndRepliesBetweenMQTTAndSTOMP(t *testing.T) {
	mqtt, stomp := startMQTTAndSTOMP(t)
	f, s := openFive(t, mqtt, "five", true), openFrames(t, stomp, "frames")
	f.subscribe(1, "answers/five")
	s.subscribe("/topic/asked.stomp")
	f.publish(&paho.Publish{Topic: "asked/stomp", QoS: 1, Payload: []byte("ask"), Properties: &paho.PublishProperties{
		ResponseTopic: "answers/five", CorrelationData: []byte{0xfe, 1},
	}})
	m := s.message("ask")
	s.do("SEND", "answer", "destination", m.Headers["reply-to"], "correlation-id", m.Headers["correlation-id"])
	if a := f.message("answer"); string(a.Properties.CorrelationData) != "\xfe\x01" {
		t.Errorf("correlation data is %x", a.Properties.CorrelationData)
	}

	f.subscribe(1, "asked/mqtt")
	s.subscribe("/topic/answers.stomp")
	s.do("SEND", "ask", "destination", "/topic/asked.mqtt", "reply-to", "/topic/answers.stomp", "correlation-id", "7")
	q := f.message("ask")
	f.publish(&paho.Publish{Topic: q.Properties.ResponseTopic, QoS: 1, Payload: []byte("answer"), Properties: &paho.PublishProperties{
		CorrelationData: q.Properties.CorrelationData,
	}})
	s.message("answer", "correlation-id", "7")
}
