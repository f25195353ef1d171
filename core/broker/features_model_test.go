package broker

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/entrepot-mq/entrepot/core/policy"
)

// The model of what a broker's queues do by their policies, slowly and
// obviously: limits, dead letters, repeated sends, what administrators do. How a
// queue serves many consumers is the affair of the model in core/queue.

// kept is a message in a queue.
type kept struct {
	body         string
	priority     uint8
	durable      bool
	expiry       int64
	size         int64
	order        int
	attempts     uint32 // deliveries from this queue that failed
	redeliveries uint32 // those from queues before
	origin       string
	dead         bool
	with         *modelTaker
	tag          uint64
	inTx         bool
}

// modelQueue is a queue: its messages in the order of delivery.
type modelQueue struct {
	name   string
	limit  policy.Limit
	most   uint32 // redeliveries
	window int    // of ids that are remembered
	ids    []string
	all    []*kept
	paused bool
	taker  *modelTaker
}

// modelTaker is the consumer of a queue, if it has one.
type modelTaker struct {
	c      *client
	k      *Consumer
	q      *modelQueue
	window int
	tag    uint64
	held   map[uint64]*kept
	want   []string // deliveries that were not compared yet
	seen   int
}

// model is all queues.
type model struct {
	now    int64
	order  int
	queues []*modelQueue
	sent   map[SendID]bool
}

const (
	sharedGrave = "ActiveMQ.DLQ"
	plainGrave  = "dead.plain"
)

// newModel returns the queues that the policies of the test make; size is that
// of a message.
func newModel(size int64) *model {
	m := &model{now: 1_000_000, sent: map[SendID]bool{}}
	for _, q := range []modelQueue{
		{name: "plain", most: 2},
		{name: "shared", most: 1},
		{name: "reject", limit: policy.Limit{Messages: 8, Overflow: policy.Reject}},
		{name: "drop", limit: policy.Limit{Messages: 8, Overflow: policy.DropOldest}},
		{name: "block", limit: policy.Limit{Messages: 8, Overflow: policy.Block}},
		{name: "bytes.reject", limit: policy.Limit{Bytes: 8*size + 1, Overflow: policy.Reject}},
		{name: "bytes.drop", limit: policy.Limit{Bytes: 8*size + 1, Overflow: policy.DropOldest}},
		{name: "once", window: 6},
		{name: sharedGrave},
		{name: plainGrave},
	} {
		if q.most == 0 {
			q.most = 10
		}
		m.queues = append(m.queues, &q)
	}
	return m
}

func (m *model) queue(name string) *modelQueue {
	for _, q := range m.queues {
		if q.name == name {
			return q
		}
	}
	panic(name)
}

func inOrder(a, b *kept) int {
	return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.order, b.order))
}

// arrive adds a message that was sent. One that isn't logged is delivered at
// once, also where others follow in the same record.
func (m *model) arrive(q *modelQueue, x kept) {
	m.add(q, x)
	if !x.durable {
		m.pump(q)
	}
}

// add puts x behind the others of its priority.
func (m *model) add(q *modelQueue, x kept) {
	m.order++
	x.order, x.attempts, x.with, x.inTx = m.order, 0, nil, false
	at, _ := slices.BinarySearchFunc(q.all, &x, inOrder)
	q.all = slices.Insert(q.all, at, &x)
}

func (q *modelQueue) remove(x *kept) {
	q.all = slices.Delete(q.all, slices.Index(q.all, x), slices.Index(q.all, x)+1)
}

func (q *modelQueue) load() (messages int, bytes int64) {
	for _, x := range q.all {
		bytes += x.size
	}
	return len(q.all), bytes
}

// coming is what a send brings to queues, before it is there.
type coming struct {
	messages int
	bytes    int64
}

// admit says whether a message of a send may come, and what it displaces.
func (m *model) admit(q *modelQueue, size int64, c *coming, dropped map[*kept]bool) bool {
	messages, bytes := q.load()
	room, roomBytes := math.MaxInt, int64(math.MaxInt64)
	if q.limit.Messages > 0 {
		room = q.limit.Messages - messages - c.messages
	}
	if q.limit.Bytes > 0 {
		roomBytes = q.limit.Bytes - bytes - c.bytes
	}
	more, moreBytes := 1, size
	if q.limit.Overflow == policy.Reject && (more > room || moreBytes > roomBytes) {
		return false
	}
	for q.limit.Overflow == policy.DropOldest && (more > room || moreBytes > roomBytes) {
		x := q.oldest(dropped)
		if x == nil {
			break
		}
		dropped[x] = true
		more--
		moreBytes -= x.size
	}
	c.messages += more
	c.bytes += moreBytes
	return true
}

// oldest is the first one of the lowest priority that nobody has.
func (q *modelQueue) oldest(but map[*kept]bool) (first *kept) {
	for _, x := range q.all {
		if x.with == nil && !but[x] && (first == nil || x.priority < first.priority) {
			first = x
		}
	}
	return first
}

// send is a message on its way to a queue.
type send struct {
	q  *modelQueue
	id SendID
	x  kept
	// known is by what the queue "once" knows the message, "" for nothing.
	known string
}

