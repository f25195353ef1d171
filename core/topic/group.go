package topic

import (
	"sync/atomic"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
)

// Group is a shared subscription that isn't durable: its consumers compete for
// what a queue in memory holds. What they don't settle goes to others, as with
// any queue. Consumers subscribe to the queue, which is the group's alone.
type Group struct {
	q       *queue.Queue
	filter  queue.Filter
	limits  Limits
	watch   Watcher // nil if nobody wants to know
	dropped atomic.Uint64
}

// NewGroup returns the group that fills q with what filter, which may be nil,
// selects. Of limits, Pending counts: memory is bounded as that of queues. watch
// hears of what is discarded and may be nil.
func NewGroup(q *queue.Queue, filter queue.Filter, limits Limits, watch Watcher) *Group {
	return &Group{q: q, filter: filter, limits: limits, watch: watch}
}

// Queue returns what the consumers subscribe to.
func (g *Group) Queue() *queue.Queue { return g.q }

// Publish implements Listener. Beyond the limit the oldest message of the
// lowest priority goes that no consumer has.
func (g *Group) Publish(m *message.Message) (slow bool) {
	if g.filter != nil && !g.filter.Matches(m) {
		return false
	}
	g.q.EnqueueTransient(m)
	for g.q.Available() > g.limits.Pending {
		pos, _, ok := g.q.HoldOldest()
		if !ok {
			break
		}
		g.q.EndTransient([]uint64{pos})
		g.dropped.Add(1)
		if g.watch != nil {
			g.watch.Discarded(nil)
		}
	}
	return g.full()
}

func (g *Group) full() bool { return g.q.Available() > g.limits.Pending/2 }

// Pressure implements Listener.
func (g *Group) Pressure() (full bool, progress uint64) {
	return g.full(), g.q.Stats().Dispatched
}

// Dropped returns how many messages were discarded because the consumers were
// slow.
func (g *Group) Dropped() uint64 { return g.dropped.Load() }
