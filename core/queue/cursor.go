package queue

import (
	"math/bits"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/selector"
)

// Filter selects messages; nil selects all. Consumers whose filters are equal
// (==) share a cursor, so the dynamic type must be comparable.
type Filter interface {
	Matches(m *message.Message) bool
}

// AttemptFilter is a Filter that may ask how often a message failed here. Its
// Matches is MatchesAttempt without failed deliveries.
type AttemptFilter interface {
	Filter
	MatchesAttempt(m *message.Message, attempts uint32) bool
}

// selects reports whether f selects m, which is at seq of the lane.
func (l *lane) selects(f Filter, seq uint64, m *message.Message) bool {
	if f == nil {
		return true
	}
	if attempts := l.attempts[seq]; attempts > 0 {
		if f, ok := f.(AttemptFilter); ok {
			return f.MatchesAttempt(m, attempts)
		}
	}
	return f.Matches(m)
}

// cursor is how far the consumers with one filter have come.
type cursor struct {
	filter Filter
	at     []levelCursor    // parallel to Queue.levels
	until  map[*lane]uint64 // browsers: the lanes' ends when browsing began; otherwise nil

	users     int
	consumers []*attachment // in the order of Queue.consumers
	slot      int           // its place in Queue.awake, -1: it sleeps
	spent     uint64        // the round in which there was nothing more to get
	asked     uint64        // the round in which best, its only consumer, or nobody was ready
	best      *attachment
	indexed   bool   // see index
	own       bool   // it belongs to one consumer: see groups
	stalled   uint64 // the round in which it stayed at a message that could be left with nobody

	key     selector.Key // with keyed: what the filter demands
	keyed   bool
	vain    int    // messages that the filter turned down since it found one
	seeking bool   // Queue.seek is under way
	from    uint64 // the position where it began
	sought  uint64 // number of the page where the last one ended, + 1
}

type levelCursor struct{ durable, transient laneCursor }

func (c *cursor) lane(l *lane, level int) *laneCursor {
	if l.transient {
		return &c.at[level].transient
	}
	return &c.at[level].durable
}

// candidate is the next message that a cursor may deliver.
type candidate struct {
	lane *lane
	cur  *laneCursor
	seq  uint64
	msg  *message.Message // nil: the page has to be loaded first
	back bool             // from the heap of returned ones
}

// take marks the candidate as delivered.
func (k *candidate) take() {
	k.lane.page(k.seq).acquired |= 1 << (k.seq & pageMask)
	k.pass()
}

// pass moves the cursor behind the candidate.
func (k *candidate) pass() {
	if k.back {
		k.cur.returned.pop()
	} else {
		k.cur.seq = k.seq + 1
	}
}

// next returns the first deliverable message for the cursor: higher
// priorities first, durable and transient ones of a priority in the order in
// which they came.
func (c *cursor) next(q *Queue) (candidate, bool) {
	for i, lv := range q.levels {
		at := &c.at[i]
		if lv.durable.live == 0 || lv.transient.live == 0 { // as mostly
			if k, ok := c.nextOfOne(q, at, lv); ok {
				return k, true
			}
			continue
		}
		d, okD := c.peek(q, &at.durable, &lv.durable)
		t, okT := c.peek(q, &at.transient, &lv.transient)
		switch {
		case okT && (!okD || t.msg == nil || t.before(&d)):
			return t, true // if its page isn't in memory, neither is its place among the durable ones
		case okD:
			return d, true
		}
	}
	return candidate{}, false
}

// nextOfOne is next in a level of which at least one lane is empty.
func (c *cursor) nextOfOne(q *Queue, at *levelCursor, lv *level) (candidate, bool) {
	switch {
	case lv.durable.live > 0:
		return c.peek(q, &at.durable, &lv.durable)
	case lv.transient.live > 0:
		return c.peek(q, &at.transient, &lv.transient)
	}
	return candidate{}, false
}

// before reports whether k, transient and in memory, came before d.
func (k *candidate) before(d *candidate) bool {
	return k.lane.page(k.seq).win.after[k.seq&pageMask] <= d.seq
}

// peek finds the first deliverable message of a lane.
func (c *cursor) peek(q *Queue, at *laneCursor, l *lane) (candidate, bool) {
	k, ok := at.peekReturned(l, c.filter)
	if !ok && !c.indexed {
		before := q.scanned
		k, ok = c.scan(at, l, &q.scanned)
		c.vain += q.scanned - before
	}
	if ok && c.until != nil && k.seq >= c.until[l] {
		return candidate{}, false
	}
	return k, ok
}

