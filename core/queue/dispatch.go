package queue

import (
	"slices"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Subscribe makes c a consumer of the queue.
func (q *Queue) Subscribe(c *Consumer, filter Filter, priority int, exclusive bool) bool {
	if !c.AddFeeder(q) {
		return false
	}
	q.mu.Lock()
	a := &attachment{c: c, cursor: q.cursorFor(filter), priority: priority, exclusive: exclusive}
	i := len(q.consumers)
	for i > 0 && q.consumers[i-1].priority < priority {
		i--
	}
	q.consumers = slices.Insert(q.consumers, i, a)
	q.starved = false
	q.mu.Unlock()
	q.Dispatch()
	return true
}

// cursorFor returns the cursor of the consumers with that filter.
func (q *Queue) cursorFor(filter Filter) *cursor {
	for _, c := range q.cursors {
		if c.filter == filter {
			c.users++
			return c
		}
	}
	c := &cursor{filter: filter, users: 1, at: make([]levelCursor, len(q.levels))}
	q.cursors = append(q.cursors, c)
	return c
}

// Detach implements Feeder.
func (q *Queue) Detach(c *Consumer) {
	q.mu.Lock()
	q.consumers = slices.DeleteFunc(q.consumers, func(a *attachment) bool {
		if a.c != c {
			return false
		}
		if a.cursor.users--; a.cursor.users == 0 {
			q.cursors = slices.DeleteFunc(q.cursors, func(k *cursor) bool { return k == a.cursor })
		}
		return true
	})
	q.browsers = slices.DeleteFunc(q.browsers, func(b *browser) bool { return b.c == c })
	q.starved = false
	after := q.dispatch()
	q.mu.Unlock()
	q.carryOut(after)
}

// Consumers returns how many consumers the queue has.
func (q *Queue) Consumers() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.consumers)
}

// Dispatch implements Feeder: consumers call it when they have new credit.
func (q *Queue) Dispatch() {
	if q.free.Load() == 0 {
		q.mu.Lock()
		q.starved = false
		idle := len(q.browsers) == 0
		q.mu.Unlock()
		if idle {
			return
		}
	}
	q.mu.Lock()
	q.starved = false
	after := q.dispatch()
	q.mu.Unlock()
	q.carryOut(after)
}

// Pump dispatches after messages came.
func (q *Queue) Pump() {
	q.mu.Lock()
	after := q.dispatch()
	q.mu.Unlock()
	q.carryOut(after)
}

// afterwards is what has to be done when the lock is no longer held.
type afterwards struct {
	expired []Held
	loads   []load
}

type load struct {
	lane uint8
	seq  uint64
}

func (q *Queue) carryOut(a afterwards) {
	if len(a.expired) > 0 {
		q.broker.Reject(q, a.expired, Expired, nil, 0)
	}
	for _, l := range a.loads {
		q.broker.Load(q, l.lane, l.seq)
	}
}

// Reasons of Broker.Reject.
const (
	Expired            = "expired"
	RejectedByConsumer = "rejected by the consumer"
)

// dispatch delivers while there are messages and consumers with credit. It is
// called with mu held.
func (q *Queue) dispatch() (after afterwards) {
	for i := 0; i < len(q.browsers); {
		if q.browsers[i].advance(q, &after) {
			q.browsers = slices.Delete(q.browsers, i, i+1)
		} else {
			i++
		}
	}
	if q.starved || q.paused || q.free.Load() == 0 {
		return after
	}
	q.round++
	now := int64(0)
	for {
		a := q.pick()
		if a == nil {
			return after
		}
		k, ok := a.cursor.next(q)
		switch {
		case !ok:
			q.spend(a)
		case k.msg == nil:
			q.load(&after, k.lane, k.seq)
			q.spend(a)
		case k.msg.Expiry != 0 && k.msg.Expired(q.clock(&now)):
			k.take()
			q.free.Add(-1)
			q.counters.Expired++
			after.expired = append(after.expired, Held{position(k.lane, k.seq), k.msg})
		default:
			q.give(a, &k, &after)
		}
	}
}

// clock reads the time once a dispatch, and only if somebody asks.
func (q *Queue) clock(now *int64) int64 {
	if *now == 0 {
		*now = q.broker.NowMs()
	}
	return *now
}

// give delivers k to a. If a's credit went to another queue meanwhile, the
// message stays where it is.
func (q *Queue) give(a *attachment, k *candidate, after *afterwards) {
	var attempts uint32
	if k.lane.attempts != nil {
		attempts = k.lane.attempts[k.seq]
	}
	if !a.c.deliver(q, position(k.lane, k.seq), k.msg, attempts, false) {
		return
	}
	k.take()
	q.free.Add(-1)
	q.counters.Dispatched++
	q.turn = q.following
	if k.seq&pageMask == 0 {
		q.prefetch(after, k.lane, k.seq)
	}
}

