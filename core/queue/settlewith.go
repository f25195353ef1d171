package queue

import "github.com/entrepot-mq/entrepot/core/store"

// SettleWith accepts one delivery in the same record of the log as another op:
// both happen or none. done may be nil. For an unknown or settled tag it
// returns ErrNoDelivery, nothing happens, and done is not called.
func (c *Consumer) SettleWith(tag uint64, op store.Op, done store.Done, token uint64) error {
	c.mu.Lock()
	h, ok := c.held.take(tag, heldOpen, heldSettled)
	if ok {
		c.end(h)
	}
	c.mu.Unlock()
	if !ok {
		return ErrNoDelivery
	}
	ops := []store.Op{op}
	if h.q != nil {
		if isTransient(h.pos) {
			h.q.settleTransient(h.pos, Accepted)
		} else {
			ops = append(ops, store.Op{Kind: store.OpAck, Queue: h.q.ID(), Pos: h.pos})
		}
	}
	c.broker.Commit(store.Request{Ops: ops, Durability: ackDurability(done), Done: done, Token: token})
	c.feed()
	return nil
}
