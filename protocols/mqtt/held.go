package mqtt

import "github.com/entrepot-mq/entrepot/core/message"

// heldOp is one publish.
type heldOp struct {
	message *message.Message
	qos     byte
	id      uint16
}

// perform publishes, or keeps it while sends are held.
func (c *conn) perform(op heldOp) {
	if c.held.On {
		c.held.Keep(op, op.message.Size())
		return
	}
	c.held.On = c.performNow(op)
	if c.held.On {
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
	c.held.Resume(c.performNow)
	c.mu.Lock()
	c.makeRoom()
	c.mu.Unlock()
}

// flushHeld publishes what is held, whatever the broker asked for: the client
// has gone and there will be no more.
func (c *conn) flushHeld() {
	c.held.Flush(c.performNow)
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
