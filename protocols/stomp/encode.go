package stomp

import (
	"strconv"

	"github.com/entrepot-mq/entrepot/core/message"
)

// appendHeader appends one header line. name needs no escaping.
func appendHeader(b []byte, name, value string, v version) []byte {
	b = append(append(b, name...), ':')
	return append(appendValue(b, value, v), '\n')
}

func appendNumber(b []byte, name string, n int64) []byte {
	b = append(append(b, name...), ':')
	return append(strconv.AppendInt(b, n, 10), '\n')
}

func appendReceipt(b, id []byte, v version) []byte {
	b = append(b, "RECEIPT\n"...)
	b = appendHeader(b, "receipt-id", alias(id), v)
	return append(append(b, '\n'), frameEnd...)
}

func appendError(b []byte, f *fault, receipt []byte, asked bool, v version) []byte {
	b = append(b, "ERROR\n"...)
	b = appendHeader(b, "message", f.text, v)
	if asked {
		b = appendHeader(b, "receipt-id", alias(receipt), v)
	}
	if f.vers {
		b = append(b, "version:1.0,1.1,1.2\n"...) // STOMP 1.2, Protocol Negotiation
	}
	b = append(b, "content-type:text/plain\n"...)
	body := f.text
	if f.advice != "" {
		body += "\n" + f.advice
	}
	b = appendNumber(b, "content-length", int64(len(body)))
	b = append(append(b, '\n'), body...)
	return append(b, frameEnd...)
}

// prepareMessages encodes what all MESSAGE frames of a subscription begin
// with.
func (c *conn) prepareMessages(sub *subscription) {
	sub.prefix = append(sub.prefix, "MESSAGE\n"...)
	if sub.id != "" {
		sub.prefix = appendHeader(sub.prefix, "subscription", sub.id, c.version)
	}
	sub.spelled = c.appendDestination([]byte("destination:"), sub.destination)
	sub.spelled = append(sub.spelled, '\n')
}

// appendMessage appends a MESSAGE up to its body, which is returned apart and
// not to be changed. What the broker says stands before what the publisher
// said, because the first of several equal headers counts.
func (c *conn) appendMessage(b []byte, sub *subscription, it *outItem) (head, body []byte) {
	m, v := it.message, c.version
	b = append(b, sub.prefix...)
	b = append(b, "message-id:"...)
	b = append(appendMessageID(b, m, v), '\n')
	if v == v12 && !sub.auto {
		b = append(appendAckID(append(b, "ack:"...), sub, it.tag), '\n')
	}
	at := &m.Destination
	if it.at != nil {
		at = it.at
	}
	if *at == sub.destination {
		b = append(b, sub.spelled...)
	} else {
		b = c.appendDestinationHeader(b, "destination:", *at)
	}
	b = appendNumber(b, "expires", m.Expiry)
	b = append(b, "priority:"...)
	b = append(b, '0'+m.Priority, '\n')
	b = appendNumber(b, "timestamp", m.Timestamp)
	if m.Durable {
		b = append(b, "persistent:true\n"...)
	}
	if it.redelivered {
		b = append(b, "redelivered:true\n"...)
		b = appendNumber(b, "JMSXDeliveryCount", int64(it.redeliveries)+1)
	}
	if it.at != nil && m.Origin.IsZero() { // a virtual topic's queue (ActiveMQ)
		b = c.appendDestinationHeader(b, "original-destination:", m.Destination)
	}
	if it.groupFirst {
		b = append(b, "JMSXGroupFirstForConsumer:true\n"...)
	}
	b = c.appendEnvelope(b, &m.Envelope)
	return c.appendPayload(b, m, sub.transform)
}

// appendMessageID appends the publisher's own id if it gave one, so that an
// answer correlated by it is recognised.
func appendMessageID(b []byte, m *message.Message, v version) []byte {
	if m.MessageID != "" {
		return appendValue(b, m.MessageID, v)
	}
	if v == v10 {
		return m.ID.AppendText(b)
	}
	from := len(b)
	b = m.ID.AppendText(b)
	return escapeColon(b, from)
}

// escapeColon replaces the one colon that an id has.
func escapeColon(b []byte, from int) []byte {
	for i := from; i < len(b); i++ {
		if b[i] == ':' {
			b = append(b, 0)
			copy(b[i+2:], b[i+1:])
			b[i], b[i+1] = '\\', 'c'
			return b
		}
	}
	return b
}

func (c *conn) appendDestinationHeader(b []byte, name string, d message.Destination) []byte {
	return append(c.appendDestination(append(b, name...), d), '\n')
}

// appendEnvelope appends those parts of the envelope that most messages don't
// have.
func (c *conn) appendEnvelope(b []byte, e *message.Envelope) []byte {
	v := c.version
	if !e.ReplyTo.IsZero() {
		b = c.appendDestinationHeader(b, "reply-to:", e.ReplyTo)
	}
	for _, h := range [...]struct{ name, value string }{
		{"correlation-id", e.CorrelationID},
		{"type", e.Type},
		{"content-type", e.ContentType},
		{"JMSXUserID", e.UserID},
		{"JMSXGroupID", e.GroupID},
	} {
		if h.value != "" {
			b = appendHeader(b, h.name, h.value, v)
		}
	}
	if e.GroupSeq != 0 {
		b = appendNumber(b, "JMSXGroupSeq", int64(e.GroupSeq))
	}
	if !e.Origin.IsZero() {
		b = c.appendDestinationHeader(b, "original-destination:", e.Origin)
	}
	for _, a := range e.Annotations {
		b = append(appendName(b, a.Name, v), ':')
		b = append(appendValue(b, a.Value, v), '\n')
	}
	return b
}

// appendBrowseEnd appends the MESSAGE that tells a browser that it has seen
// all (ActiveMQ), up to its body, which is empty.
func (c *conn) appendBrowseEnd(b []byte, sub *subscription) []byte {
	b = append(b, sub.prefix...)
	b = append(b, sub.spelled...)
	return append(b, "message-id:0\nbrowser:end\n\n"...)
}
