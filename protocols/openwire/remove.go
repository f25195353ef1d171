package openwire

import (
	"math"

	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// What RemoveInfo may say of the last message that the application got.
const (
	lastUnknown = -2 // -1 and 0 say that there was none
)

// remove ends an object of the client and everything under it.
func (c *conn) remove(x *wire.RemoveInfo) (answered bool, err error) {
	switch id := x.ObjectID.(type) {
	case *wire.ConsumerID:
		r := c.consumerOf(id)
		if r == nil {
			if !x.ResponseRequired {
				return false, nil // clients that reconnect may remove what was never there
			}
			return false, refuse(classLangState, "the connection has no consumer %d in session %d", id.Value, id.SessionID)
		}
		delete(c.consumers, consumerKey{id.SessionID, id.Value})
		c.closeConsumer(r, x.LastDeliveredSequenceID)
	case *wire.ProducerID:
		c.removeProducer(producerKey{id.SessionID, id.Value})
	case *wire.SessionID:
		c.removeSession(id.Value, x.LastDeliveredSequenceID)
	case *wire.ConnectionID:
		return c.removeConnection(x)
	default:
		return false, refuse(classState, "RemoveInfo names nothing that can be removed")
	}
	return false, nil
}

func (c *conn) removeProducer(key producerKey) {
	if p := c.producers[key]; p != nil {
		p.core.Close()
		delete(c.producers, key)
	}
}

func (c *conn) removeSession(n, last int64) {
	delete(c.sessions, n)
	for key := range c.producers {
		if key.session == n {
			c.removeProducer(key)
		}
	}
	for key, r := range c.consumers {
		if key.session == n {
			delete(c.consumers, key)
			c.closeConsumer(r, last)
		}
	}
}

// removeConnection ends the session. The client closes the socket, or goes on
// with another ConnectionInfo.
func (c *conn) removeConnection(x *wire.RemoveInfo) (answered bool, err error) {
	for key, t := range c.local {
		delete(c.local, key)
		c.rollback(t)
	}
	for name, t := range c.branches {
		delete(c.branches, name)
		if !t.prepared {
			c.rollback(t)
		}
	}
	for key, r := range c.consumers {
		delete(c.consumers, key)
		c.closeConsumer(r, x.LastDeliveredSequenceID)
	}
	c.closeSession()
	return false, nil
}

// closeConsumer ends a consumer. What it was given and did not acknowledge
// goes back to the queue; it counts as delivered only as far as the
// application got it (openwire.md, 17.4).
func (c *conn) closeConsumer(r *consumer, last int64) {
	if r.stop != nil {
		r.stop()
	}
	c.mu.Lock()
	r.closed = true
	seen := r.given.seen(last, r.durable)
	c.mu.Unlock()
	if r.core != nil {
		r.core.CloseAfter(seen)
	}
}

// seen returns the tag of the last delivery that the application got, if that
// is the one numbered so.
func (g *given) seen(last int64, durable bool) (tag uint64) {
	if last == lastUnknown || last == 0 && durable {
		return math.MaxUint64
	}
	for _, d := range g.list[g.head:] {
		if d.message != nil && last > 0 && brokerSequence(d.message) == last {
			return d.tag
		}
	}
	return 0
}
