package broker

import (
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/queue"
)

func newPolicies(o Options) (*policy.Set, error) {
	p := policy.Default()
	p.Durability = o.Durability
	p.Pending.Limit = o.Limits.Pending
	return policy.New(p, o.Policies)
}

// anyPolicy reports whether some entry of the policies says what is looked
// for: so that what nobody uses costs nothing.
func anyPolicy(o Options, says func(*policy.Policy) bool) bool {
	for _, e := range o.Policies {
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
