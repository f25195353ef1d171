package openwire

import (
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// resolve reads a destination. Options behind '?' are the client's own
// business. Patterns are for consumers only.
func resolve(x wire.Destination, pattern bool) (message.Destination, error) {
	d := message.Destination{Kind: kindOf(x.StructureType()), Name: strings.TrimSpace(x.Name())}
	d, _ = d.CutOptions()
	if len(d.Name) > nameLimit {
		return d, refuse(classDestination, "the name of a destination is longer than %d bytes", nameLimit)
	}
	if d.Kind.IsTemp() && strings.Contains(d.Name, ",") {
		return d, refuse(classDestination, "a temporary destination has one name")
	}
	ds, err := d.Components()
	if err != nil {
		return d, refuse(classDestination, "%v", err)
	}
	for _, one := range ds {
		if err := message.ValidateName(one.Name); err != nil {
			return d, refuse(classDestination, "%v", err)
		}
		if !pattern && message.IsPattern(one.Name) {
			return d, refuse(classDestination, "%s is a pattern: messages are sent to a destination", clip(one.Name))
		}
	}
	return d, nil
}

// DestinationName returns a destination as queue://name.
func DestinationName(x wire.Destination) string {
	return message.Destination{Kind: kindOf(x.StructureType()), Name: x.Name()}.String()
}

func kindOf(t wire.Type) message.Kind {
	switch t {
	case wire.TypeActiveMQTopic:
		return message.KindTopic
	case wire.TypeActiveMQTempQueue:
		return message.KindTempQueue
	case wire.TypeActiveMQTempTopic:
		return message.KindTempTopic
	default:
		return message.KindQueue
	}
}

// destinations are the four kinds, to be filled in again for each message.
type destinations struct {
	queue     wire.ActiveMQQueue
	topic     wire.ActiveMQTopic
	tempQueue wire.ActiveMQTempQueue
	tempTopic wire.ActiveMQTempTopic
}

// of returns d for the wire, nil if it is none. It is valid until the next
// call.
func (x *destinations) of(d message.Destination) wire.Destination {
	name := wire.Text(d.Name)
	switch d.Kind {
	case message.KindQueue:
		x.queue.PhysicalName = name
		return &x.queue
	case message.KindTopic:
		x.topic.PhysicalName = name
		return &x.topic
	case message.KindTempQueue:
		x.tempQueue.PhysicalName = name
		return &x.tempQueue
	case message.KindTempTopic:
		x.tempTopic.PhysicalName = name
		return &x.tempTopic
	case message.KindNone:
	}
	return nil
}
