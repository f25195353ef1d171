package message

import (
	"bytes"
	"math"
	"slices"
	"unsafe"
)

// Type is the type of a Value. The numbers are part of the hub's encoding.
type Type uint8

// The types: what the five protocols have between them.
const (
	TypeNull Type = iota
	TypeBool
	TypeInt8
	TypeInt16
	TypeInt32
	TypeInt64
	TypeUint8
	TypeUint16
	TypeUint32
	TypeUint64
	TypeFloat      // 32 bits
	TypeDouble     // 64 bits
	TypeDecimal32  // IEEE 754 decimals, kept as their bits: AMQP only
	TypeDecimal64  //
	TypeDecimal128 //
	TypeChar       // a code point, or half of a surrogate pair from Java
	TypeTimestamp  // milliseconds since the Unix epoch
	TypeUUID
	TypeString
	TypeSymbol // ASCII from a constrained domain: AMQP
	TypeBinary
	TypeList
	TypeMap       // keys of any type, order and duplicates kept
	TypeArray     // a list whose elements are all of one type: AMQP
	TypeDescribed // a value with a descriptor: AMQP
	typeEnd
)

var typeNames = [typeEnd]string{
	"null", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
	"float", "double", "decimal32", "decimal64", "decimal128", "char", "timestamp", "uuid",
	"string", "symbol", "binary", "list", "map", "array", "described",
}

// String returns the type's name: "int32".
func (t Type) String() string {
	if t >= typeEnd {
		return "unknown"
	}
	return typeNames[t]
}

// Value is one typed value. The zero Value is null. A Value is immutable: it
// keeps the strings and slices that it was made of and whoever made it, or
// got them back from it, must not change them. Compare with Equal.
//
// Making a Value allocates nothing, except UUIDValue, Decimal128Value and
// DescribedValue.
type Value struct {
	_    [0]func() // == would compare addresses
	ptr  unsafe.Pointer
	num  uint64 // the bits of a scalar, the length of what ptr points to
	typ  Type
	elem Type // of an array
}

// MapEntry is one key and value of a map.
type MapEntry struct{ Key, Value Value }

// Null returns the null value, which is the zero Value.
func Null() Value { return Value{} }

// BoolValue returns a value of TypeBool.
func BoolValue(b bool) Value {
	if b {
		return Value{typ: TypeBool, num: 1}
	}
	return Value{typ: TypeBool}
}

// Int8Value returns a value of TypeInt8 (Java and AMQP: byte).
func Int8Value(n int8) Value { return Value{typ: TypeInt8, num: uint64(n)} }

// Int16Value returns a value of TypeInt16 (short).
func Int16Value(n int16) Value { return Value{typ: TypeInt16, num: uint64(n)} }

// Int32Value returns a value of TypeInt32 (int).
func Int32Value(n int32) Value { return Value{typ: TypeInt32, num: uint64(n)} }

// Int64Value returns a value of TypeInt64 (long).
func Int64Value(n int64) Value { return Value{typ: TypeInt64, num: uint64(n)} }

// Uint8Value returns a value of TypeUint8 (AMQP: ubyte).
func Uint8Value(n uint8) Value { return Value{typ: TypeUint8, num: uint64(n)} }

// Uint16Value returns a value of TypeUint16 (ushort).
func Uint16Value(n uint16) Value { return Value{typ: TypeUint16, num: uint64(n)} }

// Uint32Value returns a value of TypeUint32 (uint).
func Uint32Value(n uint32) Value { return Value{typ: TypeUint32, num: uint64(n)} }

// Uint64Value returns a value of TypeUint64 (ulong).
func Uint64Value(n uint64) Value { return Value{typ: TypeUint64, num: n} }

// FloatValue returns a value of TypeFloat. Not-a-numbers keep their bits.
func FloatValue(f float32) Value { return Value{typ: TypeFloat, num: uint64(math.Float32bits(f))} }

// DoubleValue returns a value of TypeDouble. Not-a-numbers keep their bits.
func DoubleValue(f float64) Value { return Value{typ: TypeDouble, num: math.Float64bits(f)} }

