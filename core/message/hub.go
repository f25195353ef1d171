package message

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxDepth is how deep the values of a View may be nested: a list of scalars
// has depth 1.
const MaxDepth = 32

// ErrDepth is returned for values that are nested deeper than MaxDepth.
var ErrDepth = errors.New("value is nested too deep")

// The hub's encoding (version 1) of a View:
//
//	version     byte
//	properties  count, then for each: name (string), value
//	kind        byte: the body's kind; bit 7 says that sections follow
//	sections    count, then the length of each (bytes, or list elements)
//	content     bytes, text, object: a string; map, stream, value: a value
//
// A value is its type in a byte and then
//
//	null                        nothing
//	bool                        a byte, 0 or 1
//	int8..int64, timestamp      zig-zag varint
//	uint8..uint64, char         uvarint
//	float, decimal32            4 bytes; double, decimal64: 8 bytes
//	decimal128, uuid            16 bytes
//	string, symbol, binary      a string
//	list                        count, values
//	map                         count, key and value of each
//	array                       type of the elements, count, values
//	described                   descriptor and value
//
// Counts and lengths are uvarints; a string is its length and its bytes.
// Fixed-size fields are big-endian. Nothing follows the content.
const (
	hubVersion  = 1
	hubSections = 0x80
)

// AppendView appends the hub's encoding of v to dst. It panics if v is not
// what a converter may return: deeper than MaxDepth, an array of mixed types,
// a body whose content is not of its kind, sections that don't add up.
func AppendView(dst []byte, v *View) []byte {
	if err := v.Body.check(); err != nil {
		panic("message: " + err.Error())
	}
	dst = append(dst, hubVersion)
	dst = binary.AppendUvarint(dst, uint64(len(v.Properties)))
	for i := range v.Properties {
		dst = appendString(dst, v.Properties[i].Name)
		dst = appendValue(dst, v.Properties[i].Value, 0)
	}
	return appendBody(dst, &v.Body)
}

func appendBody(dst []byte, b *Body) []byte {
	if b.Sections == nil {
		dst = append(dst, byte(b.Kind))
	} else {
		dst = append(dst, byte(b.Kind)|hubSections)
		dst = binary.AppendUvarint(dst, uint64(len(b.Sections)))
		start := 0
		for _, end := range b.Sections {
			dst = binary.AppendUvarint(dst, uint64(end-start))
			start = end
		}
	}
	switch b.Kind {
	case BodyBytes, BodyText, BodyObject:
		return append(binary.AppendUvarint(dst, uint64(len(b.Data))), b.Data...)
	case BodyMap, BodyStream, BodyValue:
		return appendValue(dst, b.Value, 0)
	}
	return dst
}

func appendValue(dst []byte, v Value, depth int) []byte {
	dst = append(dst, byte(v.typ))
	switch v.typ {
	case TypeBool:
		return append(dst, byte(v.num))
	case TypeInt8, TypeInt16, TypeInt32, TypeInt64, TypeTimestamp:
		return binary.AppendVarint(dst, int64(v.num))
	case TypeUint8, TypeUint16, TypeUint32, TypeUint64, TypeChar:
		return binary.AppendUvarint(dst, v.num)
	case TypeFloat, TypeDecimal32:
		return binary.BigEndian.AppendUint32(dst, uint32(v.num))
	case TypeDouble, TypeDecimal64:
		return binary.BigEndian.AppendUint64(dst, v.num)
	case TypeDecimal128, TypeUUID:
		return append(dst, v.bytes()...)
	case TypeString, TypeSymbol, TypeBinary:
		return append(binary.AppendUvarint(dst, v.num), v.bytes()...)
	case TypeList, TypeMap, TypeArray, TypeDescribed:
		return appendCompound(dst, v, depth+1)
	}
	return dst
}

func appendCompound(dst []byte, v Value, depth int) []byte {
	if depth > MaxDepth {
		panic(fmt.Sprintf("message: %v, %d levels allowed", ErrDepth, MaxDepth))
	}
	switch v.typ {
	case TypeArray:
		dst = append(dst, byte(v.elem))
		fallthrough
	case TypeList:
		dst = binary.AppendUvarint(dst, v.num)
		for _, e := range v.values() {
			if v.typ == TypeArray && e.typ != v.elem {
				panic(fmt.Sprintf("message: array of %v holds a %v", v.elem, e.typ))
			}
			dst = appendValue(dst, e, depth)
		}
	case TypeMap:
		dst = binary.AppendUvarint(dst, v.num)
		fallthrough
	case TypeDescribed:
		for _, e := range v.entries() {
			dst = appendValue(dst, e.Key, depth)
			dst = appendValue(dst, e.Value, depth)
		}
	}
	return dst
}

