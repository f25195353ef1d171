package message

import (
	"bytes"
	"testing"
)

// usual is what most messages have: no more than STOMP's or MQTT's headers.
func usual() *Envelope {
	return &Envelope{
		ID: ID{0x1f2e3d4c5b6a7988, 123456}, Destination: Queue("orders.incoming.europe"), Durable: true,
		Priority: DefaultPriority, Timestamp: 1_700_000_000_000, MessageID: "ID:client-42-1", CorrelationID: "c-4711",
		ContentType: "application/json", UserID: "alice",
	}
}

func BenchmarkNew(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"empty", 0}, {"1KiB", 1 << 10}, {"64KiB", 64 << 10}} {
		b.Run(size.name, func(b *testing.B) {
			e, body := usual(), make([]byte, size.n)
			head := []byte("content-type:application/json\n\n")
			b.ReportAllocs()
			for b.Loop() {
				New(e, EncodingSTOMP, head, body)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	raw := New(usual(), EncodingSTOMP, make([]byte, 1<<10)).Raw()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func benchView() *View {
	return &View{
		Properties: []Property{
			{"region", StringValue("europe")}, {"price", DoubleValue(12.5)}, {"count", Int32Value(7)}, {"urgent", BoolValue(true)},
		},
		Body: BytesBody(bytes.Repeat([]byte("x"), 1<<10)),
	}
}

func BenchmarkView(b *testing.B) {
	m := NewView(usual(), benchView())
	c := Converters{EncodingHub: Hub{}}
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.view.Store(nil)
			if _, err := m.View(c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := m.View(c); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAppendView(b *testing.B) {
	v, dst := benchView(), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendView(dst[:0], v)
	}
}

func BenchmarkID(b *testing.B) {
	id := ID{0x1f2e3d4c5b6a7988, 123456}
	text := id.AppendText(nil)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			text = id.AppendText(text[:0])
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := ParseID(text); !ok {
				b.Fatal("no id")
			}
		}
	})
}
