package openwire

import (
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

const (
	advisoryPrefix    = "ActiveMQ.Advisory."
	advisoryTempQueue = advisoryPrefix + "TempQueue"
	advisoryTempTopic = advisoryPrefix + "TempTopic"
)

// What DestinationInfo asks for.
const (
	destinationAdd    = 0
	destinationRemove = 1
)

// ownsTemp reports whether d is one of this connection's temporary
// destinations, by its name.
func (c *conn) ownsTemp(d message.Destination) bool {
	return strings.HasPrefix(d.Name, c.client.connection+":")
}

// destination makes or removes a destination.
func (c *conn) destination(x *wire.DestinationInfo) error {
	if x.Destination == nil {
		return refuse(classDestination, "DestinationInfo has no destination")
	}
	d, err := resolve(x.Destination, false)
	if err != nil {
		return err
	}
	switch {
	case x.OperationType == destinationRemove && d.Kind.IsTemp():
		return c.session.DeleteTemp(d)
	case x.OperationType == destinationRemove:
		return c.session.DeleteDestination(d)
	case x.OperationType != destinationAdd:
		return refuse(classJMS, "DestinationInfo asks for operation %d", x.OperationType)
	case !d.Kind.IsTemp():
		return c.session.CreateDestination(d)
	case !c.ownsTemp(d):
		return refuse(classDestination, "the name of a temporary destination begins with its connection's id")
	}
	return c.session.AddTemp(d)
}

// onlyTemps reports whether a subscription is to nothing but the advisories of
// temporary destinations, which every client makes by itself.
func onlyTemps(x wire.Destination) bool {
	if x.StructureType() != wire.TypeActiveMQTopic {
		return false
	}
	for name := range strings.SplitSeq(x.Name(), ",") {
		if n := strings.TrimSpace(name); n != advisoryTempQueue && n != advisoryTempTopic {
			return false
		}
	}
	return true
}

// maxAdvisories is how many of them may wait for a client that doesn't read.
const maxAdvisories = 64 << 10

// watchTemps tells a consumer what temporary destinations there are and will
// be: clients send to no other.
func (c *conn) watchTemps(r *consumer, x *wire.ConsumerInfo) {
	name := x.Destination.Name()
	queues, topics := strings.Contains(name, advisoryTempQueue), strings.Contains(name, advisoryTempTopic)
	wanted := func(d message.Destination) bool {
		return d.Kind == message.KindTempQueue && queues || d.Kind == message.KindTempTopic && topics
	}
	exist, stop := c.front.opts.Broker.WatchTemps(func(d message.Destination, added bool) {
		if wanted(d) {
			c.advise(r, d, added, false)
		}
	})
	r.stop = stop
	for _, d := range exist {
		if wanted(d) {
			c.advise(r, d, true, true)
		}
	}
}

// advise tells a consumer of a temporary destination. replay says that it is
// not news for others.
func (c *conn) advise(r *consumer, d message.Destination, added, replay bool) {
	operation := int8(destinationAdd)
	topic := advisoryTempQueue
	if d.Kind == message.KindTempTopic {
		topic = advisoryTempTopic
	}
	if !added {
		operation = destinationRemove
	}
	connection, _, _ := cutLast(d.Name)
	what := &wire.DestinationInfo{
		ConnectionID: &wire.ConnectionID{Value: wire.Text(connection)},
		Destination:  new(destinations).of(d), OperationType: operation,
	}
	m := c.front.advisory(topic, what)
	if replay {
		m.TargetConsumerID = r.id
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.closed || c.out != nil && c.out.replies > maxAdvisories {
		return
	}
	c.queue(outItem{structure: &wire.MessageDispatch{ConsumerID: r.id, Destination: m.Destination, Message: m}})
}

// cutLast cuts the number off the name of a temporary destination.
func cutLast(name string) (before, after string, found bool) {
	i := strings.LastIndexByte(name, ':')
	if i < 0 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

// advisory makes an advisory with what it is about.
func (f *Frontend) advisory(topic string, what wire.Structure) *wire.ActiveMQMessage {
	id := f.brokerID().Value
	producer := &wire.ProducerID{ConnectionID: id, SessionID: -1, Value: 1}
	m := &wire.ActiveMQMessage{}
	m.ProducerID, m.Type = producer, wire.Text("Advisory")
	m.MessageID = &wire.MessageID{ProducerID: producer, ProducerSequenceID: f.advisories.Add(1)}
	m.Destination = &wire.ActiveMQTopic{ActiveMQDestination: wire.ActiveMQDestination{PhysicalName: wire.Text(topic)}}
	m.DataStructure = what
	name := f.opts.Broker.Name()
	m.MarshalledProperties = wire.AppendMap(nil, []message.Property{
		{Name: "originBrokerId", Value: message.StringValue(id.String())},
		{Name: "originBrokerName", Value: message.StringValue(name)},
		{Name: "originBrokerURL", Value: message.StringValue("tcp://" + name)},
	})
	return m
}
