package openwire

import (
	"math"
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
	last    uint64 // tag of the last delivery
	pulling bool   // a MessagePull waits
	pulls   uint64 // so far
}

// credit is what a consumer may be given (openwire.md, 16): while what was
// given and is not acknowledged, less the extension, is below the prefetch.
type credit struct {
	prefetch     int
	extension    int
	acknowledged int
}

// through is the tag of the last delivery that is allowed: tags count from 1.
func (c *credit) through() uint64 { return uint64(c.acknowledged + c.extension + c.prefetch) }

// extend has the client make room for n that it will acknowledge later.
func (c *credit) extend(n int) { c.extension += n }

// settle ends n that were given.
func (c *credit) settle(n int) {
	c.acknowledged += n
	c.shorten(n)
}

// shorten takes an extension back: the messages stay with the client.
func (c *credit) shorten(n int) { c.extension -= min(n, c.extension) }

// allow tells the broker's consumer of its credit. One that pulls has none by
// itself.
func (r *consumer) allow() {
	if r.core != nil && r.credit.prefetch > 0 {
		r.core.Allow(r.credit.through())
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
	r := &consumer{id: x.ConsumerID}
	if onlyTemps(x.Destination) {
		r.credit.prefetch = prefetchOf(x)
		c.consumers[key] = r
		c.watchTemps(r, x)
		return false, nil
	}
	sub, err := c.readConsumer(x, r)
	if err != nil {
		return false, err
	}
	r.credit.prefetch = c.prefetch(x, &sub)
	if r.core, err = c.session.Subscribe(sub); err != nil {
		return false, subscribeError(err, sub.Selector)
	}
	c.consumers[key] = r
	if r.credit.prefetch == 0 && x.PrefetchSize != 0 && c.client.manageable {
		c.post(&wire.ConsumerControl{ConsumerID: r.id}) // it pulls from now on
	}
	if x.ResponseRequired {
		c.respond(x.CommandID)
	}
	r.core.Start()
	r.allow()
	return true, nil
}

// What clients ask for whose application says nothing, as ActiveMQ's do.
const (
	usualQueuePrefetch   = 1000
	usualBrowserPrefetch = 500
	usualTopicPrefetch   = math.MaxInt16
	usualDurablePrefetch = 100
)

func prefetchOf(x *wire.ConsumerInfo) int { return min(max(int(x.PrefetchSize), 0), maxPrefetch) }

// prefetch returns a consumer's prefetch: its own, or if the application left
// it as it is, the policy's.
func (c *conn) prefetch(x *wire.ConsumerInfo, sub *broker.Subscription) int {
	usual := int32(usualQueuePrefetch)
	switch {
	case sub.Browse:
		usual = usualBrowserPrefetch
	case sub.Durable != "":
		usual = usualDurablePrefetch
	case sub.Destination.Kind.IsTopic():
		usual = usualTopicPrefetch
	}
	if x.PrefetchSize != usual {
		return prefetchOf(x)
	}
	return int(c.front.opts.Broker.Prefetch(sub.Destination, sub.Durable != "", sub.Browse))
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
		PendingLimit: max(int(x.MaximumPendingMessageLimit), 0),
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
	r.credit.prefetch = min(max(int(x.Prefetch), 0), maxPrefetch)
	r.allow()
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
