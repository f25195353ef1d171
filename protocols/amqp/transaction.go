package amqp

import (
	"encoding/binary"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// transactions are a connection's open ones (AMQP 1.0, 4). They are local, any
// session of the connection can take part, and they end with the connection.
type transactions struct {
	open map[uint64]*transaction
	last uint64
}

// transaction is one that declare opened. Its messages become visible and its
// acknowledgements final as one record of the log.
type transaction struct {
	c        *conn
	tx       *broker.Transaction
	owner    *link // the coordinator's
	messages int
	bytes    int
	failed   *fault // a part of it was refused: committing the others would not be all
	acked    []acknowledged
}

// acknowledged is a delivery that the transaction settles.
type acknowledged struct {
	sess    *session
	id      uint32
	link    *link
	tag     uint64
	settled bool // the client has forgotten it already
	state   state
}

func (t *transactions) named(id []byte) *transaction {
	if len(id) != 8 {
		return nil
	}
	return t.open[binary.BigEndian.Uint64(id)]
}

// coordinate carries out a message to the coordinator.
func (l *link) coordinate(p *incomplete, whole []byte) error {
	d := newDecoder(whole)
	for d.err == nil {
		if code := d.sectionCode(); code == codeValue || d.err != nil {
			break
		}
		d.check()
	}
	code := uint64(0)
	if d.err == nil {
		code = d.descriptor()
	}
	switch {
	case d.err != nil:
		return badLink(errDecode, "message to the coordinator: %v", d.err)
	case code == codeDeclare:
		var f declare
		f.decode(&d)
		if d.err != nil {
			return badLink(errDecode, "declare: %v", d.err)
		}
		return l.declare(p, &f)
	case code == codeDischarge:
		var f discharge
		f.decode(&d)
		if d.err != nil {
			return badLink(errDecode, "discharge: %v", d.err)
		}
		return l.discharge(p, &f)
	}
	return badLink(errNotImplemented, "message to the coordinator has descriptor %#x, neither declare nor discharge", code)
}

func (l *link) declare(p *incomplete, f *declare) error {
	c := l.sess.conn
	switch {
	case !f.globalID.IsNull():
		return l.reject(p, faultf(endsDelivery, errNotImplemented, "distributed transactions (global-id) are not supported"))
	case len(c.txs.open) >= c.set.transactions:
		return l.reject(p, faultf(endsDelivery, errLimit, "connection has %d open transactions; the listener option %s is the limit", len(c.txs.open), optTransactions))
	case p.settled:
		return badLink(errNotAllowed, "declare was settled: nobody could learn the transaction's id")
	}
	if c.txs.open == nil {
		c.txs.open = make(map[uint64]*transaction)
	}
	c.txs.last++
	c.txs.open[c.txs.last] = &transaction{c: c, tx: c.session.Begin(), owner: l}
	l.answer(p.id, &state{kind: stateDeclared, txn: binary.BigEndian.AppendUint64(nil, c.txs.last)})
	return nil
}

func (l *link) discharge(p *incomplete, f *discharge) error {
	c := l.sess.conn
	t := c.txs.named(f.txnID)
	if t == nil {
		return l.reject(p, faultf(endsDelivery, errUnknownTxn, "there is no transaction %x", f.txnID))
	}
	delete(c.txs.open, binary.BigEndian.Uint64(f.txnID))
	if f.fail || t.failed != nil {
		t.rollback()
		if !f.fail {
			return l.reject(p, faultf(endsDelivery, errRollback, "transaction is rolled back, because a part of it was refused: %s", t.failed.text))
		}
		if !p.settled {
			l.answer(p.id, &state{kind: stateAccepted})
		}
		return nil
	}
	token := noToken
	if !p.settled {
		token = l.sess.token(p.id)
	}
	c.send(heldOp{commit: t, token: token})
	return nil
}

// answer settles a delivery that the client sent.
func (l *link) answer(id uint32, st *state) {
	c := l.sess.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.postDisposition(outItem{role: true, settled: !l.second, sess: l.sess, from: id, to: id, state: st})
}

// answerIn tells the outcome of a delivery in a transaction, which is final if
// that commits.
func (l *link) answerIn(t *transaction, p *incomplete, err error) {
	st := state{kind: stateAccepted, transactional: true, txn: p.state.txn}
	if err != nil {
		f := toFault(err, endsDelivery)
		if t.failed == nil {
			t.failed = f
		}
		st.kind, st.err = stateRejected, f.wire()
	}
	if !p.settled {
		l.answer(p.id, &st)
	}
}

// publish adds a message.
func (t *transaction) publish(c *conn, m *message.Message) error {
	t.messages++
	t.bytes += m.Size()
	switch {
	case t.messages > c.set.txMessages:
		return faultf(endsDelivery, errLimit, "transaction has more than %d messages; the listener option %s is the limit", c.set.txMessages, optTxMessages)
	case t.bytes > c.set.txBytes:
		return faultf(endsDelivery, errLimit, "transaction has more than %d bytes; the listener option %s is the limit", c.set.txBytes, optTxBytes)
	}
	return t.tx.Publish(m)
}

// acknowledge adds the outcome of a delivery.
func (t *transaction) acknowledge(s *session, id uint32, v delivery, f *disposition) {
	if t.messages++; t.messages > s.conn.set.txMessages {
		t.fails(faultf(endsDelivery, errLimit, "transaction has more than %d messages; the listener option %s is the limit", s.conn.set.txMessages, optTxMessages))
		return
	}
	if err := t.tx.Settle(v.link.out.consumer, v.tag, outcomeOf(&f.state)); err != nil {
		t.fails(toFault(err, endsDelivery))
		return
	}
	if f.settled {
		s.conn.mu.Lock()
		s.unsettled.settle(id)
		s.conn.mu.Unlock()
	}
	t.acked = append(t.acked, acknowledged{sess: s, id: id, link: v.link, tag: v.tag, settled: f.settled, state: f.state})
	t.acked[len(t.acked)-1].state.txn = nil // it lies in the read buffer
}

func (t *transaction) fails(f *fault) {
	if t.failed == nil {
		t.failed = f
	}
}

// rollback forgets it. What the client had settled goes out again, counted as
// a delivery that failed; what it had not is still its to decide on.
func (t *transaction) rollback() {
	t.tx.Rollback()
	for i := range t.acked {
		if a := &t.acked[i]; a.settled && a.link.out.consumer != nil {
			_ = a.link.out.consumer.Settle(a.tag, broker.Modified, nil, 0) // gone with its consumer otherwise
		}
	}
}

// Complete implements broker.Done: the transaction is committed, or nothing of
// it has happened.
func (t *transaction) Complete(token uint64, err error) {
	c := t.c
	if err != nil {
		err = faultf(endsDelivery, errRollback, "transaction is rolled back: %v", err)
		c.mu.Lock()
		if !c.ended {
			c.resumers.Add(1)
			go t.takeBack()
		}
		c.mu.Unlock()
	} else {
		t.settleRest()
	}
	if token == noToken {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s, id := c.byToken(token)
	if s == nil {
		return
	}
	it := outItem{role: true, settled: true, sess: s, from: id, to: id}
	if err != nil {
		it.state = &state{kind: stateRejected, err: toFault(err, endsDelivery).wire()}
	}
	c.postDisposition(it)
}

// settleRest settles the deliveries that the client left to the commit.
func (t *transaction) settleRest() {
	c := t.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range t.acked {
		a := &t.acked[i]
		if a.settled || a.sess.closed {
			continue
		}
		a.sess.unsettled.settle(a.id)
		c.postDisposition(outItem{sess: a.sess, settled: true, from: a.id, to: a.id, state: &a.state})
	}
}

// takeBack is rollback for a commit that failed; the broker has taken the
// transaction back already, and may not be called from Complete.
func (t *transaction) takeBack() {
	defer t.c.resumers.Done()
	defer t.c.guard("rollback")
	t.c.turn.Lock()
	defer t.c.turn.Unlock()
	t.rollback()
}

// rollBackOf ends the transactions that were declared on a coordinator's link
// that is gone (AMQP 1.0, 4.3).
func (c *conn) rollBackOf(l *link) {
	for id, t := range c.txs.open {
		if t.owner == l {
			delete(c.txs.open, id)
			t.rollback()
		}
	}
}

var _ broker.Done = (*transaction)(nil)
