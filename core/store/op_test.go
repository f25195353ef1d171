package store

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/entrepot-mq/entrepot/core/message"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

func queueMessage(lo uint64, queue, payload string) *message.Message {
	e := message.Envelope{
		ID: message.ID{Hi: 7, Lo: lo}, Destination: message.Queue(queue), Durable: true,
		Priority: message.DefaultPriority, Timestamp: 1700000000000,
	}
	return message.New(&e, message.EncodingSTOMP, []byte(payload))
}

// records has one record of each kind of op, and some of several ops.
func records() (names []string, ops map[string][]Op) {
	publish := Op{Kind: OpPublish, Msg: queueMessage(1, "a.b", "body")}
	ack := Op{Kind: OpAck, Queue: 3, Pos: 4<<56 | 1000, N: 63}
	list := []struct {
		name string
		ops  []Op
	}{
		{"publish", []Op{publish}},
		{"publish_empty_body", []Op{{Kind: OpPublish, Msg: queueMessage(2, "q", "")}}},
		{"ack", []Op{ack}},
		{"ack_largest", []Op{{Kind: OpAck, Queue: 1<<64 - 1, Pos: 1<<64 - 1, N: 1<<32 - 1}}},
		{"attempt", []Op{{Kind: OpAttempt, Queue: 1, Pos: 128, N: 2}}},
		{"create", []Op{{Kind: OpCreate, Data: []byte("\x01orders")}}},
		{"create_nothing", []Op{{Kind: OpCreate, Data: []byte{}}}},
		{"delete", []Op{{Kind: OpDelete, Queue: 300}}},
		{"subscribe", []Op{{Kind: OpSubscribe, Data: []byte("description")}}},
		{"unsubscribe", []Op{{Kind: OpUnsubscribe, Queue: 0}}},
		{"state", []Op{{Kind: OpState, N: 'r', Data: []byte("change")}}},
		{"transaction", []Op{publish, ack, {Kind: OpState, N: 's', Data: bytes.Repeat([]byte{9}, 200)}}},
	}
	ops = make(map[string][]Op)
	for _, r := range list {
		names, ops[r.name] = append(names, r.name), r.ops
	}
	return names, ops
}

func TestEncodingOfEveryOpIsTheStoredOne(t *testing.T) {
	names, ops := records()
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s %x\n", name, AppendOps(nil, ops[name]))
	}
	path := filepath.Join("testdata", "ops.txt")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Fatalf("records are encoded in another way than logs hold them:\ngot\n%swant\n%s", &b, want)
	}
	for line := range strings.Lines(string(want)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		rec, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeOps(nil, rec)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := sameOps(got, ops[name]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func sameOps(got, want []Op) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d ops instead of %d", len(got), len(want))
	}
	for i := range got {
		g, w := &got[i], &want[i]
		if g.Kind != w.Kind || g.N != w.N || g.Queue != w.Queue || g.Pos != w.Pos || !bytes.Equal(g.Data, w.Data) {
			return fmt.Errorf("op %d is %+v instead of %+v", i, *g, *w)
		}
		if (g.Msg == nil) != (w.Msg == nil) || g.Msg != nil && !bytes.Equal(g.Msg.Raw(), w.Msg.Raw()) {
			return fmt.Errorf("op %d has another message", i)
		}
	}
	return nil
}

func TestOpsThatAreNotLoggedLeaveNoTrace(t *testing.T) {
	ack := Op{Kind: OpAck, Queue: 1, Pos: 2, N: 3}
	with := AppendOps(nil, []Op{{}, {Kind: OpTransient, Msg: queueMessage(1, "q", "x")}, ack, {}})
	if want := AppendOps(nil, []Op{ack}); !bytes.Equal(with, want) {
		t.Fatalf("record is %x, want %x", with, want)
	}
}

