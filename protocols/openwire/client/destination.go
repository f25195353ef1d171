package client

import (
	"context"
	"fmt"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// Destination returns d for the wire, nil if it is none. Its name may be a
// pattern or a composite where the broker takes those.
func Destination(d message.Destination) wire.Destination {
	name := wire.ActiveMQDestination{PhysicalName: wire.Text(d.Name)}
	switch d.Kind {
	case message.KindQueue:
		return &wire.ActiveMQQueue{ActiveMQDestination: name}
	case message.KindTopic:
		return &wire.ActiveMQTopic{ActiveMQDestination: name}
	case message.KindTempQueue:
		return &wire.ActiveMQTempQueue{ActiveMQTempDestination: wire.ActiveMQTempDestination{ActiveMQDestination: name}}
	case message.KindTempTopic:
		return &wire.ActiveMQTempTopic{ActiveMQTempDestination: wire.ActiveMQTempDestination{ActiveMQDestination: name}}
	case message.KindNone:
	}
	return nil
}

// Operations of DestinationInfo.
const (
	destinationAdd    = 0
	destinationRemove = 1
)

// CreateTemp makes a temporary queue or topic, which lives as long as the
// connection.
func (c *Conn) CreateTemp(ctx context.Context, kind message.Kind) (wire.Destination, error) {
	c.mu.Lock()
	c.temps++
	name := fmt.Sprintf("%s:%d", c.id, c.temps)
	c.mu.Unlock()
	d := Destination(message.Destination{Kind: kind, Name: name})
	_, err := c.Request(ctx, &wire.DestinationInfo{ConnectionID: c.connectionID(), Destination: d, OperationType: destinationAdd})
	return d, err
}

// Delete removes a destination with what is in it.
func (c *Conn) Delete(ctx context.Context, d wire.Destination) error {
	_, err := c.Request(ctx, &wire.DestinationInfo{ConnectionID: c.connectionID(), Destination: d, OperationType: destinationRemove})
	return err
}
