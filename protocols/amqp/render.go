package amqp

import (
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
)

// outgoing is a delivery as the writer sends it: head is made here, tail lies in
// the message.
type outgoing struct{ head, tail []byte }

// renderer encodes messages for a consumer. Its buffer is used again.
type renderer struct {
	converters message.Converters
	names      prefixes
	buf        []byte
}

// render encodes m. What it returns is valid until the next call.
func (r *renderer) render(m *message.Message, redeliveries uint32, redelivered bool, nowMs int64) (outgoing, error) {
	b := appendHeader(r.buf[:0], m, redeliveries, redelivered, nowMs)
	var out outgoing
	var err error
	if m.Encoding() == message.EncodingAMQP {
		out.head, out.tail = r.ownMessage(b, m)
	} else {
		var v *message.View
		if v, err = m.View(r.converters); err != nil {
			v = unreadable(err)
		}
		out.head, out.tail = r.foreignMessage(b, m, v)
	}
	r.buf = out.head
	return out, err
}

// appendHeader writes the header section, whose fields are the broker's to say.
func appendHeader(b []byte, m *message.Message, redeliveries uint32, redelivered bool, nowMs int64) []byte {
	h := header{durable: m.Durable, priority: m.Priority, deliveryCount: redeliveries}
	h.firstAcquirer = !redelivered && redeliveries == 0
	if m.Expiry != 0 {
		h.ttl = some(remainingTTL(m.Expiry, nowMs))
	}
	return h.append(b)
}

// ownMessage sends an AMQP publisher's message as it came. Annotations are
// added if the broker has something to say.
func (r *renderer) ownMessage(b []byte, m *message.Message) (head, tail []byte) {
	payload := m.Payload()
	added := brokerAnnotations(m)
	if len(added) == 0 {
		return b, payload
	}
	var entries []message.MapEntry
	d := newDecoder(payload)
	if s, ok := d.nextSection(); ok && s.code == codeMessageAnnotations {
		inner := newDecoder(s.content)
		was, _ := inner.value().Map()
		entries = append(entries, was...)
		payload = d.b
	}
	return appendMapSection(b, codeMessageAnnotations, append(entries, added...)), payload
}

// brokerAnnotations are what the broker added to a message after it was
// published, such as why it is a dead letter: as message annotations, since
// the bare message is the publisher's.
func brokerAnnotations(m *message.Message) (out []message.MapEntry) {
	for _, a := range m.Annotations {
		out = append(out, message.MapEntry{Key: message.SymbolValue("x-opt-" + a.Name), Value: message.StringValue(a.Value)})
	}
	return out
}

func appendMapSection(b []byte, code byte, entries []message.MapEntry) []byte {
	return appendValue(append(b, fmtDescribed, fmtSmallUlong, code), message.MapValue(entries))
}

// foreignMessage makes an AMQP message of one that came by another protocol.
func (r *renderer) foreignMessage(b []byte, m *message.Message, v *message.View) (head, tail []byte) {
	contentType, encoding, replyToGroup := m.ContentType, "", ""
	annotations := r.jmsAnnotations(m, &v.Body)
	var application, footer []message.MapEntry
	for _, p := range v.Properties {
		if p.Name == "" {
			continue
		}
		switch name, isAnnotation := strings.CutPrefix(p.Name, propAnnotation); {
		case isAnnotation:
			annotations = append(annotations, message.MapEntry{Key: message.SymbolValue(name), Value: p.Value})
		case p.Name == propEncoding:
			encoding = p.Value.String()
		case p.Name == propReplyToGroup:
			replyToGroup = p.Value.String()
		case strings.HasPrefix(p.Name, propFooter):
			footer = append(footer, message.MapEntry{Key: message.SymbolValue(p.Name[len(propFooter):]), Value: p.Value})
		default:
			application = append(application, message.MapEntry{Key: message.StringValue(p.Name), Value: simple(p.Value)})
		}
	}
	if v.Body.Kind == message.BodyObject && contentType == "" {
		contentType = javaSerialized
	}
	b = appendMapSection(b, codeMessageAnnotations, append(annotations, brokerAnnotations(m)...))
	b = r.appendProperties(b, m, contentType, encoding, replyToGroup)
	if len(application) > 0 {
		b = appendMapSection(b, codeApplicationProperties, application)
	}
	b, tail = appendBody(b, &v.Body)
	if len(footer) > 0 {
		b = appendMapSection(append(b, tail...), codeFooter, footer)
		tail = nil
	}
	return b, tail
}

