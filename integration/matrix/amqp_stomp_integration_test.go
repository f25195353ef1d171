//go:build integration

package matrix

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/go-stomp/stomp/v3"
	"github.com/go-stomp/stomp/v3/frame"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

const wait = 15 * time.Second

// pair is a client of each protocol at one broker.
type pair struct {
	t     *testing.T
	ctx   context.Context
	amqp  *amqp.Session
	stomp *stomp.Conn
	names int
}

func newPair(t *testing.T) *pair {
	t.Helper()
	b, err := harness.Start(t.Context(), harness.Options{
		Program: program, Dir: t.TempDir(), Listen: []string{"amqp://127.0.0.1:0", "stomp://127.0.0.1:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	c, err := amqp.Dial(ctx, "amqp://"+b.Addr("amqp"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s, err := c.NewSession(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	st, err := stomp.Dial("tcp", b.Addr("stomp"), stomp.ConnOpt.HeartBeat(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Disconnect() })
	return &pair{t: t, ctx: ctx, amqp: s, stomp: st}
}

func (p *pair) queue() string {
	p.names++
	return fmt.Sprintf("matrix.%d", p.names)
}

// toStomp sends by AMQP and receives by STOMP.
func (p *pair) toStomp(m *amqp.Message) *stomp.Message {
	p.t.Helper()
	q := p.queue()
	out, err := p.amqp.NewSender(p.ctx, q, nil)
	if err == nil {
		err = out.Send(p.ctx, m, nil)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	sub, err := p.stomp.Subscribe("/queue/"+q, stomp.AckAuto)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	select {
	case got := <-sub.C:
		if got.Err != nil {
			p.t.Fatal(got.Err)
		}
		return got
	case <-time.After(wait):
		p.t.Fatal("no message in time")
	}
	return nil
}

// toAMQP sends by STOMP and receives by AMQP.
func (p *pair) toAMQP(body string, options ...func(*frame.Frame) error) *amqp.Message {
	p.t.Helper()
	q := p.queue()
	options = append(options, stomp.SendOpt.Receipt)
	if err := p.stomp.Send("/queue/"+q, "", []byte(body), options...); err != nil {
		p.t.Fatal(err)
	}
	in, err := p.amqp.NewReceiver(p.ctx, q, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	m, err := in.Receive(p.ctx, nil)
	if err == nil {
		err = in.AcceptMessage(p.ctx, m)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

func header(key, value string) func(*frame.Frame) error { return stomp.SendOpt.Header(key, value) }

func TestBodiesOfAMQPReachSTOMP(t *testing.T) {
	p := newPair(t)
	text := "text/plain"
	for name, test := range map[string]struct {
		m      amqp.Message
		body   string
		length string // content-length: bytes have one, text has none
	}{
		"data":          {amqp.Message{Data: [][]byte{{0, 1, 255}}}, "\x00\x01\xff", "3"},
		"several data":  {amqp.Message{Data: [][]byte{[]byte("ab"), []byte("c")}}, "abc", "3"},
		"data of text":  {amqp.Message{Data: [][]byte{[]byte("é")}, Properties: &amqp.MessageProperties{ContentType: &text}}, "é", ""},
		"string":        {amqp.Message{Value: "é\n"}, "é\n", ""},
		"binary":        {amqp.Message{Value: []byte{1, 0}}, "\x01\x00", "2"},
		"null":          {amqp.Message{Value: amqp.Null{}}, "", ""},
		"integer":       {amqp.Message{Value: int32(-7)}, "-7", ""},
		"unsigned":      {amqp.Message{Value: uint64(1 << 63)}, "9223372036854775808", ""},
		"boolean":       {amqp.Message{Value: true}, "true", ""},
		"double":        {amqp.Message{Value: 1.5}, "1.5", ""},
		"map":           {amqp.Message{Value: map[string]any{"k": int32(1)}}, `{"k":1}`, ""},
		"list":          {amqp.Message{Value: []any{int32(1), "two", nil}}, `[1,"two",null]`, ""},
		"sequence":      {amqp.Message{Sequence: [][]any{{int32(1), "two"}}}, `[1,"two"]`, ""},
		"two sequences": {amqp.Message{Sequence: [][]any{{int32(1)}, {"two"}}}, `[1,"two"]`, ""},
	} {
		for _, durable := range []bool{false, true} {
			test.m.Header = &amqp.MessageHeader{Durable: durable}
			got := p.toStomp(&test.m)
			if string(got.Body) != test.body || got.Header.Get("content-length") != test.length {
				t.Errorf("%s: %q, content-length %q; want %q, %q", name, got.Body, got.Header.Get("content-length"), test.body, test.length)
			}
			if persistent := got.Header.Get("persistent"); (persistent == "true") != durable {
				t.Errorf("%s: persistent %q, durable %v", name, persistent, durable)
			}
		}
	}
}

func TestPropertiesOfAMQPReachSTOMP(t *testing.T) {
	p := newPair(t)
	properties := map[string]any{
		"bool": true, "byte": int8(-1), "short": int16(-2), "int": int32(-3), "long": int64(-4),
		"ubyte": uint8(1), "ushort": uint16(2), "uint": uint32(3), "ulong": uint64(4), "float": float32(0.5), "double": 2.5,
		"string": "é: x", "symbol": amqp.Symbol("sym"), "binary": []byte("bin"), "time": time.UnixMilli(1700000000000).UTC(),
		"uuid": amqp.UUID{15: 1},
	}
	want := map[string]string{
		"bool": "true", "byte": "-1", "short": "-2", "int": "-3", "long": "-4", "ubyte": "1", "ushort": "2", "uint": "3", "ulong": "4",
		"float": "0.5", "double": "2.5", "string": "é: x", "symbol": "sym", "binary": "bin", "time": "1700000000000",
		"uuid":           "00000000-0000-0000-0000-000000000001",
		"correlation-id": "AMQP_ULONG:42", "message-id": "mine", "type": "kind", "reply-to": "/topic/answers", "priority": "7",
		"JMS_AMQP_MA_x-opt-mine": "kept",
	}
	subject, replyTo := "kind", "topic://answers"
	got := p.toStomp(&amqp.Message{
		Header: &amqp.MessageHeader{Priority: 7}, ApplicationProperties: properties, Value: "x",
		Annotations: amqp.Annotations{"x-opt-mine": "kept"},
		Properties:  &amqp.MessageProperties{MessageID: "mine", CorrelationID: uint64(42), Subject: &subject, ReplyTo: &replyTo},
	})
	for k, v := range want {
		if have := got.Header.Get(k); have != v {
			t.Errorf("%s is %q, want %q", k, have, v)
		}
	}
}

func TestBodiesAndHeadersOfSTOMPReachAMQP(t *testing.T) {
	p := newPair(t)
	for _, persistent := range []string{"true", "false"} {
		m := p.toAMQP("é", stomp.SendOpt.NoContentLength, header("persistent", persistent))
		if m.Value != "é" || m.Annotations["x-opt-jms-msg-type"] != int8(5) || m.Header.Durable != (persistent == "true") {
			t.Errorf("text is %v, annotations %v, header %+v", m.Value, m.Annotations, m.Header)
		}
		m = p.toAMQP("\x00\xff", header("persistent", persistent))
		if string(m.GetData()) != "\x00\xff" || m.Annotations["x-opt-jms-msg-type"] != int8(3) {
			t.Errorf("bytes are %q, annotations %v", m.GetData(), m.Annotations)
		}
	}
	m := p.toAMQP("", stomp.SendOpt.NoContentLength)
	if m.Value != "" {
		t.Errorf("an empty text is %v", m.Value)
	}
	m = p.toAMQP("x", header("correlation-id", "AMQP_ULONG:42"), header("type", "kind"), header("reply-to", "/queue/answers"),
		header("priority", "8"), header("colour", "r:é\\"), header("JMSXGroupID", "g"), header("message-id", "ignored"))
	if m.Properties.CorrelationID != uint64(42) || *m.Properties.Subject != "kind" || *m.Properties.ReplyTo != "queue://answers" ||
		m.Header.Priority != 8 || *m.Properties.GroupID != "g" {
		t.Errorf("properties %+v, header %+v", m.Properties, m.Header)
	}
	if want := map[string]any{"colour": "r:é\\"}; !maps.Equal(m.ApplicationProperties, want) {
		t.Errorf("application properties %v, want %v", m.ApplicationProperties, want)
	}
	if m.Annotations["x-opt-jms-dest"] != int8(0) || m.Annotations["x-opt-jms-reply-to"] != int8(0) {
		t.Errorf("annotations %v", m.Annotations)
	}
}

// A client of one protocol answers one of the other.
func TestRequestsAndRepliesBetweenSTOMPAndAMQP(t *testing.T) {
	p := newPair(t)
	answers, err := p.amqp.NewReceiver(p.ctx, "", &amqp.ReceiverOptions{DynamicAddress: true})
	if err != nil {
		t.Fatal(err)
	}
	address := answers.Address()
	got := p.toStomp(&amqp.Message{Value: "ask", Properties: &amqp.MessageProperties{MessageID: amqp.UUID{1}, ReplyTo: &address}})
	if err := p.stomp.Send(got.Header.Get("reply-to"), "", []byte("answer"), stomp.SendOpt.NoContentLength,
		header("correlation-id", got.Header.Get("message-id"))); err != nil {
		t.Fatal(err)
	}
	m, err := answers.Receive(p.ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.Value != "answer" || m.Properties.CorrelationID != (amqp.UUID{1}) {
		t.Errorf("answer %v to %v", m.Value, m.Properties.CorrelationID)
	}
}
