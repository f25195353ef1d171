package mqtt

import "encoding/binary"

// ackPacket is a PUBACK, PUBREC, PUBREL or PUBCOMP (MQTT 5.0, 3.4 to 3.7).
type ackPacket struct {
	id     uint16
	reason reason
}

// readAck decodes an acknowledgement.
func readAck(p packet, v version) (a ackPacket, err error) {
	if len(p.body) == 2 { // [MQTT-2.2.1-5]; success is left out
		a.id = binary.BigEndian.Uint16(p.body)
	} else {
		f := fields{b: p.body}
		a.id = f.uint16("packet identifier")
		if v == v5 {
			a.reason = reason(f.byte("reason code"))
			if len(f.b) > 0 {
				var props properties
				props.read(&f, ackProperties)
			}
		}
		if err := f.end(); err != nil {
			return a, err
		}
		if !ackReason(p.kind, a.reason) {
			return a, violation("%v has reason code %#x", p.kind, uint8(a.reason)) // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
		}
	}
	if a.id == 0 {
		return a, violation("packet identifier is 0")
	}
	return a, nil
}

// ackReason reports whether an acknowledgement may say r.
func ackReason(k packetType, r reason) bool {
	if k == typePubrel || k == typePubcomp {
		return r == success || r == packetIDNotFound
	}
	switch r { //nolint:exhaustive // those that PUBACK and PUBREC have
	case success, 0x10, unspecifiedError, implementationError, notAuthorized, topicNameInvalid,
		packetIDInUse, quotaExceeded, payloadFormatInvalid:
		return true
	}
	return false
}

// appendAck encodes an acknowledgement. Success is left out, text is the
// reason string, "" for none; v 3.x has neither.
func appendAck(b []byte, k packetType, id uint16, r reason, text string, v version) []byte {
	first := byte(k) << 4
	if k == typePubrel {
		first |= 2 // [MQTT-3.6.1-1]
	}
	switch {
	case v < v5 || r == success:
		return appendUint16(append(b, first, 2), id)
	case text == "":
		return append(appendUint16(append(b, first, 3), id), byte(r))
	}
	n := 3 + len(text)
	b = appendVarint(append(b, first), 3+varintSize(n)+n)
	b = append(appendUint16(b, id), byte(r))
	return appendTextProperty(appendVarint(b, n), propReasonString, text)
}
