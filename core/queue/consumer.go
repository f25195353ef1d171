package queue

import (
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
)

// Outcome is what a consumer says of a delivery.
type Outcome uint8

// The outcomes.
const (
	Accepted Outcome = iota // it was consumed: remove it
	Rejected                // it never will be: dead-letter it
	Released                // it was not looked at: give it to anyone, as if it had not been delivered
	Modified                // the attempt failed: deliver it again, counted and marked as redelivered
)

// Delivery is one message on its way to one consumer.
type Delivery struct {
	Consumer     *Consumer
	Message      *message.Message // nil with BrowseEnd
	Tag          uint64           // names the delivery to Consumer.Settle; rises by one with each delivery of a consumer, from 1
	Pos          uint64           // where a queue keeps it, the same for each delivery of a message; 0 if none does
	Redeliveries uint32           // earlier deliveries that were not accepted, over all consumers
	Redelivered  bool             // it may have been seen before
	BrowseEnd    bool             // a browser has seen all: nothing follows
	// At is the queue that the message waited in, where that is not its
	// destination: a virtual topic's. Nil otherwise. It must not be changed.
	At         *message.Destination
	GroupFirst bool // the consumer has become the owner of the message's group
}

// Target takes deliveries: the connection. Deliver must not block nor call
// back; it runs under the locks of the queue and the consumer.
type Target interface {
	Deliver(d Delivery)
}

// Feeder is where a consumer's messages come from: a queue, or a topic's
// subscriber.
type Feeder interface {
	// Dispatch delivers what is there while there is credit.
	Dispatch()
	// Detach ends the feeding of c.
	Detach(c *Consumer)
	// Waits reports whether so much waits that a consumer without credit is
	// too slow.
	Waits() bool
}

// Broker is what queues and consumers need of the broker around them. Its
// methods are called without locks held.
type Broker interface {
	// Commit queues a change for the log.
	Commit(r store.Request)
	// Reject ends messages that were refused: by the dead-letter policy of q.
	Reject(q *Queue, d []Held, reason string, done store.Done, token uint64)
	// Load has q.LoadPage called in the background.
	Load(q *Queue, lane uint8, seq uint64)
	// Pressed says that memory is tight: Relieve should be called on the
	// queues. It is called with locks held, possibly for each message, and
	// only takes a note.
	Pressed()
	// Unsummed says that q.Summarize should be called in the background, until
	// it is done. Like Pressed it only takes a note.
	Unsummed(q *Queue)
	// GroupSettings says how q serves message groups, and StartSettings when
	// it begins to serve. They only look it up: they are called with locks held.
	GroupSettings(q *Queue) GroupSettings
	StartSettings(q *Queue) StartSettings
	// Converters reads messages' properties.
	Converters() message.Converters
	// NowMs is the time in milliseconds since the Unix epoch.
	NowMs() int64
	// FateOf decides on a message of q whose delivery failed for the nth time.
	FateOf(q *Queue, m *message.Message, n uint32) Fate
	// DelayOp is the op by which q.ApplyDelay is called, and when due has come
	// q.GiveBack.
	DelayOp(q *Queue, pos uint64, n uint32, due int64) store.Op
	// Delay calls q.GiveBack for a message that the log doesn't know when due
	// has come.
	Delay(q *Queue, pos uint64, due int64)
}

// Held is a message that a consumer holds, or that was taken out of
// circulation for it to be ended.
type Held struct {
	Pos     uint64
	Message *message.Message
}

// ErrNoDelivery is returned for a tag that names no unsettled delivery.
var ErrNoDelivery = errors.New("no such unsettled delivery")

// Consumer receives messages for one subscription. Its methods may be called
// from any goroutine.
type Consumer struct {
	// Ref is the protocol's own.
	Ref any

	// Immutable.
	broker  Broker
	target  Target
	window  uint32 // 0: credit comes from Grant
	browse  bool
	onClose func()
	accepts func(q *Queue, m *message.Message) // ConsumerOptions.OnAccept
	sampled func(m *message.Message)           // ConsumerOptions.OnSample

	mu        sync.Mutex
	credit    uint32 // without window
	limit     uint32 // of unsettled without window, 0: none
	draining  atomic.Bool
	started   bool
	closed    bool
	open      atomic.Bool // ready: read without mu, by queues that look for a consumer
	browsing  int         // queues that have not been seen to their end, or may still be added
	unsettled uint32
	last      uint64 // tag of the latest delivery
	held      heldRing
	loose     int // bytes of unsettled deliveries that nobody keeps
	feeders   []Feeder
}

