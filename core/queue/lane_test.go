package queue

import (
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/entrepot-mq/entrepot/core/message"
)

func TestAPageTakes72Bytes(t *testing.T) {
	if n := unsafe.Sizeof(page{}); n != 72 {
		t.Fatalf("%d bytes", n)
	}
}

func TestLaneFindsWhatASetFinds(t *testing.T) {
	m := message.New(&message.Envelope{Destination: message.Queue("a")}, message.EncodingHub, nil)
	rapid.Check(t, func(t *rapid.T) {
		l := &lane{next: rapid.SampledFrom([]uint64{0, 63, 64, 1 << 40}).Draw(t, "next")}
		model := map[uint64]bool{}
		first := l.next
		keep := rapid.SampledFrom([]uint64{2, 64, 200, 1000}).Draw(t, "keep one of")
		for range rapid.IntRange(1, 10).Draw(t, "rounds") {
			for range rapid.IntRange(1, 500).Draw(t, "append") {
				model[l.append(m, false, 0)] = true
			}
			for seq := first; seq < l.next; seq++ {
				if seq%keep == 0 || !model[seq] || rapid.IntRange(0, 20).Draw(t, "stay") == 0 {
					continue
				}
				if _, ok := l.remove(seq); !ok {
					t.Fatalf("seq %d is not there", seq)
				}
				delete(model, seq)
			}
			checkLane(t, l, model, first)
		}
	})
}

func checkLane(t *rapid.T, l *lane, model map[uint64]bool, first uint64) {
	if int(l.live) != len(model) {
		t.Fatalf("%d live, want %d", l.live, len(model))
	}
	want := l.next
	for seq := l.next; seq > first; {
		seq--
		if model[seq] {
			want = seq
		}
		got, ok := l.firstFree(seq)
		if ok != (want < l.next) || got != want {
			t.Fatalf("first from %d is %d, %v; want %d", seq, got, ok, want)
		}
		p := l.page(seq)
		if there := p != nil && p.live&(1<<(seq&pageMask)) != 0; there != model[seq] {
			t.Fatalf("seq %d is there: %v", seq, there)
		}
	}
}

// One forgotten message once kept the page of every message behind it.
func TestOneForgottenMessageKeepsOnePage(t *testing.T) {
	m := message.New(&message.Envelope{Destination: message.Queue("a")}, message.EncodingHub, nil)
	l := &lane{}
	for i := range 1_000_000 {
		if seq := l.append(m, false, 0); i > 0 {
			l.remove(seq)
		}
	}
	if len(l.pages) > 100 {
		t.Fatalf("%d pages for one message", len(l.pages))
	}
	var f Frozen
	l.freeze(&f)
	if len(f.chunks) != 1 || len(f.pages) != 1 {
		t.Fatalf("%d chunks and %d pages are stored for one message", len(f.chunks), len(f.pages))
	}
}