// spend takes every consumer of a's cursor out of this round: they would
// find the same nothing.
func (q *Queue) spend(a *attachment) {
	for _, other := range q.consumers {
		if other.cursor == a.cursor {
			other.spent = q.round
		}
	}
}

// pick returns the consumer whose turn it is: the highest priority among
// those with credit, by turns among equals, or the exclusive one.
func (q *Queue) pick() *attachment {
	n := len(q.consumers)
	if n == 0 {
		return nil
	}
	if a := q.exclusive(); a != nil {
		if a.spent == q.round || !a.c.Ready() {
			return nil
		}
		return a
	}
	var best *attachment
	bestAt, open := 0, false
	uniform := q.consumers[0].priority == q.consumers[n-1].priority
	for i := range n {
		at := q.turn + i
		if at >= n {
			at %= n
		}
		a := q.consumers[at]
		if a.spent == q.round {
			open = true // it may be ready: not starved
			continue
		}
		if best != nil && a.priority <= best.priority || !a.c.Ready() {
			continue
		}
		best, bestAt = a, at
		if uniform {
			break
		}
	}
	if best == nil {
		q.starved = !open
		return nil
	}
	q.following = (bestAt + 1) % n // the turn passes on when it got something
	return best
}

// exclusive returns the first consumer that asked to be the only one.
func (q *Queue) exclusive() *attachment {
	for _, a := range q.consumers {
		if a.exclusive {
			return a
		}
	}
	return nil
}

// load asks for the page of seq, and for those behind it, since the next
// consumer will want them.
func (q *Queue) load(after *afterwards, l *lane, seq uint64) {
	p := l.page(seq)
	if !p.loading {
		p.loading = true
		after.loads = append(after.loads, load{l.number(), seq})
	}
	q.prefetch(after, l, seq)
}

const readAhead = 4 // pages

func (q *Queue) prefetch(after *afterwards, l *lane, seq uint64) {
	if l.transient {
		return
	}
	for n := seq>>pageShift + 1; n <= seq>>pageShift+readAhead; n++ {
		p := l.page(n << pageShift)
		if p == nil {
			return
		}
		if p.win == nil && p.live != 0 && !p.loading {
			p.loading = true
			after.loads = append(after.loads, load{l.number(), n << pageShift})
		}
	}
}

// SlotMessage is a message of a page and its place there.
type SlotMessage struct {
	Slot    uint8
	Message *message.Message
}

// Loaded puts messages of a page, read from the page store, into memory.
func (q *Queue) Loaded(laneNumber uint8, seq uint64, msgs []SlotMessage) {
	q.mu.Lock()
	l, _ := q.lane(uint64(laneNumber) << laneShift)
	if l == nil {
		q.mu.Unlock()
		return
	}
	if p := l.page(seq); p != nil {
		p.loading = false
		if p.win == nil {
			p.win = &window{}
		}
		before := p.win.bytes
		for _, s := range msgs {
			if p.live&(1<<s.Slot) != 0 && p.win.msg[s.Slot] == nil {
				p.win.put(uint64(s.Slot), s.Message)
			}
		}
		q.budget.Add(p.win.bytes - before)
	}
	after := q.dispatch()
	q.mu.Unlock()
	q.carryOut(after)
}

// browser walks a queue without changing it.
type browser struct {
	c     *Consumer
	cur   cursor
	limit map[*lane]uint64 // the lane's end when browsing began
}

// Browse has c see what waits now; Delivery.BrowseEnd follows.
func (q *Queue) Browse(c *Consumer, filter Filter) bool {
	if !c.AddFeeder(q) {
		return false
	}
	q.mu.Lock()
	b := &browser{c: c, cur: cursor{filter: filter, at: make([]levelCursor, len(q.levels))}, limit: map[*lane]uint64{}}
	for _, lv := range q.levels {
		b.limit[&lv.durable], b.limit[&lv.transient] = lv.durable.next, lv.transient.next
	}
	q.browsers = append(q.browsers, b)
	after := q.dispatch()
	q.mu.Unlock()
	q.carryOut(after)
	return true
}

// advance delivers copies while there is credit and reports whether all were
// seen.
func (b *browser) advance(q *Queue, after *afterwards) (ended bool) {
	for {
		k, ok := b.next(q)
		if !ok {
			b.c.endBrowse()
			return true
		}
		if k.msg == nil {
			q.load(after, k.lane, k.seq)
			return false
		}
		if !b.c.deliver(nil, 0, k.msg, k.lane.attempts[k.seq], false) {
			return false
		}
		k.cur.seq = k.seq + 1
	}
}

// next is cursor.next, ended by the limits.
func (b *browser) next(q *Queue) (candidate, bool) {
	for i := range q.levels {
		for _, l := range []*lane{&q.levels[i].durable, &q.levels[i].transient} {
			at := &b.cur.at[i].durable
			if l.transient {
				at = &b.cur.at[i].transient
			}
			if k, ok := at.peek(l, b.cur.filter); ok && k.seq < b.limit[l] {
				return k, true
			}
		}
	}
	return candidate{}, false
}