func TestMalformedRecordsAreRefused(t *testing.T) {
	publish := AppendOps(nil, []Op{{Kind: OpPublish, Msg: queueMessage(1, "a", "body")}})
	huge := binary.AppendUvarint(nil, 1<<32)
	tests := []struct{ name, rec, want string }{
		{"empty", "", "empty"},
		{"unknown kind", "\x63", "unknown kind 99: written by a newer version?"},
		{"kind zero", "\x00", "unknown kind 0"},
		{"transient", string(rune(OpTransient)) + "\x00", "a transient op in the log"},
		{"publish without a length", "\x01", "ends too early"},
		{"publish without its message", "\x01\x20", "ends too early"},
		{"publish cut off", string(publish[:len(publish)/2]), "ends too early"},
		{"publish of no message", "\x01\x00", "at byte 2"},
		{"publish of a broken message", "\x01\x03\xff\xff\xff", "at byte 5"},
		{"ack without position", "\x02\x01", "ends too early"},
		{"ack without count", "\x02\x01\x01", "ends too early"},
		{"ack with an endless number", "\x02\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "impossible number"},
		{"ack of more than 2^32", "\x02\x01\x01" + string(huge), "impossible number"},
		{"attempt with a number in more bytes than needed", "\x03\x01\x81\x00\x01", "impossible number"},
		{"create cut off", "\x04\x05name", "ends too early"},
		{"create longer than memory", "\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "ends too early"},
		{"delete without queue", "\x05", "ends too early"},
		{"state without data", "\x09\x01", "ends too early"},
		{"state of an impossible part", "\x09" + string(huge) + "\x00", "impossible number"},
		{"good op, then rubbish", "\x05\x01\x63", "at byte 3: unknown kind 99"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := DecodeOps(nil, []byte(tt.rec))
			if !errors.Is(err, ErrOp) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error is %v, want one that says %q", err, tt.want)
			}
		})
	}
}

// FuzzDecodeOps: no panic, no more memory than the record justifies, and what
// is accepted has exactly one encoding.
func FuzzDecodeOps(f *testing.F) {
	names, ops := records()
	for _, name := range names {
		f.Add(AppendOps(nil, ops[name]))
	}
	f.Add([]byte("\x02\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Add([]byte("\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, rec []byte) {
		before := bytes.Clone(rec)
		ops, err := DecodeOps(nil, rec)
		if !bytes.Equal(rec, before) {
			t.Fatal("the record was changed")
		}
		if most := 2 * (len(rec) + 1) * int(unsafe.Sizeof(Op{})); cap(ops)*int(unsafe.Sizeof(Op{})) > most {
			t.Fatalf("%d ops of room for a record of %d bytes", cap(ops), len(rec))
		}
		if err != nil {
			if !errors.Is(err, ErrOp) {
				t.Fatalf("error is not ErrOp: %v", err)
			}
			return
		}
		if again := AppendOps(nil, ops); !bytes.Equal(again, rec) {
			t.Fatalf("record %x is encoded again as %x", rec, again)
		}
	})
}

func TestKindsHaveNames(t *testing.T) {
	for k := OpPublish; k <= OpState; k++ {
		if k.String() == "" || strings.HasPrefix(k.String(), "kind") {
			t.Errorf("kind %d is called %q", uint8(k), k)
		}
	}
	if got := OpKind(0).String(); got != "kind 0" {
		t.Errorf("kind 0 is called %q", got)
	}
}

func BenchmarkAppendOps(b *testing.B) {
	_, ops := records()
	for _, name := range []string{"ack", "publish", "transaction"} {
		b.Run(name, func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = AppendOps(buf[:0], ops[name])
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

func BenchmarkDecodeOps(b *testing.B) {
	_, all := records()
	rec := AppendOps(nil, all["transaction"])
	b.ReportAllocs()
	b.SetBytes(int64(len(rec)))
	var ops []Op
	for b.Loop() {
		var err error
		if ops, err = DecodeOps(ops[:0], rec); err != nil {
			b.Fatal(err)
		}
	}
}
