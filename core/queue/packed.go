package queue

import (
	"slices"
	"sync"

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
	shared  bool   // somebody was given value, and may have messages in it
}

// values are those of packed pages that nobody was given: under a deep queue
// they come and go as fast as messages are published.
var values sync.Pool // of *[]byte

// newValue returns an empty slice with room for n bytes.
func newValue(n int) []byte {
	if v, ok := values.Get().(*[]byte); ok && cap(*v) >= n && cap(*v) <= 2*n {
		return (*v)[:0]
	}
	return make([]byte, 0, n)
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
	k.value, _ = fp.append(newValue(fp.size()), nil, nil) // only an older value could be malformed
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

// drop is unpack of a page that is stored: no checkpoint has to write it any
// more.
func (l *lane) drop(p *page) (freed int) {
	k := l.packed[p.number]
	if freed = l.unpack(p); freed > 0 && !k.shared {
		values.Put(&k.value)
	}
	return freed
}

// share returns what p is packed in, nil if it isn't.
func (l *lane) share(p *page) *packed {
	if p == nil || !p.packed {
		return nil
	}
	k := l.packed[p.number]
	k.shared = true
	return k
}

// packedPage is share of a page that may be gone.
func (q *Queue) packedPage(laneNumber uint8, number uint64) *packed {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l, _ := q.lane(uint64(laneNumber) << laneShift); l != nil {
		return l.share(l.page(number << pageShift))
	}
	return nil
}