// repeated reports whether s was sent before.
func (m *model) repeated(s *send) bool {
	return s.id.Producer != "" && m.sent[s.id] || s.known != "" && slices.Contains(s.q.ids, s.known)
}

// publish sends all or nothing. full reports whether their producer has to wait
// then.
func (m *model) publish(all []*send) (ok, full bool) {
	on := map[*modelQueue]*coming{}
	dropped := map[*kept]bool{}
	for _, s := range all {
		if m.repeated(s) {
			continue
		}
		if on[s.q] == nil {
			on[s.q] = &coming{}
		}
		if !m.admit(s.q, s.x.size, on[s.q], dropped) {
			return false, false
		}
	}
	for q, c := range on {
		full = full || q.limit.Overflow == policy.Block && q.limit.Messages > 0 && len(q.all)+c.messages >= q.limit.Messages
		for _, x := range slices.Clone(q.all) {
			if dropped[x] {
				q.remove(x)
			}
		}
	}
	for _, s := range all {
		if m.repeated(s) {
			continue
		}
		if s.id.Producer != "" {
			m.sent[s.id] = true
		}
		if s.known != "" {
			s.q.ids = append(s.q.ids, s.known)
			s.q.ids = s.q.ids[max(0, len(s.q.ids)-s.q.window):]
		}
		m.arrive(s.q, s.x)
	}
	return true, full
}

// pumpAll delivers while there is credit.
func (m *model) pumpAll() {
	for range 2 { // what expires may go to another queue
		for _, q := range m.queues {
			m.pump(q)
		}
	}
}

func (m *model) pump(q *modelQueue) {
	for q.taker != nil && !q.paused && len(q.taker.held) < q.taker.window {
		x := q.next()
		if x == nil {
			return
		}
		if x.expired(m.now) {
			m.end(q, x, true)
			continue
		}
		q.taker.take(x)
	}
}

func (x *kept) expired(now int64) bool { return x.expiry != 0 && x.expiry <= now }

func (q *modelQueue) next() *kept {
	for _, x := range q.all {
		if x.with == nil {
			return x
		}
	}
	return nil
}

func (t *modelTaker) take(x *kept) {
	t.tag++
	t.held[t.tag] = x
	x.with, x.tag = t, t.tag
	t.want = append(t.want, fmt.Sprintf("%s redelivered %d", x.body, x.attempts+x.redeliveries))
}

// back makes x available again.
func (t *modelTaker) back(x *kept) {
	delete(t.held, x.tag)
	x.with, x.inTx = nil, false
}

// settle ends a delivery.
func (m *model) settle(t *modelTaker, x *kept, o Outcome) {
	t.back(x)
	switch o {
	case Accepted:
		t.q.remove(x)
	case Rejected:
		m.end(t.q, x, false)
	case Modified:
		if x.attempts++; x.attempts > t.q.most {
			m.end(t.q, x, false)
		}
	case Released:
	}
}

// grave is where dead letters of a queue go, "" for nowhere.
func grave(q string) string {
	switch {
	case q == "plain":
		return plainGrave
	case strings.HasPrefix(q, "bytes."):
		return ""
	}
	return sharedGrave
}

// end takes x out of its queue as a message that nobody is to get: a dead letter.
func (m *model) end(q *modelQueue, x *kept, expired bool) {
	q.remove(x)
	to := grave(q.name)
	buried := x.dead && x.origin != "" && grave(x.origin) == q.name
	if to == "" || to == q.name || buried || !x.durable {
		return
	}
	dead := *x
	if dead.origin == "" {
		dead.origin = q.name
	}
	dead.dead, dead.expiry, dead.redeliveries = true, 0, 0
	m.add(m.queue(to), dead)
}

// listing is the queue's content as administrators see it: of a priority the
// durable messages first.
func (q *modelQueue) listing() []*kept {
	all := slices.Clone(q.all)
	slices.SortStableFunc(all, func(a, b *kept) int {
		transient := func(x *kept) int {
			if x.durable {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(transient(a), transient(b)), cmp.Compare(a.order, b.order))
	})
	return all
}

// crash leaves what is on disk.
func (m *model) crash() {
	for _, q := range m.queues {
		q.taker = nil
		for _, x := range slices.Clone(q.all) {
			if x.with, x.inTx = nil, false; !x.durable {
				q.remove(x)
			}
		}
	}
}

// transfer is what administrators do with all of a queue or, if it isn't nil,
// with one message. to is nil for a retry and a delete.
func (m *model) transfer(a Action, q *modelQueue, one *kept, to *modelQueue) (done int) {
	var sent []func()
	for _, x := range q.listing() {
		target := to
		if one != nil && x != one || a != Copy && x.with != nil {
			continue
		}
		if a == Retry {
			if x.origin == "" || x.origin == q.name {
				continue
			}
			target = m.queue(x.origin)
		}
		moved := *x
		switch a {
		case Retry:
			moved.origin, moved.redeliveries, moved.dead = "", 0, false
		case Move:
			moved.redeliveries += x.attempts
			if moved.origin == "" {
				moved.origin = q.name
			}
		case Copy, Delete:
		}
		if done++; a != Copy {
			q.remove(x)
		}
		if a != Delete {
			sent = append(sent, func() { m.arrive(target, moved) })
		}
	}
	for _, send := range sent {
		send()
	}
	return done
}
