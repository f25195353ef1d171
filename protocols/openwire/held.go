package openwire

import (
	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// holdback keeps sends in order while the broker asks for them to be held.
// Commands that send nothing pass it by.
type holdback struct {
	on    bool
	ops   []heldOp
	bytes int
}

// heldOp is a send or a commit.
type heldOp struct {
	message *message.Message
	once    broker.SendID // of a message that the client may send again
	commit  *broker.Transaction
	token   uint64
}

// full reports whether the connection should not be read any more.
func (h *holdback) full() bool { return len(h.ops) >= maxHeldSends || h.bytes >= maxHeldBytes }

// perform carries out op, or keeps it while sends are held.
func (c *conn) perform(op heldOp) {
	if c.held.on {
		c.held.ops = append(c.held.ops, op)
		if op.message != nil {
			c.held.bytes += op.message.Size()
		}
		return
	}
	c.held.on = c.performNow(op)
}

func (c *conn) performNow(op heldOp) (wait bool) {
	switch {
	case op.once.Producer != "":
		return c.session.PublishOnce(op.message, op.once, c, op.token)
	case op.message != nil:
		return c.session.Publish(op.message, c, op.token)
	}
	op.commit.Commit(c, op.token)
	return false
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
		if op.message != nil {
			h.bytes -= op.message.Size()
		}
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
