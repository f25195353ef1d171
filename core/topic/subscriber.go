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

// Subscriber is a non-durable subscription to a topic or a pattern.
type Subscriber struct {
	c      *queue.Consumer
	filter queue.Filter
	limits Limits

	mu      sync.Mutex
	pending []*message.Message // oldest first, from head on
	head    int
	bytes   int
	extra   int // of pending: recovered messages, which no limit drops
	ended   bool
	dropped uint64
	moved   uint64 // deliveries that pending messages made: progress
}

// NewSubscriber returns the subscription that feeds c.
func NewSubscriber(c *queue.Consumer, filter queue.Filter, limits Limits) *Subscriber {
	s := &Subscriber{c: c, filter: filter, limits: limits}
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
	if s.ended || s.waiting() == 0 && s.c.Offer(m, s.limits.Unsettled) {
		return false
	}
	s.pending = append(s.pending, m)
	s.bytes += m.Size()
	for s.waiting()-s.extra > s.limits.Pending || s.extra == 0 && s.bytes > s.limits.Unsettled && s.waiting() > 1 {
		s.drop()
	}
	return s.full()
}

// drop discards the oldest message that is not a recovered one.
func (s *Subscriber) drop() {
	s.dropped++
	if s.extra == 0 {
		s.pop()
		return
	}
	at := s.head + s.extra
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
// However many there are, none is dropped.
func (s *Subscriber) Recover(msgs []*message.Message) {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	for _, m := range msgs {
		if s.filter == nil || s.filter.Matches(m) {
			s.pending = append(s.pending, m)
			s.bytes += m.Size()
			s.extra++
		}
	}
	s.mu.Unlock()
	s.Dispatch()
}

// Dispatch implements queue.Feeder.
func (s *Subscriber) Dispatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.waiting() > 0 && s.c.Offer(s.pending[s.head], s.limits.Unsettled) {
		s.pop()
		s.moved++
	}
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
