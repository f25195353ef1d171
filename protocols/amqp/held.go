package amqp

import (
	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// heldOp is a send or a commit.
type heldOp struct {
	message *message.Message
	commit  *transaction
	token   uint64
}

func (op *heldOp) size() int {
	if op.message == nil {
		return 0
	}
	return op.message.Size()
}

// send carries out op, or keeps it while sends are held.
func (c *conn) send(op heldOp) {
	if c.held.On {
		c.held.Keep(op, op.size())
		return
	}
	c.held.On = c.sendNow(op)
	if c.held.On {
		c.log.Debug("sends are held")
	}
}

func (c *conn) sendNow(op heldOp) (wait bool) {
	if op.commit != nil {
		op.commit.tx.Commit(op.commit, op.token)
		return false
	}
	var done broker.Done
	if op.token != noToken {
		done = c
	}
	return c.session.Publish(op.message, done, op.token)
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
	c.held.Resume(c.sendNow)
	if !c.held.On {
		c.renewCredit()
	}
	c.mu.Lock()
	c.makeRoom()
	c.mu.Unlock()
}

// renewCredit gives all producers the credit that was kept back.
func (c *conn) renewCredit() {
	for _, s := range c.sessions {
		if s == nil || s.over {
			continue
		}
		for _, l := range s.handles {
			if l != nil && !l.sender && !l.over {
				l.topUp()
			}
		}
	}
}

// flushHeld publishes what is held, whatever the broker asked for: the client
// has gone and there will be no more.
func (c *conn) flushHeld() {
	c.held.Flush(c.sendNow)
}
