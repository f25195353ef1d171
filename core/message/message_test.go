package message

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

type namedEnvelope struct {
	name string
	e    Envelope
}

// envelopes has each field alone, nothing, and everything.
func envelopes() []namedEnvelope {
	return []namedEnvelope{
		{"zero", Envelope{Priority: DefaultPriority}},
		{"usual", *usual()},
		{"destination", Envelope{Priority: 4, Destination: Topic("a.b")}},
		{"id", Envelope{Priority: 4, ID: ID{1, 2}}},
		{"durable", Envelope{Priority: 4, Durable: true}},
		{"retain", Envelope{Priority: 4, Retain: true}},
		{"priority_0", Envelope{}},
		{"priority_9", Envelope{Priority: MaxPriority}},
		{"timestamp", Envelope{Priority: 4, Timestamp: 1_700_000_000_000}},
		{"expiry", Envelope{Priority: 4, Expiry: 1_700_000_060_000}},
		{"deliver_at", Envelope{Priority: 4, DeliverAt: 1_700_000_030_000}},
		{"before_1970", Envelope{Priority: 4, Timestamp: -1, Expiry: math.MinInt64, DeliverAt: math.MaxInt64}},
		{"origin", Envelope{Priority: 4, Origin: Queue("first")}},
		{"reply_to", Envelope{Priority: 4, ReplyTo: Destination{KindTempQueue, "ID:entrepot-1-2"}}},
		{"reply_to_without_name", Envelope{Priority: 4, ReplyTo: Queue("")}},
		{"group", Envelope{Priority: 4, GroupID: "g", GroupSeq: -1}},
		{"group_sequence", Envelope{Priority: 4, GroupSeq: math.MinInt32}},
		{"redeliveries", Envelope{Priority: 4, Redeliveries: math.MaxUint32}},
		{"message_id", Envelope{Priority: 4, MessageID: "m"}},
		{"correlation_id", Envelope{Priority: 4, CorrelationID: "c"}},
		{"type", Envelope{Priority: 4, Type: "t"}},
		{"content_type", Envelope{Priority: 4, ContentType: "text/plain"}},
		{"user_id", Envelope{Priority: 4, UserID: "u"}},
		{"publisher", Envelope{Priority: 4, Publisher: "p"}},
		{"annotations", Envelope{Priority: 4, Annotations: []Annotation{{"reason", "expired"}, {"reason", ""}, {"", "x"}}}},
		{"everything", everything()},
	}
}

func everything() Envelope {
	return Envelope{
		ID: ID{math.MaxUint64, math.MaxUint64}, Destination: Destination{KindTempTopic, "ID:t"}, Origin: Topic("o"),
		ReplyTo: Queue("r"), Durable: true, Retain: true, Priority: 9, GroupSeq: math.MaxInt32, Redeliveries: 3,
		Timestamp: 1, Expiry: 2, DeliverAt: 3, MessageID: strings.Repeat("m", 200), CorrelationID: "ü\x00", GroupID: "g",
		Type: "t", ContentType: "c", UserID: "u", Publisher: "p", Annotations: []Annotation{{"n", "v"}},
	}
}

// Whoever adds a field to the envelope is reminded here of its encoding.
func TestEverythingHasEveryFieldOfTheEnvelope(t *testing.T) {
	e := reflect.ValueOf(everything())
	for i := range e.NumField() {
		if e.Field(i).IsZero() {
			t.Errorf("%s is not tested", e.Type().Field(i).Name)
		}
	}
}

func TestMessageEncodingIsTheOneThatIsStored(t *testing.T) {
	var names []string
	encoded := map[string][]byte{}
	for i, c := range envelopes() {
		m := New(&c.e, Encoding(1+i%int(EncodingOpenWire)), []byte("pay"), nil, []byte("load"))
		names, encoded[c.name] = append(names, c.name), m.Raw()
	}
	golden(t, "messages.txt", names, encoded)
	for i, raw := range goldenInputs(t, "messages.txt") {
		c := envelopes()[i]
		m, err := Decode(raw)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if !reflect.DeepEqual(m.Envelope, c.e) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, m.Envelope, c.e)
		}
		if string(m.Payload()) != "payload" || m.Encoding() != Encoding(1+i%int(EncodingOpenWire)) {
			t.Errorf("%s: payload %q of %v", c.name, m.Payload(), m.Encoding())
		}
	}
}

func TestNewCountsItsBytesExactly(t *testing.T) {
	for _, c := range envelopes() {
		f := c.e.flags()
		if got, want := c.e.encodedSize(f), len(c.e.appendTo(nil, f, EncodingHub)); got != want {
			t.Errorf("%s: counted %d bytes, has %d", c.name, got, want)
		}
	}
}

func TestNewMakesTwoAllocationsForTheUsualMessage(t *testing.T) {
	e, head, body := usual(), []byte("head"), make([]byte, 1<<10)
	if n := testing.AllocsPerRun(100, func() { New(e, EncodingSTOMP, head, body) }); n != 2 {
		t.Errorf("%v allocations, want 2", n)
	}
}

