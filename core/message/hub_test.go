package message

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

type namedView struct {
	name string
	v    *View
}

// views has each type as a property and as the body, and each kind of body.
func views() []namedView {
	all := []namedView{{"nothing", &View{}}}
	for _, c := range values() {
		all = append(all,
			namedView{"property_" + c.name, &View{Properties: []Property{{"p", c.v}}}},
			namedView{"value_" + c.name, &View{Body: ValueBody(c.v)}})
	}
	list := []Value{Int8Value(1), StringValue("two"), Null()}
	sectioned := func(b Body, ends ...int) *View { b.Sections = ends; return &View{Body: b} }
	return append(all,
		namedView{"bytes", &View{Body: BytesBody([]byte{0, 1, 2})}},
		namedView{"bytes_empty", &View{Body: BytesBody(nil)}},
		namedView{"bytes_sections", sectioned(BytesBody([]byte("abc")), 0, 2, 2, 3)},
		namedView{"bytes_empty_sections", sectioned(BytesBody(nil), 0, 0)},
		namedView{"text", &View{Body: TextBody("grüße")}},
		namedView{"text_empty", &View{Body: TextBody("")}},
		namedView{"map", &View{Body: MapBody([]MapEntry{{StringValue("k"), DoubleValue(1)}})}},
		namedView{"map_empty", &View{Body: MapBody(nil)}},
		namedView{"stream", &View{Body: StreamBody(list)}},
		namedView{"stream_empty", &View{Body: StreamBody(nil)}},
		namedView{"stream_sections", sectioned(StreamBody(list), 1, 3)},
		namedView{"object", &View{Body: ObjectBody([]byte{0xac, 0xed})}},
		namedView{"order_and_duplicates", &View{
			Properties: []Property{{"b", Int8Value(1)}, {"a", Int8Value(2)}, {"b", Int8Value(3)}, {"", Null()}},
			Body:       TextBody("x"),
		}},
		namedView{"deepest", &View{Body: ValueBody(nested(MaxDepth))}},
	)
}

// nested returns lists within lists.
func nested(depth int) Value {
	v := Int8Value(1)
	for range depth {
		v = ListValue([]Value{v})
	}
	return v
}

func TestHubEncodingIsTheOneThatIsStored(t *testing.T) {
	var names []string
	encoded := map[string][]byte{}
	for _, c := range views() {
		names, encoded[c.name] = append(names, c.name), AppendView(nil, c.v)
	}
	golden(t, "views.txt", names, encoded)
	for i, b := range goldenInputs(t, "views.txt") {
		c := views()[i]
		v, err := DecodeView(b)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if !v.Equal(c.v) {
			t.Errorf("%s: %+v, want %+v", c.name, v, c.v)
		}
	}
}

func TestAppendViewAppends(t *testing.T) {
	v := benchView()
	if got := AppendView([]byte("before"), v); !bytes.Equal(got[6:], AppendView(nil, v)) || string(got[:6]) != "before" {
		t.Errorf("%q", got)
	}
}

func TestDecodeViewOfATruncatedEncodingFails(t *testing.T) {
	for _, c := range views() {
		b := AppendView(nil, c.v)
		for n := range b {
			if v, err := DecodeView(b[:n]); !errors.Is(err, ErrTruncated) || v != nil {
				t.Fatalf("%s: %d of %d bytes: %v", c.name, n, len(b), err)
			}
		}
		if _, err := DecodeView(append(b, 0)); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%s: with a byte behind: %v", c.name, err)
		}
	}
}

