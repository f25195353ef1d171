package bench

import (
	"encoding/binary"
	"errors"
)

var errAMQP = errors.New("AMQP: a frame can't be read")

// next parses one frame in place.
func (c *amqpCodec) next(buf []byte, e *event) (int, error) {
	*e = event{}
	if len(buf) < amqpHead {
		return 0, nil
	}
	size := int(binary.BigEndian.Uint32(buf))
	if size < amqpHead || buf[4] != 2 {
		return 0, errAMQP
	}
	if size > len(buf) {
		return 0, nil
	}
	if size == amqpHead {
		return size, nil // a sign of life
	}
	body := buf[amqpHead:size]
	code, fields, err := amqpPerformative(body)
	if err != nil {
		return 0, err
	}
	switch code {
	case amqpTransfer:
		return size, c.delivery(fields, e)
	case amqpDisposition:
		c.confirmed(fields, e)
	case amqpFlow:
		c.flow(fields)
	case amqpAttach:
		if !c.sending {
			e.kind = eventReply
		}
	case amqpClose:
		e.kind = eventReply
		if !c.closing {
			e.kind, e.body = eventRefusal, []byte(amqpWords(fields))
		}
	default: // detach, end
		e.kind, e.body = eventRefusal, []byte(amqpWords(fields))
	}
	return size, nil
}

// delivery finds the body of a message in one frame, whose last section is data.
func (c *amqpCodec) delivery(f amqpFields, e *event) error {
	f.next()
	id := f.next()
	for f.n > 0 {
		f.next()
	}
	rest := f.rest
	for len(rest) > 3 && rest[2] != amqpData {
		n := amqpSize(rest[3:])
		if n == 0 {
			return errAMQP
		}
		rest = rest[3+n:]
	}
	if len(rest) < 5 || len(id) == 0 {
		return errAMQP
	}
	head := 5
	if rest[3] == 0xb0 {
		head = 8
	}
	if len(rest) < head {
		return errAMQP
	}
	c.received++
	e.kind, e.body = eventDelivery, rest[head:]
	e.ack = binary.BigEndian.AppendUint32(nil, uint32(amqpNumber(id)))
	return nil
}

// confirmed reads which messages are safe.
func (*amqpCodec) confirmed(f amqpFields, e *event) {
	f.next()
	first := amqpNumber(f.next())
	last := first
	if v := f.next(); len(v) > 0 && v[0] != amqpNull {
		last = amqpNumber(v)
	}
	f.next()
	if state := f.next(); len(state) < 3 || state[2] != amqpAccepted {
		e.kind, e.body = eventRefusal, []byte("a message was not accepted")
		return
	}
	e.kind, e.numbered, e.id, e.more = eventConfirm, true, numberOf(uint32(first)-1), uint16(last-first)
}

// flow reads the publisher's credit.
func (c *amqpCodec) flow(f amqpFields) {
	for range 4 {
		f.next()
	}
	if handle := f.next(); len(handle) == 0 || handle[0] == amqpNull {
		return
	}
	count := amqpNumber(f.next())
	c.granted.Store(int64(count + amqpNumber(f.next())))
}

// amqpFields walks over the fields of a performative.
type amqpFields struct {
	b    []byte // of the list that is left
	n    int    // fields left
	rest []byte // behind the list: the payload
}

// next returns the encoded next field, nil if it is absent.
func (f *amqpFields) next() []byte {
	if f.n == 0 {
		return nil
	}
	size := amqpSize(f.b)
	if size == 0 {
		f.n = 0
		return nil
	}
	v := f.b[:size]
	f.b, f.n = f.b[size:], f.n-1
	return v
}

