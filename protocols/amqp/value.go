package amqp

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/entrepot-mq/entrepot/core/message"
)

// value reads a value of any type into the hub's terms, which have all of
// AMQP's types.
func (d *decoder) value() message.Value { return d.valueOf(d.byte(), 0) }

func (d *decoder) valueOf(code byte, depth int) message.Value {
	if d.err != nil {
		return message.Null()
	}
	if d.budget--; d.budget < 0 {
		d.failf("input holds more values than its size allows")
		return message.Null()
	}
	switch code >> 4 {
	case 4, 5, 6, 7, 8, 9:
		return d.fixed(code)
	case 0xa, 0xb:
		p := d.variable(code)
		switch code {
		case fmtBinary8, fmtBinary32:
			return message.BinaryValue(p)
		case fmtString8, fmtString32:
			return message.StringValue(d.utf8(p))
		case fmtSymbol8, fmtSymbol32:
			return message.SymbolValue(d.ascii(p))
		}
	case 0xc, 0xd, 0xe, 0xf, 0:
		if depth >= maxDepth {
			d.fail(errDepth)
			return message.Null()
		}
		return d.nested(code, depth+1)
	}
	d.failf("format code %#02x is unknown", code)
	return message.Null()
}

// fixed reads a value whose constructor tells its width.
func (d *decoder) fixed(code byte) message.Value {
	switch code {
	case fmtNull:
		return message.Null()
	case fmtTrue, fmtFalse:
		return message.BoolValue(code == fmtTrue)
	case fmtList0:
		return message.ListValue(nil)
	}
	if n, ok := d.uint64Of(code); ok {
		switch code {
		case fmtUbyte:
			return message.Uint8Value(uint8(n))
		case fmtUshort:
			return message.Uint16Value(uint16(n))
		case fmtUint0, fmtSmallUint, fmtUint:
			return message.Uint32Value(uint32(n))
		}
		return message.Uint64Value(n)
	}
	p := d.take(fixedWidth(code))
	if p == nil {
		d.failf("format code %#02x is unknown", code)
		return message.Null()
	}
	switch code {
	case fmtBool:
		if p[0] > 1 {
			d.failf("boolean is %d", p[0])
		}
		return message.BoolValue(p[0] == 1)
	case fmtByte:
		return message.Int8Value(int8(p[0]))
	case fmtSmallInt:
		return message.Int32Value(int32(int8(p[0])))
	case fmtSmallLong:
		return message.Int64Value(int64(int8(p[0])))
	case fmtShort:
		return message.Int16Value(int16(binary.BigEndian.Uint16(p)))
	case fmtDecimal128:
		return message.Decimal128Value([16]byte(p))
	case fmtUUID:
		return message.UUIDValue([16]byte(p))
	}
	return d.word(code, p)
}

// word reads a value of four or eight bytes that isn't an unsigned integer.
func (d *decoder) word(code byte, p []byte) message.Value {
	if len(p) == 4 {
		n := binary.BigEndian.Uint32(p)
		switch code {
		case fmtInt:
			return message.Int32Value(int32(n))
		case fmtFloat:
			return message.FloatValue(math.Float32frombits(n))
		case fmtChar:
			return message.CharValue(rune(n))
		case fmtDecimal32:
			return message.Decimal32Value(n)
		}
	}
	if len(p) == 8 {
		n := binary.BigEndian.Uint64(p)
		switch code {
		case fmtLong:
			return message.Int64Value(int64(n))
		case fmtDouble:
			return message.DoubleValue(math.Float64frombits(n))
		case fmtTimestamp:
			return message.TimestampValue(int64(n))
		case fmtDecimal64:
			return message.Decimal64Value(n)
		}
	}
	d.failf("format code %#02x is unknown", code)
	return message.Null()
}

// fixedWidth is the number of bytes behind a constructor of the categories
// with a fixed width.
func fixedWidth(code byte) int {
	if code>>4 == 4 {
		return 0
	}
	return 1 << (code>>4 - 5)
}

// nested reads a value that holds others. depth counts from 1.
func (d *decoder) nested(code byte, depth int) message.Value {
	if code == fmtDescribed {
		descriptor := d.valueOf(d.byte(), depth)
		return message.DescribedValue(descriptor, d.valueOf(d.byte(), depth))
	}
	switch code {
	case fmtList8, fmtList32, fmtMap8, fmtMap32, fmtArray8, fmtArray32:
	default:
		d.failf("format code %#02x is unknown", code)
		return message.Null()
	}
	inner, n := d.compound(code)
	if d.err != nil {
		return message.Null()
	}
	var v message.Value
	switch code {
	case fmtList8, fmtList32:
		v = message.ListValue(inner.list(n, depth))
	case fmtMap8, fmtMap32:
		v = message.MapValue(inner.entries(n, depth))
	default:
		v = inner.array(n, depth)
	}
	inner.done()
	d.budget, d.err = inner.budget, inner.err
	return v
}