// Decimal32Value returns a value of TypeDecimal32 of the bits on the wire.
func Decimal32Value(bits uint32) Value { return Value{typ: TypeDecimal32, num: uint64(bits)} }

// Decimal64Value returns a value of TypeDecimal64 of the bits on the wire.
func Decimal64Value(bits uint64) Value { return Value{typ: TypeDecimal64, num: bits} }

// Decimal128Value returns a value of TypeDecimal128 of the bytes on the wire.
func Decimal128Value(b [16]byte) Value {
	return Value{typ: TypeDecimal128, ptr: unsafe.Pointer(&b), num: 16}
}

// CharValue returns a value of TypeChar.
func CharValue(c rune) Value { return Value{typ: TypeChar, num: uint64(uint32(c))} }

// TimestampValue returns a value of TypeTimestamp, in milliseconds since the
// Unix epoch.
func TimestampValue(ms int64) Value { return Value{typ: TypeTimestamp, num: uint64(ms)} }

// UUIDValue returns a value of TypeUUID.
func UUIDValue(u [16]byte) Value {
	return Value{typ: TypeUUID, ptr: unsafe.Pointer(&u), num: 16}
}

// StringValue returns a value of TypeString.
func StringValue(s string) Value {
	return Value{typ: TypeString, ptr: unsafe.Pointer(unsafe.StringData(s)), num: uint64(len(s))}
}

// SymbolValue returns a value of TypeSymbol.
func SymbolValue(s string) Value {
	return Value{typ: TypeSymbol, ptr: unsafe.Pointer(unsafe.StringData(s)), num: uint64(len(s))}
}

// BinaryValue returns a value of TypeBinary that keeps b.
func BinaryValue(b []byte) Value {
	return Value{typ: TypeBinary, ptr: unsafe.Pointer(unsafe.SliceData(b)), num: uint64(len(b))}
}

// ListValue returns a value of TypeList that keeps list.
func ListValue(list []Value) Value {
	return Value{typ: TypeList, ptr: unsafe.Pointer(unsafe.SliceData(list)), num: uint64(len(list))}
}

// ArrayValue returns a value of TypeArray that keeps list, whose elements are
// all of type elem: an empty array has a type, too.
func ArrayValue(elem Type, list []Value) Value {
	return Value{typ: TypeArray, elem: elem, ptr: unsafe.Pointer(unsafe.SliceData(list)), num: uint64(len(list))}
}

// MapValue returns a value of TypeMap that keeps entries.
func MapValue(entries []MapEntry) Value {
	return Value{typ: TypeMap, ptr: unsafe.Pointer(unsafe.SliceData(entries)), num: uint64(len(entries))}
}

// DescribedValue returns a value of TypeDescribed.
func DescribedValue(descriptor, v Value) Value {
	return Value{typ: TypeDescribed, ptr: unsafe.Pointer(&MapEntry{descriptor, v}), num: 1}
}

// Type returns v's type.
func (v Value) Type() Type { return v.typ }

// IsNull reports whether v is null.
func (v Value) IsNull() bool { return v.typ == TypeNull }

// IsScalar reports whether v holds no other values.
func (v Value) IsScalar() bool { return v.typ < TypeList }

// Bool returns the value of a bool.
func (v Value) Bool() (b, ok bool) { return v.typ == TypeBool && v.num != 0, v.typ == TypeBool }

// Int64 returns the value of an integer of any width that an int64 can hold.
func (v Value) Int64() (int64, bool) {
	switch v.typ {
	case TypeInt8, TypeInt16, TypeInt32, TypeInt64, TypeUint8, TypeUint16, TypeUint32:
		return int64(v.num), true
	case TypeUint64:
		if v.num <= math.MaxInt64 {
			return int64(v.num), true
		}
	}
	return 0, false
}

// Uint64 returns the value of an integer of any width that isn't negative.
func (v Value) Uint64() (uint64, bool) {
	switch v.typ {
	case TypeInt8, TypeInt16, TypeInt32, TypeInt64:
		if int64(v.num) >= 0 {
			return v.num, true
		}
	case TypeUint8, TypeUint16, TypeUint32, TypeUint64:
		return v.num, true
	}
	return 0, false
}

