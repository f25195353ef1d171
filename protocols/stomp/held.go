package stomp

import (
	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// heldOp is one of a send, a commit, and a DISCONNECT (neither).
type heldOp struct {
	message *message.Message
	commit  *broker.Transaction
	token   uint64
}

func (op *heldOp) size() int {
	if op.message == nil {
		return 0
	}
	return op.message.Size()
}

// perform carries out op, or keeps it while sends are held.
func (c *conn) perform(op heldOp) {
	if c.held.On {
		c.held.Keep(op, op.size())
		return
	}
	c.held.On = c.performNow(op)
	if c.held.On {
		c.log.Debug("sends are held")
	}
}

func (c *conn) performNow(op heldOp) (wait bool) {
	switch {
	case op.message != nil:
		return c.session.Publish(op.message, c, op.token)
	case op.commit != nil:
		op.commit.Commit(c, op.token)
	default:
		c.session.Sync(c, op.token)
	}
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
