package bench

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// A tracker's bitmap comes in chunks, so that it takes memory only for what
// was published: one bit a message.
const (
	chunkBits   = 1 << 15
	branchSize  = 1 << 8 // chunks
	trunkSize   = maxSequence / chunkBits / branchSize
	branchShift = 23 // log2(chunkBits * branchSize)
	chunkShift  = 15
)

type chunk [chunkBits / 64]uint64

type branch [branchSize]atomic.Pointer[chunk]

// tracker knows which messages of one producer have arrived at one queue or at
// one subscriber of a topic. Consumers of one queue share it.
type tracker struct {
	trunk [trunkSize]atomic.Pointer[branch]
	mu    sync.Mutex // held to grow
}

// add notes seq and reports whether it was new.
func (t *tracker) add(seq uint32) bool {
	c := t.chunkOf(seq)
	bit := uint64(1) << (seq & 63)
	return atomic.OrUint64(&c[seq%chunkBits/64], bit)&bit == 0
}

func (t *tracker) chunkOf(seq uint32) *chunk {
	if b := t.trunk[seq>>branchShift].Load(); b != nil {
		if c := b[seq>>chunkShift%branchSize].Load(); c != nil {
			return c
		}
	}
	return t.grow(seq)
}

func (t *tracker) grow(seq uint32) *chunk {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.trunk[seq>>branchShift].Load()
	if b == nil {
		b = new(branch)
		t.trunk[seq>>branchShift].Store(b)
	}
	slot := &b[seq>>chunkShift%branchSize]
	c := slot.Load()
	if c == nil {
		c = new(chunk)
		slot.Store(c)
	}
	return c
}

// missing counts the sequences below n that have not arrived. Call it when
// nothing adds any more.
func (t *tracker) missing(n uint32) uint64 {
	missing := uint64(n)
	for at := uint32(0); at < n; at += chunkBits {
		b := t.trunk[at>>branchShift].Load()
		if b == nil {
			continue
		}
		if c := b[at>>chunkShift%branchSize].Load(); c != nil {
			missing -= c.count(min(n-at, chunkBits))
		}
	}
	return missing
}

// count returns how many of the first n bits are set.
func (c *chunk) count(n uint32) uint64 {
	var total int
	for i := uint32(0); i < n; i += 64 {
		w := c[i/64]
		if n-i < 64 {
			w &= 1<<(n-i) - 1
		}
		total += bits.OnesCount64(w)
	}
	return uint64(total)
}

// ledger is the trackers of one queue or one topic subscriber, by producer.
type ledger struct {
	trackers []tracker
	run      uint16
}

func newLedger(run uint16, producers int) *ledger {
	return &ledger{trackers: make([]tracker, producers), run: run}
}
