package stomp

import (
	"strings"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// unsubscribe ends a consumer (STOMP 1.2, UNSUBSCRIBE). With
// activemq.subscriptionName it removes the durable subscription too; a shared
// one needs activemq.shared:true besides.
func (c *conn) unsubscribe(f *frame) error {
	durable, isDurable := f.find("activemq.subscriptionName")
	flag, _ := f.find("activemq.shared")
	shared := strings.EqualFold(strings.TrimSpace(flag), "true")
	sub, err := c.meant(f)
	if err != nil {
		return err
	}
	if sub == nil && isDurable {
		sub = c.durableNamed(durable, shared)
	}
	if sub == nil && !isDurable {
		return refuse("UNSUBSCRIBE names the id of a SUBSCRIBE of the same connection.", "there is no such subscription")
	}
	if sub != nil {
		c.closeSubscription(sub)
	}
	if isDurable {
		remove := c.session.DeleteDurable
		if shared {
			remove = c.session.DeleteShared
		}
		if err := remove(durable); err != nil {
			return err
		}
	}
	c.receipt(f)
	return nil
}

// meant finds the subscription that UNSUBSCRIBE means: by id, or in
// 1.0 by destination, the first one.
func (c *conn) meant(f *frame) (*subscription, error) {
	if id, ok := f.value(headerID); ok {
		return c.subs.named(alias(id)), nil
	}
	name, ok := f.value(headerDestination)
	if !ok || c.version > v10 {
		return nil, nil
	}
	d, _, err := c.resolve(alias(name))
	if err != nil {
		return nil, err
	}
	for _, sub := range c.subs.list {
		if sub.destination == d {
			return sub, nil
		}
	}
	return nil, nil
}

func (c *conn) durableNamed(name string, shared bool) *subscription {
	for _, sub := range c.subs.list {
		if sub.durable == name && sub.shared == shared {
			return sub
		}
	}
	return nil
}

// closeSubscription makes sure that nothing of sub is written any more. What
// the writer took before counts as received if the subscription is automatic:
// the client is alive, it has just spoken.
func (c *conn) closeSubscription(sub *subscription) {
	c.mu.Lock()
	sub.closed = true
	handed := sub.handed
	c.mu.Unlock()
	if sub.auto && handed > 0 {
		// Nothing is left to settle if the writer was faster.
		_ = sub.consumer.SettleThrough(handed, broker.Accepted, nil, 0)
	}
	sub.consumer.Close()
	c.subs.remove(sub)
}