func TestNewKeepsNothingOfItsArguments(t *testing.T) {
	buffer := []byte("queue.name/reply.name/message-id/body")
	text := unsafe.String(&buffer[0], len(buffer))
	e := &Envelope{Destination: Queue(text[:10]), ReplyTo: Queue(text[11:21]), MessageID: text[22:32]}
	m := New(e, EncodingSTOMP, buffer[33:])
	clear(buffer)
	if m.Destination.Name != "queue.name" || m.ReplyTo.Name != "reply.name" || m.MessageID != "message-id" || string(m.Payload()) != "body" {
		t.Errorf("message changed with the buffer: %+v %q", m.Envelope, m.Payload())
	}
}

func TestNewClampsThePriority(t *testing.T) {
	if m := New(&Envelope{Priority: 255}, EncodingAMQP); m.Priority != MaxPriority {
		t.Errorf("priority %d", m.Priority)
	}
}

func TestNewPanicsOnWhatOnlyAFaultOfOursCanGive(t *testing.T) {
	for name, f := range map[string]func(){
		"encoding 0":          func() { New(&Envelope{}, 0) },
		"unknown encoding":    func() { New(&Envelope{}, EncodingOpenWire+1) },
		"unknown destination": func() { New(&Envelope{Destination: Destination{KindTempTopic + 1, "x"}}, EncodingHub) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestPayloadCannotBeAppendedToInPlace(t *testing.T) {
	raw := append(make([]byte, 0, 1<<10), New(usual(), EncodingSTOMP, []byte("payload")).Raw()...)
	m, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if p := m.Payload(); cap(p) != len(p) {
		t.Errorf("payload of %d bytes has room for %d", len(p), cap(p))
	}
}

func TestDecodeRejects(t *testing.T) {
	raw := func(change func([]byte) []byte) []byte {
		e := everything()
		return change(bytes.Clone(New(&e, EncodingSTOMP, []byte("x")).Raw()))
	}
	set := func(i int, c byte) []byte { return raw(func(b []byte) []byte { b[i] = c; return b }) }
	// fields makes a message of a flag and the bytes behind the timestamp.
	fields := func(flag uint16, tail ...byte) []byte {
		b := make([]byte, fixedSize, fixedSize+1+len(tail))
		b[0], b[1], b[2], b[3] = formatVersion, byte(EncodingSTOMP), byte(flag>>8), byte(flag)
		return append(append(b, 0), tail...)
	}
	for _, c := range []struct {
		name string
		raw  []byte
		want error
	}{
		{"nothing", nil, ErrTruncated},
		{"half of the fixed fields", raw(func(b []byte) []byte { return b[:fixedSize-1] }), ErrTruncated},
		{"version 0", set(0, 0), ErrVersion},
		{"version 2", set(0, 2), ErrVersion},
		{"version 2, short", []byte{2}, ErrVersion},
		{"encoding 0", set(1, 0), ErrCorrupt},
		{"unknown encoding", set(1, byte(EncodingOpenWire)+1), ErrCorrupt},
		{"unknown destination kind", set(4, byte(KindTempTopic)+1), ErrCorrupt},
		{"priority 10", fields(flagPriority, 10, 0), ErrCorrupt},
		{"origin of no kind", fields(flagOrigin, 0, 1, 'x', 0), ErrCorrupt},
		{"reply-to of no kind", fields(flagReplyTo, 0, 1, 'x', 0), ErrCorrupt},
		{"reply-to of unknown kind", fields(flagReplyTo, 5, 1, 'x', 0), ErrCorrupt},
		{"group sequence over 32 bits", fields(flagGroup, 0, 0x80, 0x80, 0x80, 0x80, 0x10, 0), ErrCorrupt},
		{"redeliveries over 32 bits", fields(flagRedeliveries, 0x80, 0x80, 0x80, 0x80, 0x10, 0), ErrCorrupt},
		{"a number over 64 bits", fields(flagExpiry, bytes.Repeat([]byte{0xff}, 11)...), ErrTruncated},
		{"a string longer than the message", fields(flagType, 9, 'x'), ErrTruncated},
		{"a string of 2^63 bytes", fields(flagType, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01), ErrTruncated},
		{"more annotations than bytes", fields(flagAnnotations, 200, 0, 0), ErrTruncated},
		{"no destination name", fields(flagDurable), ErrTruncated},
	} {
		if m, err := Decode(c.raw); !errors.Is(err, c.want) || m != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestDecodeOfATruncatedEnvelopeFails(t *testing.T) {
	e := everything()
	raw := New(&e, EncodingSTOMP).Raw()
	for n := range raw {
		if _, err := Decode(raw[:n]); !errors.Is(err, ErrTruncated) {
			t.Fatalf("%d of %d bytes: %v", n, len(raw), err)
		}
	}
}

func TestDecodeOfTheUsualMessageAllocatesTheMessageOnly(t *testing.T) {
	raw := New(usual(), EncodingSTOMP, []byte("x")).Raw()
	var keep *Message
	if n := testing.AllocsPerRun(100, func() { keep, _ = Decode(raw) }); n != 1 || keep == nil {
		t.Errorf("%v allocations, want 1", n)
	}
}

func drawEnvelope(t *rapid.T) Envelope {
	text := rapid.String()
	destination := rapid.Custom(func(t *rapid.T) Destination {
		return Destination{Kind(rapid.IntRange(int(KindQueue), int(KindTempTopic)).Draw(t, "kind")), text.Draw(t, "name")}
	})
	optional := rapid.OneOf(rapid.Just(Destination{}), destination)
	annotation := rapid.Custom(func(t *rapid.T) Annotation { return Annotation{text.Draw(t, "name"), text.Draw(t, "value")} })
	e := Envelope{
		ID:          ID{rapid.Uint64().Draw(t, "hi"), rapid.Uint64().Draw(t, "lo")},
		Destination: destination.Draw(t, "destination"), Origin: optional.Draw(t, "origin"), ReplyTo: optional.Draw(t, "reply-to"),
		Durable: rapid.Bool().Draw(t, "durable"), Retain: rapid.Bool().Draw(t, "retain"),
		Priority: rapid.Uint8Range(0, MaxPriority).Draw(t, "priority"), GroupSeq: rapid.Int32().Draw(t, "group sequence"),
		Redeliveries: rapid.Uint32().Draw(t, "redeliveries"), Timestamp: rapid.Int64().Draw(t, "timestamp"),
		Expiry: rapid.Int64().Draw(t, "expiry"), DeliverAt: rapid.Int64().Draw(t, "deliver at"),
		MessageID: text.Draw(t, "message id"), CorrelationID: text.Draw(t, "correlation id"), GroupID: text.Draw(t, "group id"),
		Type: text.Draw(t, "type"), ContentType: text.Draw(t, "content type"), UserID: text.Draw(t, "user id"),
		Publisher: text.Draw(t, "publisher"),
	}
	if list := rapid.SliceOfN(annotation, 0, 4).Draw(t, "annotations"); len(list) > 0 {
		e.Annotations = list
	}
	return e
}

func TestWithKeepsAllThatItsEditDoesNotChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEnvelope(t)
		payload := rapid.SliceOf(rapid.Byte()).Draw(t, "payload")
		enc := Encoding(rapid.IntRange(int(EncodingHub), int(EncodingOpenWire)).Draw(t, "encoding"))
		m := New(&e, enc, payload)
		raw := bytes.Clone(m.Raw())

		if same := m.With(func(*Envelope) {}); !bytes.Equal(same.Raw(), raw) {
			t.Fatalf("With that changes nothing changed %x to %x", raw, same.Raw())
		}
		dead := m.With(func(e *Envelope) {
			e.Origin, e.Destination = e.Destination, Queue("ActiveMQ.DLQ")
			for i := range e.Annotations {
				e.Annotations[i].Value = "changed"
			}
			e.Annotations = append(e.Annotations, Annotation{"reason", "expired"})
		})
		want := e
		want.Origin, want.Destination = e.Destination, Queue("ActiveMQ.DLQ")
		want.Annotations = nil
		for _, a := range e.Annotations {
			want.Annotations = append(want.Annotations, Annotation{a.Name, "changed"})
		}
		want.Annotations = append(want.Annotations, Annotation{"reason", "expired"})
		if !reflect.DeepEqual(dead.Envelope, want) {
			t.Fatalf("With:\ngot  %+v\nwant %+v", dead.Envelope, want)
		}
		if !bytes.Equal(dead.Payload(), payload) || dead.Encoding() != enc {
			t.Fatalf("payload %q of %v", dead.Payload(), dead.Encoding())
		}
		if !reflect.DeepEqual(m.Envelope, e) || !bytes.Equal(m.Raw(), raw) {
			t.Fatal("With changed the message that it was called on")
		}
	})
}

func TestExpired(t *testing.T) {
	for _, c := range []struct {
		expiry, now int64
		want        bool
	}{{0, 1 << 60, false}, {10, 9, false}, {10, 10, true}, {10, 11, true}} {
		m := New(&Envelope{Expiry: c.expiry}, EncodingHub)
		if m.Expired(c.now) != c.want {
			t.Errorf("expiry %d at %d: %v", c.expiry, c.now, !c.want)
		}
	}
}

func TestSizeCountsTheEncodingAndTheStruct(t *testing.T) {
	m := New(usual(), EncodingSTOMP, make([]byte, 1000))
	if got := m.Size() - len(m.Raw()); got != int(unsafe.Sizeof(Message{})) {
		t.Errorf("%d bytes beside the encoding", got)
	}
}

func TestEncodingNames(t *testing.T) {
	want := []string{"unknown", "hub", "stomp", "mqtt", "amqp", "openwire", "unknown"}
	for i, name := range want {
		if got := Encoding(i).String(); got != name {
			t.Errorf("encoding %d: %q, want %q", i, got, name)
		}
	}
}
