package broker

import (
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/core/latency"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

type counts struct {
	connects, published, rejected, expired, deadLettered, discarded atomic.Uint64
	duplicates, denied, unauthenticated, aborted                    atomic.Uint64

	delivering latency.Histogram // of sampled deliveries
}

// Stats are the broker's figures at a moment; counters count since its start.
type Stats struct {
	Sessions, Queues, Durables, Consumers      int
	Shared                                     int // shared subscriptions that aren't durable
	WaitingProducers                           int
	Messages, InFlight                         int
	MemoryUsed, MemoryLimit                    int64
	Connects, Published                        uint64
	Enqueued, Delivered, Acknowledged          uint64
	Expired, Rejected, DeadLettered, Discarded uint64
	Duplicates                                 uint64 // sends that were made before
	Denied, Unauthenticated                    uint64 // refused operations, refused connections
	Aborted                                    uint64 // consumers that were too slow
	Store                                      store.Stats
	// Delivering is how long messages waited from their timestamp, which their
	// publisher may have set by its own clock, until they were first delivered:
	// of each consumer one delivery in 16.
	Delivering latency.Snapshot
	ByProtocol map[string]int // sessions
}

// Stats returns the broker's figures. It visits every queue.
func (b *Broker) Stats() Stats {
	s := Stats{
		MemoryUsed: b.budget.Used(), MemoryLimit: b.budget.Limit(), WaitingProducers: b.flow.waitingProducers(),
		Connects: b.counts.connects.Load(), Published: b.counts.published.Load(), Expired: b.counts.expired.Load(),
		Rejected: b.counts.rejected.Load(), DeadLettered: b.counts.deadLettered.Load(), Discarded: b.counts.discarded.Load(),
		Aborted: b.counts.aborted.Load(), Duplicates: b.counts.duplicates.Load(),
		Denied: b.counts.denied.Load(), Unauthenticated: b.counts.unauthenticated.Load(),
		Delivering: b.counts.delivering.Snapshot(), Store: b.store.Stats(), ByProtocol: make(map[string]int),
	}
	b.mu.Lock()
	s.Sessions = len(b.sessions)
	for x := range b.sessions {
		s.ByProtocol[x.req.Protocol]++
	}
	b.mu.Unlock()
	for _, q := range b.everyQueue() {
		qs := q.Stats()
		s.Messages += qs.Messages
		s.InFlight += qs.InFlight
		s.Consumers += qs.Consumers
		s.Enqueued += qs.Enqueued
		s.Delivered += qs.Dispatched
		s.Acknowledged += qs.Dequeued
	}
	b.queues.mu.RLock()
	s.Durables = len(b.queues.durables)
	b.queues.mu.RUnlock()
	s.Shared = b.shares.count()
	s.Queues = len(b.everyQueue()) - s.Durables - s.Shared
	return s
}

// delivering counts how long a message waited that is about to be delivered.
func (b *Broker) delivering(m *message.Message) {
	if m.Timestamp > 0 {
		b.counts.delivering.Observe(time.Duration(b.NowMs()-m.Timestamp) * time.Millisecond)
	}
}

// everyQueue returns all queues, those of durable and of shared subscriptions
// too.
func (b *Broker) everyQueue() []*queue.Queue {
	b.queues.mu.RLock()
	defer b.queues.mu.RUnlock()
	all := make([]*queue.Queue, 0, len(b.queues.byName)+len(b.queues.durables))
	for _, q := range b.queues.byName {
		if q != nil {
			all = append(all, q)
		}
	}
	for _, d := range b.queues.durables {
		all = append(all, d.queue)
	}
	return b.shares.appendQueues(b.stored.appendQueues(all))
}
