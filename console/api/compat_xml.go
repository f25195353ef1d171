package api

import (
	"encoding/xml"
	"io"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// The three pages of ActiveMQ's console that monitoring tools read.

type xmlQueues struct {
	XMLName xml.Name   `xml:"queues"`
	Queues  []xmlQueue `xml:"queue"`
}

type xmlTopics struct {
	XMLName xml.Name   `xml:"topics"`
	Topics  []xmlQueue `xml:"topic"`
}

type xmlQueue struct {
	Name  string   `xml:"name,attr"`
	Stats xmlStats `xml:"stats"`
}

type xmlStats struct {
	Size      int    `xml:"size,attr"`
	Consumers int    `xml:"consumerCount,attr"`
	Enqueued  uint64 `xml:"enqueueCount,attr"`
	Dequeued  uint64 `xml:"dequeueCount,attr"`
}

type xmlSubscribers struct {
	XMLName     xml.Name        `xml:"subscribers"`
	Subscribers []xmlSubscriber `xml:"subscriber"`
}

type xmlSubscriber struct {
	ClientID    string             `xml:"clientId,attr"`
	Name        string             `xml:"subscriptionName,attr"`
	Connection  string             `xml:"connectionId,attr"`
	Destination string             `xml:"destinationName,attr"`
	Selector    string             `xml:"selector,attr"`
	Active      string             `xml:"active,attr"`
	Stats       xmlSubscriberStats `xml:"stats"`
}

type xmlSubscriberStats struct {
	Pending    int    `xml:"pendingQueueSize,attr"`
	Dispatched int    `xml:"dispatchedQueueSize,attr"`
	Delivered  uint64 `xml:"dispatchedCounter,attr"`
	Enqueued   uint64 `xml:"enqueueCounter,attr"`
	Dequeued   uint64 `xml:"dequeueCounter,attr"`
}

const maxXML = 100_000 // elements of a page

func (c *call) xml(v any) error {
	b, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	_, _ = io.WriteString(c.w, xml.Header+string(b)+"\n") // the client may be gone
	return nil
}

func (c *call) xmlQueues() error {
	var out xmlQueues
	c.eachQueue(func(q *broker.QueueInfo) bool {
		out.Queues = append(out.Queues, xmlQueue{q.Destination.Name, xmlStats{q.Messages, q.Consumers, q.Enqueued, q.Dequeued}})
		return len(out.Queues) < maxXML
	})
	return c.xml(out)
}

func (c *call) xmlTopics() error {
	var out xmlTopics
	c.eachTopic(func(t *broker.TopicInfo) bool {
		out.Topics = append(out.Topics, xmlQueue{t.Name, xmlStats{Consumers: t.Subscribers + t.Durable}})
		return len(out.Topics) < maxXML
	})
	return c.xml(out)
}

func (c *call) xmlSubscribers() error {
	var out xmlSubscribers
	for l := (broker.List{Limit: broker.MaxPage}); len(out.Subscribers) < maxXML; l.Offset += broker.MaxPage {
		got, err := c.b.Subscriptions(l, false)
		if err != nil {
			return err
		}
		if len(got.Items) == 0 {
			break
		}
		for i := range got.Items {
			out.Subscribers = append(out.Subscribers, xmlSubscriberOf(&got.Items[i]))
		}
	}
	return c.xml(out)
}

func xmlSubscriberOf(s *broker.SubscriptionInfo) xmlSubscriber {
	active := "no"
	if s.Consumers > 0 {
		active = "yes"
	}
	return xmlSubscriber{
		ClientID: s.ClientID, Name: s.Name, Connection: s.ClientID, Destination: s.Topic, Selector: s.Selector, Active: active,
		Stats: xmlSubscriberStats{s.Messages, s.InFlight, s.Dispatched, s.Enqueued, s.Dequeued},
	}
}
