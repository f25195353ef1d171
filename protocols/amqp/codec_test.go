package amqp

import (
	"bytes"
	"slices"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

func FuzzValue(f *testing.F) {
	for _, v := range sampleValues() {
		f.Add(appendValue(nil, v))
	}
	f.Add([]byte{0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40})
	f.Add(bytes.Repeat([]byte{0x00}, 200))
	f.Add(bytes.Repeat([]byte{0xc0, 0xff, 1}, 90))
	f.Fuzz(func(t *testing.T, b []byte) {
		checked := newDecoder(b)
		checked.check()
		d := newDecoder(b)
		v := d.value()
		if (checked.err == nil) != (d.err == nil) || len(checked.b) != len(d.b) {
			t.Fatalf("check says %v, value says %v", checked.err, d.err)
		}
		if d.err != nil {
			return
		}
		again := newDecoder(appendValue(nil, v))
		w := again.value()
		if again.err != nil || len(again.b) != 0 {
			t.Fatalf("%v is encoded as something else: %v", v, again.err)
		}
		if !v.Equal(w) && !hasUnevenArray(v) {
			t.Fatalf("%v came back as %v", v, w)
		}
	})
}

// hasUnevenArray reports whether v holds an array of described values that
// can't come back as one, because their descriptors differ or there are none.
func hasUnevenArray(v message.Value) bool {
	if v.Type() == message.TypeArray && v.ElementType() == message.TypeDescribed {
		return true
	}
	list, _ := v.List()
	if slices.ContainsFunc(list, hasUnevenArray) {
		return true
	}
	entries, _ := v.Map()
	for _, e := range entries {
		if hasUnevenArray(e.Key) || hasUnevenArray(e.Value) {
			return true
		}
	}
	if d, e, ok := v.Described(); ok {
		return hasUnevenArray(d) || hasUnevenArray(e)
	}
	return false
}

func sampleValues() []message.Value {
	long := message.StringValue(string(bytes.Repeat([]byte("x"), 300)))
	list := message.ListValue([]message.Value{message.Int32Value(1), message.Null(), long})
	symbols := message.ArrayValue(message.TypeSymbol, []message.Value{message.SymbolValue("a"), message.SymbolValue("bc")})
	described := message.DescribedValue(message.SymbolValue("a:b"), message.Uint8Value(7))
	return []message.Value{
		message.Null(), message.BoolValue(true), message.BoolValue(false),
		message.Uint8Value(255), message.Uint16Value(65535), message.Uint32Value(0), message.Uint32Value(255), message.Uint32Value(256),
		message.Uint64Value(0), message.Uint64Value(255), message.Uint64Value(1 << 63),
		message.Int8Value(-128), message.Int16Value(-2), message.Int32Value(-128), message.Int32Value(128), message.Int64Value(-1), message.Int64Value(1 << 40),
		message.FloatValue(1.5), message.DoubleValue(-2.25), message.CharValue('é'), message.TimestampValue(1700000000000),
		message.Decimal32Value(1), message.Decimal64Value(2), message.Decimal128Value([16]byte{1, 15: 2}), message.UUIDValue([16]byte{9, 15: 9}),
		message.BinaryValue([]byte{0, 1, 2}), message.StringValue("é"), long, message.SymbolValue("amqp:x"),
		list, message.ListValue(nil), symbols, message.ArrayValue(message.TypeList, []message.Value{list, message.ListValue(nil)}),
		message.MapValue([]message.MapEntry{{Key: message.StringValue("k"), Value: list}, {Key: message.Int32Value(3), Value: symbols}}),
		message.MapValue(nil), described, message.ArrayValue(message.TypeArray, []message.Value{symbols, message.ArrayValue(message.TypeInt32, nil)}),
		message.ArrayValue(message.TypeDescribed, []message.Value{described, described}),
		message.ArrayValue(message.TypeBool, []message.Value{message.BoolValue(true), message.BoolValue(false)}),
	}
}

func TestEachTypeComesBackAsItWas(t *testing.T) {
	for _, v := range sampleValues() {
		b := appendValue(nil, v)
		d := newDecoder(b)
		got := d.value()
		if d.err != nil || len(d.b) != 0 || !got.Equal(v) || got.Type() != v.Type() {
			t.Errorf("%v %v: % x came back as %v %v, error %v", v.Type(), v, b, got.Type(), got, d.err)
		}
	}
}

// The bytes are those of the specification's examples and of its encodings'
// tables.
func TestTypesHaveTheSpecificationsBytes(t *testing.T) {
	for _, test := range []struct {
		v    message.Value
		want []byte
	}{
		{message.Uint32Value(0), []byte{0x43}},
		{message.Uint64Value(16), []byte{0x53, 16}},
		{message.Int32Value(-1), []byte{0x54, 0xff}},
		{message.StringValue("ab"), []byte{0xa1, 2, 'a', 'b'}},
		{message.ListValue([]message.Value{message.BoolValue(true)}), []byte{0xc0, 2, 1, 0x41}},
		{message.MapValue([]message.MapEntry{{Key: message.SymbolValue("k"), Value: message.Null()}}), []byte{0xc1, 5, 2, 0xa3, 1, 'k', 0x40}},
		{message.ArrayValue(message.TypeSymbol, []message.Value{message.SymbolValue("k")}), []byte{0xe0, 7, 1, 0xb3, 0, 0, 0, 1, 'k'}},
		{message.DescribedValue(message.Uint64Value(0x24), message.ListValue(nil)), []byte{0x00, 0x53, 0x24, 0x45}},
	} {
		if got := appendValue(nil, test.v); !bytes.Equal(got, test.want) {
			t.Errorf("%v is % x, want % x", test.v, got, test.want)
		}
	}
}

func TestMalformedValuesAreRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":                            {},
		"unknown code":                       {0x46},
		"cut off":                            {0xa1, 5, 'a'},
		"size beyond the input":              {0xb0, 0xff, 0xff, 0xff, 0xff},
		"count beyond the size":              {0xc0, 1, 200},
		"odd map":                            {0xc1, 2, 1, 0x40},
		"list longer than its values":        {0xc0, 3, 1, 0x40, 0x40},
		"invalid UTF-8":                      {0xa1, 1, 0xff},
		"symbol with a high bit":             {0xa3, 1, 0xe9},
		"boolean of 2":                       {0x56, 2},
		"four billion nulls in ten bytes":    {0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40},
		"lists of lists without end":         bytes.Repeat([]byte{0xc0, 0xff, 1}, 90),
		"descriptors of descriptors":         bytes.Repeat([]byte{0}, 100),
		"array whose elements have no types": {0xe0, 2, 1, 0x4f},
	} {
		d := newDecoder(b)
		if v := d.value(); d.err == nil {
			t.Errorf("%s: % x is %v", name, b, v)
		}
	}
}

