package selector

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/entrepot-mq/entrepot/core/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hubInside reads payloads that are views, whatever the encoding says: so a
// test can make messages of any protocol.
type hubInside struct{}

func (hubInside) View(m *message.Message) (*message.View, error) {
	return message.DecodeView(m.Payload())
}

var converters = message.Converters{
	message.EncodingHub: message.Hub{}, message.EncodingSTOMP: hubInside{}, message.EncodingMQTT: hubInside{},
	message.EncodingAMQP: hubInside{},
}

// props are application properties by name, as Go values.
type props map[string]any

func (p props) list() (list []message.Property) {
	for name, v := range p {
		list = append(list, message.Property{Name: name, Value: hubValue(v)})
	}
	return list
}

func hubValue(v any) message.Value {
	switch v := v.(type) {
	case bool:
		return message.BoolValue(v)
	case int:
		return message.Int64Value(int64(v))
	case int64:
		return message.Int64Value(v)
	case float64:
		return message.DoubleValue(v)
	case string:
		return message.StringValue(v)
	case message.Value:
		return v
	}
	return message.Null()
}

func newMessage(enc message.Encoding, p []message.Property, edit ...func(*message.Envelope)) *message.Message {
	e := message.Envelope{Destination: message.Queue("q"), Priority: 4, Timestamp: 1000, ID: message.ID{Hi: 31, Lo: 42}}
	for _, f := range edit {
		f(&e)
	}
	return message.New(&e, enc, message.AppendView(nil, &message.View{Properties: p}))
}

func mustParse(t testing.TB, text string, o Options) *Selector {
	t.Helper()
	s, err := Parse(text, o)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// wantMatch checks a selector, and that its canonical spelling means the same.
func wantMatch(t *testing.T, text string, o Options, m *message.Message, want bool) {
	t.Helper()
	s := mustParse(t, text, o)
	if got := s.Matches(m, converters); got != want {
		t.Errorf("%s: %v, want %v", text, got, want)
	}
	again := mustParse(t, s.String(), o)
	if got := again.Matches(m, converters); got != want {
		t.Errorf("%s, canonically %s: %v, want %v", text, s, got, want)
	}
	if again.String() != s.String() {
		t.Errorf("%s: canonically %s, and then %s", text, s, again)
	}
}
