package broker

import (
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
)

// Send publishes messages for an administrator, all or none, and waits until
// they are safe; what has a schedule is kept for its time. A queue that doesn't
// exist is made if create is given. Nobody is kept waiting for room: what a
// queue with a limit doesn't take at once is an error.
func (b *Broker) Send(create bool, msgs ...*message.Message) error {
	for _, m := range msgs {
		if err := b.maySendForAdmin(m, create); err != nil {
			return err
		}
	}
	if _, wait := b.pressure(); wait {
		return fail(CodeFull, "send", "memory or disk are short of room for messages: try again later")
	}
	b.counts.published.Add(uint64(len(msgs)))
	msgs = b.forwards.expand(msgs)
	if !b.limits.on.Load() {
		return b.commitOps("send", b.publishOps(nil, msgs)...)
	}
	return b.sendThrough(msgs)
}

func (b *Broker) maySendForAdmin(m *message.Message, create bool) error {
	op := "send to " + m.Destination.String()
	switch d := m.Destination; {
	case d.IsZero() || d.Kind.IsTemp():
		return fail(CodeInvalid, "send", "no queue and no topic is named")
	case len(m.Raw()) > b.o.MaxMessage:
		return fail(CodeTooLarge, op, "the message has %d bytes, the limit is %d (limits.maxMessage)", len(m.Raw()), b.o.MaxMessage)
	case isSystem(d) || isAdvisory(d):
		return fail(CodeForbidden, op, "only the broker publishes there")
	case d.Kind.IsQueue() && !create && b.queues.get(d) == nil:
		return fail(CodeNotFound, op, "the queue does not exist; create it first, or ask for that")
	}
	if err := checkName(op, m.Destination.Name); err != nil {
		return err
	}
	return b.schedules.check(m)
}

// sendThrough sends msgs to queues some of which have limits.
func (b *Broker) sendThrough(msgs []*message.Message) error {
	now := make([]*message.Message, 0, len(msgs)) // what is scheduled meets the limit when it is sent
	for _, m := range msgs {
		if !b.schedules.isScheduled(m) {
			now = append(now, m)
		}
	}
	p, err := b.limits.pass(now...)
	switch {
	case err != nil:
		return err
	case p == nil:
		return b.commitOps("send", b.publishOps(nil, msgs)...)
	case p.over != nil:
		p.settle(false)
		return fail(CodeFull, "send to "+p.over.Destination().String(),
			"it is full and its producers wait (maxMessages, maxBytes): try again later, or pause them")
	}
	w := make(waiter, 1)
	p.done = w
	b.store.Commit(store.Request{Ops: b.publishOps(p.ops(), msgs), Durability: store.Synced, Done: p})
	return refused(<-w, "send")
}
