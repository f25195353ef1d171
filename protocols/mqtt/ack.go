package mqtt

import "github.com/entrepot-mq/entrepot/core/broker"

// acknowledge takes PUBACK, PUBREC, PUBREL and PUBCOMP (MQTT 5.0, 3.4 to 3.7).
func (c *conn) acknowledge(p packet) error {
	a, err := readAck(p, c.version)
	if err != nil {
		return err
	}
	switch p.kind { //nolint:exhaustive // handle passes these
	case typePuback:
		c.puback(a)
	case typePubrec:
		c.pubrec(a)
	case typePubrel:
		c.pubrel(a)
	case typePubcomp:
		c.pubcomp(a)
	}
	return nil
}

// puback ends a delivery of QoS 1. An error of the client's is its own: the
// message is not sent again.
func (c *conn) puback(a ackPacket) {
	c.mu.Lock()
	d := c.flight.find(a.id)
	if d == nil || d.stage != stagePuback {
		c.mu.Unlock()
		return // a late answer, or one to nothing: there is no harm in it
	}
	done := *d
	c.mu.Unlock()
	c.settle(done)
	c.land(a.id)
}

// settle accepts a delivery.
func (c *conn) settle(d flying) {
	if d.source != nil && d.source.consumer != nil {
		_ = d.source.consumer.Settle(d.tag, broker.Accepted, nil, 0) // its subscription may have ended
	}
}

// land frees an identifier and lets the next deliveries go.
func (c *conn) land(id uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.flight.find(id); d != nil {
		c.release(d)
	}
}

// release frees an identifier. c.mu is held.
func (c *conn) release(d *flying) {
	if d.source != nil {
		d.source.open--
	}
	c.flight.free(d)
	if len(c.parked) > 0 {
		c.unpark()
	}
}

// skip ends a delivery that the client doesn't take because it is too large
// [MQTT-3.1.2-25].
func (c *conn) skip(id uint16) {
	c.mu.Lock()
	d := c.flight.find(id)
	if d == nil {
		c.mu.Unlock()
		return
	}
	done := *d
	c.mu.Unlock()
	c.settle(done)
	c.land(id)
}

// pubrec notes that the client has a message of QoS 2: from here on it is not
// sent again, and its identifier stays in use until PUBCOMP [MQTT-4.3.3-4]
// [MQTT-4.3.3-5] [MQTT-4.3.3-6]. Of a stored session that is in the log before
// PUBREL is sent.
func (c *conn) pubrec(a ackPacket) {
	c.mu.Lock()
	d := c.flight.find(a.id)
	switch {
	case d == nil:
		c.postAck(typePubrel, a.id, packetIDNotFound, "")
	case d.stage == stagePubcomp:
		c.postAck(typePubrel, a.id, success, "")
	case d.stage == stagePubrec && a.reason >= unspecifiedError:
		done := *d
		c.mu.Unlock()
		c.settle(done)
		c.land(a.id)
		return
	case d.stage == stagePubrec:
		d.stage = stageLogged
		done := *d
		c.mu.Unlock()
		c.receive(done)
		return
	}
	c.mu.Unlock()
}

// receive settles a delivery of QoS 2 that the client has.
func (c *conn) receive(d flying) {
	if c.stored != nil {
		if c.stored.Receive(d.source.consumer, d.tag, d.id, c, token(awaitPubrel, d.id)) == nil {
			return
		}
		// Its subscription has ended, and with it what there was to be noted.
	} else {
		c.settle(d)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noted(d.id, nil)
}

// noted sends PUBREL. c.mu is held.
func (c *conn) noted(id uint16, err error) {
	d := c.flight.find(id)
	switch {
	case d == nil:
	case err != nil:
		c.refuse(err)
	default:
		d.stage = stagePubcomp
		c.postAck(typePubrel, id, success, "")
	}
}

// pubcomp ends a delivery of QoS 2.
func (c *conn) pubcomp(a ackPacket) {
	c.mu.Lock()
	d := c.flight.find(a.id)
	ended := d != nil && d.stage == stagePubcomp
	if ended {
		c.release(d)
	}
	c.mu.Unlock()
	if ended && c.stored != nil {
		c.stored.Complete(a.id)
	}
}

// pubrel frees the identifier of a publish of QoS 2. PUBCOMP goes out when that
// is safe: a client that has it uses the identifier again.
func (c *conn) pubrel(a ackPacket) {
	c.mu.Lock()
	completed, known := c.taken[a.id]
	switch {
	case !known:
		r := packetIDNotFound
		c.postAck(typePubcomp, a.id, r, "")
	case completed && c.stored != nil:
		c.await()
		c.mu.Unlock()
		c.stored.Release(a.id, c, token(awaitPubcomp, a.id))
		return
	case completed:
		delete(c.taken, a.id)
		c.postAck(typePubcomp, a.id, success, "")
	}
	// A PUBREL before PUBREC was sent is ignored: its client sends it again.
	c.mu.Unlock()
}
