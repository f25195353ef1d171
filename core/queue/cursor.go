package queue

import (
	"container/heap"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Filter selects messages; nil selects all.
type Filter interface {
	Matches(m *message.Message) bool
}

// cursor is how far the consumers with one filter have come.
type cursor struct {
	filter Filter
	users  int
	at     []levelCursor // parallel to Queue.levels
}

type levelCursor struct{ durable, transient laneCursor }

// laneCursor is a position in a lane and what came back behind it.
type laneCursor struct {
	seq      uint64
	returned seqHeap
}

// seqHeap is a min-heap of seqs.
type seqHeap []uint64

func (h seqHeap) Len() int           { return len(h) }
func (h seqHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h seqHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *seqHeap) Push(x any)        { *h = append(*h, x.(uint64)) }
func (h *seqHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

// giveBack makes seq available again to a cursor that has passed it.
func (c *laneCursor) giveBack(seq uint64) {
	if seq < c.seq {
		heap.Push(&c.returned, seq)
	}
}

// candidate is the next message that a cursor may deliver.
type candidate struct {
	lane *lane
	cur  *laneCursor
	seq  uint64
	msg  *message.Message // nil: the page has to be loaded first
	back bool             // from the heap of returned ones
}

// peek finds the first deliverable message of a lane that filter selects.
func (c *laneCursor) peek(l *lane, filter Filter) (candidate, bool) {
	for len(c.returned) > 0 {
		seq := c.returned[0]
		p := l.page(seq)
		bit := uint64(1) << (seq & pageMask)
		if p == nil || p.live&bit == 0 || p.acquired&bit != 0 {
			heap.Pop(&c.returned) // another cursor had it meanwhile
			continue
		}
		m := p.message(seq)
		if m != nil && filter != nil && !filter.Matches(m) {
			heap.Pop(&c.returned)
			continue
		}
		return candidate{l, c, seq, m, true}, true
	}
	for {
		seq, ok := l.firstFree(c.seq)
		c.seq = seq
		if !ok {
			return candidate{}, false
		}
		m := l.page(seq).message(seq)
		if m != nil && filter != nil && !filter.Matches(m) {
			c.seq++
			continue
		}
		return candidate{l, c, seq, m, false}, true
	}
}

func (p *page) message(seq uint64) *message.Message {
	if p.win == nil {
		return nil
	}
	return p.win.msg[seq&pageMask]
}

// take marks the candidate as delivered.
func (k *candidate) take() {
	k.lane.page(k.seq).acquired |= 1 << (k.seq & pageMask)
	if k.back {
		heap.Pop(&k.cur.returned)
	} else {
		k.cur.seq = k.seq + 1
	}
}

// next returns the first deliverable message for the cursor: higher
// priorities first, durable and transient ones of a priority in the order in
// which they came.
func (c *cursor) next(q *Queue) (candidate, bool) {
	for i := range q.levels {
		lv, at := q.levels[i], &c.at[i]
		d, okD := at.durable.peek(&lv.durable, c.filter)
		if lv.transient.live == 0 {
			if okD {
				return d, true
			}
			continue
		}
		t, okT := at.transient.peek(&lv.transient, c.filter)
		switch {
		case okT && (!okD || lv.transient.page(t.seq).win.after[t.seq&pageMask] <= d.seq):
			return t, true
		case okD:
			return d, true
		}
	}
	return candidate{}, false
}
