package queue

import "github.com/entrepot-mq/entrepot/core/message"

type heldState uint8

const (
	heldOpen    heldState = iota
	heldInTx              // settled in a transaction that has not ended
	heldSettled           // ended; the slot waits for those before it
)

// held is one unsettled delivery.
type held struct {
	q     *Queue // nil: browsed
	msg   *message.Message
	pos   uint64
	state heldState
}

// heldRing is a consumer's unsettled deliveries by tag: a ring of
// consecutive tags that grows with need.
type heldRing struct {
	buf   []held // length a power of two
	first uint64 // tag of the oldest
	n     uint64
}

func (r *heldRing) at(tag uint64) *held { return &r.buf[tag&uint64(len(r.buf)-1)] }

func (r *heldRing) push(h held) {
	if r.first == 0 {
		r.first = 1
	}
	if r.n == uint64(len(r.buf)) {
		r.resize(max(8, 2*len(r.buf)))
	}
	*r.at(r.first + r.n) = h
	r.n++
}

func (r *heldRing) resize(size int) {
	grown := heldRing{buf: make([]held, size), first: r.first, n: r.n}
	for tag := r.first; tag < r.first+r.n; tag++ {
		*grown.at(tag) = *r.at(tag)
	}
	*r = grown
}

func (r *heldRing) has(tag uint64) bool { return tag >= r.first && tag-r.first < r.n }

// take changes the delivery's state from one to another.
func (r *heldRing) take(tag uint64, from, to heldState) (held, bool) {
	if !r.has(tag) || r.at(tag).state != from {
		return held{}, false
	}
	h := *r.at(tag)
	r.at(tag).state = to
	if to == heldSettled {
		r.trim()
	}
	return h, true
}

// takeThrough changes every open delivery up to tag, and appends them to dst.
func (r *heldRing) takeThrough(dst []held, tag uint64, to heldState) []held {
	for t := r.first; t <= tag && t-r.first < r.n; t++ {
		if h := r.at(t); h.state == heldOpen {
			dst = append(dst, *h)
			h.state = to
		}
	}
	r.trim()
	return dst
}

// trim drops settled deliveries at the head, and the memory of a ring that
// was large once.
func (r *heldRing) trim() {
	for r.n > 0 && r.at(r.first).state == heldSettled {
		*r.at(r.first) = held{}
		r.first++
		r.n--
	}
	if r.n == 0 && len(r.buf) > 1024 {
		r.buf = nil
	}
}

// sizeRing is the sizes of unsettled deliveries that are kept nowhere, by
// tag.
type sizeRing struct {
	used  bool
	buf   []uint32 // size+1, 0 when settled; length a power of two
	first uint64
	n     uint64
	bytes int
}

func (r *sizeRing) at(tag uint64) *uint32 { return &r.buf[tag&uint64(len(r.buf)-1)] }

func (r *sizeRing) push(size int) {
	if r.first == 0 {
		r.first, r.used = 1, true
	}
	if r.n == uint64(len(r.buf)) {
		grown := sizeRing{used: true, buf: make([]uint32, max(8, 2*len(r.buf))), first: r.first, n: r.n, bytes: r.bytes}
		for tag := r.first; tag < r.first+r.n; tag++ {
			*grown.at(tag) = *r.at(tag)
		}
		*r = grown
	}
	*r.at(r.first + r.n) = uint32(size) + 1
	r.n++
	r.bytes += size
}

func (r *sizeRing) settle(tag uint64) bool {
	if tag < r.first || tag-r.first >= r.n || *r.at(tag) == 0 {
		return false
	}
	r.bytes -= int(*r.at(tag)) - 1
	*r.at(tag) = 0
	for r.n > 0 && *r.at(r.first) == 0 {
		r.first++
		r.n--
	}
	return true
}

func (r *sizeRing) settleThrough(tag uint64) (n int) {
	for r.n > 0 && r.first <= tag {
		if size := *r.at(r.first); size != 0 {
			r.bytes -= int(size) - 1
			*r.at(r.first) = 0
			n++
		}
		r.first++
		r.n--
	}
	if r.n == 0 && len(r.buf) > 4096 {
		r.buf = nil
	}
	return n
}
