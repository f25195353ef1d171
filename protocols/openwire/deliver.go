package openwire

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// dispatches are the structures of a delivery, filled in again for each.
type dispatches struct {
	dispatch  wire.MessageDispatch
	bodies    [wire.TypeActiveMQBlobMessage - wire.TypeActiveMQMessage + 1]wire.Message
	producer  wire.ProducerID
	messageID wire.MessageID
	to        destinations // and what acknowledgements name
	origin    destinations
	replyTo   destinations
	buf       []byte // of properties and bodies that are made here
}

// dispatch returns what the client gets for a delivery.
func (w *writer) dispatch(it *outItem) wire.Structure {
	d := &w.made.dispatch
	*d = wire.MessageDispatch{ConsumerID: it.consumer.id}
	if it.message == nil {
		return d
	}
	w.c.front.metrics.delivered.Add(1)
	m := it.message
	d.RedeliveryCounter = int32(min(it.redeliveries, 1<<30))
	body, err := w.made.message(m, w.c.front.opts.Converters)
	if err != nil {
		// The client gets it all the same: that it was there.
		w.c.log.Error("message can't be read", "err", err)
	}
	f := body.Fields()
	if it.at != nil { // a virtual topic's queue: openwire.md, 23
		if m.Origin.IsZero() {
			f.OriginalDestination = w.made.origin.of(m.Destination)
		}
		f.Destination = w.made.to.of(*it.at)
	}
	d.Destination = f.Destination
	f.RedeliveryCounter, f.JMSXGroupFirstForConsumer = d.RedeliveryCounter, it.groupFirst
	d.Message = body
	return d
}

// message returns m as the client gets it.
func (x *dispatches) message(m *message.Message, converters message.Converters) (wire.Message, error) {
	x.buf = x.buf[:0]
	body, err := x.content(m, converters)
	f := body.Fields()
	f.Destination = x.to.of(m.Destination)
	if !m.Origin.IsZero() {
		f.OriginalDestination = x.origin.of(m.Origin)
	}
	if !m.ReplyTo.IsZero() {
		f.ReplyTo = x.replyTo.of(m.ReplyTo)
	}
	f.ProducerID, f.MessageID = &x.producer, &x.messageID
	f.Persistent, f.Priority = m.Durable, int8(m.Priority)
	f.Timestamp, f.Expiration = m.Timestamp, m.Expiry
	f.BrokerInTime = m.Timestamp
	f.CorrelationID, f.Type = textOrNull(m.CorrelationID), textOrNull(m.Type)
	f.GroupID, f.GroupSequence, f.UserID = textOrNull(m.GroupID), m.GroupSeq, textOrNull(m.UserID)
	if len(m.Annotations) > 0 {
		f.MarshalledProperties = x.annotate(f.MarshalledProperties, m.Annotations)
	}
	return body, err
}

func textOrNull(s string) (out wire.String) {
	if s != "" {
		out = wire.Text(s)
	}
	return out
}

// content fills in what is in the payload.
func (x *dispatches) content(m *message.Message, converters message.Converters) (wire.Message, error) {
	if m.Encoding() == message.EncodingOpenWire {
		p, err := parsePayload(m.Payload())
		if err != nil {
			return x.foreign(m, &message.View{}), err
		}
		return x.own(m, &p), nil
	}
	v, err := m.View(converters)
	if err != nil {
		v = &message.View{}
	}
	if strings.HasPrefix(m.Destination.Name, broker.AdvisoryPrefix) && m.Destination.Kind == message.KindTopic {
		return x.advisory(m, v), err
	}
	return x.foreign(m, v), err
}

// own fills in a message of an OpenWire client: with the bytes that it sent.
func (x *dispatches) own(m *message.Message, p *payload) wire.Message {
	body := x.body(p.kind)
	f := body.Fields()
	f.MarshalledProperties, f.Content = p.properties, p.content
	f.Compressed, f.Droppable = p.flags&flagCompressed != 0, p.flags&flagDroppable != 0
	if b, ok := body.(*wire.ActiveMQBlobMessage); ok {
		b.RemoteBlobURL, b.MimeType, b.DeletedByBroker = p.url, p.mime, p.flags&flagDeleted != 0
	}
	x.name(id{p.connection, p.value, p.session, p.sequence}, "", m)
	return body
}

