package selector

import (
	"sync"
	"unsafe"

	"github.com/entrepot-mq/entrepot/core/message"
)

// header is a name that stands for a field of the envelope; the zero value
// stands for a property.
type header uint8

const (
	headerNone header = iota
	headerDestination
	headerReplyTo
	headerType
	headerDeliveryMode
	headerPriority
	headerMessageID
	headerTimestamp
	headerCorrelationID
	headerExpiration
	headerRedelivered
	headerDeliveryCount
	headerGroupID
	headerGroupSeq
	headerUserID
)

// headers are the names, which are in this case only. ActiveMQ's other JMSX
// and JMSActiveMQ names are properties here: NULL if nobody sets them.
var headers = [...]string{
	headerDestination: "JMSDestination", headerReplyTo: "JMSReplyTo", headerType: "JMSType",
	headerDeliveryMode: "JMSDeliveryMode", headerPriority: "JMSPriority", headerMessageID: "JMSMessageID",
	headerTimestamp: "JMSTimestamp", headerCorrelationID: "JMSCorrelationID", headerExpiration: "JMSExpiration",
	headerRedelivered: "JMSRedelivered", headerDeliveryCount: "JMSXDeliveryCount",
	headerGroupID: "JMSXGroupID", headerGroupSeq: "JMSXGroupSeq", headerUserID: "JMSXUserID",
}

func headerOf(name string) header {
	for h, n := range headers {
		if n == name && n != "" {
			return header(h)
		}
	}
	return headerNone
}

// ofDelivery reports whether h changes each time a message is delivered.
func (h header) ofDelivery() bool { return h == headerRedelivered || h == headerDeliveryCount }

// composed reports whether h's text stands nowhere and has to be written.
func (h header) composed() bool {
	return h == headerDestination || h == headerReplyTo || h == headerMessageID
}

// scratch is memory for texts that are composed for one evaluation.
type scratch struct{ b []byte }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// env is a message as one evaluation sees it.
type env struct {
	m        *message.Message
	c        message.Converters
	attempts uint32 // failed deliveries from where m waits now
	convert  bool
	view     *message.View
	viewed   bool
	scratch  *scratch // set if the selector has a composed header
}

// header returns the value of a field of the envelope.
func (e *env) header(h header) value {
	m := e.m
	switch h {
	case headerDestination:
		if !m.Origin.IsZero() {
			return e.destination(m.Origin)
		}
		return e.destination(m.Destination)
	case headerReplyTo:
		return e.destination(m.ReplyTo)
	case headerType:
		return textOrNull(m.Type)
	case headerDeliveryMode:
		if m.Durable {
			return textOf("PERSISTENT")
		}
		return textOf("NON_PERSISTENT")
	case headerPriority:
		return intOf(int64(m.Priority))
	case headerMessageID:
		return e.messageID()
	case headerTimestamp:
		return intOf(m.Timestamp)
	case headerCorrelationID:
		return textOrNull(m.CorrelationID)
	case headerExpiration:
		return intOf(m.Expiry)
	case headerRedelivered:
		return boolOf(e.attempts > 0 || m.Redeliveries > 0)
	case headerDeliveryCount:
		return intOf(int64(e.attempts) + int64(m.Redeliveries) + 1)
	case headerGroupID:
		return textOrNull(m.GroupID)
	case headerGroupSeq:
		return intOf(int64(m.GroupSeq))
	}
	return textOrNull(m.UserID)
}

// destination writes d's qualified name: "queue://a".
func (e *env) destination(d message.Destination) value {
	if d.IsZero() {
		return value{}
	}
	s := e.scratch
	start := len(s.b)
	s.b = append(append(append(s.b, d.Kind.String()...), "://"...), d.Name...)
	return s.text(start)
}

// messageID is the publisher's id, or the broker's if it has none.
func (e *env) messageID() value {
	if e.m.MessageID != "" {
		return textOf(e.m.MessageID)
	}
	s := e.scratch
	start := len(s.b)
	s.b = e.m.ID.AppendText(s.b)
	return s.text(start)
}

// text returns what was appended since start, in place: valid as long as the
// evaluation. A later append may move the buffer; the old one stays as it is.
func (s *scratch) text(start int) value {
	t := s.b[start:]
	return textOf(unsafe.String(unsafe.SliceData(t), len(t)))
}

// property returns the value of an application property: the broker's own
// annotation of that name, or the publisher's first one. A message whose
// content can't be read has none.
func (e *env) property(name string) value {
	for i := range e.m.Annotations {
		if e.m.Annotations[i].Name == name {
			return textOf(e.m.Annotations[i].Value)
		}
	}
	if !e.viewed {
		e.viewed = true
		if v, err := e.m.View(e.c); err == nil {
			e.view = v
		}
	}
	if e.view == nil {
		return value{}
	}
	for i := range e.view.Properties {
		if e.view.Properties[i].Name == name {
			return valueOf(e.view.Properties[i].Value)
		}
	}
	return value{}
}