// ConsumerOptions describe a consumer.
type ConsumerOptions struct {
	Window  uint32
	Limit   uint32 // without Window: unsettled deliveries at most, whatever credit there is; 0 for any number
	Paused  bool
	Browse  bool
	Ref     any
	Target  Target
	OnClose func() // runs once, when the consumer is closed
	// OnAccept hears of each message that the consumer accepts from a queue; nil
	// if nobody wants to know.
	OnAccept func(q *Queue, m *message.Message)
	// OnSample hears of one of sampleEvery deliveries, redeliveries and what
	// browsers see left out, just before it is made; nil if nobody wants to
	// know. It is called with locks held and only counts.
	OnSample func(m *message.Message)
}

// sampleEvery is how many deliveries of a consumer there are to one of which
// OnSample hears. The consumer's first is one of those.
const sampleEvery = 16

// NewConsumer returns a consumer that nothing feeds yet.
func NewConsumer(b Broker, o ConsumerOptions) *Consumer {
	c := &Consumer{
		Ref: o.Ref, broker: b, target: o.Target, window: o.Window, limit: o.Limit, browse: o.Browse,
		started: !o.Paused, onClose: o.OnClose, accepts: o.OnAccept, sampled: o.OnSample,
	}
	if o.Paused {
		c.browsing = 1 // until Start
	}
	c.noted()
	return c
}

// AddFeeder makes f a source of c's messages. A closed consumer refuses. f
// is detached when c is closed; if that can come before f knows c, f has to
// ask Closed with its own lock held.
func (c *Consumer) AddFeeder(f Feeder) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.feeders = append(c.feeders, f)
	return true
}

// Closed reports whether c has ended: it is never ready again.
func (c *Consumer) Closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Grant adds credit to a consumer without window.
func (c *Consumer) Grant(credit uint32) {
	c.mu.Lock()
	c.credit += min(credit, math.MaxUint32-c.credit)
	c.noted()
	c.mu.Unlock()
	c.feed()
}

// Start lets a consumer that was made paused receive.
func (c *Consumer) Start() {
	c.mu.Lock()
	if c.browse && !c.started {
		c.browsed() // no more queues follow
	}
	c.started = true
	c.noted()
	c.mu.Unlock()
	c.feed()
}

// feed has every source look at c's new credit.
func (c *Consumer) feed() {
	c.mu.Lock()
	feeders := c.feeders // only ever replaced or appended to
	c.mu.Unlock()
	for _, f := range feeders {
		f.Dispatch()
	}
}

// ready reports whether c can take a message now. Called with c.mu held.
func (c *Consumer) ready() bool {
	switch {
	case !c.started || c.closed:
		return false
	case c.window > 0:
		return c.unsettled < c.window
	}
	return c.credit > 0 && (c.limit == 0 || c.unsettled < c.limit)
}

// Ready reports whether c can take a message now.
func (c *Consumer) Ready() bool { return c.open.Load() }

// noted follows each change of what ready depends on. Called with c.mu held.
func (c *Consumer) noted() { c.open.Store(c.ready()) }

// spend uses up credit for the delivery of h, which is numbered.
func (c *Consumer) spend(h held) (tag uint64) {
	c.unsettled++
	if c.window == 0 {
		c.credit--
	}
	c.last++
	c.held.push(h)
	if h.q == nil {
		c.loose += int(h.pos)
	}
	c.noted()
	return c.last
}

// end notes that h is settled.
func (c *Consumer) end(h held) {
	c.unsettled--
	if h.q == nil {
		c.loose -= int(h.pos)
	}
	c.noted()
}

// unend takes end back.
func (c *Consumer) unend(h held) {
	c.unsettled++
	if h.q == nil {
		c.loose += int(h.pos)
	}
	c.noted()
}

// deliver hands over what q holds at pos, if there is credit. first says that
// c becomes the owner of m's group.
func (c *Consumer) deliver(q *Queue, pos uint64, m *message.Message, attempts uint32, first bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready() {
		return false
	}
	c.hand(q, held{q: q, pos: pos, msg: m}, m, attempts, first)
	return true
}

// show hands over a copy of what a queue keeps.
func (c *Consumer) show(q *Queue, m *message.Message, attempts uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready() {
		return false
	}
	c.hand(q, held{pos: uint64(m.Size())}, m, attempts, false)
	return true
}

func (c *Consumer) hand(q *Queue, h held, m *message.Message, attempts uint32, first bool) {
	d := Delivery{
		Consumer: c, Message: m, Tag: c.spend(h), Redeliveries: attempts + m.Redeliveries, Redelivered: attempts > 0,
		GroupFirst: first,
	}
	if m.Destination.Kind == message.KindTopic && q.dest.Kind == message.KindQueue {
		d.At = &q.dest
	}
	if h.q != nil {
		d.Pos = h.pos
	}
	if c.samples(d.Tag) && !d.Redelivered && h.q != nil {
		c.sampled(m)
	}
	c.target.Deliver(d)
}

