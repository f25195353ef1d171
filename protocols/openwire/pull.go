package openwire

import (
	"time"

	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

const maxPullMs = 365 * 24 * 3600 * 1000

// pull gives a consumer without prefetch one message, or tells it after the
// time-out that there is none: after -1 ms at once, after 0 never. A new pull
// replaces the one before.
func (c *conn) pull(x *wire.MessagePull) {
	r := c.consumerOf(x.ConsumerID)
	if r == nil || r.core == nil || r.credit.prefetch > 0 {
		return
	}
	c.mu.Lock()
	r.pulling = true
	r.pulls++
	n, next := r.pulls, r.last+1
	c.mu.Unlock()
	if x.Timeout < 0 {
		r.core.Drain(next)
		return
	}
	r.core.Allow(next)
	if x.Timeout > 0 {
		c.net.Wheel.After(time.Duration(min(x.Timeout, maxPullMs))*time.Millisecond, func() { go c.endPull(r, n) })
	}
}

// endPull takes the credit of the nth pull back if it still waits, which tells
// the client that there is nothing.
func (c *conn) endPull(r *consumer, n uint64) {
	defer c.guard("pull")
	c.turn.Lock()
	defer c.turn.Unlock()
	c.mu.Lock()
	waits, next := r.pulling && r.pulls == n && !r.closed, r.last+1
	c.mu.Unlock()
	if waits {
		r.core.Drain(next)
	}
}
