package broker

import (
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
)

// PublishOnce is Publish for a send that the client may repeat: if the one of
// that id was made before, nothing is sent again, and done is told the same.
// Repetitions are known for the last sends of some thousand producers.
func (s *Session) PublishOnce(m *message.Message, id SendID, done Done, token uint64) (wait bool) {
	if len(id.Producer) > MaxProducer {
		s.refuse(errProducer, done, token)
		return false
	}
	return s.publish(m, id, done, token)
}

var errProducer = fail(CodeInvalid, "send", "the producer's id is longer than %d bytes", MaxProducer)

// publishGuarded sends m unless that was done before.
func (s *Session) publishGuarded(m *message.Message, id SendID, done Done, token uint64) (wait bool) {
	units, err := s.unitsOf(m)
	if err != nil {
		s.refuse(err, done, token)
		return false
	}
	if units = s.b.notKnown(units, id); len(units) == 0 {
		s.b.counts.duplicates.Add(1)
		s.Sync(done, token) // what the first one waits for has been applied, and is synced with this
		return false
	}
	r := store.Request{Durability: s.b.durability(units[0].Destination), Done: done, Token: token}
	var p *passage
	if s.b.limits.on.Load() {
		if p, err = s.b.limits.pass(s.b.forwards.expand(units)...); err != nil {
			s.refuse(err, done, token)
			return false
		}
	}
	if p != nil {
		p.done, p.token = done, token
		r.Ops, r.Done, r.Token = p.ops(), p, 0
	}
	r.Ops = s.b.guarded(r.Ops, units, id)
	s.commit(r)
	if p != nil && p.full != nil {
		s.b.adviseFull(p.full, p.most.Messages)
		if s.b.flow.holdFull(s, p) {
			return true
		}
	}
	return s.throttled(nil)
}

// unitsOf returns m for each destination that it is sent to.
func (s *Session) unitsOf(m *message.Message) ([]*message.Message, error) {
	if !m.Destination.IsComposite() {
		return []*message.Message{m}, nil
	}
	units, err := s.b.split(m)
	if err != nil {
		return nil, err
	}
	for _, u := range units {
		if err := s.admit(u); err != nil {
			return nil, err
		}
	}
	return units, nil
}

// notKnown returns those that are known not to have been sent: so a repetition
// makes no room for itself in a full queue.
func (b *Broker) notKnown(units []*message.Message, id SendID) (left []*message.Message) {
	if id.Producer != "" && b.duplicates.known(sendKey{producer: id.Producer, seq: id.Seq}) {
		return nil
	}
	for _, u := range units {
		if k, ok := b.duplicates.messageKey(u); !ok || !b.duplicates.known(k) {
			left = append(left, u)
		}
	}
	return left
}

// PublishOnce is Publish for a send that the client may repeat, in this
// transaction or another one. A repetition is left out of the record.
func (t *Transaction) PublishOnce(m *message.Message, id SendID) error {
	if len(id.Producer) > MaxProducer {
		return errProducer
	}
	return t.publish(m, id)
}

// notKnown returns the messages that are known not to have been sent before.
func (t *Transaction) notKnown() (left []*message.Message) {
	b, at := t.s.b, 0
	if t.once == nil && !b.watchful.Load() {
		return t.msgs
	}
	for _, x := range t.once {
		left = append(left, b.notKnown(t.msgs[at:x.from], SendID{})...)
		left = append(left, b.notKnown(t.msgs[x.from:x.to], x.id)...)
		at = x.to
	}
	return append(left, b.notKnown(t.msgs[at:], SendID{})...)
}

// identified is a send with an identity: some of a transaction's messages.
type identified struct {
	id       SendID
	from, to int // in Transaction.msgs
}

// preparedSends adds the transaction's messages. Before those of a send with
// an identity stands its guard, which tells cutSend how many they are.
func (t *Transaction) preparedSends(ops []store.Op) []store.Op {
	at := 0
	for _, x := range t.once {
		ops = appendPublished(ops, t.msgs[at:x.from])
		k := sendKey{producer: x.id.Producer, seq: x.id.Seq}
		ops = append(ops, store.Op{Kind: store.OpState, N: duplicatesKind, Data: k.guard(x.to-x.from, producerLevel)})
		ops = appendPublished(ops, t.msgs[x.from:x.to])
		at = x.to
	}
	return appendPublished(ops, t.msgs[at:])
}

func appendPublished(ops []store.Op, msgs []*message.Message) []store.Op {
	for _, m := range msgs {
		ops = append(ops, store.Op{Kind: store.OpPublish, Msg: m})
	}
	return ops
}

// cutSend returns the send that stands first among a prepared transaction's ops,
// and how many ops it takes; 0 if something else stands there.
func cutSend(ops []store.Op) (id SendID, units []*message.Message, n int) {
	most := 1
	if ops[0].Kind == store.OpState && ops[0].N == duplicatesKind {
		k, count, _, ok := parseGuard(ops[0].Data)
		if !ok {
			return id, nil, 0
		}
		id, most, n = SendID{k.producer, k.seq}, count, 1
	}
	for n < len(ops) && len(units) < most && ops[n].Kind == store.OpPublish {
		units = append(units, ops[n].Msg)
		n++
	}
	return id, units, n
}

// sendOps adds the ops of the transaction's sends.
func (t *Transaction) sendOps(ops []store.Op) []store.Op {
	b, at := t.s.b, 0
	for _, x := range t.once {
		ops = b.guarded(ops, t.msgs[at:x.from], SendID{})
		ops = b.guarded(ops, t.msgs[x.from:x.to], x.id)
		at = x.to
	}
	return b.guarded(ops, t.msgs[at:], SendID{})
}
