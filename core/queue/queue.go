package queue

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
)

// Queue is one queue. Apply* methods are the applier's; all others may be
// called from any goroutine.
type Queue struct {
	// Immutable.
	dest   message.Destination
	broker Broker
	budget *store.Budget
	// packBehind is how many pages lie at least between a cursor and a page
	// that is packed: so much can come in one batch and be delivered at once.
	packBehind uint64

	// Owned by the applier.
	Extra   []byte // stored with the queue: what the broker has to know of it besides its name
	Touched bool   // the broker's note that it has to be pumped
	Listed  bool   // the broker's note that it has to be frozen

	id   atomic.Uint64 // 0 until the log knows the queue
	free atomic.Int64  // messages that could be delivered; may be read without mu

	mu        sync.Mutex
	levels    []*level // by falling priority
	cursors   []*cursor
	consumers []*attachment // by falling priority
	sole      *attachment   // the first one that asked to be the only one served
	groups    *groups       // nil until there was one
	start     gathering
	awake     []*cursor // those that may have something to deliver
	index     index     // finds the others
	scanned   int       // messages that filters turned down in this dispatch
	browsers  []*browser
	turn      int    // the consumer to be asked first
	following int    // the consumer to be asked first once the one just picked has got something
	round     uint64 // of dispatching, for cursor.spent
	starved   bool   // no consumer was ready: only they can change that, by Dispatch
	freed     bool   // what was removed let messages of its group go on
	paused    bool
	stopped   bool // paused by a record of the log
	deleted   bool
	summing   bool   // the broker was told to call Summarize
	changed   bool   // since the last Freeze
	gen       uint32 // freezes so far
	written   uint32 // the last freeze that is in the page store
	counters  Counters
}

// level is a priority's two lanes.
type level struct {
	priority  uint8
	durable   lane
	transient lane
}

// Counters count events since the queue was made. They are stored.
type Counters struct {
	Enqueued, Dequeued, Dispatched, Expired, DeadLettered uint64
}

// attachment is a consumer's place in a queue.
type attachment struct {
	c         *Consumer
	cursor    *cursor
	priority  int
	exclusive bool
	at        int     // its place in Queue.consumers
	own       *cursor // of messages of its groups that were left with it, nil if there were none
}

// New returns an empty queue that the log doesn't know yet.
func New(d message.Destination, b Broker, budget *store.Budget) *Queue {
	return &Queue{dest: d, broker: b, budget: budget, packBehind: packBehind}
}

// SetID gives the queue the number by which the log knows it. The applier
// calls it.
func (q *Queue) SetID(id uint64) {
	q.id.Store(id)
	q.mu.Lock()
	q.changed = true
	q.mu.Unlock()
}

// Destination returns the queue's name.
func (q *Queue) Destination() message.Destination { return q.dest }

// ID returns the number by which the log knows the queue, 0 if it doesn't.
func (q *Queue) ID() uint64 { return q.id.Load() }

const laneShift = 56

// position names a message in its queue: the lane's number and the seq.
func position(l *lane, seq uint64) uint64 { return uint64(l.number())<<laneShift | seq }

func isTransient(pos uint64) bool { return pos>>laneShift&0x80 != 0 }

const seqMask = 1<<laneShift - 1

func seqOf(pos uint64) uint64 { return pos & seqMask }

// level returns the level of a priority, made if need be.
func (q *Queue) level(priority uint8) *level {
	i, ok := slices.BinarySearchFunc(q.levels, priority, func(l *level, p uint8) int { return int(p) - int(l.priority) })
	if ok {
		return q.levels[i]
	}
	l := &level{priority: priority, durable: lane{priority: priority}, transient: lane{priority: priority, transient: true}}
	q.levels = slices.Insert(q.levels, i, l)
	for _, c := range q.cursors {
		c.at = slices.Insert(c.at, i, levelCursor{})
	}
	for _, a := range q.consumers {
		if a.own != nil {
			a.own.at = slices.Insert(a.own.at, i, levelCursor{})
		}
	}
	for _, b := range q.browsers { // their limits leave the new level out
		b.cur.at = slices.Insert(b.cur.at, i, levelCursor{})
	}
	return l
}

// levelOf returns the place in Queue.levels of the level that l belongs to.
func (q *Queue) levelOf(l *lane) int {
	return slices.IndexFunc(q.levels, func(lv *level) bool { return lv.priority == l.priority })
}

