package queue

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/entrepot-mq/entrepot/core/message"
)

// The model: what a queue is meant to do, slowly and obviously. It knows of
// no pages, cursors or locks: only of messages in a sorted slice.

type modelState uint8

const (
	waiting modelState = iota
	withConsumer
	inTx
	ending // settled; the log has to say so
	delayed
	gone
)

// modelMessage is a message in one queue.
type modelMessage struct {
	q        *modelQueue
	n        uint64 // the body's number: every message has its own
	pos      uint64
	order    int // of coming to the queue
	m        *message.Message
	state    modelState
	attempts uint32
	limbo    bool        // came back in the operation under way: may be late
	g        *modelGroup // while it is delivered as one of a group
	failing  bool
	late     bool // its group had ended when it came back: the next one doesn't wait for it
}

func (x *modelMessage) expired(now int64) bool { return x.m.Expiry != 0 && x.m.Expiry <= now }

// modelQueue is a queue: its messages in the order of delivery.
type modelQueue struct {
	index   int
	all     []*modelMessage // that are not gone
	byPos   map[uint64]*modelMessage
	next    map[uint64]uint64 // lane -> seq
	order   int
	paused  bool
	present []*modelAttachment // in the order in which they are asked
	groups  map[string]*modelGroup
}

type modelAttachment struct {
	c         *modelConsumer
	filter    Filter
	priority  int
	exclusive bool
}

func compareMessages(a, b *modelMessage) int {
	return cmp.Or(cmp.Compare(b.m.Priority, a.m.Priority), cmp.Compare(a.order, b.order))
}

func newModelQueue(index int) *modelQueue {
	return &modelQueue{index: index, groups: map[string]*modelGroup{}, byPos: map[uint64]*modelMessage{}, next: map[uint64]uint64{}}
}

func (q *modelQueue) add(m *message.Message) *modelMessage {
	lane := uint64(m.Priority)
	if !m.Durable {
		lane |= 0x80
	}
	x := &modelMessage{q: q, n: number(m), m: m, pos: lane<<laneShift | q.next[lane], order: q.order}
	q.next[lane]++
	q.order++
	at, _ := slices.BinarySearchFunc(q.all, x, compareMessages)
	q.all = slices.Insert(q.all, at, x)
	q.byPos[x.pos] = x
	return x
}

func (q *modelQueue) remove(x *modelMessage) {
	at, ok := slices.BinarySearchFunc(q.all, x, compareMessages)
	if !ok {
		panic(fmt.Sprintf("message %d isn't there", x.n))
	}
	q.all = slices.Delete(q.all, at, at+1)
	x.leave()
	delete(q.byPos, x.pos)
	x.state = gone
}

// first returns the message that a consumer is to get next: of all, or of a
// group. Those that came back a moment ago are passed over if late is true.
func (q *modelQueue) first(a *modelAttachment, now int64, late bool, of func(*modelMessage) bool) *modelMessage {
	for _, x := range q.all {
		if x.state == waiting && !x.expired(now) && (!late || !x.limbo) && (a.filter == nil || a.filter.Matches(x.m)) && of(x) && q.eligible(x, a) {
			return x
		}
	}
	return nil
}

func all(*modelMessage) bool { return true }

// attach puts a consumer behind those of its priority.
func (q *modelQueue) attach(a *modelAttachment) {
	at := len(q.present)
	for at > 0 && q.present[at-1].priority < a.priority {
		at--
	}
	q.present = slices.Insert(q.present, at, a)
	q.served()
}

func (q *modelQueue) of(c *modelConsumer) *modelAttachment {
	for _, a := range q.present {
		if a.c == c {
			return a
		}
	}
	return nil
}

// sole is the consumer that has the queue for itself, if there is one.
func (q *modelQueue) sole() *modelAttachment {
	for _, a := range q.present {
		if a.exclusive {
			return a
		}
	}
	return nil
}

