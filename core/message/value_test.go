package message

import (
	"bytes"
	"math"
	"testing"
	"unsafe"
)

var uuid = [16]byte{0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 0x42, 0x66, 0x14, 0x17, 0x40, 0}

type namedValue struct {
	name string
	v    Value
	text string // as String shows it
}

// values has one or more of each type.
func values() []namedValue {
	return []namedValue{
		{"null", Null(), "null"},
		{"false", BoolValue(false), "false"},
		{"true", BoolValue(true), "true"},
		{"int8", Int8Value(math.MinInt8), "-128"},
		{"int16", Int16Value(math.MinInt16), "-32768"},
		{"int32", Int32Value(math.MinInt32), "-2147483648"},
		{"int64", Int64Value(math.MinInt64), "-9223372036854775808"},
		{"int8_max", Int8Value(127), "127"},
		{"int64_max", Int64Value(math.MaxInt64), "9223372036854775807"},
		{"uint8", Uint8Value(255), "255"},
		{"uint16", Uint16Value(65535), "65535"},
		{"uint32", Uint32Value(math.MaxUint32), "4294967295"},
		{"uint64", Uint64Value(math.MaxUint64), "18446744073709551615"},
		{"float", FloatValue(0.1), "0.1"},
		{"double", DoubleValue(0.1), "0.1"},
		{"double_nan", DoubleValue(math.Float64frombits(0x7ff8000000000123)), "NaN"},
		{"decimal32", Decimal32Value(0x32800001), "1"},
		{"decimal64", Decimal64Value(0x31c0000000000001), "1"},
		{"decimal128", Decimal128Value([16]byte{0x30, 0x40, 15: 1}), "1"},
		{"char", CharValue('ü'), "ü"},
		{"char_surrogate", CharValue(0xd83d), "\uFFFD"},
		{"timestamp", TimestampValue(1_700_000_000_000), "1700000000000"},
		{"timestamp_before", TimestampValue(-1), "-1"},
		{"uuid", UUIDValue(uuid), "123e4567-e89b-12d3-a456-426614174000"},
		{"string", StringValue("héllo"), "héllo"},
		{"string_empty", StringValue(""), ""},
		{"symbol", SymbolValue("sym"), "sym"},
		{"binary", BinaryValue([]byte("text")), "text"},
		{"binary_raw", BinaryValue([]byte{0xff, 0}), "ff00"},
		{"binary_empty", BinaryValue(nil), ""},
		{"list", ListValue([]Value{Int32Value(1), Null(), ListValue(nil)}), "[1, null, []]"},
		{
			"map", MapValue([]MapEntry{{StringValue("k"), Int64Value(1)}, {Int32Value(2), BoolValue(true)}, {StringValue("k"), Null()}}),
			"{k=1, 2=true, k=null}",
		},
		{"map_empty", MapValue(nil), "{}"},
		{"array", ArrayValue(TypeInt32, []Value{Int32Value(1), Int32Value(2)}), "[1, 2]"},
		{"array_empty", ArrayValue(TypeSymbol, nil), "[]"},
		{"array_of_lists", ArrayValue(TypeList, []Value{ListValue(nil), ListValue([]Value{BoolValue(true)})}), "[[], [true]]"},
		{"described", DescribedValue(Uint64Value(0x70), StringValue("x")), "x"},
	}
}

func TestValueString(t *testing.T) {
	for _, c := range values() {
		if got := c.v.String(); got != c.text {
			t.Errorf("%s: %q, want %q", c.name, got, c.text)
		}
		if got := string(c.v.AppendText([]byte("1"))); got != "1"+c.text {
			t.Errorf("%s: appended %q", c.name, got)
		}
	}
}

