package broker

import (
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/queue"
)

// CollectOptions say how idle queues are looked for.
type CollectOptions struct {
	Period time.Duration // [10 s]
	Most   int           // queues in a round, 0 for no limit
}

// collector removes queues that nobody uses any more, where a policy says so.
type collector struct {
	b    *Broker
	idle map[*queue.Queue]*idleness // owned by the goroutine
	keep map[message.Destination]struct{}
	done chan struct{}
	once sync.Once
	wg   sync.WaitGroup
}

// idleness is since when a queue has had nothing to do.
type idleness struct {
	counters queue.Counters
	since    time.Time
	seen     bool // in this round
}

func (c *collector) init(b *Broker) {
	c.b, c.idle, c.done = b, make(map[*queue.Queue]*idleness), make(chan struct{})
	c.keep = make(map[message.Destination]struct{})
	for _, d := range b.o.Destinations {
		c.keep[d] = struct{}{}
	}
}

// start starts the goroutine if a policy asks for it.
func (c *collector) start() {
	if anyPolicy(c.b.o.Policies, func(p *policy.Policy) bool { return p.Collect }) {
		c.wg.Go(c.run)
	}
}

func (c *collector) run() {
	tick := time.NewTicker(c.b.o.Collect.Period)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.round(time.Now())
		case <-c.done:
			return
		}
	}
}

func (c *collector) stop() {
	c.once.Do(func() { close(c.done) })
	c.wg.Wait()
}

// round looks at every queue once.
func (c *collector) round(now time.Time) {
	n := 0
	for _, q := range c.b.everyQueue() {
		d := q.Destination()
		if _, keep := c.keep[d]; keep || d.Kind != message.KindQueue || q.ID() == 0 {
			continue
		}
		p := c.b.policies.For(d)
		if !p.Collect || !c.idleSince(q, now, p.CollectAfter) || c.b.limits.expects(q) {
			continue
		}
		if c.b.o.Collect.Most > 0 && n >= c.b.o.Collect.Most {
			break
		}
		n++
		if err := c.b.commitOps("collect "+d.String(), c.b.catalog.op(catalogCollect, d.Name)); err != nil {
			return // the store has failed, or the broker is closing
		}
		c.b.o.Logger.Info("an idle queue is removed", "dest", d.String())
	}
	for q, i := range c.idle {
		if !i.seen {
			delete(c.idle, q)
		}
		i.seen = false
	}
}

// idleSince reports whether q has had nothing to do for so long. A virtual
// topic's queue always has: it waits for what its application must not miss.
func (c *collector) idleSince(q *queue.Queue, now time.Time, long time.Duration) bool {
	s := q.Stats()
	if _, _, virtual := c.b.virtuals.source(q.Destination()); virtual || s.Messages > 0 || s.Consumers > 0 || s.Paused {
		return false
	}
	i := c.idle[q]
	if i == nil || i.counters != s.Counters {
		i = &idleness{counters: s.Counters, since: now}
		c.idle[q] = i
	}
	i.seen = true
	return now.Sub(i.since) >= long
}

// expects reports whether messages are on their way to q.
func (l *limits) expects(q *queue.Queue) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.coming[q].Messages > 0
}

// collect removes a queue without durable messages. It is part of Apply. What
// came to it meanwhile goes on in a new queue.
func (m *machine) collect(d message.Destination) {
	q := m.b.queues.get(d)
	if q == nil || q.ID() == 0 {
		return
	}
	left, ok := q.ApplyCollect()
	if !ok {
		return
	}
	m.delete(q.ID())
	if !left.Empty() {
		left.Move(m.b.ensure(d))
	}
}