// lane returns the lane of a position, nil if there is none.
func (q *Queue) lane(pos uint64) (*lane, int) {
	n := uint8(pos >> laneShift)
	for i, l := range q.levels {
		if l.priority == n&0x7f {
			if n&0x80 != 0 {
				return &l.transient, i
			}
			return &l.durable, i
		}
	}
	return nil, 0
}

// ApplyPublish adds a durable message. byRef says that its body is to be
// stored once for several queues, or is large.
func (q *Queue) ApplyPublish(m *message.Message, byRef bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := &q.level(m.Priority).durable
	seq := l.append(m, byRef, 0)
	q.changed = true
	q.added(l, seq, m)
	if seq&pageMask == pageMask {
		q.filled(l, seq>>pageShift)
	}
}

// EnqueueTransient adds a message that is not logged, and dispatches.
func (q *Queue) EnqueueTransient(m *message.Message) {
	q.mu.Lock()
	if q.deleted {
		q.mu.Unlock()
		return
	}
	l := q.level(m.Priority)
	seq := l.transient.append(m, false, l.durable.next)
	q.added(&l.transient, seq, m)
	after := q.dispatch()
	q.mu.Unlock()
	q.carryOut(after)
}

func (q *Queue) added(l *lane, seq uint64, m *message.Message) {
	q.counters.Enqueued++
	q.free.Add(1)
	q.take(m.Size())
	if seq&pageMask == pageMask {
		q.completed(l, seq>>pageShift)
	}
	q.offer(l, seq, m)
}

// take counts memory that messages take from now on.
func (q *Queue) take(bytes int) {
	q.budget.Add(bytes)
	if q.budget.Tight() {
		q.broker.Pressed()
	}
}

// ApplyAck removes pos and the n messages behind it, as far as they exist. It
// reports whether others can be delivered now that waited for these.
func (q *Queue) ApplyAck(pos uint64, n uint32) (pump bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.changed, q.freed = true, false
	if n == 0 {
		q.remove(pos)
		return q.freed
	}
	l, _ := q.lane(pos)
	if l == nil {
		return false
	}
	base := pos &^ seqMask
	for seq, ok := l.firstLive(seqOf(pos)); ok && seq <= seqOf(pos)+uint64(n); seq, ok = l.firstLive(seq + 1) {
		q.remove(base | seq)
	}
	return q.freed
}

func (q *Queue) remove(pos uint64) bool {
	l, _ := q.lane(pos)
	if l == nil {
		return false
	}
	p, bit := l.page(seqOf(pos)), uint64(1)<<(pos&pageMask)
	taken := p != nil && p.acquired&bit != 0
	freed, ok := l.remove(seqOf(pos))
	if !ok {
		return false
	}
	q.counters.Dequeued++
	q.budget.Add(-freed)
	if !taken {
		q.free.Add(-1)
	}
	if q.groups != nil && q.settled(pos) {
		q.freed = true
	}
	return true
}

// ApplyAttempt records that delivering pos failed n times, and makes it
// available again.
func (q *Queue) ApplyAttempt(pos uint64, n uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.setAttempts(pos, n)
	q.giveBack(pos)
	q.changed = true
}

func (q *Queue) setAttempts(pos uint64, n uint32) {
	l, _ := q.lane(pos)
	if l == nil {
		return
	}
	seq := seqOf(pos)
	if p := l.page(seq); p == nil || p.live&(1<<(seq&pageMask)) == 0 {
		return
	}
	if l.attempts == nil {
		l.attempts = make(map[uint64]uint32)
	}
	l.attempts[seq] = n
	l.touch(seq)
}

// giveBack makes an acquired message available to every cursor.
func (q *Queue) giveBack(pos uint64) {
	l, i := q.lane(pos)
	if l == nil {
		return
	}
	seq := seqOf(pos)
	p, bit := l.page(seq), uint64(1)<<(seq&pageMask)
	if p == nil || p.live&bit == 0 || p.acquired&bit == 0 {
		return
	}
	p.acquired &^= bit
	q.free.Add(1)
	m := p.message(seq)
	if m != nil {
		p.expires(m) // a sweep may have passed it
	}
	q.back(l, i, seq, m)
	if q.groups != nil {
		q.settled(pos)
	}
}

// accept removes a delivered message for good.
func (q *Queue) accept(pos uint64, done store.Done, token uint64) {
	if isTransient(pos) {
		q.settleTransient(pos, Accepted)
		tell(q.broker, done, token)
		return
	}
	q.broker.Commit(store.Request{
		Op: store.Op{Kind: store.OpAck, Queue: q.ID(), Pos: pos}, Durability: ackDurability(done), Done: done, Token: token,
	})
}

