package mqtt

import (
	"encoding/binary"
)

// property is the identifier of a property (MQTT 5.0, 2.2.2.2).
type property uint8

// The properties.
const (
	propPayloadFormat      property = 0x01
	propMessageExpiry      property = 0x02
	propContentType        property = 0x03
	propResponseTopic      property = 0x08
	propCorrelationData    property = 0x09
	propSubscriptionID     property = 0x0b
	propSessionExpiry      property = 0x11
	propAssignedClientID   property = 0x12
	propServerKeepAlive    property = 0x13
	propAuthMethod         property = 0x15
	propAuthData           property = 0x16
	propRequestProblem     property = 0x17
	propWillDelay          property = 0x18
	propRequestResponse    property = 0x19
	propResponseInfo       property = 0x1a
	propServerReference    property = 0x1c
	propReasonString       property = 0x1f
	propReceiveMaximum     property = 0x21
	propTopicAliasMaximum  property = 0x22
	propTopicAlias         property = 0x23
	propMaximumQoS         property = 0x24
	propRetainAvailable    property = 0x25
	propUser               property = 0x26
	propMaximumPacketSize  property = 0x27
	propWildcardAvailable  property = 0x28
	propSubscriptionIDsAvl property = 0x29
	propSharedAvailable    property = 0x2a
	propertyEnd            property = 0x2b
)

// shape is how a property's value is written.
type shape uint8

const (
	shapeNone shape = iota
	shapeByte
	shapeUint16
	shapeUint32
	shapeVarint
	shapeText
	shapeBinary
	shapePair
)

var shapes = [propertyEnd]shape{
	propPayloadFormat: shapeByte, propMessageExpiry: shapeUint32, propContentType: shapeText,
	propResponseTopic: shapeText, propCorrelationData: shapeBinary, propSubscriptionID: shapeVarint,
	propSessionExpiry: shapeUint32, propAssignedClientID: shapeText, propServerKeepAlive: shapeUint16,
	propAuthMethod: shapeText, propAuthData: shapeBinary, propRequestProblem: shapeByte,
	propWillDelay: shapeUint32, propRequestResponse: shapeByte, propResponseInfo: shapeText,
	propServerReference: shapeText, propReasonString: shapeText, propReceiveMaximum: shapeUint16,
	propTopicAliasMaximum: shapeUint16, propTopicAlias: shapeUint16, propMaximumQoS: shapeByte,
	propRetainAvailable: shapeByte, propUser: shapePair, propMaximumPacketSize: shapeUint32,
	propWildcardAvailable: shapeByte, propSubscriptionIDsAvl: shapeByte, propSharedAvailable: shapeByte,
}

// propertySet is a set of property identifiers.
type propertySet uint64

func setOf(ps ...property) (s propertySet) {
	for _, p := range ps {
		s |= 1 << p
	}
	return s
}

func (s propertySet) has(p property) bool { return s&(1<<p) != 0 }

// What each packet from a client may carry (MQTT 5.0, 2.2.2.2).
var (
	publishProperties = setOf(propPayloadFormat, propMessageExpiry, propContentType, propResponseTopic,
		propCorrelationData, propTopicAlias, propUser)
	willProperties = setOf(propPayloadFormat, propMessageExpiry, propContentType, propResponseTopic,
		propCorrelationData, propWillDelay, propUser)
	connectProperties = setOf(propSessionExpiry, propAuthMethod, propAuthData, propRequestProblem,
		propRequestResponse, propReceiveMaximum, propTopicAliasMaximum, propUser, propMaximumPacketSize)
	ackProperties         = setOf(propReasonString, propUser)
	subscribeProperties   = setOf(propSubscriptionID, propUser)
	unsubscribeProperties = setOf(propUser)
	disconnectProperties  = setOf(propSessionExpiry, propReasonString, propUser)
	authProperties        = setOf(propAuthMethod, propAuthData, propReasonString, propUser)

	// forwarded are the properties of PUBLISH that subscribers get as they are
	// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-20].
	forwarded = setOf(propPayloadFormat, propContentType, propResponseTopic, propCorrelationData, propUser)
)

// maxUserProperties bounds the properties of one packet: each costs far more
// to keep than to send.
const maxUserProperties = 1024

// properties is what a packet's property section says. Texts point into the
// packet.
type properties struct {
	raw     []byte // the whole section
	present propertySet

	contentType     []byte
	responseTopic   []byte
	correlationData []byte
	authMethod      []byte
	authData        []byte
	sessionExpiry   uint32
	messageExpiry   uint32
	willDelay       uint32
	maximumPacket   uint32
	receiveMaximum  uint16
	aliasMaximum    uint16
	topicAlias      uint16
	payloadFormat   byte
	requestProblem  byte
	requestResponse byte
	subscriptionID  int
	users           int // how many
	kept            int // bytes of raw that are forwarded
}

// read takes a property section off f. A property that allowed doesn't have
// [MQTT-2.2.2] or that comes twice is an error.
func (p *properties) read(f *fields, allowed propertySet) {
	*p = properties{requestProblem: 1}
	n := f.varint("property length")
	section := fields{b: f.take(n, "property section")}
	p.raw = section.b
	if f.err != nil {
		return
	}
	for len(section.b) > 0 && section.err == nil {
		p.one(&section, allowed)
	}
	if section.err != nil {
		f.fail("")
		f.err = section.err
	}
}

