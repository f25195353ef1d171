package amqp

import (
	"github.com/entrepot-mq/entrepot/core/broker"
)

// handleDisposition takes what a client says of deliveries (AMQP 1.0, 2.6.14).
func (s *session) handleDisposition(d *decoder) error {
	var f disposition
	f.decode(d)
	if d.err != nil {
		return malformed("disposition", d)
	}
	if !f.role {
		return nil // about what it sent: all of that is settled with its outcome
	}
	last := f.first
	if f.last.ok {
		last = f.last.value
	}
	if before(last, f.first) {
		return badSession(errInvalidField, "disposition of deliveries %d to %d", f.first, last)
	}
	if !f.settled && !f.state.terminal() {
		return nil // received so far, or nothing: no decision yet
	}
	c := s.conn
	var buf [64]uint32
	c.mu.Lock()
	ids := s.unsettled.appendIn(buf[:0], f.first, last)
	c.mu.Unlock()
	var t *transaction
	if f.state.transactional {
		if t = c.txs.named(f.state.txn); t == nil {
			return badSession(errUnknownTxn, "there is no transaction %x", f.state.txn)
		}
	}
	for _, id := range ids {
		c.mu.Lock()
		v := s.unsettled.get(id)
		c.mu.Unlock()
		if v.link == nil || v.link.over {
			continue
		}
		if t != nil {
			t.acknowledge(s, id, v, &f)
			continue
		}
		s.settle(id, v, &f)
	}
	return nil
}

// settle carries out the outcome of one delivery. If the client has settled
// it, that is all; otherwise it is told when the outcome is safe.
func (s *session) settle(id uint32, v delivery, f *disposition) {
	c := s.conn
	c.mu.Lock()
	s.unsettled.settle(id)
	c.mu.Unlock()
	var done broker.Done
	token := s.token(id) | tokenSent
	if !f.settled {
		done = c
	}
	st := &f.state
	if !st.terminal() {
		st = &v.link.out.defaultOutcome
	}
	// An unknown tag is the one error: a delivery of a browser or a topic that
	// was settled by other means.
	_ = v.link.settleAs(v.tag, st, done, token)
}

// settleAs puts an outcome into the broker's terms. What has none was not
// looked at (AMQP 1.0, 3.5.3).
func (l *link) settleAs(tag uint64, st *state, done broker.Done, token uint64) error {
	consumer := l.out.consumer
	switch outcomeOf(st) {
	case broker.Accepted:
		return consumer.Settle(tag, broker.Accepted, done, token)
	case broker.Rejected:
		return consumer.Reject(tag, reasonOf(st), done, token)
	case broker.Modified:
		return consumer.Settle(tag, broker.Modified, done, token)
	case broker.Released:
	}
	return consumer.Settle(tag, broker.Released, done, token)
}

// outcomeOf is the one place where AMQP's outcomes meet the broker's.
func outcomeOf(st *state) broker.Outcome {
	switch st.kind {
	case stateAccepted:
		return broker.Accepted
	case stateRejected:
		return broker.Rejected
	case stateModified:
		switch {
		case st.notHere:
			return broker.Rejected // ActiveMQ: nobody else is asked
		case st.failed:
			return broker.Modified
		}
		return broker.Released
	case stateNone, stateReceived, stateReleased, stateDeclared, stateUnknown:
	}
	return broker.Released
}

// reasonOf is why a delivery was rejected, for the dead letter.
func reasonOf(st *state) string {
	switch {
	case st.notHere:
		return "undeliverable at the consumer"
	case st.err == nil:
		return ""
	case st.err.description == "":
		return "rejected by the consumer: " + clip(st.err.condition)
	}
	return "rejected by the consumer: " + clip(st.err.condition) + ": " + clip(st.err.description)
}
