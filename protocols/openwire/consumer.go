package openwire

import (
	"strings"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

type consumerKey struct{ session, value int64 }

// consumer is a ConsumerInfo of the client.
type consumer struct {
	// immutable
	id      *wire.ConsumerID
	browse  bool
	counted bool // of a topic, not durable: acknowledgements only count
	durable bool

	// guarded by conn.turn
	core   *broker.Consumer // nil of one that only gets advisories
	credit credit
	stop   func() // of one that only gets advisories

	// guarded by conn.mu
	closed  bool
	given   given
	pulling bool // a MessagePull waits
	granted bool // the credit of a pull was given and not used
	pulls   uint64
}

// credit is what a consumer may be given (openwire.md, 16): while what was
// given and is not acknowledged, less the extension, is below the prefetch.
// The broker counts the credit down; here is what has to be granted again.
type credit struct {
	prefetch  int
	extension int
	debt      int // was granted too much: rollbacks shorten what is not given yet
}

// delivered has the client make room for n more: it was given n that it will
// acknowledge later. It returns what to grant.
func (c *credit) delivered(n int) int {
	c.extension += n
	return c.pay(n)
}

// acknowledged ends n that were given.
func (c *credit) acknowledged(n int) int {
	back := min(n, c.extension)
	c.extension -= back
	return c.pay(n - back)
}

// rolledBack shortens the extension: the messages stay with the client.
func (c *credit) rolledBack(n int) {
	back := min(n, c.extension)
	c.extension -= back
	c.debt += back
}

// pay returns what of n is left to grant.
func (c *credit) pay(n int) int {
	paid := min(n, c.debt)
	c.debt -= paid
	return n - paid
}

// grant gives credit to the broker's consumer.
func (r *consumer) grant(n int) {
	if n > 0 && r.core != nil && r.credit.prefetch > 0 {
		r.core.Grant(uint32(n))
	}
}

// addConsumer starts a consumer. One that is there already stays: clients that
// reconnect repeat themselves.
func (c *conn) addConsumer(x *wire.ConsumerInfo) (answered bool, err error) {
	if x.ConsumerID == nil || x.Destination == nil {
		return false, refuse(classState, "ConsumerInfo has no id or no destination")
	}
	if err := c.owns(x.ConsumerID.ConnectionID); err != nil {
		return false, err
	}
	if err := c.inSession(x.ConsumerID.SessionID); err != nil {
		return false, err
	}
	key := consumerKey{x.ConsumerID.SessionID, x.ConsumerID.Value}
	if c.consumers[key] != nil {
		return false, nil
	}
	if err := c.mayAdd(len(c.consumers), "consumers"); err != nil {
		return false, err
	}
	r := &consumer{id: x.ConsumerID, credit: credit{prefetch: min(max(int(x.PrefetchSize), 0), maxPrefetch)}}
	if onlyTemps(x.Destination) {
		c.consumers[key] = r
		c.watchTemps(r, x)
		return false, nil
	}
	sub, err := c.readConsumer(x, r)
	if err != nil {
		return false, err
	}
	if r.core, err = c.session.Subscribe(sub); err != nil {
		return false, subscribeError(err, sub.Selector)
	}
	c.consumers[key] = r
	if x.ResponseRequired {
		c.respond(x.CommandID)
	}
	r.core.Start()
	r.grant(r.credit.prefetch)
	return true, nil
}

// subscribeError tells a wrong selector from other things that are invalid.
func subscribeError(err error, selector string) error {
	if selector != "" && broker.CodeOf(err) == broker.CodeInvalid && strings.Contains(err.Error(), "selector") {
		return refuse(classSelector, "%v", err)
	}
	return err
}

func (c *conn) readConsumer(x *wire.ConsumerInfo, r *consumer) (sub broker.Subscription, err error) {
	d, err := resolve(x.Destination, true)
	if err != nil {
		return sub, err
	}
	if d.Kind.IsTemp() && !c.ownsTemp(d) {
		return sub, refuse(classDestination, "only the connection that made %s may consume from it", clip(d.Name))
	}
	if len(x.Selector.String()) > selectorLimit {
		return sub, refuse(classSelector, "the selector is longer than %d bytes", selectorLimit)
	}
	sub = broker.Subscription{
		Destination: d, Selector: x.Selector.String(), NoLocal: x.NoLocal, Exclusive: x.Exclusive,
		Retroactive: x.Retroactive, Priority: min(max(int(x.Priority), 0), 127), Paused: true, Ref: r,
	}
	// What doesn't go together is taken for not set, as in ActiveMQ.
	r.browse = x.Browser && d.Kind.IsQueue()
	r.durable = x.SubscriptionName.String() != "" && d.Kind == message.KindTopic
	r.counted = d.Kind.IsTopic() && !r.durable
	sub.Browse = r.browse
	if r.durable {
		sub.Durable = x.SubscriptionName.String()
	}
	return sub, nil
}

// controlConsumer sets a prefetch: clients that reconnect subscribe with 0 and
// then say what they want.
func (c *conn) controlConsumer(x *wire.ConsumerControl) {
	r := c.consumerOf(x.ConsumerID)
	if r == nil || x.Close {
		return
	}
	before := r.credit.prefetch
	r.credit.prefetch = min(max(int(x.Prefetch), 0), maxPrefetch)
	if more := r.credit.prefetch - before; more > 0 {
		r.grant(r.credit.pay(more))
	} else {
		r.credit.debt -= more
	}
}

// consumerOf finds a consumer of this connection, nil if there is none.
func (c *conn) consumerOf(x *wire.ConsumerID) *consumer {
	if x == nil || x.ConnectionID.String() != c.client.connection {
		return nil
	}
	return c.consumers[consumerKey{x.SessionID, x.Value}]
}

// removeSubscription removes a durable subscription: one of the connection's
// own client id, whatever the command says.
func (c *conn) removeSubscription(x *wire.RemoveSubscriptionInfo) error {
	return c.session.DeleteDurable(x.SubscriptionName.String())
}