// done fails if something is left of a compound's content.
func (d *decoder) done() {
	if d.err == nil && len(d.b) > 0 {
		d.failf("compound is %d bytes longer than its values", len(d.b))
	}
}

func (d *decoder) list(n, depth int) []message.Value {
	if n > len(d.b) {
		d.fail(errShort)
		return nil
	}
	list := make([]message.Value, 0, n)
	for range n {
		v := d.valueOf(d.byte(), depth)
		if d.err != nil {
			return nil
		}
		list = append(list, v)
	}
	return list
}

func (d *decoder) entries(n, depth int) []message.MapEntry {
	if n%2 != 0 {
		d.failf("map of %d values: a value is missing", n)
		return nil
	}
	if n > len(d.b) {
		d.fail(errShort)
		return nil
	}
	entries := make([]message.MapEntry, 0, n/2)
	for range n / 2 {
		key := d.valueOf(d.byte(), depth)
		v := d.valueOf(d.byte(), depth)
		if d.err != nil {
			return nil
		}
		entries = append(entries, message.MapEntry{Key: key, Value: v})
	}
	return entries
}

// array reads elements that share one constructor, which may be a described
// one (AMQP 1.0, 1.6.24).
func (d *decoder) array(n, depth int) message.Value {
	code := d.byte()
	var descriptors []message.Value
	for code == fmtDescribed && d.err == nil {
		if depth+len(descriptors) >= maxDepth {
			d.fail(errDepth)
		}
		descriptors = append(descriptors, d.valueOf(d.byte(), depth))
		code = d.byte()
	}
	if n > d.budget {
		d.failf("array of %d elements in %d bytes", n, len(d.b))
	}
	depth += len(descriptors)
	list := make([]message.Value, 0, min(n, len(d.b)+1))
	for range n {
		v := d.valueOf(code, depth)
		if d.err != nil {
			return message.Null()
		}
		for _, descriptor := range slices.Backward(descriptors) {
			v = message.DescribedValue(descriptor, v)
		}
		list = append(list, v)
	}
	elem, ok := elementType(code)
	if !ok && d.err == nil {
		d.failf("format code %#02x is unknown", code)
	}
	if len(descriptors) > 0 {
		elem = message.TypeDescribed
	}
	if d.err != nil {
		return message.Null()
	}
	return message.ArrayValue(elem, list)
}

// typeCodes names the widest encoding of each type, in which arrays are
// written.
var typeCodes = [...]struct {
	t    message.Type
	code byte
}{
	{message.TypeNull, fmtNull},
	{message.TypeBool, fmtBool},
	{message.TypeInt8, fmtByte},
	{message.TypeInt16, fmtShort},
	{message.TypeInt32, fmtInt},
	{message.TypeInt64, fmtLong},
	{message.TypeUint8, fmtUbyte},
	{message.TypeUint16, fmtUshort},
	{message.TypeUint32, fmtUint},
	{message.TypeUint64, fmtUlong},
	{message.TypeFloat, fmtFloat},
	{message.TypeDouble, fmtDouble},
	{message.TypeDecimal32, fmtDecimal32},
	{message.TypeDecimal64, fmtDecimal64},
	{message.TypeDecimal128, fmtDecimal128},
	{message.TypeChar, fmtChar},
	{message.TypeTimestamp, fmtTimestamp},
	{message.TypeUUID, fmtUUID},
	{message.TypeString, fmtString32},
	{message.TypeSymbol, fmtSymbol32},
	{message.TypeBinary, fmtBinary32},
	{message.TypeList, fmtList32},
	{message.TypeMap, fmtMap32},
	{message.TypeArray, fmtArray32},
}

// elementType returns the type of an array's elements by their constructor.
func elementType(code byte) (message.Type, bool) {
	switch code {
	case fmtTrue, fmtFalse:
		code = fmtBool
	case fmtUint0, fmtSmallUint:
		code = fmtUint
	case fmtUlong0, fmtSmallUlong:
		code = fmtUlong
	case fmtSmallInt:
		code = fmtInt
	case fmtSmallLong:
		code = fmtLong
	case fmtList0:
		code = fmtList32
	case fmtString8, fmtSymbol8, fmtBinary8, fmtList8, fmtMap8, fmtArray8:
		code |= 0x10
	}
	for _, e := range typeCodes {
		if e.code == code {
			return e.t, true
		}
	}
	return 0, false
}

func arrayCode(t message.Type) byte {
	for _, e := range typeCodes {
		if e.t == t {
			return e.code
		}
	}
	return fmtNull
}