// Offer hands over a message that is kept nowhere: settling it only gives
// the credit back. No more than maxBytes may be unsettled.
func (c *Consumer) Offer(m *message.Message, maxBytes int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready() || c.loose > maxBytes {
		return false
	}
	d := Delivery{Consumer: c, Message: m, Tag: c.spend(held{pos: uint64(m.Size())})}
	if c.samples(d.Tag) {
		c.sampled(m)
	}
	c.target.Deliver(d)
	return true
}

// samples reports whether the delivery of that tag is one of those that are
// measured: each consumer's first one, and then one of sampleEvery.
func (c *Consumer) samples(tag uint64) bool { return tag%sampleEvery == 1 && c.sampled != nil }

// beginBrowse says that one more queue is to be seen.
func (c *Consumer) beginBrowse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.browsing++
}

// endBrowse says that one queue was seen to its end.
func (c *Consumer) endBrowse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.browsed()
}

// browsed tells a browser once that it has seen all of its queues. Called
// with c.mu held.
func (c *Consumer) browsed() {
	if c.browsing--; c.browsing == 0 && !c.closed {
		c.target.Deliver(Delivery{Consumer: c, BrowseEnd: true})
	}
}

// Settle ends one delivery. done may be nil: then nobody is told. For an
// unknown or settled tag it returns ErrNoDelivery, and done is not called.
func (c *Consumer) Settle(tag uint64, o Outcome, done store.Done, token uint64) error {
	c.mu.Lock()
	h, ok := c.held.take(tag, heldOpen, heldSettled)
	if ok {
		c.end(h)
	}
	c.mu.Unlock()
	if !ok {
		return ErrNoDelivery
	}
	c.finish(h, o, done, token)
	c.feed()
	return nil
}

// SettleThrough ends all unsettled deliveries up to and including tag. With
// nothing to settle it returns ErrNoDelivery.
func (c *Consumer) SettleThrough(tag uint64, o Outcome, done store.Done, token uint64) error {
	c.mu.Lock()
	if n, bytes, ok := c.held.settleLoose(tag); ok {
		c.unsettled -= uint32(n)
		c.loose -= bytes
		c.noted()
		c.mu.Unlock()
		if n == 0 {
			return ErrNoDelivery
		}
		tell(c.broker, done, token) // whatever the outcome: nobody keeps the messages
		c.feed()
		return nil
	}
	var buf [16]taken
	all := c.held.takeThrough(buf[:0], tag, heldSettled)
	for _, t := range all {
		c.end(t.held)
	}
	c.mu.Unlock()
	switch len(all) {
	case 0:
		return ErrNoDelivery
	case 1:
		c.finish(all[0].held, o, done, token)
	default:
		if o == Modified {
			c.retryAll(all, done, token)
			break
		}
		c.finishAll(all, o, done, token)
	}
	c.feed()
	return nil
}

// Retry ends one delivery as Modified, but with a delay of its own before the
// next one, in milliseconds, instead of the policy's.
func (c *Consumer) Retry(tag uint64, delay int64, done store.Done, token uint64) error {
	c.mu.Lock()
	h, ok := c.held.take(tag, heldOpen, heldSettled)
	if ok {
		c.end(h)
	}
	c.mu.Unlock()
	if !ok {
		return ErrNoDelivery
	}
	if h.q == nil {
		tell(c.broker, done, token)
	} else {
		h.q.retry(h, delay, done, token)
	}
	c.feed()
	return nil
}

// retryAll is what Modified means for several deliveries: each is its
// policy's to decide. Those that go out again at once come back together, so
// that they do in their old order; their record is the last one and tells
// done, since records complete in order.
func (c *Consumer) retryAll(all []taken, done store.Done, token uint64) {
	back := all[:0]
	for _, t := range all {
		if t.q != nil {
			if _, fate := t.q.fate(t.held, -1); fate.Dead || fate.Due != 0 {
				t.q.retry(t.held, -1, nil, 0)
				continue
			}
		}
		back = append(back, t)
	}
	if len(back) == 0 {
		if done != nil {
			c.broker.Commit(store.Request{Durability: store.Synced, Done: done, Token: token})
		}
		return
	}
	c.finishAll(back, Modified, done, token)
}

// Close ends the consumer. Its unsettled deliveries go to others, marked as
// redelivered.
func (c *Consumer) Close() { c.close(math.MaxUint64) }

