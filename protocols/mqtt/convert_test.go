package mqtt

import (
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

func TestViewOfAMessage(t *testing.T) {
	props := appendTrueProperty(nil, propPayloadFormat)
	props = appendUserProperty(appendUserProperty(props, "k", "1"), "k", "2")
	payload := append(append([]byte{2 | payloadProps, byte(len(props))}, props...), "text"...)
	m := message.New(&message.Envelope{Destination: message.Topic("t")}, message.EncodingMQTT, payload)
	v, err := m.View(message.Converters{message.EncodingMQTT: Converter{}})
	if err != nil {
		t.Fatal(err)
	}
	want := &message.View{
		Properties: []message.Property{
			{Name: qosProperty, Value: message.Int32Value(2)},
			{Name: "k", Value: message.StringValue("1")},
			{Name: "k", Value: message.StringValue("2")},
		},
		Body: message.TextBody("text"),
	}
	if !v.Equal(want) {
		t.Fatalf("got %+v", v)
	}
	if qosOf(m) != 2 {
		t.Fatalf("QoS %d", qosOf(m))
	}
}

func TestDamagedPayloadsHaveNoView(t *testing.T) {
	for _, p := range []string{"", "\x04", "\x04\x05ab", "\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		m := message.New(&message.Envelope{Destination: message.Topic("t")}, message.EncodingMQTT, []byte(p))
		if _, err := (Converter{}).View(m); err == nil {
			t.Errorf("%q has a view", p)
		}
	}
}

func TestCorrelationDataSurvivesOtherProtocols(t *testing.T) {
	for _, data := range []string{"abc", "\x00\xff\xfe", "base64:abc", ""} {
		if got := correlationData(correlationText([]byte(data))); got != data {
			t.Errorf("%q became %q", data, got)
		}
	}
}

// FuzzView converts stored payloads, which a damaged disk may have changed.
func FuzzView(f *testing.F) {
	f.Add([]byte("\x02hello"))
	f.Add([]byte("\x06\x07\x26\x00\x01k\x00\x01vbody"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		m := message.New(&message.Envelope{Destination: message.Topic("t")}, message.EncodingMQTT, payload)
		v, err := (Converter{}).View(m)
		if err != nil {
			return
		}
		if _, err := message.DecodeView(message.AppendView(nil, v)); err != nil {
			t.Fatal(err)
		}
	})
}
