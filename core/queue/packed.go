package queue

import (
	"slices"

	"github.com/entrepot-mq/entrepot/core/selector"
)

// packed is a full page of a durable lane in the form in which the page store
// keeps it. What waits far behind everybody is packed when its page is full,
// while its bodies are still in the processor's cache: from then on it is one
// piece of memory without pointers, where there were 128, until somebody comes
// near or the store has it. Bodies kept by reference aren't packed.
type packed struct {
	value   []byte // see pageVersion
	summary []byte // nil: unknown
	live    uint64 // the messages in it
}

// packBehind is how many pages lie at least between a cursor and a page that is
// packed: so much can come in one batch and be delivered at once.
const packBehind = 256

// filled packs page number n of a durable lane, which has just got its last
// message, if it is far from all cursors. Called with mu held.
func (q *Queue) filled(l *lane, n uint64) {
	p, level := l.page(n<<pageShift), q.levelOf(l)
	if p.acquired != 0 || p.byRef != 0 || p.missing(0) != 0 || q.within(q.packBehind, l, level, n) || q.offered(l, level) {
		return
	}
	k := q.pack(p)
	l.keep(p, k)
	freed := p.win.bytes
	p.win = nil
	q.budget.Add(k.size() - freed)
}

// offered reports whether cursors that are told of their messages were told of
// some in the lane: those that came last will be asked for first.
func (q *Queue) offered(l *lane, level int) bool {
	return slices.ContainsFunc(q.cursors, func(c *cursor) bool {
		return c.indexed && len(c.lane(l, level).returned) > 0
	})
}

// pack returns the live messages of p, which are all in memory.
func (q *Queue) pack(p *page) *packed {
	fp := frozenPage{live: p.live, msgs: p.win.msg}
	k := &packed{live: p.live}
	k.value, _ = fp.append(make([]byte, 0, fp.size()), nil, nil) // only an older value could be malformed
	var s selector.Summary
	k.summary = fp.summarize(&s, nil, q.broker.Converters())
	return k
}

// size is the memory in bytes that k is counted with.
func (k *packed) size() int { return len(k.value) + len(k.summary) }

// keep makes k what is in memory of p.
func (l *lane) keep(p *page, k *packed) {
	if l.packed == nil {
		l.packed = make(map[uint64]*packed)
	}
	l.packed[p.number] = k
	p.packed = true
}

// unpack lets go of what p is packed in, if it is, and returns the memory
// given back.
func (l *lane) unpack(p *page) (freed int) {
	if !p.packed {
		return 0
	}
	freed = l.packed[p.number].size()
	delete(l.packed, p.number)
	p.packed = false
	return freed
}

// packedPage returns what a page is packed in, nil if it isn't.
func (q *Queue) packedPage(laneNumber uint8, number uint64) *packed {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l, _ := q.lane(uint64(laneNumber) << laneShift); l != nil {
		return l.packed[number]
	}
	return nil
}
