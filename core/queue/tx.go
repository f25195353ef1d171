package queue

import (
	"slices"

	"github.com/entrepot-mq/entrepot/core/store"
)

// InTx is a delivery that a transaction settles.
type InTx struct {
	c   *Consumer
	h   held
	tag uint64
	o   Outcome
}

// Enlist settles the delivery of that tag, or with through all open ones up
// to it, in a transaction: until Commit or InTx.Rollback they count
// neither against the window nor as open.
func (c *Consumer) Enlist(tag uint64, o Outcome, through bool) (in []InTx, ok bool) {
	c.mu.Lock()
	var all []taken
	if through {
		all = c.held.takeThrough(nil, tag, heldInTx)
	} else if h, ok := c.held.take(tag, heldOpen, heldInTx); ok {
		all = []taken{{h, tag}}
	}
	for _, t := range all {
		c.end(t.held)
		in = append(in, InTx{c, t.held, t.tag, o})
	}
	c.mu.Unlock()
	if len(in) > 0 {
		c.feed()
	}
	return in, len(in) > 0
}

// Ops adds what the log has to know of the settlement. Transient messages
// follow in Commit.
func (t *InTx) Ops(ops []store.Op, b Rejecter) []store.Op {
	switch {
	case t.h.q == nil || t.o == Released:
		return ops
	case t.o == Rejected:
		if !isTransient(t.h.pos) {
			ops = appendAck(ops, t.h.q.ID(), t.h.pos)
		}
		return b.DeadLetterOps(ops, t.h.q, Held{t.h.pos, t.h.msg}, RejectedByConsumer)
	case isTransient(t.h.pos):
		return ops
	case t.o == Modified:
		return t.h.q.retryOps(ops, t.h, b)
	}
	return appendAck(ops, t.h.q.ID(), t.h.pos)
}

// Rejecter makes the ops that a rejected message ends with.
type Rejecter interface {
	DeadLetterOps(ops []store.Op, q *Queue, d Held, reason string) []store.Op
}

// Commit ends the deliveries: the transaction's record is applied. What comes
// back goes out again when all of them have ended.
func Commit(in []InTx) {
	var touched []*Queue
	for i := range in {
		if t := &in[i]; t.commit() && !slices.Contains(touched, t.h.q) {
			touched = append(touched, t.h.q)
		}
	}
	for _, q := range touched {
		q.Dispatch()
	}
}

// commit reports whether the queue is to be dispatched.
func (t *InTx) commit() bool {
	t.c.mu.Lock()
	t.c.held.take(t.tag, heldInTx, heldSettled)
	t.c.mu.Unlock()
	q := t.h.q
	if q == nil || t.o != Released && !isTransient(t.h.pos) {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if isTransient(t.h.pos) {
		q.endTransient(t.h.pos, t.o)
	} else {
		q.giveBack(t.h.pos)
	}
	return true
}

// Rollback makes the delivery unsettled again; it stays with its consumer.
func (t *InTx) Rollback() {
	t.c.mu.Lock()
	_, ok := t.c.held.take(t.tag, heldInTx, heldOpen)
	closed := t.c.closed
	if ok {
		t.c.unend(t.h)
	}
	t.c.mu.Unlock()
	if ok && closed {
		// The consumer ended meanwhile: its other deliveries are gone too.
		t.c.giveUp(t.tag)
	}
}

// giveUp gives back a delivery that nobody said anything about.
func (c *Consumer) giveUp(tag uint64) {
	c.mu.Lock()
	h, ok := c.held.take(tag, heldOpen, heldSettled)
	if ok {
		c.end(h)
	}
	c.mu.Unlock()
	if ok && h.q != nil {
		h.q.modify(h.pos, nil, 0)
	}
}