// modelConsumer is a consumer and what it holds.
type modelConsumer struct {
	w      *world
	c      *Consumer
	window uint32
	credit int
	last   uint64
	held   map[uint64]*modelMessage // by tag: with it; browsers hold nil
	inTx   map[uint64]*modelMessage // by tag: settled in a transaction that hasn't ended

	// Browsers.
	browse  bool
	q       *modelQueue
	filter  Filter
	until   int // the queue's order when browsing began
	latest  *modelMessage
	ended   bool
	stopped bool
}

func newModelConsumer(w *world) *modelConsumer {
	return &modelConsumer{w: w, held: map[uint64]*modelMessage{}, inTx: map[uint64]*modelMessage{}}
}

func (c *modelConsumer) ready() bool {
	if c.window > 0 {
		return len(c.held) < int(c.window)
	}
	return c.credit > 0
}

func (c *modelConsumer) tags() []uint64 {
	var tags []uint64
	for t := range c.held {
		tags = append(tags, t)
	}
	slices.Sort(tags)
	return tags
}

// Deliver implements Target: each delivery has to be the one that the model
// expects.
func (c *modelConsumer) Deliver(d Delivery) {
	w := c.w
	if c.browse {
		c.browsed(d)
		return
	}
	if c.last++; d.Tag != c.last {
		w.t.Fatalf("tag %d, want %d", d.Tag, c.last)
	}
	if !c.ready() {
		w.t.Fatalf("a consumer without credit got message %d", number(d.Message))
	}
	for _, q := range w.queues {
		if q.Queue != c.c.held.at(d.Tag).q {
			continue
		}
		a := q.model.of(c)
		if a == nil || q.model.paused {
			w.t.Fatalf("message %d came to a consumer that is not served", number(d.Message))
		}
		x := w.expects(q, a, d.Message)
		if x == nil {
			w.t.Fatalf("message %d came to consumer with filter %v, want %v", number(d.Message), a.filter, q.model.first(a, w.now, false, all))
		}
		if s := q.model.sole(); s != nil && s.c != c {
			w.t.Fatalf("message %d went past the exclusive consumer", x.n)
		}
		if d.Redeliveries != x.attempts || d.Redelivered != (x.attempts > 0) {
			w.t.Fatalf("message %d: %d redeliveries, want %d", x.n, d.Redeliveries, x.attempts)
		}
		if first := q.model.deliver(x, a); first != d.GroupFirst {
			w.t.Fatalf("message %d is the first of its group for this consumer: %v, want %v", x.n, d.GroupFirst, first)
		}
		x.state = withConsumer
		c.held[d.Tag] = x
		c.credit--
		w.delivered++
		return
	}
}

func (x *modelMessage) String() string {
	return fmt.Sprintf("message %d (priority %d, order %d, at %x, state %d)", x.n, x.m.Priority, x.order, x.pos, x.state)
}

func (c *modelConsumer) browsed(d Delivery) {
	w := c.w
	if c.ended {
		w.t.Fatalf("something came after the end of browsing")
	}
	if d.BrowseEnd {
		c.ended = true
		return
	}
	c.last++
	c.credit--
	c.held[d.Tag] = nil
	x := c.q.find(d.Message)
	switch {
	case x == nil || x.state != waiting:
		w.t.Fatalf("browsed message %d does not wait", number(d.Message))
	case c.latest != nil && compareMessages(c.latest, x) >= 0:
		w.t.Fatalf("browsed message %d after %d", x.n, c.latest.n)
	case x.order >= c.until:
		w.t.Fatalf("browsed message %d came later", x.n)
	case c.filter != nil && !c.filter.Matches(x.m):
		w.t.Fatalf("browsed message %d does not match", x.n)
	}
	c.latest = x
}

func (q *modelQueue) find(m *message.Message) *modelMessage {
	for _, x := range q.all {
		if x.n == number(m) {
			return x
		}
	}
	return nil
}

// modulo is a filter by the message's number.
type modulo struct{ by, is uint64 }

// Matches implements Filter.
func (f modulo) Matches(m *message.Message) bool { return number(m)%f.by == f.is }

func number(m *message.Message) uint64 { return binary.BigEndian.Uint64(m.Payload()) }
