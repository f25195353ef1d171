package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
	"unsafe"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Tags of primitive values.
const (
	tagNull = iota
	tagBool
	tagByte
	tagChar
	tagShort
	tagInt
	tagLong
	tagDouble
	tagFloat
	tagString
	tagBytes
	tagMap
	tagList
	tagBigString
)

// Limits of maps, lists and streams, and of what is in them.
const (
	maxEntries     = 64 << 10
	maxNesting     = 16
	minEntry       = 3 // bytes: an empty key and a tag
	bigString      = 8191
	uniqueBySearch = 16 // entries; more are found through a Go map
)

// Errors of maps and streams.
var (
	errMapShort   = errors.New("a map or stream ends too early")
	errMapCount   = fmt.Errorf("a map, list or stream has more than %d entries, or more than its bytes can hold", maxEntries)
	errMapNesting = fmt.Errorf("maps and lists are nested more than %d deep", maxNesting)
)

// ReadMap reads a map: a message's properties, the body of a MapMessage, the
// properties of WireFormatInfo. Null is nil. Of entries with the same key the
// last counts. What stands behind the map is ignored, as in Java. Strings and
// bytes point into b.
func ReadMap(b []byte) ([]message.Property, error) {
	p := primitives{data: b}
	list := p.entries(0)
	return list, p.err
}

// ReadStream reads the body of a StreamMessage. Strings and bytes point into b.
func ReadStream(b []byte) ([]message.Value, error) {
	p := primitives{data: b}
	var list []message.Value
	for len(p.data) > 0 && p.err == nil {
		if p.left(1); p.err == nil {
			list = append(list, p.value(maxNesting)) // no maps, no lists
		}
	}
	return list, p.err
}

// ReadText reads the body of a TextMessage, which may be null: then ok is
// false. The text may point into b.
func ReadText(b []byte) (text string, ok bool, err error) {
	if len(b) == 0 {
		return "", false, nil
	}
	p := primitives{data: b}
	n := int32(p.uint(4))
	if n < 0 {
		return "", false, p.err
	}
	text = p.text(p.take(int(n)))
	return text, p.err == nil, p.err
}

// primitives reads primitive values. After the first error everything is zero.
type primitives struct {
	data    []byte
	entered int // entries so far, of all maps and lists
	err     error
}

func (p *primitives) fail(err error) {
	if p.err == nil {
		p.err = err
	}
	p.data = nil
}

func (p *primitives) take(n int) []byte {
	if n < 0 || n > len(p.data) {
		p.fail(errMapShort)
		return nil
	}
	b := p.data[:n:n]
	p.data = p.data[n:]
	return b
}

// uint reads n bytes as a number.
func (p *primitives) uint(n int) (x uint64) {
	for _, c := range p.take(n) {
		x = x<<8 | uint64(c)
	}
	return x
}

func (p *primitives) text(b []byte) string {
	if ascii(b) {
		return unsafe.String(unsafe.SliceData(b), len(b))
	}
	s, err := fromModified(b)
	if err != nil {
		p.fail(err)
	}
	return s
}

// left counts n more entries.
func (p *primitives) left(n int) {
	if p.entered += n; p.entered > maxEntries {
		p.fail(errMapCount)
	}
}

// count reads how many entries of at least size bytes follow; null is false.
func (p *primitives) count(size int) (int, bool) {
	n := int32(p.uint(4))
	switch {
	case p.err != nil || n == -1:
		return 0, false
	case n < 0 || int(n) > len(p.data)/size:
		p.fail(errMapCount)
		return 0, false
	}
	p.left(int(n))
	return int(n), p.err == nil
}

func (p *primitives) entries(depth int) []message.Property {
	n, ok := p.count(minEntry)
	if !ok {
		return nil
	}
	list := make([]message.Property, 0, min(n, 64))
	var at map[string]int
	if n > uniqueBySearch {
		at = make(map[string]int)
	}
	for range n {
		key := p.text(p.take(int(p.uint(2))))
		v := p.value(depth)
		if p.err != nil {
			return nil
		}
		if i := find(list, at, key); i >= 0 {
			list[i].Value = v
			continue
		}
		if at != nil {
			at[key] = len(list)
		}
		list = append(list, message.Property{Name: key, Value: v})
	}
	return list
}