func TestCompositesComeBackAsTheyWere(t *testing.T) {
	in := attach{
		name: "l", handle: 7, role: true, sndSettleMode: 1, rcvSettleMode: 1,
		source: &source{
			address: message.StringValue("queue://a"), durable: 2, expiryPolicy: "never",
			filter:       message.MapValue([]message.MapEntry{{Key: message.SymbolValue("f"), Value: message.StringValue("x")}}),
			outcomes:     []string{"amqp:accepted:list", "amqp:rejected:list"},
			capabilities: []string{"queue"}, defaultOutcome: state{kind: stateModified, failed: true},
		},
		target:               terminus{node: &target{address: message.StringValue("t"), expiryPolicy: "session-end"}},
		initialDeliveryCount: some(uint32(0)), maxMessageSize: 1 << 40,
	}
	b := in.append(nil)
	d := newDecoder(b)
	if code := d.descriptor(); code != codeAttach {
		t.Fatalf("descriptor %#x", code)
	}
	var out attach
	out.decode(&d)
	if d.err != nil || len(d.b) > 0 {
		t.Fatalf("decode: %v, %d bytes left", d.err, len(d.b))
	}
	if again := out.append(nil); !bytes.Equal(again, b) {
		t.Errorf("came back as % x, was % x", again, b)
	}
	if !out.initialDeliveryCount.ok || out.source.defaultOutcome.kind != stateModified || out.target.node == nil {
		t.Errorf("came back as %+v", out)
	}
}
