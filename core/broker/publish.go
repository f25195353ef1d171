package broker

import (
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/topic"
)

// Publish sends m to its destination, which may be composite. done may be
// nil. Publish never blocks; wait asks the connection to hold further sends
// (and only those) until Sink.Resume. m needs an ID and a Timestamp.
func (s *Session) Publish(m *message.Message, done Done, token uint64) (wait bool) {
	return s.publish(m, SendID{}, done, token)
}

func (s *Session) publish(m *message.Message, id SendID, done Done, token uint64) (wait bool) {
	wait = s.take(m, id, done, token)
	if wait && s.b.advisories.wanted() {
		s.adviseWait(m)
	}
	return wait
}

// take is Publish without telling of producers that wait.
func (s *Session) take(m *message.Message, id SendID, done Done, token uint64) (wait bool) {
	s.b.counts.published.Add(1)
	m = s.stamp(m)
	s.sent.Add(1)
	if err := s.admit(m); err != nil {
		s.refuse(err, done, token)
		return false
	}
	if s.b.guards(m.Destination, id) {
		return s.publishGuarded(m, id, done, token)
	}
	if m.Destination.IsComposite() {
		return s.publishAll(m, done, token)
	}
	if s.b.schedules.isScheduled(m) {
		s.schedule(m, done, token)
		return s.throttled(nil)
	}
	if asksStatistics(m.Destination) {
		s.answerStatistics(m, done, token)
		return false
	}
	if s.b.schedules.managesSchedules(m.Destination) {
		s.manageSchedules(m, done, token)
		return false
	}
	if s.b.forwards.on && s.b.forwards.concern(m.Destination) {
		return s.publishForwarded(m, done, token)
	}
	if retains(m) {
		s.publishRetained(m, done, token)
		return s.throttled(nil)
	}
	if s.b.limits.on.Load() {
		if wait, through := s.publishThrough([]*message.Message{m}, done, token); through {
			return wait
		}
	}
	if s.b.logged(m) {
		s.commit(store.Request{
			Op:         store.Op{Kind: store.OpPublish, Msg: m},
			Durability: s.b.durability(m.Destination), Done: done, Token: token,
		})
		return s.throttled(nil)
	}
	if s.pending.Load() > 0 {
		s.commit(store.Request{
			Op: store.Op{Kind: store.OpTransient, Msg: m}, Durability: store.Lazy, Done: done, Token: token,
		})
		return s.throttled(nil)
	}
	slow := s.b.route(m)
	if done != nil {
		done.Complete(token, nil)
	}
	return s.throttled(slow)
}

// refuse completes an operation that failed before it began, in its turn.
func (s *Session) refuse(err error, done Done, token uint64) {
	if done != nil {
		s.commit(store.Request{Durability: store.Lazy, Done: done, Token: token, Err: err})
	}
}

// admit checks what m must be to be taken.
func (s *Session) admit(m *message.Message) error {
	d := m.Destination
	refuse := func(c Code, format string, args ...any) error { return fail(c, "send to "+d.String(), format, args...) }
	switch {
	case d.IsZero():
		return fail(CodeInvalid, "send", "no destination")
	case len(m.Raw()) > s.b.o.MaxMessage:
		return refuse(CodeTooLarge, "the message has %d bytes, the limit is %d (limits.maxMessage)", len(m.Raw()), s.b.o.MaxMessage)
	case d.Kind.IsTemp() && !s.b.tempExists(d):
		return refuse(CodeNotFound, "the temporary destination does not exist any more: its connection has ended")
	case retains(m) && !s.b.emptyBody(m) && !s.b.retained.room(m, s.b.o.Retained):
		return refuse(CodeLimit, "topics remember as many messages or bytes as they may (retained.messages, retained.bytes)")
	case isSystem(d):
		return refuse(CodeForbidden, "only the broker publishes there")
	case isAdvisory(d):
		return refuse(CodeForbidden, "only the broker tells of events")
	case message.IsPattern(d.Name) && !asksStatistics(d):
		return refuse(CodeInvalid, "a wildcard can't be sent to; name one destination, or several separated by commas")
	}
	if err := message.ValidateName(d.Name); err != nil {
		return refuse(CodeInvalid, "%w", err)
	}
	if err := s.b.schedules.check(m); err != nil {
		return err
	}
	if err := s.maySend(d); err != nil {
		return err
	}
	if s.b.deliberate.Load() && !d.IsComposite() && !s.b.forwards.concern(d) {
		return s.b.mayAppear("send to", d)
	}
	return nil
}

// logged reports whether m has to go through the log: it is persistent, and
// somebody keeps it.
func (b *Broker) logged(m *message.Message) bool {
	switch {
	case !m.Durable || m.Destination.Kind.IsTemp():
		return false
	case m.Destination.Kind.IsQueue(), m.Retain:
		return true
	}
	return len(b.table(m.Destination).Routes(m.Destination.Name).Bindings) > 0
}

// route delivers a message that isn't logged. It returns a subscription that
// is slow, if there is any.
func (b *Broker) route(m *message.Message) (slow topic.Listener) {
	d := m.Destination
	if d.Kind.IsQueue() {
		if d.Kind.IsTemp() {
			if q := b.queues.get(d); q != nil {
				q.EnqueueTransient(m)
			}
			return nil
		}
		q := b.ensure(d)
		if b.advisories.wanted() {
			b.adviseSent(m, q.Consumers())
		}
		q.EnqueueTransient(m)
		return nil
	}
	b.recovery.add(m)
	r := b.table(d).Routes(d.Name)
	if b.advisories.wanted() {
		b.adviseSent(m, len(r.Bindings)+len(r.Subscribers))
	}
	for _, to := range r.Bindings {
		if to.Filter == nil || to.Filter.Matches(m) {
			to.Queue.EnqueueTransient(m)
			b.stored.bound(to.Queue)
		}
	}
	return r.Publish(m)
}

// publishAll sends m to each component of its composite destination, all or
// none.
func (s *Session) publishAll(m *message.Message, done Done, token uint64) (wait bool) {
	msgs, err := s.b.split(m)
	if err != nil {
		s.refuse(err, done, token)
		return false
	}
	for _, c := range msgs {
		if err := s.admit(c); err != nil {
			s.refuse(err, done, token)
			return false
		}
	}
	return s.publishTogether(s.b.forwards.expand(msgs), done, token)
}

// publishOps returns the ops that send msgs.
func (b *Broker) publishOps(ops []store.Op, msgs []*message.Message) []store.Op {
	for _, m := range msgs {
		if b.schedules.isScheduled(m) {
			ops = append(ops, b.schedules.op(m))
			continue
		}
		if retains(m) && !m.Durable {
			ops = append(ops, store.Op{Kind: store.OpState, N: uint32(b.retained.kind()), Data: m.Raw()})
		}
		kind := store.OpTransient
		if b.logged(m) {
			kind = store.OpPublish
		}
		ops = append(ops, store.Op{Kind: kind, Msg: m})
	}
	return ops
}

// split returns one message for each component of a composite destination.
func (b *Broker) split(m *message.Message) ([]*message.Message, error) {
	ds, err := m.Destination.Components()
	if err != nil {
		return nil, fail(CodeInvalid, "send", "%w", err)
	}
	const most = 256
	if len(ds) > most {
		return nil, fail(CodeLimit, "send", "%d destinations at once, the limit is %d", len(ds), most)
	}
	msgs := make([]*message.Message, len(ds))
	for i, d := range ds {
		msgs[i] = m.With(func(e *message.Envelope) {
			e.Destination = d
			e.ID = b.NewID()
		})
	}
	return msgs, nil
}