// release gives a message back as if it had not been delivered.
func (q *Queue) release(pos uint64) {
	q.mu.Lock()
	q.giveBack(pos)
	q.starved = false
	after := q.dispatch()
	q.mu.Unlock()
	q.carryOut(after)
}

// modify gives a message back, counted as a failed delivery.
func (q *Queue) modify(pos uint64, done store.Done, token uint64) {
	if isTransient(pos) {
		q.settleTransient(pos, Modified)
		tell(q.broker, done, token)
		return
	}
	q.broker.Commit(store.Request{Op: q.attemptOp(pos), Durability: ackDurability(done), Done: done, Token: token})
}

// attemptOp is one more failed delivery of pos. The message stays acquired
// until the op is applied.
func (q *Queue) attemptOp(pos uint64) store.Op {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failed(pos)
}

func (q *Queue) failed(pos uint64) store.Op {
	q.failing(pos)
	var n uint32
	if l, _ := q.lane(pos); l != nil {
		n = l.attempts[seqOf(pos)]
	}
	return store.Op{Kind: store.OpAttempt, Queue: q.ID(), Pos: pos, N: n + 1}
}

// settleTransient ends a delivery of a message that the log doesn't know.
func (q *Queue) settleTransient(pos uint64, o Outcome) {
	q.mu.Lock()
	q.endTransient(pos, o)
	q.starved = false
	after := q.dispatch()
	q.mu.Unlock()
	q.carryOut(after)
}

func (q *Queue) endTransient(pos uint64, o Outcome) {
	switch o {
	case Accepted, Rejected:
		q.remove(pos)
	case Modified:
		if l, _ := q.lane(pos); l != nil {
			q.setAttempts(pos, l.attempts[seqOf(pos)]+1)
		}
		q.giveBack(pos)
	case Released:
		q.giveBack(pos)
	}
}

// settle ends deliveries of this queue, not rejected ones: what the log need
// not know at once, and the rest by the ops that it adds. It dispatches once
// for all of them, so that what comes back goes out in its old order.
func (q *Queue) settle(ops []store.Op, all []taken, o Outcome) []store.Op {
	q.mu.Lock()
	for _, t := range all {
		switch {
		case o == Released:
			q.giveBack(t.pos)
		case isTransient(t.pos):
			q.endTransient(t.pos, o)
		case o == Modified:
			ops = append(ops, q.failed(t.pos))
		default:
			ops = appendAck(ops, q.ID(), t.pos)
		}
	}
	q.starved = false
	after := q.dispatch()
	q.mu.Unlock()
	q.carryOut(after)
	return ops
}

// Remove ends messages that are held: durable ones by the ops it returns.
func (q *Queue) Remove(ops []store.Op, ds []Held) []store.Op {
	for _, d := range ds {
		if isTransient(d.Pos) {
			q.settleTransient(d.Pos, Accepted)
		} else {
			ops = appendAck(ops, q.ID(), d.Pos)
		}
	}
	return ops
}

// Return makes messages available again that Remove's ops should have ended
// and did not. It does not dispatch: what prevented that may last, and what
// expired would come back at once.
func (q *Queue) Return(ds []Held) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, d := range ds {
		if !isTransient(d.Pos) {
			q.giveBack(d.Pos)
		}
	}
}

// ApplyDelete empties the queue and ends its deliveries. Nothing can be added
// to it, nor can it get consumers, from now on.
func (q *Queue) ApplyDelete() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deleted, q.changed = true, true
	for _, b := range q.browsers {
		b.c.endBrowse()
	}
	q.browsers, q.groups = nil, nil
	for _, lv := range q.levels {
		for _, l := range []*lane{&lv.durable, &lv.transient} {
			q.budget.Add(-l.clear())
		}
	}
	q.free.Store(0)
}

// Stats is a queue's state at a moment.
type Stats struct {
	Counters
	Messages, InFlight, Consumers, MemoryBytes int
	Groups                                     int // that have an owner
	Paused                                     bool
}

// Stats returns the queue's figures.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Stats{Counters: q.counters, Consumers: len(q.consumers), Paused: q.paused}
	for _, lv := range q.levels {
		s.Messages += int(lv.durable.live + lv.transient.live)
	}
	s.InFlight = s.Messages - int(q.free.Load())
	if q.groups != nil {
		s.Groups = len(q.groups.by)
	}
	return s
}