// amqpPerformative reads a descriptor and the head of its list.
func amqpPerformative(b []byte) (code byte, f amqpFields, err error) {
	if len(b) < 4 || b[0] != 0 || b[1] != 0x53 {
		return 0, f, errAMQP
	}
	list := b[3:]
	size := amqpSize(list)
	if size == 0 {
		return 0, f, errAMQP
	}
	f.rest = list[size:]
	switch {
	case list[0] == 0xc0 && size >= 3:
		f.n, f.b = int(list[2]), list[3:size]
	case list[0] == 0xd0 && size >= 9:
		f.n, f.b = int(binary.BigEndian.Uint32(list[5:])), list[9:size]
	}
	return b[2], f, nil
}

// amqpSize returns the bytes of the value at the start of b, 0 if it isn't
// whole.
func amqpSize(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	n := 0
	switch b[0] >> 4 {
	case 0:
		d := amqpSize(b[1:])
		if d == 0 {
			return 0
		}
		if v := amqpSize(b[1+d:]); v > 0 {
			n = 1 + d + v
		}
	case 4:
		n = 1
	case 5, 6, 7, 8, 9:
		n = 1 + 1<<(b[0]>>4-5)
	case 0xa, 0xc, 0xe:
		if len(b) > 1 {
			n = 2 + int(b[1])
		}
	case 0xb, 0xd, 0xf:
		if len(b) > 4 {
			n = 5 + int(binary.BigEndian.Uint32(b[1:]))
		}
	}
	if n > len(b) {
		return 0
	}
	return n
}

// amqpNumber returns an encoded unsigned integer.
func amqpNumber(v []byte) (n uint64) {
	if len(v) == 0 {
		return 0
	}
	for _, c := range v[1:] {
		n = n<<8 | uint64(c)
	}
	return n
}

// amqpWords returns what an error says: its description, or its condition.
func amqpWords(f amqpFields) string {
	for f.n > 0 {
		v := f.next()
		code, e, err := amqpPerformative(v)
		if err != nil || code != amqpError {
			continue
		}
		return amqpSaid(e.next()) + " " + amqpSaid(e.next())
	}
	return "no reason was given"
}

// amqpSaid returns the text of a string or a symbol.
func amqpSaid(v []byte) string {
	switch {
	case len(v) >= 2 && v[0]&0xf0 == 0xa0:
		return string(v[2:])
	case len(v) >= 5 && v[0]&0xf0 == 0xb0:
		return string(v[5:])
	}
	return ""
}

// The encoded forms of what the generator says.
var (
	amqpNothing = []byte{amqpNull}
	amqpTrue    = []byte{0x41}
	amqpFalse   = []byte{0x42}
)

func amqpUbyte(n byte) []byte { return []byte{0x50, n} }

func amqpUint(n uint32) []byte {
	if n == 0 {
		return []byte{0x43}
	}
	return binary.BigEndian.AppendUint32([]byte{0x70}, n)
}

func amqpText(code byte, s string) []byte {
	if len(s) < 256 {
		return append([]byte{code, byte(len(s))}, s...)
	}
	return append(binary.BigEndian.AppendUint32([]byte{code | 0x10}, uint32(len(s))), s...)
}

func amqpString(s string) []byte { return amqpText(0xa1, s) }
func amqpSymbol(s string) []byte { return amqpText(0xa3, s) }
func amqpBinary(s string) []byte { return amqpText(0xa0, s) }

// amqpList is a described list, in the short form if it fits.
func amqpList(code byte, fields ...[]byte) []byte {
	var content []byte
	for _, f := range fields {
		content = append(content, f...)
	}
	b := []byte{0, 0x53, code}
	if len(content) < 255 {
		return append(append(b, 0xc0, byte(len(content)+1), byte(len(fields))), content...)
	}
	b = binary.BigEndian.AppendUint32(append(b, 0xd0), uint32(len(content)+4))
	return append(binary.BigEndian.AppendUint32(b, uint32(len(fields))), content...)
}

// appendAMQPFrame wraps a body into a frame of a type, on channel 0.
func appendAMQPFrame(dst []byte, kind byte, body []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(amqpHead+len(body)))
	return append(append(dst, 2, kind, 0, 0), body...)
}
