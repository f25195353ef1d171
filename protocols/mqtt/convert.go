package mqtt

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/entrepot-mq/entrepot/core/message"
)

// The payload of message.EncodingMQTT: a byte of flags (QoS, and whether
// properties follow), the length of the properties as a uvarint and the
// properties as they came, if there are any, and the application's payload up
// to the end. Which properties these are, forwarded says.
const (
	payloadQoS   = 3
	payloadProps = 4
)

var errPayload = errors.New("mqtt payload: properties are damaged")

// splitPayload returns properties and application payload.
func splitPayload(p []byte) (qos byte, props, payload []byte, err error) {
	if len(p) == 0 {
		return 0, nil, nil, errPayload
	}
	qos, payload = p[0]&payloadQoS, p[1:]
	if p[0]&payloadProps != 0 {
		n, used := binary.Uvarint(payload)
		if used <= 0 || n > uint64(len(payload)-used) {
			return 0, nil, nil, errPayload
		}
		props, payload = payload[used:used+int(n)], payload[used+int(n):]
	}
	return qos, props, payload, nil
}

// qosOf returns the quality of service with which a message was published.
// What came by another protocol has 1 if it is persistent and 0 otherwise.
// (ActiveMQ has it the other way round.)
func qosOf(m *message.Message) byte {
	if m.Encoding() == message.EncodingMQTT {
		if p := m.Payload(); len(p) > 0 {
			return min(p[0]&payloadQoS, 2)
		}
	}
	if m.Durable {
		return 1
	}
	return 0
}

// publication is what a PUBLISH and a will have in common.
type publication struct {
	qos     byte
	retain  bool
	name    []byte // in the broker's notation
	payload []byte
	props   *properties
}

// newMessage makes a message. The only copy of the payload is the one that
// message.New makes.
func (c *conn) newMessage(p *publication) *message.Message {
	w := c.work
	e := &w.envelope
	*e = message.Envelope{
		ID: c.session.NewID(), Destination: message.Topic(alias(p.name)), Durable: p.qos > 0, Retain: p.retain,
		Priority: message.DefaultPriority, Timestamp: c.nowMs,
		Publisher: c.session.Publisher(), UserID: c.session.UserID(),
	}
	var head [1 + binary.MaxVarintLen64]byte
	head[0] = p.qos
	if p.props == nil || p.props.present == 0 {
		return message.New(e, message.EncodingMQTT, head[:1], p.payload)
	}
	c.readProperties(e, p.props)
	w.props = append(w.props[:0], p.props.forwardable(w.props)...)
	n := 1
	if len(w.props) > 0 {
		head[0] |= payloadProps
		n += binary.PutUvarint(head[1:], uint64(len(w.props)))
	}
	return message.New(e, message.EncodingMQTT, head[:n], w.props, p.payload)
}

// readProperties puts what other protocols have words for into the envelope.
func (c *conn) readProperties(e *message.Envelope, p *properties) {
	if p.present.has(propMessageExpiry) {
		e.Expiry = e.Timestamp + int64(p.messageExpiry)*1000
	}
	e.ContentType = alias(p.contentType)
	if len(p.correlationData) > 0 {
		e.CorrelationID = correlationText(p.correlationData)
	}
	if len(p.responseTopic) > 0 {
		c.work.reply = appendSwapped(c.work.reply[:0], alias(p.responseTopic))
		e.ReplyTo = message.Topic(alias(c.work.reply))
	}
}

// binaryPrefix begins the text that stands for correlation data which isn't
// text.
const binaryPrefix = "base64:"

// correlationText and correlationData convert between the bytes that
// correlate requests in MQTT and the text that does elsewhere.
func correlationText(data []byte) string {
	if utf8.Valid(data) && !strings.HasPrefix(alias(data), binaryPrefix) {
		return alias(data)
	}
	return binaryPrefix + base64.StdEncoding.EncodeToString(data)
}

