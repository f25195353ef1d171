package mqtt

import "fmt"

// packetType is the upper half of a packet's first byte (MQTT 5.0, 2.1.2).
type packetType uint8

// The packet types.
const (
	typeReserved packetType = iota
	typeConnect
	typeConnack
	typePublish
	typePuback
	typePubrec
	typePubrel
	typePubcomp
	typeSubscribe
	typeSuback
	typeUnsubscribe
	typeUnsuback
	typePingreq
	typePingresp
	typeDisconnect
	typeAuth
)

var typeNames = [...]string{
	"reserved", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// String returns the specification's name.
func (t packetType) String() string { return typeNames[t&0xf] }

// version is the protocol level of CONNECT.
type version uint8

// The protocol levels.
const (
	v31  version = 3
	v311 version = 4
	v5   version = 5
)

// String returns the version's number.
func (v version) String() string {
	switch v {
	case v31:
		return "3.1"
	case v311:
		return "3.1.1"
	case v5:
		return "5.0"
	}
	return fmt.Sprintf("level %d", uint8(v))
}

// packet is one control packet as it lies in the read buffer.
type packet struct {
	kind  packetType
	flags byte
	body  []byte // what follows the remaining length
}

// maxRemaining is the largest remaining length that four bytes hold.
const maxRemaining = 268_435_455

// nextPacket takes the first packet off b. n is 0 while it is not complete;
// then need is how many bytes it has, as far as they are known. limit is the
// largest packet taken, in bytes. A wrong first byte or length is found before
// the packet's body has come.
func nextPacket(b []byte, limit int) (p packet, n, need int, err error) {
	if len(b) == 0 {
		return p, 0, 1, nil
	}
	p.kind, p.flags = packetType(b[0]>>4), b[0]&0xf
	if err := p.checkFlags(); err != nil {
		return p, 0, 0, err
	}
	var remaining, size int
	for i := 1; ; i++ {
		if i == 5 {
			return p, 0, 0, malformed("remaining length has more than four bytes") // [MQTT-1.5.5-1]
		}
		if i == len(b) {
			return p, 0, i + 1, nil
		}
		remaining |= int(b[i]&0x7f) << (7 * (i - 1))
		if b[i] < 0x80 {
			if i > 1 && b[i] == 0 {
				return p, 0, 0, malformed("remaining length is not in its shortest form") // [MQTT-1.5.5-1]
			}
			size = i + 1
			break
		}
	}
	if size+remaining > limit {
		return p, 0, 0, &fault{
			reason: packetTooLarge,
			text:   fmt.Sprintf("%v has %d bytes, the limit is %d", p.kind, size+remaining, limit),
		} // [MQTT-3.2.2-15]
	}
	if len(b) < size+remaining {
		return p, 0, size + remaining, nil
	}
	p.body = b[size : size+remaining : size+remaining]
	return p, size + remaining, 0, nil
}

// checkFlags holds the lower half of the first byte to what the type has there
// [MQTT-2.1.3-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.6.1-1] [MQTT-3.14.1-1]
// [MQTT-3.15.1-1]. MQTT 3.1 allowed DUP in SUBSCRIBE, UNSUBSCRIBE and PUBREL.
func (p *packet) checkFlags() error {
	want := byte(0)
	switch p.kind { //nolint:exhaustive // all others have none
	case typePublish:
		if p.flags>>1&3 == 3 {
			return malformed("PUBLISH has QoS 3") // [MQTT-3.3.1-4]
		}
		if p.flags>>1&3 == 0 && p.flags&8 != 0 {
			return malformed("PUBLISH of QoS 0 has DUP set") // [MQTT-3.3.1-2]
		}
		return nil
	case typePubrel, typeSubscribe, typeUnsubscribe:
		want = 2
		if p.flags == want|8 {
			return nil // 3.1: sent again
		}
	case typeReserved:
		return malformed("packet type 0 is reserved")
	}
	if p.flags != want {
		return malformed("%v has flags %#x, want %#x", p.kind, p.flags, want)
	}
	return nil
}
