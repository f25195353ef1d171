package mqtt

import "github.com/entrepot-mq/entrepot/core/message"

// holdback keeps publishes in order while the broker asks for them to be held.
// Packets that publish nothing (acknowledgements, SUBSCRIBE, PINGREQ) pass it
// by.
type holdback struct {
	on    bool
	ops   []heldOp
	bytes int
}

// heldOp is one publish.
type heldOp struct {
	message *message.Message
	qos     byte
	id      uint16
}

// full reports whether the connection should not be read any more.
func (h *holdback) full() bool { return len(h.ops) >= maxHeldSends || h.bytes >= maxHeldBytes }

// perform publishes, or keeps it while sends are held.
func (c *conn) perform(op heldOp) {
	if c.held.on {
		c.held.ops = append(c.held.ops, op)
		c.held.bytes += op.message.Size()
		return
	}
	c.held.on = c.performNow(op)
	if c.held.on {
		c.log.Debug("sends are held")
	}
}

func (c *conn) performNow(op heldOp) (wait bool) {
	switch {
	case op.qos == 0:
		return c.session.Publish(op.message, nil, 0)
	case op.qos == 2 && c.stored != nil:
		return c.stored.Publish(op.message, op.id, c, token(awaitPubrec, op.id))
	case op.qos == 2:
		return c.session.Publish(op.message, c, token(awaitPubrec, op.id))
	}
	return c.session.Publish(op.message, c, token(awaitPuback, op.id))
}

// resumeSends goes on with held sends. It is a goroutine of its own because
// the reader may sit in a read, and Resume may not call the broker.
func (c *conn) resumeSends() {
	defer c.resumers.Done()
	defer c.guard("held sends")
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.session == nil {
		return
	}
	h := &c.held
	h.on = false
	done := 0
	for done < len(h.ops) && !h.on {
		op := h.ops[done]
		h.bytes -= op.message.Size()
		h.ops[done] = heldOp{}
		done++
		h.on = c.performNow(op)
	}
	h.ops = h.ops[:copy(h.ops, h.ops[done:])]
	if len(h.ops) == 0 {
		h.ops = nil
	}
	c.mu.Lock()
	c.makeRoom()
	c.mu.Unlock()
}

// flushHeld publishes what is held, whatever the broker asked for: the client
// has gone and there will be no more.
func (c *conn) flushHeld() {
	for _, op := range c.held.ops {
		c.performNow(op)
	}
	c.held = holdback{}
}

// Resume implements broker.Sink: the broker takes sends again.
func (c *conn) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.resumers.Add(1)
	go c.resumeSends()
}