func correlationData(text string) string {
	if rest, ok := strings.CutPrefix(text, binaryPrefix); ok {
		if data, err := base64.StdEncoding.DecodeString(rest); err == nil {
			return string(data)
		}
	}
	return text
}

// Converter reads messages of message.EncodingMQTT for selectors, consumers of
// other protocols and the console.
type Converter struct{}

var _ message.Converter = Converter{}

// qosProperty is ActiveMQ's name for how a message was published.
const qosProperty = "ActiveMQ.MQTT.QoS"

// View implements message.Converter: the user properties in their order with
// repetitions, behind ActiveMQ.MQTT.QoS; a body of bytes, or of text if the
// publisher says that it is UTF-8.
func (Converter) View(m *message.Message) (*message.View, error) {
	qos, props, payload, err := splitPayload(m.Payload())
	if err != nil {
		return nil, err
	}
	v := &message.View{Properties: []message.Property{{Name: qosProperty, Value: message.Int32Value(int32(qos))}}}
	v.Body = message.BytesBody(payload)
	eachProperty(props, func(id property, _, value, second []byte) {
		switch {
		case id == propUser:
			v.Properties = append(v.Properties, message.Property{Name: alias(value), Value: message.StringValue(alias(second))})
		case id == propPayloadFormat && len(value) == 1 && value[0] == 1 && utf8.Valid(payload):
			v.Body = message.TextBody(alias(payload))
		}
	})
	return v, nil
}

// content returns what a subscriber gets of m: its properties, as MQTT 5 writes
// them, and its payload. Neither is to be changed.
func (c *conn) content(m *message.Message) (props, payload []byte) {
	if m.Encoding() == message.EncodingMQTT {
		_, props, payload, err := splitPayload(m.Payload())
		if err == nil {
			return props, payload
		}
		c.log.Error("message can't be read", "err", err)
		return nil, nil
	}
	v, err := m.View(c.front.opts.Converters)
	if err != nil {
		c.log.Error("message can't be read", "err", err)
		return nil, nil
	}
	return c.foreign(m, v)
}

// foreign renders a message that came by another protocol.
func (c *conn) foreign(m *message.Message, v *message.View) (props, payload []byte) {
	text := false
	contentType := m.ContentType
	switch v.Body.Kind {
	case message.BodyNone:
	case message.BodyText:
		payload, text = v.Body.Data, true
	case message.BodyBytes:
		payload = v.Body.Data
	case message.BodyObject:
		payload = v.Body.Data
		contentType = orDefault(contentType, "application/x-java-serialized-object")
	case message.BodyMap, message.BodyStream, message.BodyValue:
		payload, text = message.AppendJSON(nil, v.Body.Value), true
		contentType = orDefault(contentType, "application/json")
	}
	if c.version < v5 {
		return nil, payload
	}
	if text {
		props = appendTrueProperty(props, propPayloadFormat)
	}
	if validProperty(contentType) {
		props = appendTextProperty(props, propContentType, contentType)
	}
	if d := m.ReplyTo; d.Kind == message.KindTopic && validProperty(d.Name) {
		props = appendTextProperty(props, propResponseTopic, swapped(d.Name))
	}
	if data := correlationData(m.CorrelationID); data != "" && len(data) <= 0xffff {
		props = appendTextProperty(props, propCorrelationData, data)
	}
	for _, p := range v.Properties {
		props = appendUser(props, p.Name, p.Value.String())
	}
	props = appendUser(props, "JMSType", m.Type)
	props = appendUser(props, "JMSXGroupID", m.GroupID)
	return props, payload
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// appendUser appends a property of another protocol, if MQTT can hold it.
func appendUser(b []byte, name, value string) []byte {
	if !validProperty(name) || len(value) > 0xffff || value != "" && !validProperty(value) {
		return b
	}
	if name == "JMSType" && value == "" || name == "JMSXGroupID" && value == "" {
		return b
	}
	return appendUserProperty(b, name, value)
}

// validProperty reports whether s can stand in a property and is not empty.
func validProperty(s string) bool {
	return s != "" && len(s) <= 0xffff && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}
