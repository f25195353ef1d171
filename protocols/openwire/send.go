package openwire

import (
	"encoding/binary"
	"strings"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// send publishes a message, or adds it to its transaction.
func (c *conn) send(x wire.Message) (answered bool, err error) {
	f := x.Fields()
	var t *transaction
	if f.TransactionID != nil {
		if t, err = c.transactionOf(f.TransactionID); err != nil {
			return false, err
		}
	}
	m, err := c.newMessage(x)
	if err == nil && t != nil {
		err = t.core.PublishOnce(m, c.repeatable(f))
	}
	c.front.metrics.received.Add(1)
	switch {
	case err != nil && t != nil:
		return false, t.fail(err)
	case err != nil:
		return false, err
	case t != nil:
		c.acknowledgeSend(f)
		return false, nil
	}
	c.perform(heldOp{message: m, once: c.repeatable(f), token: c.sendToken(f)})
	return true, nil
}

// repeatable names a persistent message of a client that reconnects by itself:
// what it had no answer to it sends again (openwire.md, 25).
func (c *conn) repeatable(f *wire.BaseMessage) broker.SendID {
	if !c.client.faultTolerant || !f.Persistent || f.MessageID.ProducerSequenceID <= 0 {
		return broker.SendID{}
	}
	p := f.MessageID.ProducerID
	known := c.producers[producerKey{p.SessionID, p.Value}]
	if known == nil || *known.id != *p {
		return broker.SendID{} // somebody else's message, forwarded
	}
	return broker.SendID{Producer: known.name, Seq: uint64(f.MessageID.ProducerSequenceID)}
}

// sendToken returns what tells the client that its message was taken: a
// Response, or a ProducerAck if its producer has a window.
func (c *conn) sendToken(f *wire.BaseMessage) uint64 {
	if f.ResponseRequired {
		return c.expect(&f.BaseCommand)
	}
	if p := c.windowed(f); p != nil {
		return tokenWindow | uint64(p.number)<<windowBits | uint64(windowSize(f))
	}
	return tokenSilent
}

// acknowledgeSend acknowledges a message that is part of a transaction to a
// producer with a window.
func (c *conn) acknowledgeSend(f *wire.BaseMessage) {
	if p := c.windowed(f); p != nil && !f.ResponseRequired {
		c.post(&wire.ProducerAck{ProducerID: p.id, Size: int32(windowSize(f))})
	}
}

func (c *conn) windowed(f *wire.BaseMessage) *producer {
	if f.ProducerID == nil {
		return nil
	}
	if p := c.producers[producerKey{f.ProducerID.SessionID, f.ProducerID.Value}]; p != nil && p.window {
		return p
	}
	return nil
}

// windowSize is what the client counts a message as: if it were not exactly
// that, its window would drift.
func windowSize(f *wire.BaseMessage) int { return 1024 + len(f.Content) + len(f.MarshalledProperties) }

// newMessage makes a message of what the client sent. The only copy of the
// body is the one that message.New makes.
func (c *conn) newMessage(x wire.Message) (*message.Message, error) {
	f := x.Fields()
	if f.Destination == nil || f.MessageID == nil || f.MessageID.ProducerID == nil {
		return nil, refuse(classDestination, "the message has no destination or no id")
	}
	e := message.Envelope{
		ID: c.session.NewID(), Durable: f.Persistent, Priority: uint8(min(max(f.Priority, 0), message.MaxPriority)),
		Timestamp: f.Timestamp, Expiry: max(f.Expiration, 0),
		CorrelationID: f.CorrelationID.String(), GroupID: f.GroupID.String(), GroupSeq: f.GroupSequence,
		Type: f.Type.String(), UserID: c.session.UserID(), Publisher: c.session.Publisher(),
	}
	if e.Timestamp <= 0 {
		e.Timestamp = c.nowMs
	}
	var err error
	if e.Destination, err = resolve(f.Destination, false); err != nil {
		return nil, err
	}
	if strings.HasPrefix(e.Destination.Name, advisoryPrefix) && e.Destination.Kind.IsTopic() {
		return nil, refuse(classSecurity, "advisories are the broker's own")
	}
	if f.ReplyTo != nil {
		if e.ReplyTo, err = resolve(f.ReplyTo, false); err != nil {
			return nil, err
		}
	}
	p, err := c.payloadOf(x, &e)
	if err != nil {
		return nil, err
	}
	w := c.work
	id := id{p.connection, p.value, p.session, p.sequence}
	w.scratch = id.appendText(w.scratch[:0])
	split := len(w.scratch)
	w.scratch = p.appendHead(w.scratch)
	e.MessageID = alias(w.scratch[:split])
	return message.New(&e, message.EncodingOpenWire, w.scratch[split:], p.properties, p.content), nil
}

// payloadOf takes from the message what the envelope doesn't hold. Properties
// that schedule it become annotations.
func (c *conn) payloadOf(x wire.Message, e *message.Envelope) (payload, error) {
	f := x.Fields()
	producer := f.MessageID.ProducerID
	p := payload{
		kind: x.StructureType(), connection: producer.ConnectionID.String(), value: producer.Value,
		session: producer.SessionID, sequence: f.MessageID.ProducerSequenceID,
		properties: f.MarshalledProperties, content: f.Content,
	}
	if b, ok := x.(*wire.ActiveMQBlobMessage); ok {
		p.url, p.mime = b.RemoteBlobURL, b.MimeType
		if b.DeletedByBroker {
			p.flags |= flagDeleted
		}
	}
	if schedules(p.properties) {
		list, err := wire.ReadMap(p.properties)
		if err != nil {
			return p, refuse(classJMS, "the message's properties can't be read: %v", err)
		}
		list, e.Annotations = cutSchedule(list)
		for _, a := range e.Annotations {
			if err := broker.CheckScheduleProperty(a.Name, a.Value); err != nil {
				return p, refuse(classJMS, "%v", err)
			}
		}
		p.properties = wire.AppendMap(nil, list)
	}
	if p.properties != nil {
		p.flags |= flagProperties
	}
	if p.content != nil {
		p.flags |= flagContent
	}
	if f.Compressed {
		p.flags |= flagCompressed
	}
	if f.Droppable {
		p.flags |= flagDroppable
	}
	return p, nil
}

// uncompressedLength is what a compressed BytesMessage begins with.
func uncompressedLength(content []byte) (n uint32, rest []byte, ok bool) {
	if len(content) < 4 {
		return 0, nil, false
	}
	return binary.BigEndian.Uint32(content), content[4:], true
}
