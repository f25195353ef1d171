package openwire

import (
	"bytes"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

func FuzzPayload(f *testing.F) {
	p := payload{
		kind: wire.TypeActiveMQBlobMessage, flags: flagProperties | flagContent, connection: "ID:h-1", value: 1, session: 2,
		sequence: 1 << 40, url: wire.Text("u"), properties: []byte{0, 0, 0, 0},
	}
	f.Add(append(append(p.appendHead(nil), p.properties...), "content"...))
	f.Add([]byte{payloadVersion, byte(wire.TypeActiveMQTextMessage), flagContent | flagCompressed, 0, 0, 0, 0, 0x78, 0x9c})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePayload(b)
		if err != nil {
			return
		}
		again, err := parsePayload(append(append(p.appendHead(nil), p.properties...), p.content...))
		if err != nil || again.connection != p.connection || again.sequence != p.sequence || !bytes.Equal(again.content, p.content) ||
			!bytes.Equal(again.properties, p.properties) {
			t.Fatalf("%+v became %+v (%v)", p, again, err)
		}
		m := message.New(&message.Envelope{Destination: message.Queue("q")}, message.EncodingOpenWire, b)
		_, _ = Converter{}.View(m)
		var x dispatches
		_, _ = x.message(m, message.Converters{message.EncodingOpenWire: Converter{}})
	})
}

func FuzzNegotiate(f *testing.F) {
	s, err := readSettings(nil, 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(int32(12), s.offer("test").MarshalledProperties)
	f.Add(int32(-1), []byte{})
	f.Fuzz(func(t *testing.T, version int32, properties []byte) {
		a, err := s.negotiate(&wire.WireFormatInfo{Magic: magic, Version: version, MarshalledProperties: properties})
		if err == nil && (a.format.Version < 1 || a.format.Version > 12 || a.frame <= 0 || a.inactivity < 0) {
			t.Fatalf("agreed on %+v", a)
		}
	})
}
