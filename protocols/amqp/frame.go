package amqp

import "encoding/binary"

// Frame types (AMQP 1.0, 2.3.1 and 5.3.1).
const (
	frameAMQP = 0
	frameSASL = 1
)

const frameHead = 8

// Protocol headers (AMQP 1.0, 2.2).
const (
	headerAMQP = "AMQP\x00\x01\x00\x00"
	headerTLS  = "AMQP\x02\x01\x00\x00"
	headerSASL = "AMQP\x03\x01\x00\x00"
)

// frame is one frame, in the bytes that it was read from.
type frame struct {
	kind    byte
	channel uint16
	body    []byte // empty: nothing but a sign of life
}

// nextFrame reads the frame at the start of b. n is its length, 0 if it is not
// complete; need is then how long it will be, if that is known.
func nextFrame(b []byte, most uint32) (f frame, n, need int, err error) {
	if len(b) < frameHead {
		return f, 0, 0, nil
	}
	size := binary.BigEndian.Uint32(b)
	offset := 4 * int(b[4])
	switch {
	case size < frameHead:
		return f, 0, 0, badConnection(errFraming, "frame of %d bytes is shorter than its head", size)
	case size > most:
		return f, 0, 0, badConnection(errFraming, "frame of %d bytes is longer than the %d that were agreed on", size, most)
	case offset < frameHead || offset > int(size):
		return f, 0, 0, badConnection(errFraming, "frame's data offset is %d of %d bytes", offset, size)
	case b[5] > frameSASL:
		return f, 0, 0, badConnection(errFraming, "frame is of the unknown type %d", b[5])
	case len(b) < int(size):
		return f, 0, int(size), nil
	}
	return frame{kind: b[5], channel: binary.BigEndian.Uint16(b[6:]), body: b[offset:size]}, int(size), int(size), nil
}

// beginFrame leaves room for a frame's head.
func beginFrame(b []byte, kind byte, channel uint16) []byte {
	return append(b, 0, 0, 0, 0, 2, kind, byte(channel>>8), byte(channel))
}

// endFrame completes the frame that began at start.
func endFrame(b []byte, start int) []byte {
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

// before compares serial numbers (RFC 1982, AMQP 1.0, 2.8.10).
func before(a, b uint32) bool { return int32(a-b) < 0 }