func TestFloatsAreShownAsJavaDoes(t *testing.T) {
	for _, c := range []struct {
		v    Value
		want string
	}{
		{DoubleValue(0), "0.0"},
		{DoubleValue(math.Copysign(0, -1)), "-0.0"},
		{DoubleValue(1), "1.0"},
		{DoubleValue(-12.5), "-12.5"},
		{DoubleValue(0.001), "0.001"},
		{DoubleValue(0.00099), "9.9E-4"},
		{DoubleValue(9999999), "9999999.0"},
		{DoubleValue(1e7), "1.0E7"},
		{DoubleValue(12345678.9), "1.23456789E7"},
		{DoubleValue(-1e10), "-1.0E10"},
		{DoubleValue(math.MaxFloat64), "1.7976931348623157E308"},
		{DoubleValue(1e-100), "1.0E-100"},
		{DoubleValue(math.Inf(1)), "Infinity"},
		{DoubleValue(math.Inf(-1)), "-Infinity"},
		{DoubleValue(math.NaN()), "NaN"},
		{FloatValue(3.4028235e38), "3.4028235E38"},
		{FloatValue(1e10), "1.0E10"},
		{FloatValue(16777216), "1.6777216E7"},
		{FloatValue(0.3), "0.3"},
	} {
		if got := c.v.String(); got != c.want {
			t.Errorf("%v %x: %q, want %q", c.v.Type(), c.v.num, got, c.want)
		}
	}
}

// decimal64 makes a decimal of a coefficient below 2^53.
func decimal64(coefficient uint64, exponent int) Value {
	return Decimal64Value(uint64(exponent+398)<<53 | coefficient)
}

func TestDecimalsAreShownAsJavaDoes(t *testing.T) {
	for _, c := range []struct {
		v    Value
		want string
	}{
		{decimal64(0, 0), "0"},
		{decimal64(150, -2), "1.50"},
		{decimal64(5, -1), "0.5"},
		{decimal64(5, -6), "0.000005"},
		{decimal64(123, -9), "1.23E-7"},
		{decimal64(5, -7), "5E-7"},
		{decimal64(1, 3), "1E+3"},
		{decimal64(125, 3), "1.25E+5"},
		{decimal64(9007199254740991, -16), "0.9007199254740991"},
		{Decimal64Value(1<<63 | 398<<53 | 7), "-7"},
		// 100 and 51 bits more: 9007199254740992 and what follows it.
		{Decimal64Value(0b11<<61 | 398<<51 | 3), "9007199254740995"},
		{Decimal64Value(0b11<<61 | 398<<51 | (9999999999999999 - 1<<53)), "9999999999999999"},
		{Decimal64Value(0b11<<61 | 398<<51 | (1<<51 - 1)), "0"}, // more than 16 digits
		{Decimal64Value(0b11110 << 58), "Infinity"},
		{Decimal64Value(0b111110 << 58), "-Infinity"},
		{Decimal64Value(0b11111 << 58), "NaN"},
		{Decimal32Value(101<<23 | 42), "42"},
		{Decimal32Value(0b11<<29 | 99<<21 | 1), "83886.09"},
		{Decimal32Value(0b11110 << 26), "Infinity"},
		{Decimal128Value([16]byte{0xb0, 0x3e, 15: 15}), "-1.5"},
		{Decimal128Value([16]byte{0x7c}), "NaN"},
		{Decimal128Value([16]byte{0x30, 0x40, 7: 1}), "18446744073709551616"},
	} {
		if got := c.v.String(); got != c.want {
			t.Errorf("%v %x: %q, want %q", c.v.Type(), c.v.num, got, c.want)
		}
	}
}