// simple returns what may stand in the application properties, which hold no
// compound values (AMQP 1.0, 3.2.5).
func simple(v message.Value) message.Value {
	if v.IsScalar() {
		return v
	}
	return message.StringValue(v.String())
}

func (r *renderer) jmsAnnotations(m *message.Message, body *message.Body) []message.MapEntry {
	kind := int8(jmsMessage)
	switch body.Kind {
	case message.BodyBytes:
		kind = jmsBytes
	case message.BodyText:
		kind = jmsText
	case message.BodyMap:
		kind = jmsMap
	case message.BodyStream:
		kind = jmsStream
	case message.BodyObject:
		kind = jmsObject
	case message.BodyNone, message.BodyValue:
	}
	entries := []message.MapEntry{{Key: message.SymbolValue(annotationMsgType), Value: message.Int8Value(kind)}}
	if n, ok := annotationOf(m.Destination.Kind); ok {
		entries = append(entries, message.MapEntry{Key: message.SymbolValue(annotationDest), Value: message.Int8Value(n)})
	}
	if n, ok := annotationOf(m.ReplyTo.Kind); ok {
		entries = append(entries, message.MapEntry{Key: message.SymbolValue(annotationReplyTo), Value: message.Int8Value(n)})
	}
	return entries
}

func (r *renderer) appendProperties(b []byte, m *message.Message, contentType, encoding, replyToGroup string) []byte {
	p := properties{
		to: message.StringValue(r.names.address(m.Destination)), subject: m.Type,
		contentType: asciiOnly(contentType), contentEncoding: asciiOnly(encoding),
		groupID: m.GroupID, replyToGroupID: replyToGroup,
	}
	if p.messageID = message.StringValue(m.ID.String()); m.MessageID != "" {
		p.messageID = idValue(m.MessageID)
	}
	if m.CorrelationID != "" {
		p.correlationID = idValue(m.CorrelationID)
	}
	if m.UserID != "" {
		p.userID = []byte(m.UserID)
	}
	if !m.ReplyTo.IsZero() {
		p.replyTo = message.StringValue(r.names.address(m.ReplyTo))
	}
	if m.Expiry != 0 {
		p.absoluteExpiryTime = some(m.Expiry)
	}
	if m.Timestamp != 0 {
		p.creationTime = some(m.Timestamp)
	}
	if m.GroupID != "" || m.GroupSeq != 0 {
		p.groupSequence = some(uint32(m.GroupSeq))
	}
	return p.append(b)
}

// asciiOnly keeps what can be a symbol.
func asciiOnly(s string) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return ""
		}
	}
	return s
}

// appendBody writes the body. Its last bytes may be left in tail.
func appendBody(b []byte, body *message.Body) (head, tail []byte) {
	switch body.Kind {
	case message.BodyBytes, message.BodyObject:
		start := 0
		for i, end := range body.Sections {
			if i == len(body.Sections)-1 {
				break
			}
			b = appendBinary(append(b, fmtDescribed, fmtSmallUlong, codeData), body.Data[start:end])
			start = end
		}
		last := body.Data[start:]
		return appendSize(append(b, fmtDescribed, fmtSmallUlong, codeData), fmtBinary8, len(last)), last
	case message.BodyText:
		return appendSize(append(b, fmtDescribed, fmtSmallUlong, codeValue), fmtString8, len(body.Data)), body.Data
	case message.BodyStream:
		return appendStream(b, body), nil
	case message.BodyMap, message.BodyValue:
		return appendValue(append(b, fmtDescribed, fmtSmallUlong, codeValue), body.Value), nil
	case message.BodyNone:
	}
	return append(b, fmtDescribed, fmtSmallUlong, codeValue, fmtNull), nil
}

// appendStream writes a list as JMS has it, or the sequences that it came in.
func appendStream(b []byte, body *message.Body) []byte {
	if body.Sections == nil {
		return appendValue(append(b, fmtDescribed, fmtSmallUlong, codeValue), body.Value)
	}
	list, _ := body.Value.List()
	start := 0
	for _, end := range body.Sections {
		b = appendValue(append(b, fmtDescribed, fmtSmallUlong, codeSequence), message.ListValue(list[start:end]))
		start = end
	}
	return b
}