// DecodeView reads what AppendView wrote. The view keeps b: its strings and
// bodies point into it, and the caller must not change it. What DecodeView
// allocates is bounded by a small multiple of len(b). Errors are ErrVersion,
// ErrTruncated, ErrCorrupt and ErrDepth.
func DecodeView(b []byte) (*View, error) {
	r := reader{b: b}
	if version := r.byte(); r.err == nil && version != hubVersion {
		return nil, fmt.Errorf("%w: view of version %d", ErrVersion, version)
	}
	v := &View{}
	// A name's length and a value's type.
	const least = 2
	if n := r.count(least); n > 0 {
		v.Properties = make([]Property, n)
	}
	for i := range v.Properties {
		r.paid(least)
		v.Properties[i].Name = r.string()
		v.Properties[i].Value = r.value(0)
		if r.err != nil {
			return nil, r.err
		}
	}
	r.body(&v.Body)
	if r.err == nil && len(r.b) > 0 {
		r.fail(ErrCorrupt)
	}
	if r.err == nil {
		r.err = v.Body.check()
	}
	if r.err != nil {
		return nil, r.err
	}
	return v, nil
}

func (r *reader) body(b *Body) {
	kind := r.byte()
	b.Kind = BodyKind(kind &^ hubSections)
	if kind&hubSections != 0 {
		b.Sections = r.sections()
	}
	switch b.Kind {
	case BodyBytes, BodyText, BodyObject:
		b.Data = r.take(r.uvarint())
	case BodyMap, BodyStream, BodyValue:
		b.Value = r.value(0)
	}
}

func (r *reader) sections() []int {
	ends := make([]int, r.count(1))
	end := uint64(0)
	for i := range ends {
		r.paid(1)
		n := r.uvarint()
		// No section is longer than the bytes that follow, so that the sum
		// can't overflow.
		if n > uint64(len(r.b)) {
			r.fail(ErrTruncated)
			return nil
		}
		end += n
		ends[i] = int(end)
	}
	return ends
}

func (r *reader) value(depth int) Value {
	v := Value{typ: Type(r.byte())}
	switch v.typ {
	case TypeNull:
	case TypeBool:
		v.num = r.uvarintMax(1)
	case TypeInt8:
		v.num = uint64(r.varintWidth(8))
	case TypeInt16:
		v.num = uint64(r.varintWidth(16))
	case TypeInt32:
		v.num = uint64(r.varintWidth(32))
	case TypeInt64, TypeTimestamp:
		v.num = uint64(r.varint())
	case TypeUint8:
		v.num = r.uvarintMax(1<<8 - 1)
	case TypeUint16:
		v.num = r.uvarintMax(1<<16 - 1)
	case TypeUint32, TypeChar:
		v.num = r.uvarintMax(1<<32 - 1)
	case TypeUint64:
		v.num = r.uvarint()
	case TypeFloat, TypeDecimal32:
		if p := r.take(4); p != nil {
			v.num = uint64(binary.BigEndian.Uint32(p))
		}
	case TypeDouble, TypeDecimal64:
		if p := r.take(8); p != nil {
			v.num = binary.BigEndian.Uint64(p)
		}
	case TypeDecimal128, TypeUUID:
		v.point(r.take(16))
	case TypeString, TypeSymbol, TypeBinary:
		v.point(r.take(r.uvarint()))
	default:
		return r.compound(v.typ, depth+1)
	}
	return v
}

func (r *reader) compound(t Type, depth int) Value {
	if depth > MaxDepth {
		r.fail(ErrDepth)
		return Value{}
	}
	switch t {
	case TypeList:
		return ListValue(r.values(depth))
	case TypeMap:
		return MapValue(r.entries(depth))
	case TypeArray:
		elem := Type(r.byte())
		list := r.values(depth)
		for _, e := range list {
			if e.typ != elem {
				r.fail(ErrCorrupt)
			}
		}
		if elem >= typeEnd {
			r.fail(ErrCorrupt)
		}
		return ArrayValue(elem, list)
	case TypeDescribed:
		return DescribedValue(r.value(depth), r.value(depth))
	}
	r.fail(ErrCorrupt)
	return Value{}
}

func (r *reader) values(depth int) []Value {
	list := make([]Value, r.count(1))
	for i := range list {
		r.paid(1)
		if list[i] = r.value(depth); r.err != nil {
			return nil
		}
	}
	return list
}

func (r *reader) entries(depth int) []MapEntry {
	list := make([]MapEntry, r.count(2))
	for i := range list {
		r.paid(2)
		list[i].Key = r.value(depth)
		if list[i].Value = r.value(depth); r.err != nil {
			return nil
		}
	}
	return list
}

// Hub converts messages of EncodingHub, whose payload is what AppendView
// wrote.
type Hub struct{}

// View implements Converter.
func (Hub) View(m *Message) (*View, error) { return DecodeView(m.payload) }

// NewView makes a message of e and the hub's encoding of v, on AppendView's
// conditions. Neither is kept.
func NewView(e *Envelope, v *View) *Message {
	return New(e, EncodingHub, AppendView(nil, v))
}