func TestValueEqual(t *testing.T) {
	all, again := values(), values()
	for i, a := range all {
		for j, b := range again {
			if got := a.v.Equal(b.v); got != (i == j) {
				t.Errorf("%s equal to %s: %v", a.name, b.name, got)
			}
		}
	}
	for _, c := range []struct {
		name string
		a, b Value
	}{
		{"string and symbol", StringValue("x"), SymbolValue("x")},
		{"string and binary", StringValue("x"), BinaryValue([]byte("x"))},
		{"widths", Int32Value(1), Int64Value(1)},
		{"signs of zero", DoubleValue(0), DoubleValue(math.Copysign(0, -1))},
		{"order of a map", MapValue([]MapEntry{{Int8Value(1), Null()}, {Int8Value(2), Null()}}), MapValue([]MapEntry{{Int8Value(2), Null()}, {Int8Value(1), Null()}})},
		{"empty arrays", ArrayValue(TypeInt8, nil), ArrayValue(TypeInt16, nil)},
		{"list and array", ListValue(nil), ArrayValue(TypeNull, nil)},
		{"descriptors", DescribedValue(Uint64Value(1), Null()), DescribedValue(Uint64Value(2), Null())},
		{"elements", ListValue([]Value{Int8Value(1)}), ListValue([]Value{Int8Value(2)})},
	} {
		if c.a.Equal(c.b) {
			t.Errorf("%s do not count", c.name)
		}
	}
}

func TestIntegersAreReadAtEveryWidth(t *testing.T) {
	for _, c := range []struct {
		v     Value
		i     int64
		iok   bool
		u     uint64
		uok   bool
		descr string
	}{
		{Int8Value(-1), -1, true, 0, false, "int8"},
		{Int16Value(-1), -1, true, 0, false, "int16"},
		{Int32Value(-1), -1, true, 0, false, "int32"},
		{Int64Value(-1), -1, true, 0, false, "int64"},
		{Int8Value(1), 1, true, 1, true, "int8"},
		{Int64Value(math.MaxInt64), math.MaxInt64, true, math.MaxInt64, true, "int64"},
		{Uint8Value(255), 255, true, 255, true, "uint8"},
		{Uint16Value(65535), 65535, true, 65535, true, "uint16"},
		{Uint32Value(math.MaxUint32), math.MaxUint32, true, math.MaxUint32, true, "uint32"},
		{Uint64Value(7), 7, true, 7, true, "uint64"},
		{Uint64Value(math.MaxUint64), 0, false, math.MaxUint64, true, "uint64"},
		{TimestampValue(1), 0, false, 0, false, "timestamp"},
		{CharValue('1'), 0, false, 0, false, "char"},
		{BoolValue(true), 0, false, 0, false, "bool"},
		{DoubleValue(1), 0, false, 0, false, "double"},
		{StringValue("1"), 0, false, 0, false, "string"},
		{Null(), 0, false, 0, false, "null"},
	} {
		if i, ok := c.v.Int64(); ok != c.iok || i != c.i {
			t.Errorf("%s %v: Int64 = %d, %v", c.descr, c.v, i, ok)
		}
		if u, ok := c.v.Uint64(); ok != c.uok || u != c.u {
			t.Errorf("%s %v: Uint64 = %d, %v", c.descr, c.v, u, ok)
		}
		if c.v.Type().String() != c.descr {
			t.Errorf("type %v, want %s", c.v.Type(), c.descr)
		}
	}
}

