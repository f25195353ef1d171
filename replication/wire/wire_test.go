package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/replication/protocol"
)

func messages() []*protocol.Message {
	return []*protocol.Message{
		{Kind: protocol.Status, From: election.Member{Node: "a", Inc: 1}},
		{
			Kind: protocol.Probed, Reply: true, From: election.Member{Node: "node-2", Inc: 1 << 40}, Epoch: 7, Promised: 9, Seq: 3,
			Prev: log.Position{Epoch: 1, Index: 2, Chain: 3}, End: log.Position{Epoch: 4, Index: 5, Chain: 0xffffffff},
			Last: log.Position{Epoch: 6, Index: 1 << 63, Chain: 1}, First: 12, Commit: 13, Mem: 14, Durable: 15, Weight: -3,
			Epochs: []log.EpochStart{{Epoch: 1, Index: 1}, {Epoch: 5, Index: 300}}, Raw: []byte("frames"),
		},
	}
}

// packet returns the bytes of a message as they are on the wire.
func packet(m *protocol.Message) []byte { return append(AppendMessage(nil, m), m.Raw...) }

func TestMessagesArriveAsTheyWereSent(t *testing.T) {
	for _, want := range messages() {
		kind, body, _, err := ReadPacket(bytes.NewReader(packet(want)), nil)
		if err != nil || kind != TypeMessage {
			t.Fatalf("type %d, %v", kind, err)
		}
		got, err := ParseMessage(body)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
}

func TestOtherPacketsArriveAsTheyWereSent(t *testing.T) {
	hello := Hello{Version, ForSnapshot, "group", "a", "b"}
	header := Header{Epoch: 3, Inc: 2, Position: log.Position{Epoch: 2, Index: 9, Chain: 7}, Format: 1}
	end := End{Pairs: 12, Sum: 0x0102030405060708}
	b := AppendEnd(AppendPair(AppendHeader(AppendHello(nil, hello), header), []byte("key"), []byte("value")), end)
	r := bytes.NewReader(b)
	var buf []byte
	next := func(want Type) (body []byte) {
		t.Helper()
		kind, body, grown, err := ReadPacket(r, buf)
		buf = grown
		if err != nil || kind != want {
			t.Fatalf("type %d instead of %d, %v", kind, want, err)
		}
		return body
	}
	if got, err := ParseHello(next(TypeHello)); err != nil || got != hello {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ParseHeader(next(TypeHeader)); err != nil || got != header {
		t.Errorf("%+v, %v", got, err)
	}
	if k, v, err := ParsePair(next(TypePair)); err != nil || string(k) != "key" || string(v) != "value" {
		t.Errorf("%q=%q, %v", k, v, err)
	}
	if got, err := ParseEnd(next(TypeEnd)); err != nil || got != end {
		t.Errorf("%+v, %v", got, err)
	}
	if _, _, _, err := ReadPacket(r, nil); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last packet: %v", err)
	}
}

func TestAnAnnouncedLengthTakesNoMemory(t *testing.T) {
	b := []byte{0, 0, 0x70, 0, byte(TypeMessage), 1, 2, 3} // 7 MiB, of which 3 bytes come
	var buf []byte
	n := testing.AllocsPerRun(1, func() { _, _, buf, _ = ReadPacket(bytes.NewReader(b), nil) })
	if cap(buf) > 128<<10 || n > 20 {
		t.Errorf("%d bytes, %v allocations", cap(buf), n)
	}
	if _, _, _, err := ReadPacket(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff, 1}), nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("a packet of 4 GiB: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, m := range messages() {
		f.Add(uint8(TypeMessage), packet(m)[5:])
	}
	f.Add(uint8(TypeHello), AppendHello(nil, Hello{Version, ForMessages, "g", "a", "b"})[5:])
	f.Add(uint8(TypeHeader), AppendHeader(nil, Header{Epoch: 1, Inc: 1, Format: 1})[5:])
	f.Add(uint8(TypePair), AppendPair(nil, []byte("k"), []byte("v"))[5:])
	f.Add(uint8(TypeEnd), AppendEnd(nil, End{1, 2})[5:])
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		var again []byte
		switch Type(kind) {
		case TypeMessage:
			m, err := ParseMessage(body)
			if err != nil {
				return
			}
			again = packet(m)
		case TypeHello:
			h, err := ParseHello(body)
			if err != nil {
				return
			}
			again = AppendHello(nil, h)
		case TypeHeader:
			h, err := ParseHeader(body)
			if err != nil {
				return
			}
			again = AppendHeader(nil, h)
		case TypePair:
			k, v, err := ParsePair(body)
			if err != nil {
				return
			}
			again = AppendPair(nil, k, v)
		case TypeEnd:
			e, err := ParseEnd(body)
			if err != nil {
				return
			}
			again = AppendEnd(nil, e)
		default:
			return
		}
		if !bytes.Equal(again[5:], body) {
			t.Errorf("%x was read, %x written", body, again[5:])
		}
	})
}
