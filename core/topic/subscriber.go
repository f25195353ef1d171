package topic

import (
	"slices"
	"sync"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
)

// Limits of a non-durable subscription: what waits beyond the consumer's
// credit.
type Limits struct {
	Pending   int // messages; when exceeded the oldest is dropped
	Unsettled int // bytes that may be with the consumer at a time
}

// DefaultLimits are ActiveMQ's shipped constant pending limit, and a bound on
// what one slow reader can pin in memory.
var DefaultLimits = Limits{Pending: 1000, Unsettled: 16 << 20}

// Options describe a non-durable subscription.
type Options struct {
	Filter queue.Filter // nil for everything
	Limits Limits
	Evict  Evictor // nil discards the oldest
	Watch  Watcher // nil if nobody wants to know
	// Held keeps what is published until Recover has brought what was before.
	Held bool
}

// Watcher gets to know how a subscription fares. It is called with locks held
// and only takes a note.
type Watcher interface {
	// Discarded says that m was, because the consumer is slow. m is nil where
	// it isn't in memory.
	Discarded(m *message.Message)
	// Slow says that more than half of what may wait waits now, for the first
	// time since nothing did.
	Slow()
}

// Subscriber is a non-durable subscription to a topic or a pattern.
type Subscriber struct {
	c      *queue.Consumer
	filter queue.Filter
	limits Limits
	evict  Evictor
	watch  Watcher

	mu      sync.Mutex
	held    bool
	slow    bool               // Watcher.Slow was called, and since then something waited
	pending []*message.Message // oldest first, from head on
	head    int
	bytes   int
	extra   int // of pending: recovered messages, which no limit drops
	ended   bool
	dropped uint64
	moved   uint64 // deliveries that pending messages made: progress
}

// NewSubscriber returns the subscription that feeds c.
func NewSubscriber(c *queue.Consumer, o Options) *Subscriber {
	s := &Subscriber{c: c, filter: o.Filter, limits: o.Limits, evict: o.Evict, watch: o.Watch, held: o.Held}
	if !c.AddFeeder(s) {
		s.ended = true
	}
	return s
}

// Publish delivers m, or keeps it until there is credit. slow says that more
// than half of what may wait is waiting: producers that can wait should.
func (s *Subscriber) Publish(m *message.Message) (slow bool) {
	if s.filter != nil && !s.filter.Matches(m) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.waiting() == 0 && !s.held && s.c.Offer(m, s.limits.Unsettled) {
		return false
	}
	s.pending = append(s.pending, m)
	s.bytes += m.Size()
	for s.waiting()-s.extra > s.limits.Pending || s.extra == 0 && s.bytes > s.limits.Unsettled && s.waiting() > 1 {
		s.drop()
	}
	slow = s.full()
	if slow && !s.slow && s.watch != nil {
		s.slow = true
		s.watch.Slow()
	}
	return slow
}

// drop discards a message that is not a recovered one.
func (s *Subscriber) drop() {
	s.dropped++
	at := s.head + s.extra
	if s.evict != nil {
		at += s.evict.Victim(s.pending[at:])
	}
	if s.watch != nil {
		s.watch.Discarded(s.pending[at])
	}
	if at == s.head {
		s.pop()
		return
	}
	s.bytes -= s.pending[at].Size()
	s.pending = slices.Delete(s.pending, at, at+1)
}

func (s *Subscriber) waiting() int { return len(s.pending) - s.head }

func (s *Subscriber) full() bool {
	return s.waiting()-s.extra > s.limits.Pending/2 || s.bytes > s.limits.Unsettled/2
}

// pop removes the oldest waiting message.
func (s *Subscriber) pop() {
	s.bytes -= s.pending[s.head].Size()
	s.extra = max(0, s.extra-1)
	s.pending[s.head] = nil
	if s.head++; s.head == len(s.pending) {
		s.pending, s.head = s.pending[:0], 0
		if cap(s.pending) > 256 {
			s.pending = nil
		}
	} else if s.head > 512 && s.head > len(s.pending)/2 {
		n := copy(s.pending, s.pending[s.head:])
		clear(s.pending[n:])
		s.pending, s.head = s.pending[:n], 0
	}
}

// Recover delivers what the topic remembers from before the subscription.
// However many there are, none is dropped. What was published since is
// delivered behind them, and once if it is among them.
func (s *Subscriber) Recover(msgs []*message.Message) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	since := slices.Clone(s.pending[s.head:])
	s.pending, s.head, s.bytes, s.extra, s.held = s.pending[:0], 0, 0, 0, false
	seen := make(map[*message.Message]struct{}, len(msgs))
	for _, m := range msgs {
		seen[m] = struct{}{}
		if s.filter == nil || s.filter.Matches(m) {
			s.pending = append(s.pending, m)
			s.bytes += m.Size()
			s.extra++
		}
	}
	for _, m := range since {
		if _, ok := seen[m]; !ok {
			s.pending = append(s.pending, m)
			s.bytes += m.Size()
		}
	}
	s.mu.Unlock()
	s.Dispatch()
}

// Dispatch implements queue.Feeder.
func (s *Subscriber) Dispatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held {
		return
	}
	for s.waiting() > 0 && s.c.Offer(s.pending[s.head], s.limits.Unsettled) {
		s.pop()
		s.moved++
	}
	s.slow = s.slow && s.waiting() > 0
}

// Waits implements queue.Feeder.
func (s *Subscriber) Waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full()
}

// Detach implements queue.Feeder.
func (s *Subscriber) Detach(*queue.Consumer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.pending, s.head, s.bytes = true, nil, 0, 0
}

// Pressure reports whether producers should wait for this subscription, and a
// number that changes as it makes progress: one that doesn't is not waited for.
func (s *Subscriber) Pressure() (full bool, progress uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full(), s.moved
}

// Dropped returns how many messages were discarded because the consumer was
// slow.
func (s *Subscriber) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}
