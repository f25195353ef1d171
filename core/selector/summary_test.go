package selector

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot-mq/entrepot/core/message"
)

func (s *Summary) mustAdd(t *rapid.T, m *message.Message) {
	if err := s.Add(m, converters); err != nil {
		t.Fatal(err)
	}
}

func keyOfText(t testing.TB, text string) Key {
	t.Helper()
	s, err := Parse(text, Options{ConvertStrings: true})
	if err != nil {
		t.Fatal(err)
	}
	k, ok := s.Key()
	if !ok {
		t.Fatalf("%s has no key", text)
	}
	return k
}

func TestSummaryRulesOutWhatIsNotThere(t *testing.T) {
	var s Summary
	for i := range 64 {
		m := newMessage(message.EncodingSTOMP, props{"id": fmt.Sprint(i), "colour": "blue", "zero": "-0"}.list(), func(e *message.Envelope) {
			e.Type, e.Annotations = "order", []message.Annotation{{Name: "why", Value: "expired"}}
		})
		if err := s.Add(m, converters); err != nil {
			t.Fatal(err)
		}
	}
	b := s.Append(nil)
	if len(b) > MaxSummary {
		t.Errorf("the summary has %d bytes", len(b))
	}
	for text, want := range map[string]bool{
		"colour = 'blue'": true, "colour = 'red'": false, "id = '63'": true, "id = 63": true, "id = 64": false, "id = '64'": false,
		"id > 62": true, "id > 63.5": false, "id BETWEEN -9 AND -1": false, "id < 1": true, "colour > 1": false, "zero = 0": true,
		"colour IN ('red', 'blue')": true, "colour IN ('red', 'green')": false, "JMSType = 'order'": true, "JMSType = 'x'": false,
		"why = 'expired'": true, "why = 'x'": false, "absent > 0": false, "JMSDeliveryMode = 'PERSISTENT'": true, "JMSPriority > 8": true,
	} {
		k := keyOfText(t, text)
		if got := k.MayMatch(b); got != want {
			t.Errorf("%s may match: %v, want %v", text, got, want)
		}
	}
}

func TestSummaryOfManyFieldsStaysSmallAndRulesOutNoRange(t *testing.T) {
	var s Summary
	for i := range 64 {
		p := props{}
		for f := range 20 {
			p[fmt.Sprint("f", f)] = i*20 + f
		}
		if err := s.Add(newMessage(message.EncodingAMQP, p.list()), converters); err != nil {
			t.Fatal(err)
		}
	}
	b := s.Append(nil)
	k := keyOfText(t, "f19 > 100000")
	if len(b) > MaxSummary || !k.MayMatch(b) {
		t.Errorf("%d bytes, the range may match: %v", len(b), k.MayMatch(b))
	}
	s.Reset()
	if b = s.Append(nil); len(b) != 1 || k.MayMatch(b) {
		t.Errorf("an empty summary is %x", b)
	}
}

func FuzzSummariesFromDiskNeverPanic(f *testing.F) {
	var s Summary
	if err := s.Add(newMessage(message.EncodingAMQP, props{"a": 5, "b": "x"}.list()), converters); err != nil {
		f.Fatal(err)
	}
	f.Add(s.Append(nil), "x", 5.0)
	f.Add([]byte{8}, "", 0.0)
	f.Add([]byte{manyNames, 1, 2, 3}, "y", -1.5)
	f.Fuzz(func(t *testing.T, b []byte, text string, n float64) {
		for _, k := range []Key{
			{Field: Field{name: "b"}, Values: []KeyValue{{text: text}}},
			{Field: Field{name: "a", number: true}, Values: []KeyValue{{number: n}}},
			{Field: Field{name: "a", number: true}, Low: n, High: n + 1},
		} {
			k.MayMatch(b)
		}
	})
}
