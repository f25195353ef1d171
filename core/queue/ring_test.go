package queue

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot-mq/entrepot/core/message"
)

func TestHeldRingDoesWhatAMapDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r heldRing
		model := map[uint64]heldState{}
		last := uint64(0)
		// Few that stay, many that go: the ring grows, shrinks and is emptied.
		keep := rapid.SampledFrom([]uint64{1, 2, 100, 5000}).Draw(t, "keep one of")
		for range rapid.IntRange(1, 30).Draw(t, "rounds") {
			for range rapid.SampledFrom([]int{1, 10, 700}).Draw(t, "push") {
				last++
				r.push(held{pos: last})
				model[last] = heldOpen
			}
			from := rapid.Uint64Range(1, last+2).Draw(t, "from")
			to := rapid.SampledFrom([]heldState{heldOpen, heldInTx, heldSettled}).Draw(t, "to")
			switch rapid.IntRange(0, 2).Draw(t, "action") {
			case 0:
				was := rapid.SampledFrom([]heldState{heldOpen, heldInTx}).Draw(t, "was")
				h, ok := r.take(from, was, to)
				s, there := model[from]
				if want := there && s == was; ok != want || ok && h.pos != from {
					t.Fatalf("take %d: %v %d, want %v", from, ok, h.pos, want)
				}
				if ok {
					setModel(model, from, to)
				}
			case 1:
				checkThrough(t, &r, model, from, max(to, heldInTx))
			case 2:
				for tag := range last + 1 {
					if s, ok := model[tag]; ok && s == heldOpen && tag%keep != 0 {
						r.take(tag, heldOpen, heldSettled)
						delete(model, tag)
					}
				}
			}
			if r.kept != len(model) {
				t.Fatalf("%d kept, want %d", r.kept, len(model))
			}
		}
	})
}

func setModel(model map[uint64]heldState, tag uint64, to heldState) {
	if to == heldSettled {
		delete(model, tag)
	} else {
		model[tag] = to
	}
}

func checkThrough(t *rapid.T, r *heldRing, model map[uint64]heldState, tag uint64, to heldState) {
	before := uint64(0)
	for _, x := range r.takeThrough(nil, tag, to) {
		if x.tag <= before || x.tag > tag || x.pos != x.tag {
			t.Fatalf("tag %d (%d) after %d, through %d", x.tag, x.pos, before, tag)
		}
		if s, ok := model[x.tag]; !ok || s != heldOpen {
			t.Fatalf("tag %d was not open", x.tag)
		}
		before = x.tag
		setModel(model, x.tag, to)
	}
	for x, s := range model {
		if s == heldOpen && x <= tag {
			t.Fatalf("tag %d was left open", x)
		}
	}
}

// One delivery that is never settled once made the ring keep a slot, and the
// message, of each delivery behind it.
func TestOneUnsettledDeliveryDoesNotKeepThoseBehindIt(t *testing.T) {
	var r heldRing
	m := message.New(&message.Envelope{Destination: message.Queue("a")}, message.EncodingHub, nil)
	r.push(held{pos: 1, msg: m})
	for tag := uint64(2); tag < 1_000_000; tag++ {
		r.push(held{pos: tag, msg: m})
		if _, ok := r.take(tag, heldOpen, heldSettled); !ok {
			t.Fatalf("tag %d is not there", tag)
		}
		if r.n > 0 && r.at(r.first+r.n-1).msg != nil {
			t.Fatal("a settled delivery keeps its message")
		}
	}
	if len(r.buf) > minSparse || len(r.strays) > 1 {
		t.Fatalf("the ring has %d slots and %d strays for one delivery", len(r.buf), len(r.strays))
	}
	if h, ok := r.take(1, heldOpen, heldSettled); !ok || h.pos != 1 {
		t.Fatalf("the first delivery is lost: %v %v", h, ok)
	}
}