func TestDecodeViewRejects(t *testing.T) {
	value := func(b ...byte) []byte { return append([]byte{hubVersion, 0, byte(BodyValue)}, b...) }
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, ErrTruncated},
		{"version 0", []byte{0}, ErrVersion},
		{"version 2", []byte{2, 0, 0}, ErrVersion},
		{"unknown kind of body", []byte{hubVersion, 0, byte(bodyEnd)}, ErrCorrupt},
		{"more properties than bytes", []byte{hubVersion, 3, 0, 0, 0, 0, 0}, ErrTruncated},
		{"2^64-1 properties", append([]byte{hubVersion}, huge...), ErrTruncated},
		{"bytes longer than the rest", []byte{hubVersion, 0, byte(BodyBytes), 2, 'x'}, ErrTruncated},
		{"2^64-1 bytes", append([]byte{hubVersion, 0, byte(BodyBytes)}, huge...), ErrTruncated},
		{"sections of text", []byte{hubVersion, 0, byte(BodyText) | hubSections, 2, 0, 1, 1, 'x'}, ErrCorrupt},
		{"sections of nothing", []byte{hubVersion, 0, byte(BodyNone) | hubSections, 2, 0, 0}, ErrCorrupt},
		{"one section", []byte{hubVersion, 0, byte(BodyBytes) | hubSections, 1, 1, 1, 'x'}, ErrCorrupt},
		{"no section", []byte{hubVersion, 0, byte(BodyBytes) | hubSections, 0, 1, 'x'}, ErrCorrupt},
		{"sections that end early", []byte{hubVersion, 0, byte(BodyBytes) | hubSections, 2, 0, 1, 2, 'x', 'y'}, ErrCorrupt},
		{"sections that end late", []byte{hubVersion, 0, byte(BodyBytes) | hubSections, 2, 1, 1, 1, 'x'}, ErrCorrupt},
		{"more sections than bytes", []byte{hubVersion, 0, byte(BodyBytes) | hubSections, 9, 0}, ErrTruncated},
		{"a map that is a list", []byte{hubVersion, 0, byte(BodyMap), byte(TypeList), 0}, ErrCorrupt},
		{"a stream that is an array", []byte{hubVersion, 0, byte(BodyStream), byte(TypeArray), 0, 0}, ErrCorrupt},
		{"unknown type", value(byte(typeEnd)), ErrCorrupt},
		{"bool of 2", value(byte(TypeBool), 2), ErrCorrupt},
		{"int8 of 128", value(byte(TypeInt8), 0x80, 2), ErrCorrupt},
		{"int16 of -32769", value(byte(TypeInt16), 0x81, 0x80, 4), ErrCorrupt},
		{"int32 of 2^31", value(byte(TypeInt32), 0x80, 0x80, 0x80, 0x80, 0x10), ErrCorrupt},
		{"int64 over 64 bits", value(append([]byte{byte(TypeInt64)}, bytes.Repeat([]byte{0xff}, 10)...)...), ErrTruncated},
		{"uint8 of 256", value(byte(TypeUint8), 0x80, 2), ErrCorrupt},
		{"uint16 of 65536", value(byte(TypeUint16), 0x80, 0x80, 4), ErrCorrupt},
		{"uint32 of 2^32", value(byte(TypeUint32), 0x80, 0x80, 0x80, 0x80, 0x10), ErrCorrupt},
		{"char of 2^32", value(byte(TypeChar), 0x80, 0x80, 0x80, 0x80, 0x10), ErrCorrupt},
		{"list longer than the rest", value(byte(TypeList), 2, 0), ErrTruncated},
		{"map longer than the rest", value(byte(TypeMap), 1, 0), ErrTruncated},
		{"list whose first element takes what the second needs", value(byte(TypeList), 2, byte(TypeList), 1, 0), ErrTruncated},
		{"array of mixed types", value(byte(TypeArray), byte(TypeBool), 2, byte(TypeBool), 0, byte(TypeNull)), ErrCorrupt},
		{"array of an unknown type", value(byte(TypeArray), byte(typeEnd), 0), ErrCorrupt},
		{"lists in lists", value(bytes.Repeat([]byte{byte(TypeList), 1}, 1000)...), ErrDepth},
		{"descriptors of descriptors", value(bytes.Repeat([]byte{byte(TypeDescribed)}, 1000)...), ErrDepth},
	} {
		if v, err := DecodeView(c.b); !errors.Is(err, c.want) || v != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// Each list announces as many elements as there are bytes left: all of them
// together must not get the memory for that.
func TestNestedCountsCannotAskForTheSameBytesTwice(t *testing.T) {
	const size = 1 << 20
	b := []byte{hubVersion, 0, byte(BodyValue)}
	for range MaxDepth {
		b = append(b, byte(TypeList), 0xc0, 0xff, 0x3f) // 1,048,512 elements
	}
	b = append(b, make([]byte, size)...)
	if got := allocated(func() { _, _ = DecodeView(b) }); got > 26*size {
		t.Errorf("%d bytes allocated for %d", got, len(b))
	}
}

func TestAppendViewPanicsOnWhatNoConverterMayReturn(t *testing.T) {
	sections := func(b Body, ends ...int) Body { b.Sections = ends; return b }
	for _, c := range []struct {
		name string
		b    Body
		want string
	}{
		{"too deep", ValueBody(nested(MaxDepth + 1)), "nested too deep"},
		{"mixed array", ValueBody(ArrayValue(TypeInt8, []Value{Int16Value(1)})), "array of int8 holds a int16"},
		{"unknown kind", Body{Kind: bodyEnd}, "body of kind 7"},
		{"map of a list", Body{Kind: BodyMap, Value: ListValue(nil)}, "map body holds a value of type list"},
		{"bytes with a value", Body{Kind: BodyBytes, Value: BoolValue(true)}, "bytes body holds a value of type bool"},
		{"sections of text", sections(TextBody("ab"), 1, 2), "sections in a text body"},
		{"sections backwards", sections(BytesBody([]byte("ab")), 2, 1, 2), "sections that end at [2 1 2]"},
		{"sections below zero", sections(BytesBody([]byte("ab")), -1, 2), "sections that end at [-1 2]"},
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, c.want) {
					t.Errorf("%s: panic %q, want %q", c.name, text, c.want)
				}
			}()
			AppendView(nil, &View{Body: c.b})
		}()
	}
}

