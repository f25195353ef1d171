package api

import (
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// queueModel is a queue as it goes out.
type queueModel struct {
	Name         string `json:"name"`
	Temporary    bool   `json:"temporary"`
	Messages     int    `json:"messages"`
	InFlight     int    `json:"inFlight"`
	Consumers    int    `json:"consumers"`
	Paused       bool   `json:"paused"`
	Enqueued     uint64 `json:"enqueued"`
	Dequeued     uint64 `json:"dequeued"`
	Dispatched   uint64 `json:"dispatched"`
	Expired      uint64 `json:"expired"`
	DeadLettered uint64 `json:"deadLettered"`
}

func showQueue(q *broker.QueueInfo) queueModel {
	return queueModel{
		Name: q.Destination.Name, Temporary: q.Destination.Kind.IsTemp(), Messages: q.Messages, InFlight: q.InFlight,
		Consumers: q.Consumers, Paused: q.Paused, Enqueued: q.Enqueued, Dequeued: q.Dequeued, Dispatched: q.Dispatched,
		Expired: q.Expired, DeadLettered: q.DeadLettered,
	}
}

type topicModel struct {
	Name                 string `json:"name"`
	Subscribers          int    `json:"subscribers"`
	DurableSubscriptions int    `json:"durableSubscriptions"`
	Created              bool   `json:"created"`
}

func showTopic(t *broker.TopicInfo) topicModel {
	return topicModel{t.Name, t.Subscribers, t.Durable, t.Created}
}

type subscriptionModel struct {
	ClientID   string `json:"clientId"`
	Name       string `json:"name,omitempty"`
	Topic      string `json:"topic"`
	Selector   string `json:"selector,omitempty"`
	Durable    bool   `json:"durable"`
	Shared     bool   `json:"shared"`
	NoLocal    bool   `json:"noLocal"`
	Active     bool   `json:"active"`
	Connection uint64 `json:"connection,omitempty"`
	Messages   int    `json:"messages"`
	InFlight   int    `json:"inFlight"`
	Consumers  int    `json:"consumers"`
	Enqueued   uint64 `json:"enqueued"`
	Dequeued   uint64 `json:"dequeued"`
	Dispatched uint64 `json:"dispatched"`
}

func showSubscription(s *broker.SubscriptionInfo) subscriptionModel {
	return subscriptionModel{
		ClientID: s.ClientID, Name: s.Name, Topic: s.Topic, Selector: s.Selector, Durable: s.Durable, Shared: s.Shared,
		NoLocal: s.NoLocal, Active: s.Consumers > 0, Connection: s.Connection, Messages: s.Messages, InFlight: s.InFlight,
		Consumers: s.Consumers, Enqueued: s.Enqueued, Dequeued: s.Dequeued, Dispatched: s.Dispatched,
	}
}

type connectionModel struct {
	ID        uint64    `json:"id"`
	ClientID  string    `json:"clientId"`
	Protocol  string    `json:"protocol"`
	Version   string    `json:"version"`
	User      string    `json:"user,omitempty"`
	Remote    string    `json:"remote,omitempty"`
	Listener  string    `json:"listener,omitempty"`
	Secure    bool      `json:"secure"`
	Since     time.Time `json:"since"`
	Sent      uint64    `json:"sent"`
	Delivered uint64    `json:"delivered"`
	Consumers int       `json:"consumers"`
	Unsettled int       `json:"unsettled"`
	Waits     string    `json:"waits,omitempty"`
}

func showConnection(c *broker.ConnectionInfo) connectionModel {
	return connectionModel{
		ID: c.ID, ClientID: c.ClientID, Protocol: c.Protocol, Version: c.Version, User: c.Login, Remote: c.Remote,
		Listener: c.Listener, Secure: c.Secure, Since: c.Since.UTC(), Sent: c.Sent, Delivered: c.Delivered,
		Consumers: c.Consumers, Unsettled: c.Unsettled, Waits: c.Waits,
	}
}

type consumerModel struct {
	Connection  uint64 `json:"connection"`
	ClientID    string `json:"clientId"`
	Destination string `json:"destination"`
	Durable     string `json:"durable,omitempty"`
	Selector    string `json:"selector,omitempty"`
	Browse      bool   `json:"browse"`
	Exclusive   bool   `json:"exclusive"`
	Priority    int    `json:"priority"`
	Delivered   uint64 `json:"delivered"`
	Unsettled   int    `json:"unsettled"`
	Window      uint32 `json:"window"`
	Credit      uint32 `json:"credit"`
}

func showConsumer(c *broker.ConsumerInfo) consumerModel {
	s := c.ConsumerState
	return consumerModel{
		Connection: c.Connection, ClientID: c.ClientID, Destination: c.Destination.String(), Durable: c.Durable,
		Selector: c.Selector, Browse: c.Browse, Exclusive: c.Exclusive, Priority: c.Priority,
		Delivered: s.Delivered, Unsettled: s.Unsettled, Window: s.Window, Credit: s.Credit,
	}
}

// brokerModel is the broker as a whole.
type brokerModel struct {
	Name             string            `json:"name"`
	Version          string            `json:"version"`
	Role             string            `json:"role"`
	StartedAt        time.Time         `json:"startedAt"`
	UptimeSeconds    int64             `json:"uptimeSeconds"`
	Listeners        map[string]string `json:"listeners"`
	Connections      int               `json:"connections"`
	ByProtocol       map[string]int    `json:"byProtocol"`
	Queues           int               `json:"queues"`
	Subscriptions    int               `json:"durableSubscriptions"`
	Consumers        int               `json:"consumers"`
	Messages         int               `json:"messages"`
	InFlight         int               `json:"inFlight"`
	WaitingProducers int               `json:"waitingProducers"`
	MemoryUsed       int64             `json:"memoryUsed"`
	MemoryLimit      int64             `json:"memoryLimit"`
	StoreBytes       int64             `json:"storeBytes"`
	Published        uint64            `json:"published"`
	Delivered        uint64            `json:"delivered"`
	Acknowledged     uint64            `json:"acknowledged"`
	Expired          uint64            `json:"expired"`
	DeadLettered     uint64            `json:"deadLettered"`
}

func (a *API) showBroker(b *broker.Broker) brokerModel {
	s := b.Stats()
	m := brokerModel{
		Name: b.Name(), Version: a.o.Version, Role: "master", StartedAt: a.o.StartedAt.UTC(),
		UptimeSeconds: int64(time.Since(a.o.StartedAt).Seconds()), Listeners: map[string]string{},
		Connections: s.Sessions, ByProtocol: s.ByProtocol, Queues: s.Queues, Subscriptions: s.Durables, Consumers: s.Consumers,
		Messages: s.Messages, InFlight: s.InFlight, WaitingProducers: s.WaitingProducers, MemoryUsed: s.MemoryUsed,
		MemoryLimit: s.MemoryLimit, StoreBytes: s.Store.LogBytes + s.Store.PagesBytes, Published: s.Published,
		Delivered: s.Delivered, Acknowledged: s.Acknowledged, Expired: s.Expired, DeadLettered: s.DeadLettered,
	}
	if a.o.Listeners != nil {
		m.Listeners = a.o.Listeners()
	}
	return m
}
