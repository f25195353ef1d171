package stomp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

func payload(block, body string) []byte {
	return append([]byte{byte(len(block))}, block+body...)
}

func stompMessage(p []byte) *message.Message {
	return message.New(&message.Envelope{Destination: message.Queue("a")}, message.EncodingSTOMP, p)
}

func describe(v *message.View) string {
	var b strings.Builder
	for _, p := range v.Properties {
		fmt.Fprintf(&b, "%s=%q ", p.Name, p.Value.String())
	}
	fmt.Fprintf(&b, "%v %q", v.Body.Kind, v.Body.Data)
	return b.String()
}

func TestViewHasStringPropertiesAndTextOrBytes(t *testing.T) {
	for _, tt := range []struct{ block, body, want string }{
		{"", "", `text ""`},
		{"a:1\nb:\n", "text", `a="1" b="" text "text"`},
		{"a:1\ncontent-length:4\n", "data", `a="1" bytes "data"`},
		{"amq-msg-type:text\ncontent-length:4\n", "text", `amq-msg-type="text" text "text"`},
		{"amq-msg-type:bytes\ncontent-length:4\n", "data", `amq-msg-type="bytes" bytes "data"`},
		{"", "not \xff text", `bytes "not \xff text"`},
		{`k\c:a\cb\n\r\\` + "\n", "", `k:="a:b\n\r\\" text ""`},
		{"k:a:b\nk:2\n", "", `k="a:b" k="2" text ""`},
	} {
		v, err := Converter{}.View(stompMessage(payload(tt.block, tt.body)))
		if err != nil {
			t.Errorf("%q: %v", tt.block, err)
		} else if got := describe(v); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.block, got, tt.want)
		} else if got := properties(t, stompMessage(payload(tt.block, tt.body))); !slices.EqualFunc(got, v.Properties, sameProperty) {
			t.Errorf("%q: properties are %v without a view, %v with one", tt.block, got, v.Properties)
		}
	}
}

func sameProperty(p, q message.Property) bool { return p.Name == q.Name && p.Value.Equal(q.Value) }

// properties are those that m is said to have when no view is asked for.
func properties(t *testing.T, m *message.Message) (all []message.Property) {
	t.Helper()
	err := m.EachProperty(message.Converters{message.EncodingSTOMP: Converter{}}, func(p message.Property) { all = append(all, p) })
	if err != nil {
		t.Error(err)
	}
	return all
}

func TestDamagedPayloadIsAnError(t *testing.T) {
	for _, p := range [][]byte{
		nil,
		{0x80},
		{5, 'a'},
		{3, 'a', ':', 'b'},
		{2, 'a', '\n'},
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		if v, err := (Converter{}).View(stompMessage(p)); !errors.Is(err, errPayload) {
			t.Errorf("%q: got %v, %v", p, v, err)
		}
		if err := (Converter{}).Properties(stompMessage(p), func(message.Property) {}); !errors.Is(err, errPayload) {
			t.Errorf("%q: properties are read: %v", p, err)
		}
	}
}

// published is a client's connection that can't publish otherwise: it sends
// messages as another protocol's frontend would.
func (r *rig) publish(e message.Envelope, v *message.View) {
	r.t.Helper()
	s := r.session()
	defer s.Close()
	e.ID, e.Timestamp, e.Priority = s.NewID(), 1, message.DefaultPriority
	s.Publish(message.NewView(&e, v), nil, 0)
}

