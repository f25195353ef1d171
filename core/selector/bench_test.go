package selector

import (
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

func benchmarked() (m *message.Message, texts map[string]string) {
	m = newMessage(message.EncodingSTOMP, []message.Property{
		{Name: "region", Value: message.StringValue("north")},
		{Name: "price", Value: message.StringValue("12.5")},
		{Name: "name", Value: message.StringValue("a long name of a thing that is for sale")},
	})
	return m, map[string]string{
		"Equal":   "region = 'south'",
		"Number":  "price > 10 AND price < 20",
		"Header":  "JMSPriority >= 4 AND JMSDeliveryMode = 'NON_PERSISTENT'",
		"Like":    "name LIKE '%thing%sale'",
		"In":      "region IN ('a','b','c','d','e','f','g','h','i','north')",
		"Complex": "region <> 'south' AND (price * 2 BETWEEN 20 AND 30 OR name IS NULL) AND NOT JMSType = 'x'",
		"ID":      "JMSMessageID = 'ID:entrepot-1f-42' OR JMSDestination LIKE 'queue://%'",
	}
}

func BenchmarkMatches(b *testing.B) {
	m, texts := benchmarked()
	for name, text := range texts {
		b.Run(name, func(b *testing.B) {
			s := mustParse(b, text, Options{ConvertStrings: true})
			b.ReportAllocs()
			for b.Loop() {
				s.Matches(m, converters)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	_, texts := benchmarked()
	b.ReportAllocs()
	for b.Loop() {
		mustParse(b, texts["Complex"], Options{})
	}
}

func TestMatchingAllocatesNothing(t *testing.T) {
	m, texts := benchmarked()
	for name, text := range texts {
		s := mustParse(t, text, Options{ConvertStrings: true})
		s.Matches(m, converters) // builds the view, once for the message
		if n := testing.AllocsPerRun(100, func() { s.Matches(m, converters) }); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
