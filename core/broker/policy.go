package broker

import (
	"sync/atomic"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/queue"
)

// livePolicies are the policies in force.
type livePolicies struct{ set atomic.Pointer[policy.Set] }

// For returns what holds for d.
func (p *livePolicies) For(d message.Destination) *policy.Policy { return p.set.Load().For(d) }

// SetPolicies puts others in the place of the policies, all or, with an
// error, none. Settings that concern consumers hold for those that come later,
// and those of message groups for queues that had none yet. Collecting idle
// queues and remembering messages of topics begin with the broker if some
// policy asks for it, and not later.
func (b *Broker) SetPolicies(entries []policy.Entry) error {
	p := policy.Default()
	p.Durability, p.Pending.Limit = b.o.Durability, b.o.Limits.Pending
	set, err := policy.New(p, entries)
	if err != nil {
		return err
	}
	b.policies.set.Store(set)
	b.limits.on.Store(anyPolicy(entries, func(p *policy.Policy) bool { return p.Limit.Messages > 0 || p.Limit.Bytes > 0 }))
	b.watchful.Store(anyPolicy(entries, func(p *policy.Policy) bool { return p.Duplicates.Window > 0 }))
	b.deliberate.Store(anyPolicy(entries, func(p *policy.Policy) bool { return p.NoAutoCreate }))
	return nil
}

// anyPolicy reports whether some entry says what is looked for.
func anyPolicy(entries []policy.Entry, says func(*policy.Policy) bool) bool {
	for _, e := range entries {
		p := policy.Default()
		if e.Apply(&p); says(&p) {
			return true
		}
	}
	return false
}

// Policy returns what holds for a destination. The caller must not change it.
func (b *Broker) Policy(d message.Destination) *policy.Policy { return b.policies.For(d) }

// Prefetch returns how many unsettled deliveries a consumer of d gets that
// doesn't say: of a composite, what its first component says.
func (b *Broker) Prefetch(d message.Destination, durable, browse bool) uint32 {
	if ds, err := d.Components(); err == nil {
		d = ds[0]
	}
	p := &b.policies.For(d).Prefetch
	n := p.Queue
	switch {
	case browse:
		n = p.Browser
	case durable:
		n = p.Durable
	case d.Kind.IsTopic():
		n = p.Topic
	}
	return uint32(n)
}

// GroupSettings implements queue.Broker.
func (b *Broker) GroupSettings(q *queue.Queue) queue.GroupSettings {
	return queue.GroupSettings(b.policies.For(q.Destination()).Groups)
}

// StartSettings implements queue.Broker.
func (b *Broker) StartSettings(q *queue.Queue) queue.StartSettings {
	return queue.StartSettings(b.policies.For(q.Destination()).Start)
}

// policyOf returns what holds for the messages of q. m is one of them: for a
// durable subscription its topic counts, not the pattern.
func (b *Broker) policyOf(q *queue.Queue, m *message.Message) *policy.Policy {
	if d := q.Destination(); d.Kind.IsQueue() {
		return b.policies.For(d)
	}
	return b.policies.For(m.Destination)
}
