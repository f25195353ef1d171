package mqtt

import (
	"encoding/binary"
	"unicode/utf8"
	"unsafe"
)

// fields takes a packet's body apart. After the first error it returns zero
// values; err says what was wrong.
type fields struct {
	b   []byte
	err error
}

func (f *fields) fail(format string, args ...any) {
	if f.err == nil {
		f.err = malformed(format, args...)
	}
	f.b = nil
}

func (f *fields) byte(what string) byte {
	if len(f.b) < 1 {
		f.fail("ends before %s", what)
		return 0
	}
	v := f.b[0]
	f.b = f.b[1:]
	return v
}

func (f *fields) uint16(what string) uint16 {
	if len(f.b) < 2 {
		f.fail("ends before %s", what)
		return 0
	}
	v := binary.BigEndian.Uint16(f.b)
	f.b = f.b[2:]
	return v
}

func (f *fields) uint32(what string) uint32 {
	if len(f.b) < 4 {
		f.fail("ends before %s", what)
		return 0
	}
	v := binary.BigEndian.Uint32(f.b)
	f.b = f.b[4:]
	return v
}

// varint reads a variable byte integer in its shortest form.
func (f *fields) varint(what string) int {
	v := 0
	for i := 0; i < 4 && i < len(f.b); i++ {
		c := f.b[i]
		v |= int(c&0x7f) << (7 * i)
		if c < 0x80 {
			if i > 0 && c == 0 {
				f.fail("%s is not in its shortest form", what) // [MQTT-1.5.5-1]
				return 0
			}
			f.b = f.b[i+1:]
			return v
		}
	}
	f.fail("%s is no variable byte integer", what)
	return 0
}

// binary reads bytes with their length in two bytes.
func (f *fields) binary(what string) []byte {
	n := int(f.uint16(what))
	if n > len(f.b) {
		f.fail("%s is longer than its packet", what)
		return nil
	}
	v := f.b[:n:n]
	f.b = f.b[n:]
	return v
}

// text reads a UTF-8 string.
func (f *fields) text(what string) []byte {
	v := f.binary(what)
	if !validText(v) {
		f.fail("%s is no valid UTF-8 string", what) // [MQTT-1.5.4-1] [MQTT-1.5.4-2]
		return nil
	}
	return v
}

// take returns the next n bytes.
func (f *fields) take(n int, what string) []byte {
	if n > len(f.b) {
		f.fail("%s is longer than its packet", what)
		return nil
	}
	v := f.b[:n:n]
	f.b = f.b[n:]
	return v
}

// end makes bytes that nothing has announced an error.
func (f *fields) end() error {
	if f.err == nil && len(f.b) > 0 {
		f.fail("has %d bytes behind its end", len(f.b))
	}
	return f.err
}

// validText reports whether p is UTF-8 without surrogates [MQTT-1.5.4-1] and
// without U+0000 [MQTT-1.5.4-2]. A byte order mark is a character like any
// other [MQTT-1.5.4-3].
func validText(p []byte) bool {
	ascii := true
	for _, c := range p {
		if c == 0 {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return ascii || utf8.Valid(p)
}

func appendUint16(b []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(b, v) }

// appendText appends a string of up to 65,535 bytes; the caller has seen to
// that.
func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func appendVarint(b []byte, v int) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func varintSize(v int) int {
	switch {
	case v < 1<<7:
		return 1
	case v < 1<<14:
		return 2
	case v < 1<<21:
		return 3
	}
	return 4
}

// alias returns p as a string that changes when p does: for look-ups and for
// message.New, which copies.
func alias(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }
