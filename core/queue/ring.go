package queue

import (
	"maps"
	"math/bits"
	"slices"
	"sync"

	"github.com/entrepot-mq/entrepot/core/message"
)

type heldState uint8

const (
	heldOpen    heldState = iota
	heldInTx              // settled in a transaction that has not ended
	heldSettled           // ended; the slot waits for those before it
)

// held is one unsettled delivery.
type held struct {
	q     *Queue           // nil: nobody keeps the message (a topic's, or browsed)
	msg   *message.Message // nil without q
	pos   uint64           // without q: the message's size in bytes
	state heldState
}

// heldRing is a consumer's unsettled deliveries by tag: a ring of consecutive
// tags that grows with need. Few that stay while thousands behind them are
// settled move out of it, so that its size follows their number.
type heldRing struct {
	buf    []held // length a power of two
	first  uint64 // tag of the oldest in the ring
	n      uint64
	kept   int             // deliveries that aren't settled, in the ring and outside
	strays map[uint64]held // older than first
}

func (r *heldRing) at(tag uint64) *held { return &r.buf[tag&uint64(len(r.buf)-1)] }

// push adds the delivery with the tag behind the last one; the first is 1.
func (r *heldRing) push(h held) {
	if r.first == 0 {
		r.first = 1
	}
	if r.n == uint64(len(r.buf)) {
		if r.n >= minSparse && r.kept-len(r.strays) < int(r.n/8) {
			r.stray()
		} else {
			r.resize(max(8, 2*len(r.buf)))
		}
	}
	*r.at(r.first + r.n) = h
	r.n++
	r.kept++
}

// minSparse is the length from which on a ring of mostly settled deliveries
// is emptied rather than made larger.
const minSparse = 1024

// stray moves what isn't settled out of the ring.
func (r *heldRing) stray() {
	if r.strays == nil {
		r.strays = make(map[uint64]held)
	}
	for ; r.n > 0; r.first, r.n = r.first+1, r.n-1 {
		if h := r.at(r.first); h.state != heldSettled {
			r.strays[r.first] = *h
		}
		*r.at(r.first) = held{}
	}
}

func (r *heldRing) resize(size int) {
	grown := newRing(size)
	for tag := r.first; tag < r.first+r.n; tag++ {
		grown[tag&uint64(size-1)] = *r.at(tag)
	}
	if len(r.buf) > minSparse {
		clear(r.buf)
		freeRing(r.buf)
	}
	r.buf = grown
}

// take changes the delivery's state from one to another.
func (r *heldRing) take(tag uint64, from, to heldState) (held, bool) {
	if h, ok := r.strays[tag]; ok {
		if h.state != from {
			return held{}, false
		}
		r.setStray(tag, h, to)
		return h, true
	}
	if tag < r.first || tag-r.first >= r.n || r.at(tag).state != from {
		return held{}, false
	}
	h := *r.at(tag)
	r.set(tag, to)
	r.trim()
	return h, true
}

// taken is a delivery whose state was changed.
type taken struct {
	held
	tag uint64
}

// settleLoose settles the open deliveries up to tag if nobody keeps any of
// them, and returns how many they were and their bytes. ok is false, and
// nothing changes, if some queue does.
func (r *heldRing) settleLoose(tag uint64) (n, bytes int, ok bool) {
	if len(r.strays) > 0 {
		return 0, 0, false
	}
	end := r.first
	for ; end <= tag && end-r.first < r.n; end++ {
		switch h := r.at(end); {
		case h.state == heldSettled:
		case h.q != nil || h.state != heldOpen:
			return 0, 0, false
		default:
			n++
			bytes += int(h.pos)
		}
	}
	for t := r.first; t < end; t++ {
		r.at(t).state = heldSettled
	}
	r.kept -= n
	r.trim()
	return n, bytes, true
}

// takeThrough changes every open delivery up to tag, and appends them to dst
// in their order.
func (r *heldRing) takeThrough(dst []taken, tag uint64, to heldState) []taken {
	if len(r.strays) > 0 {
		for _, t := range slices.Sorted(maps.Keys(r.strays)) {
			if h := r.strays[t]; t <= tag && h.state == heldOpen {
				dst = append(dst, taken{h, t})
				r.setStray(t, h, to)
			}
		}
	}
	for t := r.first; t <= tag && t-r.first < r.n; t++ {
		if h := r.at(t); h.state == heldOpen {
			dst = append(dst, taken{*h, t})
			r.set(t, to)
		}
	}
	r.trim()
	return dst
}

func (r *heldRing) set(tag uint64, to heldState) {
	if to == heldSettled {
		*r.at(tag) = held{state: heldSettled} // the message goes, whatever stays before it
		r.kept--
		return
	}
	r.at(tag).state = to
}

func (r *heldRing) setStray(tag uint64, h held, to heldState) {
	if to == heldSettled {
		delete(r.strays, tag)
		r.kept--
		return
	}
	h.state = to
	r.strays[tag] = h
}

// trim drops settled deliveries at the head, and the memory of a ring that
// was large once.
func (r *heldRing) trim() {
	for r.n > 0 && r.at(r.first).state == heldSettled {
		*r.at(r.first) = held{}
		r.first++
		r.n--
	}
	if r.n == 0 && len(r.buf) > minSparse {
		freeRing(r.buf)
		r.buf = nil
	}
}

// rings are large rings that are empty, by the logarithm of their length:
// consumers whose deliveries come in bursts take them in turns.
var rings [bits.UintSize]sync.Pool

func newRing(size int) []held {
	if size > minSparse {
		if r, ok := rings[bits.Len(uint(size))].Get().(*[]held); ok {
			return *r
		}
	}
	return make([]held, size)
}

// freeRing takes a ring whose slots are empty.
func freeRing(r []held) { rings[bits.Len(uint(len(r)))].Put(&r) }