// near reports whether a cursor is at the page of that number or will soon
// be.
func (q *Queue) near(l *lane, level int, number uint64) bool {
	return q.within(keepPages, l, level, number)
}

// within reports whether a cursor is at the page of that number or up to so
// many pages before it.
func (q *Queue) within(distance uint64, l *lane, level int, number uint64) bool {
	within := func(c *cursor) bool {
		from := c.lane(l, level).seq >> pageShift
		if c.indexed {
			from = l.next >> pageShift
		}
		return number >= from && number <= from+distance
	}
	used := false
	for _, c := range q.cursors {
		if c.users > 0 && within(c) {
			return true
		}
		used = used || c.users > 0
	}
	for _, b := range q.browsers {
		if within(&b.cur) {
			return true
		}
	}
	return !used && number <= l.pages[0].number+distance
}

// keepPages is how many pages behind the next one to be delivered stay in
// memory under pressure.
const keepPages = 2 * readAhead

// laneCursor is a position in a lane and what came back behind it.
type laneCursor struct {
	seq      uint64
	returned seqHeap
	pruned   int    // length of returned after it was last pruned
	asked    uint64 // number of the page whose summary was asked last, + 1
}

func (c *laneCursor) push(l *lane, seq uint64) {
	if len(c.returned) >= max(minPruned, 2*c.pruned) {
		c.returned.prune(func(seq uint64) bool {
			p := l.page(seq)
			return p != nil && p.free()&(1<<(seq&pageMask)) != 0
		})
		c.pruned = len(c.returned)
	}
	c.returned.push(seq)
}

// minPruned is from which length on a heap is pruned: other cursors may take
// the same messages and give them back any number of times while nobody looks
// at this one.
const minPruned = 256

// free returns the messages that can be delivered.
func (p *page) free() uint64 { return p.live &^ p.acquired }

// maxScanned is how many messages, or pages by their summaries, filters may
// turn down at a time. Then the lock is let go, and the loader goes on.
const maxScanned = 2048

// peekReturned finds the first deliverable message that came back, or was
// offered, and that filter selects.
func (c *laneCursor) peekReturned(l *lane, filter Filter) (candidate, bool) {
	for len(c.returned) > 0 {
		seq := c.returned[0]
		p := l.page(seq)
		if p == nil || p.free()&(1<<(seq&pageMask)) == 0 {
			c.returned.pop() // another cursor had it meanwhile
			continue
		}
		m := p.message(seq)
		if m != nil && !l.selects(filter, seq, m) {
			c.returned.pop()
			continue
		}
		return candidate{l, c, seq, m, true}, true
	}
	return candidate{}, false
}

// scan finds the first deliverable message from the cursor's place on that
// its filter selects. If it had to look at too many it returns the next one as
// if it were not in memory.
func (c *cursor) scan(at *laneCursor, l *lane, scanned *int) (candidate, bool) {
	for {
		p, free := l.firstFreePage(at.seq)
		if p == nil {
			at.seq = l.next
			return candidate{}, false
		}
		if *scanned < maxScanned && c.passes(at, l, p) {
			*scanned++
			at.seq = (p.number + 1) << pageShift
			continue
		}
		for ; free != 0; free &= free - 1 {
			at.seq = p.number<<pageShift | uint64(bits.TrailingZeros64(free))
			m := p.message(at.seq)
			if m != nil && c.filter != nil && *scanned >= maxScanned {
				m = nil
			}
			if m == nil || l.selects(c.filter, at.seq, m) {
				return candidate{l, at, at.seq, m, false}, true
			}
			*scanned++ // only what brings the cursor on: pauses can't be all there is
		}
		at.seq = (p.number + 1) << pageShift
	}
}

// passes reports whether the cursor, when it comes to p, can leave it out: its
// summary says that the filter selects nothing in it.
func (c *cursor) passes(at *laneCursor, l *lane, p *page) bool {
	if !c.keyed || at.asked == p.number+1 {
		return false
	}
	at.asked = p.number + 1
	sum := l.summary(p)
	return sum != nil && !c.key.MayMatch(sum)
}

func (p *page) message(seq uint64) *message.Message {
	if p.win == nil {
		return nil
	}
	return p.win.msg[seq&pageMask]
}