func (x *dispatches) name(i id, text string, m *message.Message) {
	x.producer = wire.ProducerID{ConnectionID: wire.Text(i.connection), Value: i.value, SessionID: i.session}
	x.messageID = wire.MessageID{ProducerID: &x.producer, ProducerSequenceID: i.sequence, BrokerSequenceID: brokerSequence(m)}
	x.messageID.TextView = textOrNull(text)
}

// foreign makes a message of what another protocol's client sent.
func (x *dispatches) foreign(m *message.Message, v *message.View) wire.Message {
	kind := wire.TypeActiveMQMessage
	var content []byte
	start := len(x.buf)
	switch v.Body.Kind {
	case message.BodyText:
		kind, x.buf = wire.TypeActiveMQTextMessage, wire.AppendText(x.buf, v.Body.Text())
	case message.BodyBytes:
		kind, content = wire.TypeActiveMQBytesMessage, v.Body.Data
	case message.BodyMap:
		kind, x.buf = wire.TypeActiveMQMapMessage, wire.AppendMap(x.buf, entries(v.Body.Value))
	case message.BodyStream:
		list, _ := v.Body.Value.List()
		kind, x.buf = wire.TypeActiveMQStreamMessage, wire.AppendStream(x.buf, list)
	case message.BodyObject:
		kind, content = wire.TypeActiveMQObjectMessage, v.Body.Data
	case message.BodyValue:
		kind, x.buf = wire.TypeActiveMQTextMessage, wire.AppendText(x.buf, v.Body.Value.String())
	case message.BodyNone:
	}
	if len(x.buf) > start {
		content = x.buf[start:len(x.buf):len(x.buf)]
	}
	body := x.body(kind)
	f := body.Fields()
	f.Content = content
	if len(v.Properties) > 0 {
		start := len(x.buf)
		x.buf = wire.AppendMap(x.buf, v.Properties)
		f.MarshalledProperties = x.buf[start:]
	}
	text := m.MessageID
	if text == "" {
		text = m.ID.String()
	}
	x.name(idOf(m), text, m)
	return body
}

// entries returns the entries of a map as properties.
func entries(v message.Value) []message.Property {
	list, _ := v.Map()
	out := make([]message.Property, len(list))
	for i, e := range list {
		out[i] = message.Property{Name: e.Key.String(), Value: e.Value}
	}
	return out
}

// body returns the structure of a type, emptied.
func (x *dispatches) body(t wire.Type) wire.Message {
	slot := &x.bodies[t-wire.TypeActiveMQMessage]
	if *slot == nil {
		*slot = wire.NewMessage(t)
	}
	*(*slot).Fields() = wire.BaseMessage{}
	return *slot
}

// annotate adds what the broker has to say to a message's properties. They are
// strings, but for those that Java reads as numbers.
func (x *dispatches) annotate(properties []byte, list []message.Annotation) []byte {
	count := uint32(0)
	if len(properties) >= 4 {
		if n := int32(binary.BigEndian.Uint32(properties)); n > 0 {
			count = uint32(n)
		}
		properties = properties[4:]
	}
	added := make([]message.Property, 0, len(list))
	for _, a := range list {
		v := message.StringValue(a.Value)
		if n, err := strconv.ParseInt(a.Value, 10, 64); err == nil && numeric(a.Name) {
			v = message.Int64Value(n)
		}
		added = append(added, message.Property{Name: a.Name, Value: v})
	}
	extra := wire.AppendMap(nil, added)[4:]
	out := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(properties)+len(extra)), count+uint32(len(added)))
	return append(append(out, properties...), extra...)
}

func numeric(name string) bool {
	return name == "originalExpiration" || name == "dlqTime" || name == "dlqDeliveryCount" ||
		bytes.HasPrefix([]byte(name), []byte(schedulePrefix))
}
