package amqp

import (
	"encoding/binary"
	"unsafe"

	"github.com/entrepot-mq/entrepot/core/message"
)

// alias returns p as a string that changes when p does.
func alias(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, fmtTrue)
	}
	return append(b, fmtFalse)
}

func appendUbyte(b []byte, n uint8) []byte { return append(b, fmtUbyte, n) }

func appendUshort(b []byte, n uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, fmtUshort), n)
}

func appendUint(b []byte, n uint32) []byte {
	switch {
	case n == 0:
		return append(b, fmtUint0)
	case n < 256:
		return append(b, fmtSmallUint, byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, fmtUint), n)
}

func appendUlong(b []byte, n uint64) []byte {
	switch {
	case n == 0:
		return append(b, fmtUlong0)
	case n < 256:
		return append(b, fmtSmallUlong, byte(n))
	}
	return binary.BigEndian.AppendUint64(append(b, fmtUlong), n)
}

func appendInt(b []byte, n int32) []byte {
	if n == int32(int8(n)) {
		return append(b, fmtSmallInt, byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, fmtInt), uint32(n))
}

func appendLong(b []byte, n int64) []byte {
	if n == int64(int8(n)) {
		return append(b, fmtSmallLong, byte(n))
	}
	return binary.BigEndian.AppendUint64(append(b, fmtLong), uint64(n))
}

func appendTimestamp(b []byte, ms int64) []byte {
	return binary.BigEndian.AppendUint64(append(b, fmtTimestamp), uint64(ms))
}

// appendVariable writes a size in one byte or four, and what it is the size of.
func appendVariable(b []byte, code8 byte, p string) []byte {
	return append(appendSize(b, code8, len(p)), p...)
}

func appendSize(b []byte, code8 byte, n int) []byte {
	if n < 256 {
		return append(b, code8, byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, code8|0x10), uint32(n))
}

func appendString(b []byte, s string) []byte { return appendVariable(b, fmtString8, s) }
func appendSymbol(b []byte, s string) []byte { return appendVariable(b, fmtSymbol8, s) }
func appendBinary(b, p []byte) []byte        { return appendVariable(b, fmtBinary8, alias(p)) }

// appendSymbols writes one symbol as itself and several as an array.
func appendSymbols(b []byte, list []string) []byte {
	if len(list) == 1 {
		return appendSymbol(b, list[0])
	}
	values := make([]message.Value, len(list))
	for i, s := range list {
		values[i] = message.SymbolValue(s)
	}
	return appendValue(b, message.ArrayValue(message.TypeSymbol, values))
}

// listMark remembers where a list of fields began and where its last field
// that isn't null ends.
type listMark struct{ start, end, count int }

// beginList writes a descriptor and leaves room for the head of a short list.
func beginList(b []byte, code byte) ([]byte, listMark) {
	b = append(b, fmtDescribed, fmtSmallUlong, code)
	m := listMark{start: len(b), end: len(b) + 3}
	return append(b, fmtList8, 0, 0), m
}

func (m *listMark) present(b []byte, n int) { m.end, m.count = len(b), n }

// finish cuts off trailing nulls and writes the head.
func (m *listMark) finish(b []byte) []byte {
	b = b[:m.end]
	if m.count == 0 {
		b[m.start] = fmtList0
		return b[:m.start+1]
	}
	return endCompound(b, m.start, m.count)
}

// endCompound completes a compound whose three bytes of head are at start: it
// is moved if it is too long for them.
func endCompound(b []byte, start, count int) []byte {
	size := len(b) - start - 2 // count and content
	if size < 256 && count < 256 {
		b[start+1], b[start+2] = byte(size), byte(count)
		return b
	}
	const more = 6
	b = append(b, make([]byte, more)...)
	copy(b[start+3+more:], b[start+3:])
	b[start] |= 0x10
	binary.BigEndian.PutUint32(b[start+1:], uint32(size+3)) // the count takes four bytes
	binary.BigEndian.PutUint32(b[start+5:], uint32(count))
	return b
}

// appendValue writes a value of the hub in its shortest encoding.
func appendValue(b []byte, v message.Value) []byte {
	switch v.Type() {
	case message.TypeBool:
		t, _ := v.Bool()
		return appendBool(b, t)
	case message.TypeUint32:
		n, _ := v.Uint64()
		return appendUint(b, uint32(n))
	case message.TypeUint64:
		n, _ := v.Uint64()
		return appendUlong(b, n)
	case message.TypeInt32:
		n, _ := v.Int64()
		return appendInt(b, int32(n))
	case message.TypeInt64:
		n, _ := v.Int64()
		return appendLong(b, n)
	case message.TypeString:
		s, _ := v.Text()
		return appendString(b, s)
	case message.TypeSymbol:
		s, _ := v.Text()
		return appendSymbol(b, s)
	case message.TypeBinary:
		p, _ := v.Binary()
		return appendBinary(b, p)
	case message.TypeList, message.TypeMap, message.TypeArray:
		return appendCompound(b, v)
	case message.TypeDescribed:
		descriptor, inner, _ := v.Described()
		return appendValue(appendValue(append(b, fmtDescribed), descriptor), inner)
	default:
		return appendWide(append(b, arrayCode(v.Type())), v)
	}
}

