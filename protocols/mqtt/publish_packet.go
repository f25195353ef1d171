package mqtt

import "unicode/utf8"

// publishPacket is a PUBLISH (MQTT 5.0, 3.3). Texts point into the packet.
type publishPacket struct {
	dup     bool
	qos     byte
	retain  bool
	id      uint16
	topic   []byte
	payload []byte
	props   properties
}

// readPublish decodes a PUBLISH. topic may be empty in MQTT 5: then there is
// a topic alias.
func readPublish(p packet, v version, out *publishPacket) error {
	f := fields{b: p.body}
	out.dup, out.qos, out.retain = p.flags&8 != 0, p.flags>>1&3, p.flags&1 != 0
	out.topic = f.text("topic name") // [MQTT-3.3.2-1]
	out.id = 0
	if out.qos > 0 {
		if out.id = f.uint16("packet identifier"); f.err == nil && out.id == 0 {
			f.protocol("packet identifier is 0") // [MQTT-2.2.1-3]
		}
	}
	if v == v5 {
		if len(f.b) > 0 && f.b[0] == 0 { // no properties
			f.b = f.b[1:]
			out.props = properties{}
		} else {
			out.props.read(&f, publishProperties)
		}
	} else if out.props.present != 0 {
		out.props = properties{}
	}
	if f.err != nil {
		return f.err
	}
	out.payload = f.b
	if out.props.payloadFormat == 1 {
		checkFormat(&f, &out.props, out.payload)
	}
	return f.err
}

func validUTF8(p []byte) bool { return utf8.Valid(p) }
