package openwire

import (
	"time"

	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// pull gives a consumer without prefetch one message, or tells it after the
// time-out that there is none: after -1 ms at once, after 0 never.
func (c *conn) pull(x *wire.MessagePull) {
	r := c.consumerOf(x.ConsumerID)
	if r == nil || r.core == nil {
		return
	}
	c.mu.Lock()
	granted := r.granted
	r.pulling, r.granted = true, true
	r.pulls++
	n := r.pulls
	c.mu.Unlock()
	if !granted {
		r.core.Grant(1)
	}
	switch {
	case x.Timeout < 0:
		c.nothing(r, n)
	case x.Timeout > 0:
		c.net.Wheel.After(time.Duration(min(x.Timeout, maxPullMs))*time.Millisecond, func() { c.nothing(r, n) })
	}
}

const maxPullMs = 365 * 24 * 3600 * 1000

// nothing ends the nth pull of r if it still waits.
func (c *conn) nothing(r *consumer, n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.pulling && r.pulls == n && !r.closed {
		r.pulling = false
		c.queue(outItem{consumer: r})
	}
}
