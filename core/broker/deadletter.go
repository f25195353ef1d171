package broker

import (
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// DeadLetterQueue is where persistent messages go that were rejected, or that
// expired.
var DeadLetterQueue = message.Queue("ActiveMQ.DLQ")

// Properties that a dead letter carries.
const (
	DeadLetterCause = "dlqDeliveryFailureCause" // ActiveMQ's name
)

// Reject implements queue.Broker: messages that nobody is to get go to the
// dead-letter queue in the same record that takes them out of theirs;
// non-persistent ones, and those that are dead letters already, are dropped.
func (b *Broker) Reject(q *queue.Queue, ds []queue.Held, reason string, done store.Done, token uint64) {
	ops := q.Remove(nil, ds)
	for _, d := range ds {
		ops = b.deadLetter(ops, d.Message, reason)
	}
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
	}
	b.store.Commit(r)
}

// DeadLetterOps implements queue.Rejecter.
func (b *Broker) DeadLetterOps(ops []store.Op, m *message.Message) []store.Op {
	return b.deadLetter(ops, m, queue.RejectedByConsumer)
}

// deadLetter adds what sends m to the dead-letter queue.
func (b *Broker) deadLetter(ops []store.Op, m *message.Message, reason string) []store.Op {
	if reason == queue.Expired {
		b.counts.expired.Add(1)
	} else {
		b.counts.rejected.Add(1)
	}
	if !m.Durable || m.Destination == DeadLetterQueue {
		b.counts.discarded.Add(1)
		return ops
	}
	b.counts.deadLettered.Add(1)
	dead := m.With(func(e *message.Envelope) {
		if e.Origin.IsZero() {
			e.Origin = e.Destination
		}
		e.Destination = DeadLetterQueue
		e.ID = b.NewID()
		e.Expiry = 0
		e.Annotations = append(append([]message.Annotation(nil), e.Annotations...),
			message.Annotation{Name: DeadLetterCause, Value: reason})
	})
	return append(ops, store.Op{Kind: store.OpPublish, Msg: dead})
}