// drawValue draws a value of any type but of at most that depth.
func drawValue(t *rapid.T, depth int) Value {
	last := TypeBinary
	if depth > 0 {
		last = typeEnd - 1
	}
	return drawValueOf(t, Type(rapid.IntRange(0, int(last)).Draw(t, "type")), depth)
}

func drawValueOf(t *rapid.T, typ Type, depth int) Value {
	bits := rapid.Uint64().Draw(t, "bits")
	switch typ {
	case TypeBool:
		return BoolValue(bits&1 != 0)
	case TypeInt8:
		return Int8Value(int8(bits))
	case TypeInt16:
		return Int16Value(int16(bits))
	case TypeInt32:
		return Int32Value(int32(bits))
	case TypeInt64:
		return Int64Value(int64(bits))
	case TypeUint8:
		return Uint8Value(uint8(bits))
	case TypeUint16:
		return Uint16Value(uint16(bits))
	case TypeUint32:
		return Uint32Value(uint32(bits))
	case TypeUint64:
		return Uint64Value(bits)
	case TypeFloat:
		return FloatValue(math.Float32frombits(uint32(bits)))
	case TypeDouble:
		return DoubleValue(math.Float64frombits(bits))
	case TypeDecimal32:
		return Decimal32Value(uint32(bits))
	case TypeDecimal64:
		return Decimal64Value(bits)
	case TypeDecimal128, TypeUUID:
		b := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		if typ == TypeUUID {
			return UUIDValue(b)
		}
		return Decimal128Value(b)
	case TypeChar:
		return CharValue(rune(bits))
	case TypeTimestamp:
		return TimestampValue(int64(bits))
	case TypeString:
		return StringValue(rapid.String().Draw(t, "string"))
	case TypeSymbol:
		return SymbolValue(rapid.String().Draw(t, "symbol"))
	case TypeBinary:
		return BinaryValue(rapid.SliceOf(rapid.Byte()).Draw(t, "binary"))
	}
	return drawCompound(t, typ, depth)
}

func drawCompound(t *rapid.T, typ Type, depth int) Value {
	n := rapid.IntRange(0, 3).Draw(t, "length")
	switch typ {
	case TypeList:
		return ListValue(drawList(t, n, func() Value { return drawValue(t, depth-1) }))
	case TypeArray:
		elem := Type(rapid.IntRange(0, int(TypeBinary)).Draw(t, "element type"))
		return ArrayValue(elem, drawList(t, n, func() Value { return drawValueOf(t, elem, 0) }))
	case TypeMap:
		entries := make([]MapEntry, n)
		for i := range entries {
			entries[i] = MapEntry{drawValue(t, 0), drawValue(t, depth-1)}
		}
		return MapValue(entries)
	case TypeDescribed:
		return DescribedValue(drawValue(t, 0), drawValue(t, depth-1))
	}
	return Null()
}

func drawList(t *rapid.T, n int, draw func() Value) []Value {
	list := make([]Value, n)
	for i := range list {
		list[i] = draw()
	}
	return list
}

func drawBody(t *rapid.T) Body {
	data := rapid.SliceOf(rapid.Byte()).Draw(t, "data")
	switch kind := BodyKind(rapid.IntRange(0, int(bodyEnd)-1).Draw(t, "kind")); kind {
	case BodyBytes:
		return sectioned(t, BytesBody(data), len(data))
	case BodyText, BodyObject:
		return Body{Kind: kind, Data: data}
	case BodyMap:
		return Body{Kind: kind, Value: drawValueOf(t, TypeMap, 3)}
	case BodyStream:
		v := drawValueOf(t, TypeList, 3)
		return sectioned(t, Body{Kind: kind, Value: v}, int(v.num))
	case BodyValue:
		return ValueBody(drawValue(t, 3))
	}
	return Body{}
}

func sectioned(t *rapid.T, b Body, size int) Body {
	for end := range rapid.SliceOfN(rapid.IntRange(0, size), 0, 3).Draw(t, "sections") {
		b.Sections = append(b.Sections, min(end, size))
	}
	if b.Sections != nil {
		b.Sections = append(b.Sections, size)
	}
	return b
}

func TestDecodeViewReturnsWhatAppendViewWasGiven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		property := rapid.Custom(func(t *rapid.T) Property { return Property{rapid.String().Draw(t, "name"), drawValue(t, 3)} })
		v := &View{Properties: rapid.SliceOfN(property, 0, 5).Draw(t, "properties"), Body: drawBody(t)}
		b := AppendView(nil, v)
		got, err := DecodeView(b)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Equal(v) {
			t.Fatalf("got  %+v\nwant %+v", got, v)
		}
		for _, p := range v.Properties {
			_ = p.Value.String()
		}
	})
}