// CloseAfter ends the consumer as Close does, but what it was given after the
// delivery with that tag counts as not delivered: nobody has looked at it.
func (c *Consumer) CloseAfter(seen uint64) { c.close(seen) }

func (c *Consumer) close(seen uint64) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	feeders := c.feeders
	c.feeders = nil
	looked := c.held.takeThrough(nil, min(seen, c.last), heldSettled)
	unseen := c.held.takeThrough(nil, c.last, heldSettled)
	c.unsettled, c.loose = 0, 0
	c.noted()
	c.mu.Unlock()
	for _, f := range feeders {
		f.Detach(c)
	}
	if len(looked) > 0 {
		c.finishAll(looked, Modified, nil, 0)
	}
	if len(unseen) > 0 {
		c.finishAll(unseen, Released, nil, 0)
	}
	if c.onClose != nil {
		c.onClose()
	}
}

// Unsettled returns how many deliveries are unsettled.
func (c *Consumer) Unsettled() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.unsettled)
}

// finish carries out the outcome of one delivery.
func (c *Consumer) finish(h held, o Outcome, done store.Done, token uint64) {
	if h.q == nil {
		tell(c.broker, done, token)
		return
	}
	switch o {
	case Accepted:
		if c.accepts != nil {
			c.accepts(h.q, h.msg)
		}
		h.q.accept(h.pos, done, token)
	case Rejected:
		c.broker.Reject(h.q, []Held{{h.pos, h.msg}}, RejectedByConsumer, done, token)
	case Released:
		h.q.release(h.pos)
		tell(c.broker, done, token)
	case Modified:
		h.q.retry(h, -1, done, token)
	}
}

// tell completes done, if there is one, in its turn: the log has nothing to
// know of what was done.
func tell(b Broker, done store.Done, token uint64) {
	if done != nil {
		b.Commit(store.Request{Durability: store.Lazy, Done: done, Token: token})
	}
}

// finishAll carries out the outcome of several deliveries as one record, or
// for rejected ones as one for each queue.
func (c *Consumer) finishAll(all []taken, o Outcome, done store.Done, token uint64) {
	if o == Rejected {
		c.rejectAll(all, done, token)
		return
	}
	if c.accepts != nil && o == Accepted {
		for _, t := range all {
			if t.q != nil {
				c.accepts(t.q, t.msg)
			}
		}
	}
	if ops := settleOps(nil, all, o); len(ops) > 0 {
		c.broker.Commit(store.Request{Ops: ops, Durability: ackDurability(done), Done: done, Token: token})
		return
	}
	tell(c.broker, done, token)
}

// rejectAll rejects the deliveries of each queue; the last one's record tells
// done, since records complete in order.
func (c *Consumer) rejectAll(all []taken, done store.Done, token uint64) {
	groups := byQueue(all)
	for i, g := range groups {
		ds := make([]Held, len(g))
		for k, t := range g {
			ds[k] = Held{t.pos, t.msg}
		}
		if i == len(groups)-1 {
			c.broker.Reject(g[0].q, ds, RejectedByConsumer, done, token)
			return
		}
		c.broker.Reject(g[0].q, ds, RejectedByConsumer, nil, 0)
	}
	tell(c.broker, done, token)
}

// byQueue sorts out whose deliveries these are. Those that no queue keeps are
// left out.
func byQueue(all []taken) (groups [][]taken) {
	if q := all[0].q; q != nil && !slices.ContainsFunc(all, func(t taken) bool { return t.q != q }) {
		return [][]taken{all}
	}
	at := make(map[*Queue]int)
	for _, t := range all {
		if t.q == nil {
			continue
		}
		i, ok := at[t.q]
		if !ok {
			i = len(groups)
			at[t.q] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], t)
	}
	return groups
}

// settleOps carries out o for transient messages at once, and returns what
// the log has to know of durable ones.
func settleOps(ops []store.Op, all []taken, o Outcome) []store.Op {
	for _, g := range byQueue(all) {
		ops = g[0].q.settle(ops, g, o)
	}
	return ops
}

// appendAck adds an acknowledgement, to the op before it if it continues it.
func appendAck(ops []store.Op, queue, pos uint64) []store.Op {
	if n := len(ops); n > 0 {
		if last := &ops[n-1]; last.Kind == store.OpAck && last.Queue == queue && last.Pos+uint64(last.N)+1 == pos {
			last.N++
			return ops
		}
	}
	return append(ops, store.Op{Kind: store.OpAck, Queue: queue, Pos: pos})
}

// ackDurability: whoever asked to be told waits for the disk; other
// acknowledgements ride along, since losing one means a redelivery.
func ackDurability(done store.Done) store.Durability {
	if done != nil {
		return store.Synced
	}
	return store.Soon
}
