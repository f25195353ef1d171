package amqp

import (
	"bytes"

	"github.com/entrepot-mq/entrepot/core/message"
)

const maxTag = 32 // bytes of a delivery tag (AMQP 1.0, 2.8.7)

// handleTransfer takes one frame of a delivery (AMQP 1.0, 2.6.12).
func (s *session) handleTransfer(d *decoder) error {
	t := &s.conn.work.transfer
	t.decode(d)
	if d.err != nil {
		return malformed("transfer", d)
	}
	s.nextIncoming.Add(1)
	if s.room == 0 {
		return badSession(errWindow, "transfer beyond the incoming window of %d frames", incomingWindow)
	}
	s.room--
	l, err := s.linkAt(t.handle)
	if err != nil {
		return err
	}
	if !l.over {
		err = l.failed(l.transfer(t, d.b))
	}
	if s.room <= incomingWindow/2 && err == nil && !s.over {
		s.room = incomingWindow
		s.conn.mu.Lock()
		s.conn.post(outItem{kind: outFlow, sess: s})
		s.conn.mu.Unlock()
	}
	return err
}

func (l *link) transfer(t *transfer, payload []byte) error {
	if l.sender {
		return badSession(errNotAllowed, "transfer on link %q, on which the broker sends", clip(l.name))
	}
	p := &l.in.partial
	if !p.active {
		if err := l.beginDelivery(t); err != nil {
			return err
		}
	} else if t.deliveryID.ok && t.deliveryID.value != p.id {
		return badSession(errNotAllowed, "delivery %d begins before delivery %d on the same link has ended", t.deliveryID.value, p.id)
	}
	p.settled = p.settled || t.settled.ok && t.settled.value
	if t.state.kind != stateNone || t.state.transactional {
		p.state = t.state
		p.state.txn = bytes.Clone(t.state.txn)
	}
	most := l.sess.conn.set.message
	switch {
	case t.aborted:
		*p = incomplete{}
		l.topUp()
		return nil
	case len(p.bytes)+len(payload) > most:
		return badLink(errMessageSize, "delivery is larger than the max-message-size of %d bytes", most)
	case t.more:
		p.active = true
		if over := l.sess.conn.incompleteBytes() + len(payload) - most; over > 0 {
			return badLink(errLimit, "deliveries of the connection whose end has not come take more than %d bytes", most)
		}
		p.bytes = append(p.bytes, payload...)
		return nil
	}
	whole := payload
	if len(p.bytes) > 0 {
		whole = append(p.bytes, payload...)
	}
	done := *p
	*p = incomplete{}
	err := l.deliver(&done, whole)
	l.topUp()
	return err
}

// beginDelivery counts a delivery against the link's credit.
func (l *link) beginDelivery(t *transfer) error {
	switch {
	case !t.deliveryID.ok:
		return badSession(errInvalidField, "first transfer of a delivery has no delivery-id")
	case len(t.deliveryTag) > maxTag:
		return badSession(errInvalidField, "delivery-tag is longer than %d bytes", maxTag)
	case l.limit.Load() == l.deliveryCount.Load():
		return badLink(errTransferLimit, "link %q has no credit left", clip(l.name))
	}
	l.deliveryCount.Add(1)
	l.in.partial.id = t.deliveryID.value
	return nil
}

// incompleteBytes is what deliveries take whose last frame has not come.
func (c *conn) incompleteBytes() (n int) {
	for _, s := range c.sessions {
		if s == nil {
			continue
		}
		for _, l := range s.handles {
			if l != nil {
				n += len(l.in.partial.bytes)
			}
		}
	}
	return n
}