// Float64 returns the value of a float or a double.
func (v Value) Float64() (float64, bool) {
	switch v.typ {
	case TypeFloat:
		return float64(math.Float32frombits(uint32(v.num))), true
	case TypeDouble:
		return math.Float64frombits(v.num), true
	}
	return 0, false
}

// Bits returns the bits of a float, a double, a decimal32 or a decimal64 as
// they go on the wire.
func (v Value) Bits() (uint64, bool) {
	switch v.typ {
	case TypeFloat, TypeDouble, TypeDecimal32, TypeDecimal64:
		return v.num, true
	}
	return 0, false
}

// Char returns the value of a char.
func (v Value) Char() (rune, bool) {
	if v.typ != TypeChar {
		return 0, false
	}
	return rune(uint32(v.num)), true
}

// Timestamp returns the milliseconds since the Unix epoch of a timestamp.
func (v Value) Timestamp() (ms int64, ok bool) {
	if v.typ != TypeTimestamp {
		return 0, false
	}
	return int64(v.num), true
}

// Bytes16 returns the bytes of a UUID or a decimal128.
func (v Value) Bytes16() (b [16]byte, ok bool) {
	if v.typ != TypeUUID && v.typ != TypeDecimal128 {
		return b, false
	}
	return *(*[16]byte)(v.ptr), true
}

// Text returns the value of a string or a symbol.
func (v Value) Text() (string, bool) {
	if v.typ != TypeString && v.typ != TypeSymbol {
		return "", false
	}
	return unsafe.String((*byte)(v.ptr), int(v.num)), true
}

// Binary returns the bytes of a binary. The caller must not change them.
func (v Value) Binary() ([]byte, bool) {
	if v.typ != TypeBinary {
		return nil, false
	}
	return v.bytes(), true
}

// List returns the elements of a list or an array. The caller must not
// change them.
func (v Value) List() ([]Value, bool) {
	if v.typ != TypeList && v.typ != TypeArray {
		return nil, false
	}
	return v.values(), true
}

// ElementType returns the type of an array's elements.
func (v Value) ElementType() Type { return v.elem }

// Map returns the entries of a map. The caller must not change them.
func (v Value) Map() ([]MapEntry, bool) {
	if v.typ != TypeMap {
		return nil, false
	}
	return v.entries(), true
}

// Described returns the descriptor and the value of a described value.
func (v Value) Described() (descriptor, value Value, ok bool) {
	if v.typ != TypeDescribed {
		return Value{}, Value{}, false
	}
	e := (*MapEntry)(v.ptr)
	return e.Key, e.Value, true
}

// bytes, values and entries return what ptr points to, whose kind the type
// must have told.
func (v Value) bytes() []byte       { return unsafe.Slice((*byte)(v.ptr), int(v.num)) }
func (v Value) values() []Value     { return unsafe.Slice((*Value)(v.ptr), int(v.num)) }
func (v Value) entries() []MapEntry { return unsafe.Slice((*MapEntry)(v.ptr), int(v.num)) }

// point makes v one of the types that hold bytes.
func (v *Value) point(b []byte) {
	v.ptr, v.num = unsafe.Pointer(unsafe.SliceData(b)), uint64(len(b))
}

// Equal reports whether v and w are of the same type and value. Floats and
// doubles are compared by their bits: a not-a-number equals itself, and 0
// does not equal -0.
func (v Value) Equal(w Value) bool {
	if v.typ != w.typ || v.num != w.num || v.elem != w.elem {
		return false
	}
	switch v.typ {
	case TypeString, TypeSymbol, TypeBinary, TypeUUID, TypeDecimal128:
		return bytes.Equal(v.bytes(), w.bytes())
	case TypeList, TypeArray:
		return slices.EqualFunc(v.values(), w.values(), Value.Equal)
	case TypeMap, TypeDescribed:
		return slices.EqualFunc(v.entries(), w.entries(), func(a, b MapEntry) bool {
			return a.Key.Equal(b.Key) && a.Value.Equal(b.Value)
		})
	}
	return true
}