func appendCompound(b []byte, v message.Value) []byte {
	start := len(b)
	if entries, ok := v.Map(); ok {
		b = append(b, fmtMap8, 0, 0)
		for _, e := range entries {
			b = appendValue(appendValue(b, e.Key), e.Value)
		}
		return endCompound(b, start, 2*len(entries))
	}
	list, _ := v.List()
	if v.Type() == message.TypeArray {
		if elem, ok := arrayConstructor(v); ok {
			b = append(append(b, fmtArray8, 0, 0), elem...)
			for _, e := range list {
				for e.Type() == message.TypeDescribed {
					_, e, _ = e.Described()
				}
				b = appendWide(b, e)
			}
			return endCompound(b, start, len(list))
		}
	}
	if len(list) == 0 {
		return append(b, fmtList0)
	}
	b = append(b, fmtList8, 0, 0)
	for _, e := range list {
		b = appendValue(b, e)
	}
	return endCompound(b, start, len(list))
}

// arrayConstructor returns the constructor of an array's elements. Described
// elements share one if their descriptors and types are the same; otherwise
// there is none, and the array has to go as a list.
func arrayConstructor(v message.Value) ([]byte, bool) {
	list, _ := v.List()
	if v.ElementType() != message.TypeDescribed {
		return []byte{arrayCode(v.ElementType())}, true
	}
	if len(list) == 0 {
		return []byte{fmtNull}, true
	}
	first := shape(list[0])
	for _, e := range list[1:] {
		if string(shape(e)) != string(first) {
			return nil, false
		}
	}
	return first, true
}

// shape returns the descriptors and the code of the type of a described value.
func shape(v message.Value) (b []byte) {
	for v.Type() == message.TypeDescribed {
		var descriptor message.Value
		descriptor, v, _ = v.Described()
		b = appendValue(append(b, fmtDescribed), descriptor)
	}
	return append(b, arrayCode(v.Type()))
}

// appendWide writes what follows the constructor of arrayCode.
func appendWide(b []byte, v message.Value) []byte {
	switch v.Type() {
	case message.TypeNull:
	case message.TypeBool:
		if t, _ := v.Bool(); t {
			return append(b, 1)
		}
		return append(b, 0)
	case message.TypeInt8, message.TypeInt16, message.TypeInt32, message.TypeInt64:
		n, _ := v.Int64()
		return appendInteger(b, v.Type(), uint64(n))
	case message.TypeUint8, message.TypeUint16, message.TypeUint32, message.TypeUint64:
		n, _ := v.Uint64()
		return appendInteger(b, v.Type(), n)
	case message.TypeFloat, message.TypeDecimal32:
		n, _ := v.Bits()
		return binary.BigEndian.AppendUint32(b, uint32(n))
	case message.TypeDouble, message.TypeDecimal64:
		n, _ := v.Bits()
		return binary.BigEndian.AppendUint64(b, n)
	case message.TypeDecimal128, message.TypeUUID:
		p, _ := v.Bytes16()
		return append(b, p[:]...)
	case message.TypeChar:
		c, _ := v.Char()
		return binary.BigEndian.AppendUint32(b, uint32(c))
	case message.TypeTimestamp:
		ms, _ := v.Timestamp()
		return binary.BigEndian.AppendUint64(b, uint64(ms))
	case message.TypeString, message.TypeSymbol:
		s, _ := v.Text()
		return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
	case message.TypeBinary:
		p, _ := v.Binary()
		return append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
	case message.TypeList, message.TypeMap, message.TypeArray:
		return appendWideCompound(b, v)
	case message.TypeDescribed: // its constructor has the descriptor
	}
	return b
}

func appendInteger(b []byte, t message.Type, n uint64) []byte {
	switch t {
	case message.TypeInt8, message.TypeUint8:
		return append(b, byte(n))
	case message.TypeInt16, message.TypeUint16:
		return binary.BigEndian.AppendUint16(b, uint16(n))
	case message.TypeInt32, message.TypeUint32:
		return binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return binary.BigEndian.AppendUint64(b, n)
}

// appendWideCompound writes an element of an array of lists, maps or arrays.
func appendWideCompound(b []byte, v message.Value) []byte {
	at := len(b)
	b = append(b, make([]byte, 8)...)
	var count int
	if entries, ok := v.Map(); ok {
		count = 2 * len(entries)
		for _, e := range entries {
			b = appendValue(appendValue(b, e.Key), e.Value)
		}
	} else {
		list, _ := v.List()
		count = len(list)
		if v.Type() == message.TypeArray {
			elem, ok := arrayConstructor(v)
			if !ok { // an array of such arrays can't say what they hold: it is empty
				elem, list, count = []byte{fmtNull}, nil, 0
			}
			b = append(b, elem...)
		}
		for _, e := range list {
			if v.Type() == message.TypeArray {
				for e.Type() == message.TypeDescribed {
					_, e, _ = e.Described()
				}
				b = appendWide(b, e)
				continue
			}
			b = appendValue(b, e)
		}
	}
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	binary.BigEndian.PutUint32(b[at+4:], uint32(count))
	return b
}

func appendCondition(b []byte, c *condition) []byte { return c.append(b) }
func appendSource(b []byte, s *source) []byte       { return s.append(b) }

func appendTerminus(b []byte, t terminus) []byte {
	if t.coordinator != nil {
		return t.coordinator.append(b)
	}
	return t.node.append(b)
}
