package openwire

import (
	"fmt"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// BenchmarkDelivery encodes a delivery of a message of an OpenWire client.
func BenchmarkDelivery(b *testing.B) {
	for _, size := range []int{16, 1024} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := payload{kind: wire.TypeActiveMQBytesMessage, connection: "ID:host-1234-5678-1:1", value: 1, session: 1, sequence: 77, content: make([]byte, size)}
			e := message.Envelope{ID: message.ID{Hi: 1, Lo: 2}, Destination: message.Queue("orders"), Priority: 4, Timestamp: 1700000000000}
			m := message.New(&e, message.EncodingOpenWire, p.appendHead(nil), nil, p.content)
			c := &conn{front: &Frontend{}}
			w := writer{c: c, encoder: wire.NewEncoder(wire.Format{Version: 12})}
			it := &outItem{consumer: &consumer{id: &wire.ConsumerID{ConnectionID: wire.Text("ID:host-1-2-1:1"), SessionID: 1, Value: 1}}, message: m}
			b.ReportAllocs()
			for b.Loop() {
				w.buf = w.buf[:0]
				if err := w.encode(it); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSend decodes what a client sends and makes the broker's message.
func BenchmarkSend(b *testing.B) {
	r := newRig(b, nil)
	c := r.connect("ID:host-1234-5678-1:1")
	e := wire.NewEncoder(wire.Format{Version: 12})
	m := c.text(1, queueNamed("orders"), "sixteen letters!")
	m.Persistent = false
	frame, err := e.Append(nil, m)
	if err != nil {
		b.Fatal(err)
	}
	session := r.front.byID["ID:host-1234-5678-1:1"]
	d := wire.NewDecoder(wire.Format{Version: 12})
	session.work = &workspace{}
	b.ReportAllocs()
	for b.Loop() {
		s, err := d.Decode(frame[4:])
		if err != nil {
			b.Fatal(err)
		}
		if _, err := session.newMessage(s.(wire.Message)); err != nil {
			b.Fatal(err)
		}
	}
}
