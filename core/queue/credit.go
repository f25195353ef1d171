package queue

import "github.com/entrepot-mq/entrepot/core/store"

// Drainer is a Target whose consumers ask for the end of what can be had now.
type Drainer interface {
	// Drained says that nothing more can be delivered to c for now, and that
	// unused is what was left of its credit, which is gone. Like Deliver it
	// must not block nor call back.
	Drained(c *Consumer, unused uint32)
}

// Allow lets a consumer without window receive deliveries up to the tag
// through, which replaces what was allowed or granted before: credit as an
// absolute number can be said again and taken back. It is not below what was
// delivered already.
func (c *Consumer) Allow(through uint64) {
	c.mu.Lock()
	more := c.allow(through)
	c.mu.Unlock()
	if more {
		c.feed()
	}
}

func (c *Consumer) allow(through uint64) (more bool) {
	before := c.credit
	c.credit = 0
	if through > c.last {
		c.credit = uint32(min(through-c.last, 1<<32-1))
	}
	c.noted()
	return c.credit > before
}

// Drain is Allow, after which Drainer.Drained is called once: when everything
// was delivered that the credit allows and the queues have. Messages on their
// way from the disk are waited for.
func (c *Consumer) Drain(through uint64) {
	c.mu.Lock()
	c.allow(through)
	c.draining.Store(true)
	c.mu.Unlock()
	c.feed()
	c.checkDrained()
}

// checkDrained ends a drain if no source has something on its way.
func (c *Consumer) checkDrained() {
	if !c.draining.Load() {
		return
	}
	c.mu.Lock()
	feeders, ready := c.feeders, c.ready()
	c.mu.Unlock()
	if ready {
		for _, f := range feeders {
			if q, ok := f.(*Queue); ok && q.loadingFor(c) {
				return // arrived comes back here
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || !c.draining.CompareAndSwap(true, false) {
		return
	}
	unused := c.credit
	c.credit = 0
	c.noted()
	if t, ok := c.target.(Drainer); ok {
		t.Drained(c, unused)
	}
}

// loadingFor reports whether a message that c could get is being read.
func (q *Queue) loadingFor(c *Consumer) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range q.browsers {
		if b.c == c {
			return true // a browser stays in the list only until it has seen all
		}
	}
	if q.paused || q.free.Load() == 0 || q.sole != nil && q.sole.c != c {
		return false
	}
	for _, a := range q.consumers {
		if a.c == c {
			k, ok := a.cursor.next(q)
			return ok && k.msg == nil
		}
	}
	return false
}

// draining returns the consumers that wait for the end of what can be had. It
// is called with mu held.
func (q *Queue) draining() (asked []*Consumer) {
	for _, a := range q.consumers {
		if a.c.draining.Load() {
			asked = append(asked, a.c)
		}
	}
	for _, b := range q.browsers {
		if b.c.draining.Load() {
			asked = append(asked, b.c)
		}
	}
	return asked
}

// Reject is Settle with the outcome Rejected and a reason of the consumer's,
// which the dead letter carries.
func (c *Consumer) Reject(tag uint64, reason string, done store.Done, token uint64) error {
	c.mu.Lock()
	h, ok := c.held.take(tag, heldOpen, heldSettled)
	if ok {
		c.end(h)
	}
	c.mu.Unlock()
	if !ok {
		return ErrNoDelivery
	}
	switch reason {
	case "":
		reason = RejectedByConsumer
	case Expired: // that is the broker's own word
		reason = RejectedByConsumer + ": " + reason
	}
	if h.q == nil {
		tell(c.broker, done, token)
	} else {
		c.broker.Reject(h.q, []Held{{h.pos, h.msg}}, reason, done, token)
	}
	c.feed()
	return nil
}