func find(list []message.Property, at map[string]int, key string) int {
	if at != nil {
		if i, ok := at[key]; ok {
			return i
		}
		return -1
	}
	for i := range list {
		if list[i].Name == key {
			return i
		}
	}
	return -1
}

func (p *primitives) value(depth int) message.Value {
	switch tag := p.uint(1); tag {
	case tagNull:
		return message.Null()
	case tagBool:
		return message.BoolValue(p.uint(1) != 0)
	case tagByte:
		return message.Int8Value(int8(p.uint(1)))
	case tagChar:
		return message.CharValue(rune(p.uint(2)))
	case tagShort:
		return message.Int16Value(int16(p.uint(2)))
	case tagInt:
		return message.Int32Value(int32(p.uint(4)))
	case tagLong:
		return message.Int64Value(int64(p.uint(8)))
	case tagDouble:
		return message.DoubleValue(math.Float64frombits(p.uint(8)))
	case tagFloat:
		return message.FloatValue(math.Float32frombits(uint32(p.uint(4))))
	case tagString:
		return message.StringValue(p.text(p.take(int(p.uint(2)))))
	case tagBigString:
		return message.StringValue(p.text(p.take(int(int32(p.uint(4))))))
	case tagBytes:
		return p.bytes()
	case tagMap, tagList:
		if depth >= maxNesting {
			p.fail(errMapNesting)
			return message.Null()
		}
		if tag == tagMap {
			return p.mapValue(depth + 1)
		}
		return p.list(depth + 1)
	default:
		p.fail(fmt.Errorf("a value of type %d is unknown", tag))
		return message.Null()
	}
}

func (p *primitives) bytes() message.Value {
	n := int32(p.uint(4))
	if n == -1 {
		return message.Null()
	}
	return message.BinaryValue(p.take(int(n)))
}

func (p *primitives) mapValue(depth int) message.Value {
	list := p.entries(depth)
	entries := make([]message.MapEntry, len(list))
	for i, e := range list {
		entries[i] = message.MapEntry{Key: message.StringValue(e.Name), Value: e.Value}
	}
	return message.MapValue(entries)
}

func (p *primitives) list(depth int) message.Value {
	n, ok := p.count(1)
	if !ok {
		return message.Null()
	}
	list := make([]message.Value, 0, min(n, 64))
	for range n {
		list = append(list, p.value(depth))
		if p.err != nil {
			return message.Null()
		}
	}
	return message.ListValue(list)
}

// AppendMap appends a map. Its strings are in standard UTF-8, which is what
// Java reads there, whatever it writes; those of maps and lists inside it are
// in modified UTF-8.
func AppendMap(dst []byte, list []message.Property) []byte {
	return appendMap(dst, list, false)
}

func appendMap(dst []byte, list []message.Property, modified bool) []byte {
	if list == nil {
		return append(dst, 0xFF, 0xFF, 0xFF, 0xFF)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(list)))
	for _, e := range list {
		dst = appendKey(dst, e.Name, modified)
		dst = appendValue(dst, e.Value, modified)
	}
	return dst
}

// AppendStream appends the body of a StreamMessage. Maps and lists, which it
// can't hold, become their text.
func AppendStream(dst []byte, list []message.Value) []byte {
	for _, v := range list {
		if !v.IsScalar() {
			v = message.StringValue(v.String())
		}
		dst = appendValue(dst, v, true)
	}
	return dst
}

// AppendText appends the body of a TextMessage.
func AppendText(dst []byte, text string) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(modifiedLen(text)))
	return appendModified(dst, text)
}

func appendKey(dst []byte, key string, modified bool) []byte {
	at := len(dst)
	dst = appendString(append(dst, 0, 0), key, modified)
	if n := len(dst) - at - 2; n > math.MaxUint16 {
		dst = dst[:at+2+math.MaxUint16] // no client can make such a name
	}
	binary.BigEndian.PutUint16(dst[at:], uint16(len(dst)-at-2))
	return dst
}

