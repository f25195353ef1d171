package broker

import (
	"math"
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
)

// EventKind is what an advisory message tells of.
type EventKind uint8

// The kinds, by ActiveMQ's topics.
const (
	EventConnection  EventKind = iota // Connection
	EventDestination                  // Queue, Topic, TempQueue, TempTopic
	EventConsumer                     // Consumer.
	EventProducer                     // Producer.
	EventExpired                      // Expired.
	EventDeadLetter                   // MessageDLQd.
	EventDiscarded                    // MessageDiscarded.
	EventDelivered                    // MessageDelivered.: to the broker
	EventConsumed                     // MessageConsumed.
	EventNoConsumer                   // NoConsumer.
	EventSlow                         // SlowConsumer.
	EventFast                         // FastProducer.
	EventFull                         // FULL.
	EventMaster                       // MasterBroker
	eventKinds
)

var eventTopics = [eventKinds]string{
	"Connection", "", "Consumer.", "Producer.", "Expired.", "MessageDLQd.", "MessageDiscarded.", "MessageDelivered.",
	"MessageConsumed.", "NoConsumer.", "SlowConsumer.", "FastProducer.", "FULL.", "MasterBroker",
}

// AdvisoryPrefix is what the names of the topics begin with that tell of
// events. Only the broker sends there.
const AdvisoryPrefix = "ActiveMQ.Advisory."

// Event is something that happened in the broker. Fields that mean nothing
// for its kind are zero.
type Event struct {
	Kind        EventKind
	Ended       bool                // the connection, consumer, producer or destination has
	Destination message.Destination // what it is about, but for connections
	Connection  string              // the connection's id
	ClientID    string              // of the connection, also for consumers and producers
	User        string
	Remote      string
	Consumer    string // the consumer's id
	Producer    string // the producer's id
	Count       int64  // consumers or producers of Destination now; messages discarded so far; messages in a full queue

	// Of a consumer.
	Selector, Subscription                  string
	Prefetch                                int64
	Priority                                int64
	Exclusive, NoLocal, Retroactive, Browse bool

	Message *message.Message // what the event is about
	Body    bool             // its text is to be told, too
}

// topic returns the name of the topic that tells of e.
func (e *Event) topic() string {
	kind := "Topic"
	if e.Destination.Kind.IsQueue() {
		kind = "Queue"
	}
	name := AdvisoryPrefix + eventTopics[e.Kind]
	switch e.Kind {
	case EventConnection, EventMaster:
		return name
	case EventDestination:
		if e.Destination.Kind.IsTemp() {
			name += "Temp"
		}
		return name + kind
	case EventProducer:
		if e.Destination.IsZero() {
			return name + "Anonymous"
		}
	case EventConsumer, EventExpired, EventDeadLetter, EventDiscarded, EventDelivered, EventConsumed, EventNoConsumer,
		EventSlow, EventFast, EventFull, eventKinds:
	}
	return name + kind + "." + e.Destination.Name
}

// message returns e as the message that subscribers get: ActiveMQ's
// properties, and a map with one entry, named for ActiveMQ's command, that
// holds what the command says.
func (b *Broker) advisory(e *Event) *message.Message {
	v := &message.View{}
	text := func(name, value string) {
		if value != "" {
			v.Properties = append(v.Properties, message.Property{Name: name, Value: message.StringValue(value)})
		}
	}
	number := func(name string, n message.Value) {
		v.Properties = append(v.Properties, message.Property{Name: name, Value: n})
	}
	count := func(n int64) message.Value { return message.Int32Value(int32(min(n, math.MaxInt32))) } // Java reads an int
	text("originBrokerId", b.o.Name)
	text("originBrokerName", b.o.Name)
	text("originBrokerURL", b.o.URL)
	text("consumerId", e.Consumer)
	text("producerId", e.Producer)
	if e.Message != nil {
		text("orignalMessageId", e.Message.ID.String()) // as ActiveMQ spells it
		text("orignalDestination", e.Message.Destination.String())
	}
	switch e.Kind {
	case EventConsumer:
		number("consumerCount", count(e.Count))
	case EventProducer:
		number("producerCount", count(e.Count))
	case EventDiscarded:
		number("discardedCount", count(e.Count))
	case EventFull:
		text("usageName", e.Destination.String())
		number("usageCount", message.Int64Value(e.Count))
	case EventConnection, EventDestination, EventExpired, EventDeadLetter, EventDelivered, EventConsumed, EventNoConsumer,
		EventSlow, EventFast, EventMaster, eventKinds:
	}
	if name, fields := e.command(b.o.Converters); name != "" {
		v.Body = message.MapBody([]message.MapEntry{{Key: message.StringValue(name), Value: message.MapValue(fields)}})
	}
	return message.NewView(&message.Envelope{
		ID: b.NewID(), Destination: message.Topic(e.topic()), Timestamp: b.NowMs(), Type: advisoryType,
		Priority: message.DefaultPriority,
	}, v)
}