func TestMessagesOfOtherProtocols(t *testing.T) {
	r := newRig(t, nil)
	str := message.StringValue
	prop := func(name string, v message.Value) message.Property { return message.Property{Name: name, Value: v} }
	for _, tt := range []struct {
		name string
		e    message.Envelope
		v    message.View
		want string // behind timestamp
		body string
	}{
		{"text", message.Envelope{}, message.View{Body: message.TextBody("héllo")}, "", "héllo"},
		{"text with NUL", message.Envelope{}, message.View{Body: message.TextBody("a\x00b")}, "content-length:3", "a\x00b"},
		{"no body", message.Envelope{}, message.View{}, "", ""},
		{"bytes", message.Envelope{}, message.View{Body: message.BytesBody([]byte{0, 255})}, "content-length:2", "\x00\xff"},
		{
			"types of properties",
			message.Envelope{},
			message.View{Properties: []message.Property{
				prop("i", message.Int32Value(-5)), prop("b", message.BoolValue(true)), prop("f", message.DoubleValue(1.5)),
				prop("s:s", str("a:b\nc")), prop("nul", str("a\x00b")),
			}},
			"i:-5|b:true|f:1.5|s:s:a:b\nc|nul:a\uFFFDb", "",
		},
		{
			"properties that would change the frame",
			message.Envelope{},
			message.View{Properties: []message.Property{
				prop("content-length", message.Int32Value(9999)), prop("subscription", str("x")), prop("message-id", str("x")),
				prop("ack", str("x")), prop("", str("x")), prop("destination", str("/queue/evil")), prop("ok", str("y")),
			}, Body: message.TextBody("t")},
			"ok:y", "t",
		},
		{"map", message.Envelope{}, message.View{Body: message.MapBody([]message.MapEntry{
			{Key: str("n"), Value: message.Int64Value(-1)},
			{Key: str("u"), Value: message.Uint64Value(1 << 63)},
			{Key: str("l"), Value: message.ListValue([]message.Value{message.Null(), message.BoolValue(false), str("\"<\n")})},
			{Key: str("b"), Value: message.BinaryValue([]byte{1, 2})},
			{Key: message.Int8Value(3), Value: message.TimestampValue(7)},
		})}, "content-type:application/json", `{"n":-1,"u":9223372036854775808,"l":[null,false,"\"\u003c\n"],"b":"AQI=","3":7}`},
		{
			"stream",
			message.Envelope{ContentType: "x/y"},
			message.View{Body: message.StreamBody([]message.Value{str("a"), message.DoubleValue(2.5)})},
			"content-type:x/y", `["a",2.5]`,
		},
		{
			"value",
			message.Envelope{},
			message.View{Body: message.ValueBody(message.DescribedValue(str("d"), str("v")))},
			"content-type:application/json", `"v"`,
		},
		{
			"object",
			message.Envelope{},
			message.View{Body: message.ObjectBody([]byte{0xac, 0xed})},
			"content-type:application/x-java-serialized-object|content-length:2", "\xac\xed",
		},
		{
			"envelope",
			message.Envelope{
				CorrelationID: "c:1", UserID: "alice", GroupID: "g", GroupSeq: 2, Type: "t", ReplyTo: message.Queue("a,topic://b"),
				Annotations: []message.Annotation{{Name: "why", Value: "be\ncause"}},
			},
			message.View{},
			"JMSXGroupFirstForConsumer:true|reply-to:/queue/a,/topic/b|correlation-id:c:1|type:t|JMSXUserID:alice|JMSXGroupID:g|JMSXGroupSeq:2|why:be\ncause", "",
		},
	} {
		for _, v := range []version{v10, v11, v12} {
			c := r.connect(v)
			c.do("SUBSCRIBE", "id:s", "destination:/queue/q")
			tt.e.Destination = message.Queue("q")
			r.publish(tt.e, &tt.v)
			f := c.message(tt.body)
			_, got, _ := strings.Cut(strings.Join(f.headers, "|"), "|timestamp:1")
			want := tt.want
			if v == v10 { // what 1.0 can't say stays escaped
				want = strings.NewReplacer("\n", `\n`, "s:s:", `s\cs:`).Replace(want)
			}
			if strings.TrimPrefix(got, "|") != want {
				t.Errorf("%s, %v:\n got %q\nwant %q", tt.name, v, got, want)
			}
			c.do("UNSUBSCRIBE", "id:s")
		}
	}
}

func TestMessageThatCannotBeReadSaysSo(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/q")
	s := r.session()
	defer s.Close()
	for _, enc := range []message.Encoding{message.EncodingSTOMP, message.EncodingAMQP} {
		s.Publish(message.New(&message.Envelope{ID: s.NewID(), Destination: message.Queue("q")}, enc, []byte{9}), nil, 0)
		if f := c.message(""); f.get("transformation-error") == "" {
			t.Error(f)
		}
	}
	c.quiet()
}

func TestMessageIDOfThePublisherIsShownAndAcknowledged(t *testing.T) {
	r := newRig(t, nil)
	for _, v := range []version{v10, v11, v12} {
		c := r.connect(v)
		c.do("SUBSCRIBE", "id:s", "destination:/queue/q", "ack:client-individual")
		r.publish(message.Envelope{Destination: message.Queue("q"), MessageID: "ID:jms-1:2"}, &message.View{})
		f := c.message("")
		if f.get("message-id") != "ID:jms-1:2" {
			t.Error(f)
		}
		c.do("ACK", ackHeaders(v, f)...)
		eventually(t, "it is acknowledged", func() bool { return r.broker.Stats().Messages == 0 })
		c.do("DISCONNECT")
	}
}