// Each accessor takes its own types and no other.
func TestAccessorsSayWhenTheTypeIsAnother(t *testing.T) {
	accessors := map[string]struct {
		types []Type
		ok    func(Value) bool
	}{
		"Bool":      {[]Type{TypeBool}, func(v Value) bool { _, ok := v.Bool(); return ok }},
		"Float64":   {[]Type{TypeFloat, TypeDouble}, func(v Value) bool { _, ok := v.Float64(); return ok }},
		"Bits":      {[]Type{TypeFloat, TypeDouble, TypeDecimal32, TypeDecimal64}, func(v Value) bool { _, ok := v.Bits(); return ok }},
		"Char":      {[]Type{TypeChar}, func(v Value) bool { _, ok := v.Char(); return ok }},
		"Timestamp": {[]Type{TypeTimestamp}, func(v Value) bool { _, ok := v.Timestamp(); return ok }},
		"Bytes16":   {[]Type{TypeUUID, TypeDecimal128}, func(v Value) bool { _, ok := v.Bytes16(); return ok }},
		"Text":      {[]Type{TypeString, TypeSymbol}, func(v Value) bool { _, ok := v.Text(); return ok }},
		"Binary":    {[]Type{TypeBinary}, func(v Value) bool { _, ok := v.Binary(); return ok }},
		"List":      {[]Type{TypeList, TypeArray}, func(v Value) bool { _, ok := v.List(); return ok }},
		"Map":       {[]Type{TypeMap}, func(v Value) bool { _, ok := v.Map(); return ok }},
		"Described": {[]Type{TypeDescribed}, func(v Value) bool { _, _, ok := v.Described(); return ok }},
		"IsNull":    {[]Type{TypeNull}, Value.IsNull},
	}
	for name, a := range accessors {
		for _, c := range values() {
			if got, want := a.ok(c.v), bytes.IndexByte(typeBytes(a.types), byte(c.v.Type())) >= 0; got != want {
				t.Errorf("%s of %s: %v", name, c.name, got)
			}
		}
	}
}

func typeBytes(types []Type) (b []byte) {
	for _, t := range types {
		b = append(b, byte(t))
	}
	return b
}

func TestAccessorsReturnWhatTheValueWasMadeOf(t *testing.T) {
	if b, _ := BoolValue(true).Bool(); !b {
		t.Error("Bool")
	}
	if f, _ := FloatValue(0.5).Float64(); f != 0.5 {
		t.Error("Float64 of a float")
	}
	if f, _ := DoubleValue(-0.1).Float64(); f != -0.1 {
		t.Error("Float64 of a double")
	}
	if b, _ := FloatValue(math.Float32frombits(0x7fa00001)).Bits(); b != 0x7fa00001 {
		t.Errorf("a signalling not-a-number became %#x", b)
	}
	if c, _ := CharValue(-5).Char(); c != -5 {
		t.Error("Char")
	}
	if ms, _ := TimestampValue(-7).Timestamp(); ms != -7 {
		t.Error("Timestamp")
	}
	if u, _ := UUIDValue(uuid).Bytes16(); u != uuid {
		t.Error("Bytes16")
	}
	if b, _ := BinaryValue([]byte{1, 2}).Binary(); !bytes.Equal(b, []byte{1, 2}) {
		t.Error("Binary")
	}
	if a := ArrayValue(TypeInt8, nil); a.ElementType() != TypeInt8 {
		t.Error("ElementType")
	}
	if d, v, _ := DescribedValue(SymbolValue("d"), Int8Value(1)).Described(); !d.Equal(SymbolValue("d")) || !v.Equal(Int8Value(1)) {
		t.Error("Described")
	}
	if StringValue("").IsScalar() != true || ListValue(nil).IsScalar() || DescribedValue(Null(), Null()).IsScalar() {
		t.Error("IsScalar")
	}
	if Type(200).String() != "unknown" {
		t.Error("an unknown type has a name")
	}
}

func TestScalarsAreMadeAndReadWithoutAllocation(t *testing.T) {
	raw, list, text := []byte("raw"), []Value{Null()}, []byte(nil)
	if n := testing.AllocsPerRun(100, func() {
		for _, v := range [...]Value{
			BoolValue(true), Int64Value(1 << 40), Uint64Value(1 << 63), DoubleValue(1.5), CharValue('x'), TimestampValue(5),
			StringValue("a string"), SymbolValue("symbol"), BinaryValue(raw), ListValue(list), ArrayValue(TypeNull, list),
		} {
			v.Text()
			v.Int64()
			text = v.AppendText(text[:0])
		}
		_ = StringValue("x").String()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestValueIsThreeWords(t *testing.T) {
	if n := unsafe.Sizeof(Value{}); n != 24 {
		t.Errorf("%d bytes", n)
	}
}
