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

// topicsIn returns the topics and patterns that are known and whose name is
// wanted.
func (b *Broker) topicsIn(wanted func(name string) bool) map[string]*TopicInfo {
	topics := make(map[string]*TopicInfo)
	of := func(name string) *TopicInfo {
		if topics[name] == nil {
			topics[name] = &TopicInfo{Name: name}
		}
		return topics[name]
	}
	for _, d := range b.everyDurable() {
		if wanted(d.spec.Pattern) {
			of(d.spec.Pattern).Durable++
		}
	}
	for _, s := range b.everySession() {
		for _, c := range s.subscriptions() {
			if c.Destination.Kind == message.KindTopic && c.Durable == "" && wanted(c.Destination.Name) {
				of(c.Destination.Name).Subscribers++
			}
		}
	}
	for _, name := range b.catalog.all() {
		if wanted(name) {
			of(name).Created = true
		}
	}
	return topics
}

// Topic returns what there is to know of one topic, or pattern, that ListTopics
// has.
func (b *Broker) Topic(name string) (TopicInfo, error) {
	if t := b.topicsIn(func(n string) bool { return n == name })[name]; t != nil {
		return *t, nil
	}
	return TopicInfo{}, fail(CodeNotFound, "show "+message.Topic(name).String(), "nobody subscribes to it and it was not made")
}

// permits reports whether who asks for the list may know of d.
func (l *List) permits(d message.Destination) bool { return l.Permit == nil || l.Permit(d) }
