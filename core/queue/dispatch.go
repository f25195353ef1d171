package queue

import (
	"slices"
	"sort"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Subscribe makes c a consumer of the queue. It reports false if either has
// ended.
func (q *Queue) Subscribe(c *Consumer, filter Filter, priority int, exclusive bool) bool {
	if !c.AddFeeder(q) {
		return false
	}
	q.mu.Lock()
	if q.deleted || c.Closed() {
		q.mu.Unlock()
		return false
	}
	a := &attachment{c: c, cursor: q.cursorFor(filter), priority: priority, exclusive: exclusive}
	q.wake(a.cursor)
	q.joins()
	i := len(q.consumers)
	for i > 0 && q.consumers[i-1].priority < priority {
		i--
	}
	q.consumers = slices.Insert(q.consumers, i, a)
	q.attached()
	q.start.count(q)
	after := q.dispatch()
	q.mu.Unlock()
	q.carryOut(after)
	return true
}

// attached follows a change of the consumers.
func (q *Queue) attached() {
	q.starved, q.sole = false, nil
	for _, c := range q.cursors {
		c.consumers = c.consumers[:0]
	}
	for i, a := range q.consumers {
		a.at = i
		a.cursor.consumers = append(a.cursor.consumers, a)
		if a.exclusive && q.sole == nil {
			q.sole = a
		}
	}
	for _, a := range q.consumers {
		if q.sole != nil && a != q.sole {
			q.giveUp(a) // it isn't served any more
		}
	}
}

// cursorFor returns the cursor of the consumers with that filter.
func (q *Queue) cursorFor(filter Filter) *cursor {
	for _, c := range q.cursors {
		if c.filter == filter {
			c.users++
			return c
		}
	}
	c := &cursor{filter: filter, users: 1, at: make([]levelCursor, len(q.levels)), slot: -1}
	q.cursors = append(q.cursors, c)
	if filter != nil {
		_, c.key, c.keyed = keyOf(filter)
		q.index.add(c)
	}
	return c
}

// Detach implements Feeder.
func (q *Queue) Detach(c *Consumer) {
	q.mu.Lock()
	var gone []*attachment
	q.consumers = slices.DeleteFunc(q.consumers, func(a *attachment) bool {
		if a.c != c {
			return false
		}
		gone = append(gone, a)
		if a.cursor.users--; a.cursor.users == 0 {
			q.park(a.cursor)
		}
		return true
	})
	q.browsers = slices.DeleteFunc(q.browsers, func(b *browser) bool { return b.c == c })
	q.attached()
	for _, a := range gone {
		q.giveUp(a)
	}
	q.start.count(q)
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
	Expired             = "expired"
	RejectedByConsumer  = "rejected by the consumer"
	TooManyRedeliveries = "delivered too often without success"
)

// dispatch delivers while there are messages and consumers with credit. It is
// called with mu held.
func (q *Queue) dispatch() (after afterwards) {
	q.scanned = 0
	for i := 0; i < len(q.browsers); {
		if q.browsers[i].advance(q, &after) {
			q.browsers = slices.Delete(q.browsers, i, i+1)
		} else {
			i++
		}
	}
	if q.starved || q.paused || q.start.waits || q.free.Load() == 0 {
		return after
	}
	q.round++
	now := int64(0)
	for {
		a, from := q.pick()
		if a == nil {
			return after
		}
		c, k, ok := q.nextFor(a, from)
		switch {
		case !ok:
			q.exhausted(c)
		case k.msg == nil:
			q.fetch(&after, c, &k)
			c.spent, from.spent = q.round, q.round
		case k.msg.Expiry != 0 && k.msg.Expired(q.clock(&now)):
			k.take()
			q.free.Add(-1)
			q.counters.Expired++
			after.expired = append(after.expired, Held{position(k.lane, k.seq), k.msg})
		case k.msg.GroupID != "":
			if g, ok := q.admit(c, a, &k); ok {
				q.give(a, &k, g, &after)
			}
		default:
			q.give(a, &k, nil, &after)
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

// give delivers k, of group g if it has one, to a. If a's credit went to
// another queue meanwhile, the message stays where it is.
func (q *Queue) give(a *attachment, k *candidate, g *group, after *afterwards) {
	a.cursor.asked = 0
	if a.own != nil {
		a.own.asked = 0
	}
	var attempts uint32
	if k.lane.attempts != nil {
		attempts = k.lane.attempts[k.seq]
	}
	if !a.c.deliver(q, position(k.lane, k.seq), k.msg, attempts, g != nil && g.owner == nil) {
		return
	}
	k.take()
	if g != nil {
		q.delivered(g, a, position(k.lane, k.seq), k.msg.GroupSeq < 0)
	}
	a.cursor.vain = 0
	q.free.Add(-1)
	q.counters.Dispatched++
	q.turn = q.following
	if k.seq&pageMask == 0 {
		q.prefetch(after, k.lane, k.seq)
	}
}

// pick returns the consumer whose turn it is: the highest priority among
// those with credit, by turns among equals, or the exclusive one; and the
// cursor that may have something for it. Cursors that sleep have nothing for
// theirs.
func (q *Queue) pick() (best *attachment, from *cursor) {
	if q.sole != nil {
		return q.pickSole()
	}
	open := false
	for _, c := range q.awake {
		if c.spent == q.round {
			open = true // its consumers may be ready: not starved
			continue
		}
		if c.asked != q.round {
			c.best = c.ready(q.turn)
			if c.best == nil || len(c.consumers) == 1 { // it stays so in this round, until it gets something
				c.asked = q.round
			}
		}
		if a := c.best; a != nil && (best == nil || a == best && c.own || q.precedes(a, best)) {
			best, from = a, c
		}
	}
	if best == nil {
		q.starved = !open
		return nil, nil
	}
	q.following = (best.at + 1) % len(q.consumers) // the turn passes on when it got something
	return best, from
}

// pickSole is pick when one consumer has the queue for itself.
func (q *Queue) pickSole() (*attachment, *cursor) {
	a := q.sole
	for _, c := range [...]*cursor{a.own, a.cursor} {
		if c == nil || c.slot < 0 || c.spent == q.round {
			continue
		}
		if a.c.Ready() {
			return a, c
		}
		q.starved = true
		return nil, nil
	}
	q.starved = false
	return nil, nil
}

// ready returns the cursor's consumer with credit whose turn it is if asking
// begins at turn.
func (c *cursor) ready(turn int) (best *attachment) {
	n := len(c.consumers)
	start := sort.Search(n, func(i int) bool { return c.consumers[i].at >= turn })
	uniform := c.consumers[0].priority == c.consumers[n-1].priority
	for i := range n {
		a := c.consumers[(start+i)%n]
		if best != nil && a.priority <= best.priority || !a.c.Ready() {
			continue
		}
		if best = a; uniform {
			break
		}
	}
	return best
}

// precedes reports whether a gets a message rather than b.
func (q *Queue) precedes(a, b *attachment) bool {
	if a.priority != b.priority {
		return a.priority > b.priority
	}
	n := len(q.consumers)
	first := q.turn % n // consumers may have gone since
	return (a.at-first+n)%n < (b.at-first+n)%n
}

// load asks for the page of seq.
func (q *Queue) load(after *afterwards, l *lane, seq uint64) {
	if p := l.page(seq); !p.loading {
		p.loading = true
		after.loads = append(after.loads, load{l.number(), seq})
	}
}

const readAhead = 4 // pages

func (q *Queue) prefetch(after *afterwards, l *lane, seq uint64) {
	at, ok := l.find(seq >> pageShift)
	if ok {
		at++
	}
	for _, p := range l.pages[at:min(at+readAhead, len(l.pages))] {
		if p.win == nil && p.live != 0 {
			q.load(after, l, p.number<<pageShift)
		}
	}
}

// slotMessage is a message of a page and its place there.
type slotMessage struct {
	slot  uint8
	msg   *message.Message
	after uint64 // transient lanes: see window
}

// arrived puts messages of a page, which were read, into memory.
func (q *Queue) arrived(laneNumber uint8, seq uint64, msgs []slotMessage) {
	q.mu.Lock()
	if l, _ := q.lane(uint64(laneNumber) << laneShift); l != nil {
		if p := l.page(seq); p != nil {
			p.loading = false
			q.take(l.fill(p, msgs))
		}
	}
	asked := q.draining()
	after := q.dispatch()
	q.mu.Unlock()
	q.carryOut(after)
	for _, c := range asked {
		c.checkDrained()
	}
}

// fill adds messages to the window of p and returns the memory they take.
func (l *lane) fill(p *page, msgs []slotMessage) (taken int) {
	if len(msgs) == 0 {
		return 0
	}
	if p.win == nil {
		p.win = &window{}
	}
	before := p.win.bytes
	for _, s := range msgs {
		if p.live&(1<<s.slot) == 0 || p.win.msg[s.slot] != nil {
			continue
		}
		p.win.put(uint64(s.slot), s.msg)
		if l.transient {
			p.win.setAfter(uint64(s.slot), s.after)
		}
	}
	taken = p.win.bytes - before
	if p.packed && p.missing(0) == 0 {
		p.win.summary = l.packed[p.number].summary
		taken -= l.unpack(p)
	}
	return taken
}

// browser walks a queue without changing it.
type browser struct {
	c   *Consumer
	cur cursor
}

// Browse has c see what waits now; when it has seen that of all its queues,
// Delivery.BrowseEnd follows. It reports false if c or the queue has ended.
func (q *Queue) Browse(c *Consumer, filter Filter) bool {
	if !c.AddFeeder(q) {
		return false
	}
	q.mu.Lock()
	if q.deleted || c.Closed() {
		q.mu.Unlock()
		return false
	}
	c.beginBrowse()
	b := &browser{c: c, cur: cursor{filter: filter, at: make([]levelCursor, len(q.levels)), until: make(map[*lane]uint64)}}
	_, b.cur.key, b.cur.keyed = keyOf(filter)
	for _, lv := range q.levels {
		b.cur.until[&lv.durable], b.cur.until[&lv.transient] = lv.durable.next, lv.transient.next
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
	now := int64(0)
	for {
		k, ok := b.cur.next(q)
		switch {
		case !ok:
			b.c.endBrowse()
			return true
		case k.msg == nil:
			q.load(after, k.lane, k.seq)
			q.prefetch(after, k.lane, k.seq)
			return false
		case k.msg.Expiry != 0 && k.msg.Expired(q.clock(&now)):
		case !b.c.show(q, k.msg, k.lane.attempts[k.seq]):
			return false
		}
		k.pass()
	}
}