// deliver carries out a complete delivery.
func (l *link) deliver(p *incomplete, whole []byte) error {
	c := l.sess.conn
	c.front.metrics.received.Add(1)
	if l.in.coordinator {
		return l.coordinate(p, whole)
	}
	var t *transaction
	if p.state.transactional {
		if t = c.txs.named(p.state.txn); t == nil {
			return badLink(errUnknownTxn, "there is no transaction %x", p.state.txn)
		}
	}
	m, err := l.newMessage(whole)
	if t != nil {
		if err == nil {
			err = t.publish(c, m)
		}
		l.answerIn(t, p, err)
		return nil
	}
	if err != nil {
		return l.reject(p, err)
	}
	token := noToken
	if !p.settled {
		if token = l.sess.token(p.id); l.second {
			token |= tokenSecond
		}
		c.mu.Lock()
		if c.publishing++; c.publishing >= maxPublishing {
			c.pressure.Store(true)
		}
		c.mu.Unlock()
	}
	c.send(heldOp{message: m, token: token})
	return nil
}

// reject answers a delivery that can't be published. One that was settled
// can't be answered: its link ends, so that the client learns of it.
func (l *link) reject(p *incomplete, err error) error {
	f := toFault(err, endsDelivery)
	if p.settled {
		f.scope = endsLink
		return f
	}
	c := l.sess.conn
	c.front.metrics.errors.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.postDisposition(outItem{
		role: true, settled: !l.second, sess: l.sess, from: p.id, to: p.id, state: &state{kind: stateRejected, err: f.wire()},
	})
	return nil
}

// newMessage makes a message of an encoded one. The only copy of its bytes is
// the one that message.New makes.
func (l *link) newMessage(whole []byte) (*message.Message, error) {
	c := l.sess.conn
	e, in := &c.work.envelope, &c.work.ingress
	*e = message.Envelope{Priority: message.DefaultPriority, Timestamp: c.nowMs, Annotations: e.Annotations[:0]}
	*in = ingress{names: c.set.names, nowMs: c.nowMs}
	payload, err := envelopeOf(whole, e, in)
	if err != nil {
		return nil, faultf(endsDelivery, errDecode, "message: %v", err)
	}
	if e.Destination = l.in.destination; e.Destination.IsZero() {
		if e.Destination, err = l.addressed(in); err != nil {
			return nil, err
		}
	}
	e.ID, e.Publisher, e.UserID = c.session.NewID(), c.session.Publisher(), c.session.UserID()
	if said := in.props.userID; e.UserID != "" && len(said) > 0 && string(said) != e.UserID {
		return nil, faultf(endsDelivery, errUnauthorized, "user-id is %q, and the user is %q", clip(string(said)), e.UserID)
	}
	return message.New(e, message.EncodingAMQP, payload), nil
}

// addressed is where a message on an anonymous relay goes.
func (l *link) addressed(in *ingress) (message.Destination, error) {
	to, _ := in.props.to.Text()
	switch {
	case to == "":
		return message.Destination{}, faultf(endsDelivery, errPrecondition, "message has no to, and its link no target address")
	case to == l.in.cachedTo && in.to == message.KindNone:
		return l.in.cached, nil
	}
	d, _, err := l.sess.conn.set.names.resolve(to, in.to)
	if err != nil {
		return d, faultf(endsDelivery, errInvalidField, "to: %v", err)
	}
	if in.to == message.KindNone {
		l.in.cachedTo = string([]byte(to)) // it lies in the read buffer
		d.Name = string([]byte(d.Name))
		l.in.cached = d
	}
	return d, nil
}

// Complete implements broker.Done: the outcome of a delivery that the client
// sent, or the settlement of one that it received.
func (c *conn) Complete(token uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := token&tokenSent != 0
	if !sent {
		c.publishing--
		if c.publishing <= maxPublishing/2 {
			c.relieve()
		}
	}
	s, id := c.byToken(token)
	if s == nil {
		return
	}
	it := outItem{role: !sent, settled: token&tokenSecond == 0, sess: s, from: id, to: id}
	if err != nil {
		c.front.metrics.errors.Add(1)
		it.state = &state{kind: stateRejected, err: toFault(err, endsDelivery).wire()}
	}
	c.postDisposition(it)
}