func appendString(dst []byte, s string, modified bool) []byte {
	if modified {
		return appendModified(dst, s)
	}
	return append(dst, s...)
}

// appendValue appends v. What Java has no type for becomes the next wider one,
// or text.
func appendValue(dst []byte, v message.Value, modified bool) []byte {
	be := binary.BigEndian
	switch v.Type() {
	case message.TypeNull:
		return append(dst, tagNull)
	case message.TypeBool:
		b, _ := v.Bool()
		if b {
			return append(dst, tagBool, 1)
		}
		return append(dst, tagBool, 0)
	case message.TypeInt8:
		n, _ := v.Int64()
		return append(dst, tagByte, byte(n))
	case message.TypeInt16, message.TypeUint8:
		n, _ := v.Int64()
		return be.AppendUint16(append(dst, tagShort), uint16(n))
	case message.TypeInt32, message.TypeUint16:
		n, _ := v.Int64()
		return be.AppendUint32(append(dst, tagInt), uint32(n))
	case message.TypeInt64, message.TypeUint32:
		n, _ := v.Int64()
		return be.AppendUint64(append(dst, tagLong), uint64(n))
	case message.TypeUint64:
		if n, _ := v.Uint64(); n <= math.MaxInt64 {
			return be.AppendUint64(append(dst, tagLong), n)
		}
	case message.TypeTimestamp:
		ms, _ := v.Timestamp()
		return be.AppendUint64(append(dst, tagLong), uint64(ms))
	case message.TypeFloat:
		f, _ := v.Float64()
		return be.AppendUint32(append(dst, tagFloat), math.Float32bits(float32(f)))
	case message.TypeDouble:
		f, _ := v.Float64()
		return be.AppendUint64(append(dst, tagDouble), math.Float64bits(f))
	case message.TypeChar:
		if c, _ := v.Char(); c <= math.MaxUint16 {
			return be.AppendUint16(append(dst, tagChar), uint16(c))
		}
	case message.TypeBinary:
		b, _ := v.Binary()
		dst = be.AppendUint32(append(dst, tagBytes), uint32(len(b)))
		return append(dst, b...)
	case message.TypeList, message.TypeArray:
		return appendList(dst, v)
	case message.TypeMap:
		return appendMapValue(dst, v)
	case message.TypeDescribed:
		_, inner, _ := v.Described()
		return appendValue(dst, inner, modified)
	case message.TypeString, message.TypeSymbol, message.TypeUUID,
		message.TypeDecimal32, message.TypeDecimal64, message.TypeDecimal128:
	}
	return appendStringValue(dst, v.String(), modified)
}

func appendStringValue(dst []byte, s string, modified bool) []byte {
	at := len(dst)
	if units(s) < bigString {
		dst = appendString(append(dst, tagString, 0, 0), s, modified)
		binary.BigEndian.PutUint16(dst[at+1:], uint16(len(dst)-at-3))
		return dst
	}
	dst = appendString(append(dst, tagBigString, 0, 0, 0, 0), s, modified)
	binary.BigEndian.PutUint32(dst[at+1:], uint32(len(dst)-at-5))
	return dst
}

// units returns how many UTF-16 code units s has.
func units(s string) (n int) {
	for _, r := range s {
		n++
		if r > 0xFFFF && r <= utf8.MaxRune {
			n++
		}
	}
	return n
}

func appendList(dst []byte, v message.Value) []byte {
	list, _ := v.List()
	dst = binary.BigEndian.AppendUint32(append(dst, tagList), uint32(len(list)))
	for _, e := range list {
		dst = appendValue(dst, e, true)
	}
	return dst
}

func appendMapValue(dst []byte, v message.Value) []byte {
	entries, _ := v.Map()
	dst = binary.BigEndian.AppendUint32(append(dst, tagMap), uint32(len(entries)))
	for _, e := range entries {
		dst = appendKey(dst, e.Key.String(), true)
		dst = appendValue(dst, e.Value, true)
	}
	return dst
}