func (p *properties) one(f *fields, allowed propertySet) {
	before := len(f.b)
	id := property(f.varint("property identifier"))
	switch {
	case f.err != nil:
		return
	case id >= propertyEnd || shapes[id] == shapeNone:
		f.fail("property %#x does not exist", uint8(id))
		return
	case !allowed.has(id):
		f.protocol("property %#x does not belong here", uint8(id))
		return
	case p.present.has(id) && id != propUser:
		f.protocol("property %#x comes twice", uint8(id)) // [MQTT-3.1.2-11.2] and its likes
		return
	}
	p.present |= 1 << id
	switch shapes[id] {
	case shapeByte:
		p.setByte(f, id, f.byte("property"))
	case shapeUint16:
		p.setUint16(f, id, f.uint16("property"))
	case shapeUint32:
		p.setUint32(f, id, f.uint32("property"))
	case shapeVarint:
		if p.subscriptionID = f.varint("subscription identifier"); f.err == nil && p.subscriptionID == 0 {
			f.protocol("subscription identifier is 0")
		}
	case shapeText:
		p.setText(id, f.text("property"))
	case shapeBinary:
		p.setText(id, f.binary("property"))
	case shapePair:
		f.text("user property's name")
		f.text("user property's value")
		if p.users++; p.users > maxUserProperties {
			f.fault(quotaExceeded, "there are more than %d user properties", maxUserProperties)
		}
	case shapeNone:
	}
	if forwarded.has(id) {
		p.kept += before - len(f.b)
	}
}

func (f *fields) protocol(format string, args ...any) { f.fault(protocolError, format, args...) }

func (f *fields) fault(r reason, format string, args ...any) {
	if f.err == nil {
		f.err = faultf(r, format, args...)
	}
	f.b = nil
}

func (p *properties) setByte(f *fields, id property, v byte) {
	if v > 1 {
		f.protocol("property %#x is %d, want 0 or 1", uint8(id), v)
	}
	switch id { //nolint:exhaustive // clients send no others
	case propPayloadFormat:
		p.payloadFormat = v
	case propRequestProblem:
		p.requestProblem = v
	case propRequestResponse:
		p.requestResponse = v
	}
}

func (p *properties) setUint16(f *fields, id property, v uint16) {
	switch id { //nolint:exhaustive // clients send no others
	case propReceiveMaximum:
		if p.receiveMaximum = v; v == 0 {
			f.protocol("receive maximum is 0")
		}
	case propTopicAliasMaximum:
		p.aliasMaximum = v
	case propTopicAlias:
		p.topicAlias = v
		if v == 0 {
			f.fault(topicAliasInvalid, "topic alias is 0") // [MQTT-3.3.2-8]
		}
	}
}

func (p *properties) setUint32(f *fields, id property, v uint32) {
	switch id { //nolint:exhaustive // clients send no others
	case propSessionExpiry:
		p.sessionExpiry = v
	case propMessageExpiry:
		p.messageExpiry = v
	case propWillDelay:
		p.willDelay = v
	case propMaximumPacketSize:
		if p.maximumPacket = v; v == 0 {
			f.protocol("maximum packet size is 0")
		}
	}
}

func (p *properties) setText(id property, v []byte) {
	switch id { //nolint:exhaustive // the others are not used
	case propContentType:
		p.contentType = v
	case propResponseTopic:
		p.responseTopic = v
	case propCorrelationData:
		p.correlationData = v
	case propAuthMethod:
		p.authMethod = v
	case propAuthData:
		p.authData = v
	}
}

// forwardable returns those properties of a PUBLISH or a will that go to
// subscribers. It may append them to scratch.
func (p *properties) forwardable(scratch []byte) []byte {
	if p.kept == len(p.raw) {
		return p.raw
	}
	if p.kept == 0 {
		return nil
	}
	scratch = scratch[:0]
	eachProperty(p.raw, func(id property, whole, _, _ []byte) {
		if forwarded.has(id) {
			scratch = append(scratch, whole...)
		}
	})
	return scratch
}

// eachProperty calls fn for each property of a section that read has taken:
// with all its bytes, its value (without a length), and of a user property name
// and value.
func eachProperty(raw []byte, fn func(id property, whole, value, second []byte)) {
	for len(raw) > 0 {
		id := property(raw[0])
		if id >= propertyEnd {
			return
		}
		n, value, second := 1, []byte(nil), []byte(nil)
		switch shapes[id] {
		case shapeByte:
			n = 2
		case shapeUint16:
			n = 3
		case shapeUint32:
			n = 5
		case shapeVarint:
			for n < len(raw) && raw[n] >= 0x80 {
				n++
			}
			n++
		case shapeText, shapeBinary:
			value, n = sized(raw, n)
		case shapePair:
			value, n = sized(raw, n)
			second, n = sized(raw, n)
		case shapeNone:
			return
		}
		if n > len(raw) {
			return
		}
		if value == nil {
			value = raw[1:n]
		}
		fn(id, raw[:n], value, second)
		raw = raw[n:]
	}
}

// sized returns the bytes behind the two-byte length at raw[at:], and where
// they end; beyond raw's end if they are not all there.
func sized(raw []byte, at int) (v []byte, end int) {
	if at+2 > len(raw) {
		return nil, len(raw) + 1
	}
	end = at + 2 + int(binary.BigEndian.Uint16(raw[at:]))
	if end > len(raw) {
		return nil, len(raw) + 1
	}
	return raw[at+2 : end : end], end
}

// appendTrueProperty encodes a property of one byte that says 1, the only value
// that is ever written.
func appendTrueProperty(b []byte, p property) []byte { return append(b, byte(p), 1) }

func appendUint16Property(b []byte, p property, v uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, byte(p)), v)
}

func appendUint32Property(b []byte, p property, v uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, byte(p)), v)
}

func appendTextProperty(b []byte, p property, v string) []byte {
	return appendText(append(b, byte(p)), v)
}

func appendUserProperty(b []byte, name, value string) []byte {
	return appendText(appendText(append(b, byte(propUser)), name), value)
}
