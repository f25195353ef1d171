package broker

import (
	"strconv"
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// DeadLetterQueue is where dead letters go for which no policy says otherwise.
var DeadLetterQueue = message.Queue("ActiveMQ.DLQ")

// Properties that a dead letter carries, until it is sent back to where it
// came from. The first three are ActiveMQ's.
const (
	DeadLetterCause        = "dlqDeliveryFailureCause" // why
	DeadLetterExpiration   = "originalExpiration"      // when it would have expired, ms, if ever
	DeadLetterDeliveryMode = "originalDeliveryMode"    // NON_PERSISTENT, if it was
	DeadLetterOrigin       = "dlqOriginalDestination"  // where it was: queue://orders
	DeadLetterSubscription = "dlqOriginalSubscription" // in which durable subscription: client id and name
	DeadLetterCount        = "dlqDeliveryCount"        // how often it was delivered to consumers
	DeadLetterTime         = "dlqTime"                 // when it became a dead letter, ms
)

func isDeadLetterProperty(name string) bool {
	switch name {
	case DeadLetterCause, DeadLetterExpiration, DeadLetterDeliveryMode, DeadLetterOrigin,
		DeadLetterSubscription, DeadLetterCount, DeadLetterTime:
		return true
	}
	return false
}

// Reject implements queue.Broker: messages that nobody is to get go where
// their policy says, in the same record that takes them out of their queue.
func (b *Broker) Reject(q *queue.Queue, ds []queue.Held, reason string, done store.Done, token uint64) {
	var ops []store.Op
	for _, d := range ds {
		ops = b.deadLetter(ops, q, d, reason)
	}
	ops = q.Remove(ops, ds)
	if len(ops) == 0 && done == nil {
		return
	}
	durability := store.Soon
	if done != nil {
		durability = store.Synced
	}
	r := store.Request{Ops: ops, Durability: durability, Done: done, Token: token}
	if len(ops) == 0 {
		r.Ops, r.Durability = nil, store.Lazy
	} else {
		r.Done, r.Token = &rejection{q, ds, done, token}, 0
	}
	b.store.Commit(r)
}

// DeadLetterOps implements queue.Rejecter.
func (b *Broker) DeadLetterOps(ops []store.Op, q *queue.Queue, d queue.Held, reason string) []store.Op {
	return b.deadLetter(ops, q, d, reason)
}

// deadLetter adds what sends d, which is in q, where dead letters go.
func (b *Broker) deadLetter(ops []store.Op, q *queue.Queue, d queue.Held, reason string) []store.Op {
	m := d.Message
	if reason == queue.Expired {
		b.counts.expired.Add(1)
		b.adviseOf(EventExpired, placeOf(q, m), m, 0)
	} else {
		b.counts.rejected.Add(1)
	}
	if isStoredQueue(q) { // a session that wasn't there has missed it: that is no failure
		b.counts.discarded.Add(1)
		return ops
	}
	p := &b.policyOf(q, m).DeadLetter
	from := placeOf(q, m)
	to, ok := p.Target(from, b.subscriptionOf(q))
	switch {
	case !ok, !m.Durable && !p.NonPersistent, reason == queue.Expired && !p.Expired, to == from, b.buried(m),
		message.ValidateName(to.Name) != nil: // prefix and name together are too long
		b.counts.discarded.Add(1)
		return ops
	}
	b.counts.deadLettered.Add(1)
	b.adviseOf(EventDeadLetter, from, m, 0)
	attempts := q.Attempts(d.Pos)
	if reason != queue.Expired {
		attempts++ // the one that ends now
	}
	dead := b.deadCopy(m, from, to, reason, attempts, b.subscriptionOf(q), p.Expiration)
	kind := store.OpTransient
	if b.logged(dead) {
		kind = store.OpPublish
	}
	return append(ops, store.Op{Kind: kind, Msg: dead})
}

// placeOf is where m, which is in q, failed: for a virtual topic's queue that
// queue, so that a retry does not reach the topic's other queues again.
func placeOf(q *queue.Queue, m *message.Message) message.Destination {
	if d := q.Destination(); d.Kind == message.KindQueue {
		return d
	}
	return m.Destination
}

// deadCopy is m as a dead letter.
func (b *Broker) deadCopy(m *message.Message, from, to message.Destination, reason string, attempts uint32, sub string, keep time.Duration) *message.Message {
	now := b.NowMs()
	return m.With(func(e *message.Envelope) {
		props := withoutCause(e.Annotations)
		add := func(name, value string) { props = append(props, message.Annotation{Name: name, Value: value}) }
		add(DeadLetterCause, reason)
		add(DeadLetterOrigin, from.String())
		if sub != "" {
			add(DeadLetterSubscription, sub)
		}
		add(DeadLetterCount, strconv.FormatUint(uint64(attempts)+uint64(e.Redeliveries), 10))
		add(DeadLetterTime, strconv.FormatInt(now, 10))
		if e.Expiry != 0 {
			add(DeadLetterExpiration, strconv.FormatInt(e.Expiry, 10))
		}
		if !e.Durable {
			add(DeadLetterDeliveryMode, "NON_PERSISTENT")
		}
		if e.Origin.IsZero() || from != e.Destination {
			e.Origin = from
		}
		e.Destination, e.ID, e.Annotations = to, b.NewID(), props
		e.Expiry, e.Durable, e.Redeliveries = 0, true, 0
		if keep > 0 {
			e.Expiry = now + keep.Milliseconds()
		}
	})
}

// buried reports whether m is in the place where the policy sent it as a dead
// letter: there is no grave for graves.
func (b *Broker) buried(m *message.Message) bool {
	if m.Origin.IsZero() {
		return false
	}
	sub, dead := "", false
	for _, a := range m.Annotations {
		switch a.Name {
		case DeadLetterCause:
			dead = true
		case DeadLetterSubscription:
			sub = a.Value
		}
	}
	if !dead {
		return false
	}
	to, ok := b.policies.For(m.Origin).DeadLetter.Target(m.Origin, sub)
	return ok && to == m.Destination
}

// subscriptionOf names the durable subscription that q is, "" if it is none.
func (b *Broker) subscriptionOf(q *queue.Queue) string {
	if !q.Destination().Kind.IsTopic() {
		return ""
	}
	spec, err := parseDurable(q.Extra)
	if err != nil {
		return ""
	}
	// What would make the name of a destination a pattern or a composite is
	// not taken over.
	name := spec.Name
	if !spec.global() {
		name = spec.ClientID + "." + name
	}
	return strings.NewReplacer(",", "_", "*", "_", ">", "_").Replace(name)
}
