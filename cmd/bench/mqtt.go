package bench

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// mqttProtocol is MQTT 3.1.1 and 5.0 over a byte stream, with one QoS for what
// a run publishes and subscribes to. MQTT has topics only.
type mqttProtocol struct {
	level  byte // 4 or 5
	qos    byte
	stored bool // sessions outlive their connections
}

func (mqttProtocol) defaultPort() string { return "1883" }

func (mqttProtocol) destination(name string, _ bool) string { return name }

// The packets that the generator knows, by the upper half of their first byte.
const (
	mqttConnack   = 2
	mqttPublish   = 3
	mqttPuback    = 4
	mqttPubrec    = 5
	mqttPubrel    = 6
	mqttPubcomp   = 7
	mqttSubscribe = 8
	mqttSuback    = 9
	mqttPingreq   = 12
	mqttPingresp  = 13
	mqttBye       = 14
)

func (p mqttProtocol) open(rw io.ReadWriter, c credentials) (codec, error) {
	if _, err := rw.Write(p.connectPacket(c)); err != nil {
		return nil, fmt.Errorf("send CONNECT: %w", err)
	}
	buf := make([]byte, 0, 512)
	for {
		n, err := rw.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		head, size, perr := mqttHead(buf)
		switch {
		case perr != nil || len(buf) > 0 && buf[0] != mqttConnack<<4:
			return nil, errors.New("the answer to CONNECT is no CONNACK: is this an MQTT port?")
		case size > 0 && size <= len(buf):
			if code := buf[head+1]; code != 0 {
				return nil, &refusal{words: fmt.Sprintf("CONNACK %#x", code)}
			}
			return &mqttCodec{mqttProtocol: p}, nil
		case err != nil:
			return nil, fmt.Errorf("wait for CONNACK: %w", err)
		case len(buf) == cap(buf):
			return nil, errors.New("the answer to CONNECT has no end: is this an MQTT port?")
		}
	}
}

// connectPacket wants no keep alive: it would be noise in the measurement and
// wake idle connections.
func (p mqttProtocol) connectPacket(c credentials) []byte {
	flags := byte(2)
	if p.stored {
		flags = 0
	}
	if c.login != "" {
		flags |= 0xc0
	}
	b := append(appendMqttText(nil, "MQTT"), p.level, flags, 0, 0)
	if p.level == 5 {
		if p.stored {
			b = append(b, 5, 0x11, 0, 0, 2, 0) // session expiry 512 s
		} else {
			b = append(b, 0)
		}
	}
	b = appendMqttText(b, "bench-"+rand.Text()[:16])
	if c.login != "" {
		b = appendMqttText(appendMqttText(b, c.login), c.passcode)
	}
	return appendMqttPacket(nil, 1<<4, b)
}

func appendMqttText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func appendMqttPacket(dst []byte, first byte, body []byte) []byte {
	dst = binary.AppendUvarint(append(dst, first), uint64(len(body)))
	return append(dst, body...)
}

// mqttHead returns where the body of the packet at the start of b begins and
// where it ends; size is 0 while that is not known.
func mqttHead(b []byte) (head, size int, err error) {
	if len(b) < 2 {
		return 0, 0, nil
	}
	n, used := binary.Uvarint(b[1:min(len(b), 5)])
	if used < 0 || used == 0 && len(b) >= 5 {
		return 0, 0, errors.New("MQTT: a packet's length has more than four bytes")
	}
	if used == 0 {
		return 0, 0, nil
	}
	return 1 + used, 1 + used + int(n), nil
}

// mqttCodec is one connection's. It holds nothing that changes.
type mqttCodec struct{ mqttProtocol }

func (*mqttCodec) peer() string { return "" }

