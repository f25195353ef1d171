package openwire

import (
	"math"
	"strconv"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// advisory fills in an advisory of the broker: clients read the command that
// it is about (openwire.md, 22).
func (x *dispatches) advisory(m *message.Message, v *message.View) wire.Message {
	head := *v
	head.Body = message.Body{}
	body := x.foreign(m, &head)
	if command, ok := v.Body.Value.Map(); ok && len(command) == 1 {
		inner, _ := command[0].Value.Map()
		body.Fields().DataStructure = commandTold(command[0].Key.String(), inner)
	}
	return body
}

// commandFields are those of a command in an advisory.
type commandFields []message.MapEntry

func (f commandFields) get(name string) message.Value {
	for _, e := range f {
		if e.Key.String() == name {
			return e.Value
		}
	}
	return message.Null()
}

func (f commandFields) text(name string) string        { text, _ := f.get(name).Text(); return text }
func (f commandFields) orNull(name string) wire.String { return textOrNull(f.text(name)) }
func (f commandFields) flag(name string) bool          { on, _ := f.get(name).Bool(); return on }

func (f commandFields) number(name string, most int64) int64 {
	n, _ := f.get(name).Int64()
	return min(n, most)
}

func (f commandFields) destination() wire.Destination {
	d, err := message.ParseDestination(f.text("destination"), message.KindQueue)
	if err != nil {
		return nil
	}
	return new(destinations).of(d)
}

// commandTold returns ActiveMQ's command of an advisory, nil if there is none.
func commandTold(command string, f commandFields) wire.Structure {
	switch command {
	case "ConnectionInfo":
		return &wire.ConnectionInfo{
			ConnectionID: connectionNamed(f.text("connectionId")), ClientID: wire.Text(f.text("clientId")),
			UserName: f.orNull("userName"), ClientIP: f.orNull("clientIp"), ClientMaster: true, Manageable: true,
		}
	case "DestinationInfo":
		return &wire.DestinationInfo{
			ConnectionID: connectionNamed(f.text("connectionId")), Destination: f.destination(),
			OperationType: int8(f.number("operationType", destinationRemove)),
		}
	case "ConsumerInfo":
		return f.consumer()
	case "ProducerInfo":
		return &wire.ProducerInfo{ProducerID: producerNamed(f.text("producerId")), Destination: f.destination()}
	case "RemoveInfo":
		if object, ok := f.get("objectId").Map(); ok {
			return &wire.RemoveInfo{ObjectID: commandFields(object).object(), LastDeliveredSequenceID: lastUnknown}
		}
	case "Message":
		return f.message()
	}
	return nil
}

func (f commandFields) consumer() wire.Structure {
	return &wire.ConsumerInfo{
		ConsumerID: consumerNamed(f.text("consumerId")), ClientID: f.orNull("clientId"), Destination: f.destination(),
		Selector: f.orNull("selector"), SubscriptionName: f.orNull("subscriptionName"),
		PrefetchSize: int32(f.number("prefetchSize", math.MaxInt32)), Priority: int8(f.number("priority", math.MaxInt8)),
		Exclusive: f.flag("exclusive"), NoLocal: f.flag("noLocal"), Retroactive: f.flag("retroactive"),
		Browser: f.flag("browser"), DispatchAsync: true,
	}
}

func (f commandFields) object() wire.Structure {
	for _, e := range f {
		text, _ := e.Value.Text()
		switch e.Key.String() {
		case "connectionId":
			return connectionNamed(text)
		case "consumerId":
			return consumerNamed(text)
		case "producerId":
			return producerNamed(text)
		}
	}
	return nil
}

// message returns what is told of a message: its head, and its text where the
// policy says so.
func (f commandFields) message() wire.Structure {
	var m wire.Message = &wire.ActiveMQMessage{}
	if text, ok := f.get("text").Text(); ok {
		m = &wire.ActiveMQTextMessage{}
		m.Fields().Content = wire.AppendText(nil, text)
	}
	h := m.Fields()
	h.ProducerID = producerNamed("")
	h.MessageID = &wire.MessageID{ProducerID: h.ProducerID, TextView: wire.Text(f.text("messageId"))}
	h.Destination, h.Type, h.Priority = f.destination(), f.orNull("type"), message.DefaultPriority
	h.Timestamp, h.Expiration = f.number("timestamp", math.MaxInt64), f.number("expiration", math.MaxInt64)
	return m
}

// The broker writes ids as ActiveMQ does: the connection's, a session's number
// and the object's.

func connectionNamed(id string) *wire.ConnectionID { return &wire.ConnectionID{Value: wire.Text(id)} }

func consumerNamed(id string) *wire.ConsumerID {
	connection, session, n := splitID(id)
	return &wire.ConsumerID{ConnectionID: wire.Text(connection), SessionID: session, Value: n}
}

func producerNamed(id string) *wire.ProducerID {
	connection, session, n := splitID(id)
	return &wire.ProducerID{ConnectionID: wire.Text(connection), SessionID: session, Value: n}
}

func splitID(id string) (connection string, session, n int64) {
	head, last, ok := cutLast(id)
	if !ok {
		return id, implicitSession, 0
	}
	connection, middle, ok := cutLast(head)
	if !ok {
		return id, implicitSession, 0
	}
	n, err := strconv.ParseInt(last, 10, 64)
	if err != nil {
		return id, implicitSession, 0
	}
	if session, err = strconv.ParseInt(middle, 10, 64); err != nil {
		return id, implicitSession, 0
	}
	return connection, session, n
}
