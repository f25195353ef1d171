package stomp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/entrepot-mq/entrepot/core/message"
)

// The payload of message.EncodingSTOMP: the length of the header block as a
// uvarint, the header block, the body up to the end. The block holds lines
// "key:value\n", escaped as STOMP 1.2 does, of the headers that are not in the
// envelope, in the publisher's order. The broker's own content-length is the
// last line if the body is bytes, or can't be sent without one.

var errPayload = errors.New("stomp payload: header block is damaged")

// splitPayload returns block and body of a payload.
func splitPayload(p []byte) (block, body []byte, err error) {
	n, used := binary.Uvarint(p)
	if used <= 0 || n > uint64(len(p)-used) {
		return nil, nil, errPayload
	}
	end := used + int(n)
	if n > 0 && p[end-1] != '\n' {
		return nil, nil, errPayload
	}
	return p[used:end], p[end:], nil
}

// newMessage makes a message of a SEND. The only copy of the body is the one
// that message.New makes.
func (c *conn) newMessage(f *frame) (*message.Message, error) {
	e := &c.work.envelope
	*e = message.Envelope{Priority: message.DefaultPriority, Timestamp: c.nowMs}
	name, ok := f.value(headerDestination)
	if !ok {
		return nil, refuse(destinationAdvice, "SEND needs the header destination")
	}
	var err error
	if e.Destination, _, err = c.resolve(alias(name)); err != nil {
		return nil, err
	}
	block := c.work.block[:0]
	for i := range f.fields {
		h := &f.fields[i]
		switch {
		case h.name == headerOther || h.name == headerID:
			block = f.appendField(block, h)
		case int(f.first[h.name]) == i+1:
			if block, err = c.readHeader(e, f, h, block); err != nil {
				return nil, err
			}
		}
	}
	if bytesBody(f) || bytes.IndexByte(f.body, 0) >= 0 {
		block = appendNumber(block, "content-length", int64(len(f.body)))
	}
	c.work.block = block
	e.ID, e.Publisher, e.UserID = c.session.NewID(), c.session.Publisher(), c.session.UserID()
	var prefix [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(prefix[:], uint64(len(block)))
	m := message.New(e, message.EncodingSTOMP, prefix[:n], block, f.body)
	if name, ok := f.value(headerTransformation); ok {
		if t := parseTransformation(string(name)); t.maps() {
			return c.transformed(e, m, t), nil
		}
	}
	return m, nil
}

// bytesBody tells bytes from text as ActiveMQ does.
func bytesBody(f *frame) bool {
	if v, ok := f.value(headerMessageType); ok {
		return string(v) == "bytes"
	}
	return f.sized
}

// appendField appends a header in its stored form.
func (f *frame) appendField(block []byte, h *field) []byte {
	key, value := f.bytes(h.key), f.bytes(h.value)
	if f.plain {
		block = append(append(block, key...), ':')
		return append(append(block, value...), '\n')
	}
	block = append(appendStored(block, key, f.literal), ':')
	return append(appendStored(block, value, f.literal), '\n')
}

// appendDecoded is appendField for headers whose values were decoded.
func (f *frame) appendDecoded(block []byte, h *field) []byte {
	block = append(append(block, f.bytes(h.key)...), ':')
	return append(appendValue(block, alias(f.bytes(h.value)), v12), '\n')
}

// readHeader puts a header that has a meaning into the envelope, or leaves it
// to the block, or drops it: what only the broker may say.
func (c *conn) readHeader(e *message.Envelope, f *frame, h *field, block []byte) ([]byte, error) {
	value := f.bytes(h.value)
	var err error
	switch h.name { //nolint:exhaustive // readProperty has the others
	case headerPersistent:
		e.Durable = string(value) == "true"
	case headerContentType:
		e.ContentType = alias(value)
	case headerCorrelationID:
		e.CorrelationID = alias(value)
	case headerType:
		e.Type = alias(value)
	case headerPriority:
		e.Priority, err = readPriority(f, h)
	case headerExpires:
		e.Expiry, err = readNumber(f, h, 0)
	case headerTimestamp:
		e.Timestamp, err = readNumber(f, h, 0)
	case headerReplyTo:
		return c.readReplyTo(e, f, h, block)
	case headerMessageType:
		if s := string(value); s != "text" && s != "bytes" {
			err = refuse("Write text or bytes, or leave it out.", "header amq-msg-type is %q", clip(value))
		}
		return f.appendDecoded(block, h), err
	case headerTransformation:
		return f.appendDecoded(block, h), nil
	case headerRetain:
		e.Retain = string(value) == "true"
	default:
		return c.readProperty(e, f, h, block)
	}
	return block, err
}

// readProperty reads the property names that ActiveMQ gives a meaning. A STOMP
// header that says the same counts more.
func (c *conn) readProperty(e *message.Envelope, f *frame, h *field, block []byte) ([]byte, error) {
	value := f.bytes(h.value)
	var err error
	switch h.name { //nolint:exhaustive // readSchedule has the others
	case headerGroupID:
		e.GroupID = alias(value)
	case headerGroupSeq:
		var n int64
		n, err = readNumber(f, h, -1<<31)
		if err == nil && n > 1<<31-1 {
			err = badNumber(f, h)
		}
		e.GroupSeq = int32(n)
	case headerJMSCorrelationID:
		if f.first[headerCorrelationID] == 0 {
			e.CorrelationID = alias(value)
		}
	case headerJMSType:
		if f.first[headerType] == 0 {
			e.Type = alias(value)
		}
	case headerJMSReplyTo:
		if f.first[headerReplyTo] == 0 {
			return c.readReplyTo(e, f, h, block)
		}
	case headerJMSDeliveryMode:
		if f.first[headerPersistent] == 0 {
			s := string(value)
			e.Durable = s == "2" || strings.EqualFold(s, "PERSISTENT")
		}
	case headerJMSPriority:
		if f.first[headerPriority] == 0 {
			e.Priority, err = readPriority(f, h)
		}
	case headerJMSExpiration:
		if f.first[headerExpires] == 0 {
			e.Expiry, err = readNumber(f, h, 0)
		}
	case headerJMSTimestamp:
		if f.first[headerTimestamp] == 0 {
			e.Timestamp, err = readNumber(f, h, 0)
		}
	default:
		return c.readSchedule(e, f, h, block)
	}
	return block, err
}

// readReplyTo reads a destination. A name without prefix is somebody's own
// notion of an address and stays a header, as in ActiveMQ.
func (c *conn) readReplyTo(e *message.Envelope, f *frame, h *field, block []byte) ([]byte, error) {
	value := alias(f.bytes(h.value))
	_, _, known := splitPrefix(strings.TrimLeft(value, " "))
	if !known && h.name == headerJMSReplyTo {
		d, err := message.ParseDestination(value, message.KindNone)
		known = err == nil && !d.IsZero()
	}
	if !known {
		return f.appendDecoded(block, h), nil
	}
	var err error
	e.ReplyTo, _, err = c.resolve(value)
	return block, err
}

func readNumber(f *frame, h *field, least int64) (int64, error) {
	n, ok := parseInt(bytes.TrimSpace(f.bytes(h.value)))
	if !ok || n < least {
		return 0, badNumber(f, h)
	}
	return n, nil
}

func badNumber(f *frame, h *field) error {
	return refuse("Write a whole number in decimal digits; times count milliseconds since 1970.",
		"header %s is not a number in range: %q", f.bytes(h.key), clip(f.bytes(h.value)))
}

// readPriority reads 0 to 9; what lies outside is taken to the nearest, as in
// ActiveMQ.
func readPriority(f *frame, h *field) (uint8, error) {
	n, ok := parseInt(bytes.TrimSpace(f.bytes(h.value)))
	if !ok {
		return 0, badNumber(f, h)
	}
	return uint8(min(max(n, 0), message.MaxPriority)), nil
}

// Converter reads messages of message.EncodingSTOMP for selectors, consumers of
// other protocols and the console.
type Converter struct{}

var _ message.PropertyReader = Converter{}

// View implements message.Converter: string properties, and a text or bytes
// body. A text that is not valid UTF-8 is bytes.
func (Converter) View(m *message.Message) (*message.View, error) {
	block, body, err := splitPayload(m.Payload())
	if err != nil {
		return nil, err
	}
	v := &message.View{Properties: make([]message.Property, 0, bytes.Count(block, newline))}
	isBytes, kind := false, ""
	err = eachStored(block, func(key, value []byte) {
		switch string(key) {
		case contentLength:
			isBytes = true
			return
		case "amq-msg-type":
			kind = string(value)
		}
		v.Properties = append(v.Properties, storedProperty(key, value))
	})
	if err != nil {
		return nil, err
	}
	if kind != "" {
		isBytes = kind == "bytes"
	}
	if isBytes || !utf8.Valid(body) {
		v.Body = message.BytesBody(body)
	} else {
		v.Body = message.TextBody(alias(body))
	}
	return v, nil
}

// Properties implements message.PropertyReader.
func (Converter) Properties(m *message.Message, fn func(message.Property)) error {
	block, _, err := splitPayload(m.Payload())
	if err != nil {
		return err
	}
	return eachStored(block, func(key, value []byte) {
		if string(key) != contentLength {
			fn(storedProperty(key, value))
		}
	})
}

// contentLength is the one stored header that is no property.
const contentLength = "content-length"

// eachStored calls fn for the lines of a header block.
func eachStored(block []byte, fn func(key, value []byte)) error {
	for len(block) > 0 {
		line, rest, _ := bytes.Cut(block, newline)
		block = rest
		key, value, ok := bytes.Cut(line, colonByte)
		if !ok {
			return errPayload
		}
		fn(key, value)
	}
	return nil
}

func storedProperty(key, value []byte) message.Property {
	return message.Property{Name: storedText(key), Value: message.StringValue(storedText(value))}
}

// storedText decodes a stored key or value. Without escapes it points into the
// message.
func storedText(p []byte) string {
	if bytes.IndexByte(p, '\\') < 0 {
		return alias(p)
	}
	return alias(unescapeInPlace(bytes.Clone(p)))
}

// appendPayload appends the publisher's headers and returns the body apart.
func (c *conn) appendPayload(b []byte, m *message.Message, t transformation) (head, body []byte) {
	if m.Encoding() == message.EncodingSTOMP {
		block, body, err := splitPayload(m.Payload())
		if err != nil {
			return c.appendUnreadable(b, err), nil
		}
		return append(appendBlock(b, block, c.version), '\n'), body
	}
	v, err := m.View(c.front.opts.Converters)
	if err != nil {
		return c.appendUnreadable(b, err), nil
	}
	return c.appendView(b, m, v, t)
}

// appendUnreadable ends the head of a message whose content can't be read. The
// client gets it all the same: that it was there, and why it is empty.
func (c *conn) appendUnreadable(b []byte, err error) []byte {
	c.log.Error("message can't be read", "err", err)
	b = appendHeader(b, "transformation-error", err.Error(), c.version)
	return append(b, '\n')
}

// appendView renders a message that came by another protocol.
func (c *conn) appendView(b []byte, m *message.Message, v *message.View, t transformation) (head, body []byte) {
	for _, p := range v.Properties {
		if p.Name == "" || lookupHeader([]byte(p.Name)) != headerOther {
			continue // the broker has said it, or it would change how the frame is read
		}
		b = append(appendName(b, p.Name, c.version), ':')
		b = append(appendValue(b, p.Value.String(), c.version), '\n')
	}
	contentType := ""
	sized := true
	switch v.Body.Kind {
	case message.BodyNone:
		sized = false
	case message.BodyText:
		body = v.Body.Data
		sized = bytes.IndexByte(body, 0) >= 0
	case message.BodyBytes:
		body = v.Body.Data
	case message.BodyObject:
		body, contentType = v.Body.Data, "application/x-java-serialized-object"
		if t.objects() {
			b = appendHeader(b, "transformation-error", errObject.Error(), c.version)
		}
	case message.BodyMap, message.BodyStream, message.BodyValue:
		b, body, contentType = c.appendStructured(b, m, v.Body.Value, t)
		sized = false
	}
	if contentType != "" && m.ContentType == "" {
		b = appendHeader(b, "content-type", contentType, c.version)
	}
	if sized {
		b = append(b, "content-length:"...)
		b = append(strconv.AppendInt(b, int64(len(body)), 10), '\n')
	}
	return append(b, '\n'), body
}