// command returns ActiveMQ's command of e and its fields.
func (e *Event) command(c message.Converters) (name string, fields []message.MapEntry) {
	put := func(name string, v message.Value) {
		fields = append(fields, message.MapEntry{Key: message.StringValue(name), Value: v})
	}
	text := func(name, value string) {
		if value != "" {
			put(name, message.StringValue(value))
		}
	}
	switch e.Kind {
	case EventConnection:
		name = "ConnectionInfo"
		text("connectionId", e.Connection)
		text("clientId", e.ClientID)
		text("userName", e.User)
		text("clientIp", e.Remote)
	case EventDestination:
		put("operationType", message.Int8Value(map[bool]int8{false: 0, true: 1}[e.Ended]))
		text("connectionId", e.Connection)
		text("destination", e.Destination.String())
		return "DestinationInfo", fields
	case EventConsumer:
		name = "ConsumerInfo"
		e.consumerFields(put, text)
	case EventProducer:
		name = "ProducerInfo"
		text("producerId", e.Producer)
		text("destination", e.Destination.String())
	case EventExpired, EventDeadLetter, EventDiscarded, EventDelivered, EventConsumed, EventNoConsumer, EventSlow, EventFast, EventFull:
		return e.messageFields(c, put, text, &fields)
	case EventMaster, eventKinds:
		return "", nil
	}
	if e.Ended {
		return "RemoveInfo", []message.MapEntry{{Key: message.StringValue("objectId"), Value: message.MapValue(fields[:1])}}
	}
	return name, fields
}

func (e *Event) consumerFields(put func(string, message.Value), text func(name, value string)) {
	text("consumerId", e.Consumer)
	text("clientId", e.ClientID)
	text("destination", e.Destination.String())
	text("selector", e.Selector)
	text("subscriptionName", e.Subscription)
	put("prefetchSize", message.Int64Value(e.Prefetch))
	put("priority", message.Int64Value(e.Priority))
	put("exclusive", message.BoolValue(e.Exclusive))
	put("noLocal", message.BoolValue(e.NoLocal))
	put("retroactive", message.BoolValue(e.Retroactive))
	put("browser", message.BoolValue(e.Browse))
}

func (e *Event) messageFields(c message.Converters, put func(string, message.Value), text func(name, value string), fields *[]message.MapEntry) (string, []message.MapEntry) {
	if e.Message == nil {
		text("destination", e.Destination.String())
		return "DestinationInfo", *fields
	}
	text("messageId", e.Message.ID.String())
	text("destination", e.Message.Destination.String())
	text("type", e.Message.Type)
	put("timestamp", message.Int64Value(e.Message.Timestamp))
	put("expiration", message.Int64Value(e.Message.Expiry))
	if e.Body {
		if v, err := e.Message.View(c); err == nil && v.Body.Kind == message.BodyText {
			text("text", v.Body.Text())
		}
	}
	return "Message", *fields
}

// isAdvisory reports whether d tells of events.
func isAdvisory(d message.Destination) bool {
	return d.Kind == message.KindTopic && strings.HasPrefix(d.Name, AdvisoryPrefix)
}