func (c *mqttCodec) publication(p publication, n int) (*frames, error) {
	switch {
	case p.size < stampSize:
		return nil, fmt.Errorf("a body of %d bytes cannot hold the %d-byte stamp", p.size, stampSize)
	case len(p.headers) > 0 || p.persistent:
		return nil, errors.New("MQTT has no headers, and QoS 1 and 2 are persistent")
	case p.confirm != (c.qos > 0):
		return nil, errors.New("QoS 1 and 2 need --window, and QoS 0 has none")
	}
	b := appendMqttText(nil, p.destination)
	idAt := 0
	if c.qos > 0 {
		idAt = len(b)
		b = append(b, 0, 0)
	}
	if c.level == 5 {
		b = append(b, 0)
	}
	bodyAt := len(b)
	b = append(b, filler(p.size)...)
	frame := appendMqttPacket(nil, mqttPublish<<4|c.qos<<1, b)
	before := len(frame) - len(b)
	f := newFrames(frame, before+bodyAt, 0, n)
	if idAt > 0 {
		f.idAt = before + idAt
	}
	return f, nil
}

func (c *mqttCodec) appendSubscribe(dst []byte, s subscription) []byte {
	b := []byte{0, 1}
	if c.level == 5 {
		b = append(b, 0)
	}
	return appendMqttPacket(dst, mqttSubscribe<<4|2, append(appendMqttText(b, s.destination), c.qos))
}

// appendAck is for protocols whose consumers choose when to acknowledge; MQTT's
// deliveries are answered as they are read.
func (*mqttCodec) appendAck(dst []byte, _ *event) []byte { return dst }

// appendDisconnect asks for PINGRESP: a DISCONNECT has no answer.
func (*mqttCodec) appendDisconnect(dst []byte) []byte { return append(dst, mqttPingreq<<4, 0) }

// next parses one packet in place.
func (c *mqttCodec) next(buf []byte, e *event) (int, error) {
	*e = event{}
	head, size, err := mqttHead(buf)
	if err != nil || size == 0 || size > len(buf) {
		return 0, err
	}
	body := buf[head:size]
	kind := buf[0] >> 4
	switch kind {
	case mqttPublish:
		return size, c.delivery(buf[0], body, e)
	case mqttSuback:
		e.kind = eventReply
		if code := body[len(body)-1]; code >= 0x80 {
			e.kind, e.body = eventRefusal, fmt.Appendf(nil, "SUBACK %#x", code)
		}
	case mqttPingresp:
		e.kind = eventReply
	case mqttPuback, mqttPubrec, mqttPubrel, mqttPubcomp:
		if len(body) < 2 {
			return 0, errors.New("MQTT: an acknowledgement of nothing")
		}
		e.id = binary.BigEndian.Uint16(body)
		if len(body) > 2 && body[2] >= 0x80 {
			e.kind, e.body = eventRefusal, fmt.Appendf(nil, "packet %d with reason %#x", kind, body[2])
			return size, nil
		}
		c.acknowledged(kind, e)
	default:
		e.kind, e.body = eventRefusal, fmt.Appendf(nil, "packet %d", kind)
	}
	return size, nil
}

// acknowledged goes on with a handshake.
func (*mqttCodec) acknowledged(kind byte, e *event) {
	switch kind {
	case mqttPubrec:
		e.answer, e.answers = mqttPubrel<<4|2, true
	case mqttPubrel:
		e.answer, e.answers = mqttPubcomp<<4, true
	default:
		e.kind, e.numbered = eventConfirm, true
	}
}

func (c *mqttCodec) delivery(first byte, body []byte, e *event) error {
	at := 2
	if len(body) >= 2 {
		at += int(binary.BigEndian.Uint16(body))
	}
	qos := first >> 1 & 3
	if qos > 0 {
		if len(body) < at+2 {
			return errors.New("MQTT: a PUBLISH ends early")
		}
		e.id = binary.BigEndian.Uint16(body[at:])
		e.answers, e.answer = true, mqttPuback<<4
		if qos == 2 {
			e.answer = mqttPubrec << 4
		}
		at += 2
	}
	if c.level == 5 && len(body) > at {
		n, used := binary.Uvarint(body[at:])
		at += used + int(n)
	}
	if at > len(body) || at < 2 {
		return errors.New("MQTT: a PUBLISH ends early")
	}
	e.kind, e.body = eventDelivery, body[at:]
	return nil
}
