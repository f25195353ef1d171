package broker

import (
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
)

// subscriptionQueue returns what waits in a durable subscription. Those that
// are shared whatever the client id have none.
func (b *Broker) subscriptionQueue(doing, clientID, name string) (*durable, error) {
	if d := b.queues.durable(durableKey{clientID, name}); d != nil {
		return d, nil
	}
	return nil, fail(CodeNotFound, doing+" durable subscription "+name, "client id %q has none of that name", clientID)
}

// Subscription returns what there is to know of a durable subscription.
func (b *Broker) Subscription(clientID, name string) (SubscriptionInfo, error) {
	d, err := b.subscriptionQueue("show", clientID, name)
	if err != nil {
		return SubscriptionInfo{}, err
	}
	return d.info(), nil
}

// BrowseSubscription returns a page of what waits in a durable subscription,
// without changing anything.
func (b *Broker) BrowseSubscription(clientID, name string, o Browse) (Browsed, error) {
	d, err := b.subscriptionQueue("browse", clientID, name)
	if err != nil {
		return Browsed{}, err
	}
	return b.browse(d.queue, o)
}

// PurgeSubscription removes all messages that wait in a durable subscription,
// as Purge does.
func (b *Broker) PurgeSubscription(clientID, name string) (removed int, err error) {
	d, err := b.subscriptionQueue("purge", clientID, name)
	if err != nil {
		return 0, err
	}
	return b.purge(d.queue)
}

func (b *Broker) purge(q *queue.Queue) (removed int, err error) {
	ops, n := q.PurgeOps()
	if err := b.commitOps("purge "+q.Destination().String(), ops...); err != nil {
		return 0, err
	}
	return n + q.PurgeTransient(), nil
}

// permits reports whether who asks for the list may know of d.
func (l *List) permits(d message.Destination) bool { return l.Permit == nil || l.Permit(d) }
