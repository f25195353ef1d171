package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

func TestMapsAreReadAndWrittenAsJavaDoes(t *testing.T) {
	for _, m := range loadGolden(t).PrimitiveMaps {
		b := unhex(t, m.Hex)
		list, err := ReadMap(b)
		if err != nil {
			t.Errorf("%s: %v", m.ID, err)
			continue
		}
		var got any
		if list != nil {
			got = describeMap(list)
		}
		if want := canonical(t, m.Value); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read\n%v, want\n%v", m.ID, got, want)
		}
		if out := appendMap(nil, list, true); !bytes.Equal(out, b) {
			t.Errorf("%s: wrote\n%x, want\n%x", m.ID, out, b)
		}
		again, err := ReadMap(AppendMap(nil, list))
		if err != nil || !reflect.DeepEqual(describeMap(again), describeMap(list)) {
			t.Errorf("%s: with standard UTF-8: %v (%v)", m.ID, again, err)
		}
	}
}

func TestBodiesAreReadAndWrittenAsJavaDoes(t *testing.T) {
	for _, body := range loadGolden(t).MessageBodies {
		if body.Compressed || body.Content == "" {
			continue
		}
		b := unhex(t, body.Content)
		var got any
		var out []byte
		var err error
		switch body.TypeID {
		case TypeActiveMQTextMessage:
			var text string
			text, _, err = ReadText(b)
			got, out = text, AppendText(nil, text)
		case TypeActiveMQMapMessage:
			var list []message.Property
			list, err = ReadMap(b)
			got, out = describeMap(list), appendMap(nil, list, true)
		case TypeActiveMQStreamMessage:
			var list []message.Value
			list, err = ReadStream(b)
			got, out = describeValue(message.ListValue(list)), AppendStream(nil, list)
		default:
			continue
		}
		if err != nil || !bytes.Equal(out, b) {
			t.Errorf("%s: %v, wrote\n%x, want\n%x", body.ID, err, out, b)
		}
		if want := canonical(t, body.Decoded); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read\n%v, want\n%v", body.ID, got, want)
		}
	}
}

func TestBrokenMapsAreRefused(t *testing.T) {
	nested := bytes.Repeat([]byte{tagList, 0, 0, 0, 1}, 100)
	for name, b := range map[string][]byte{
		"nothing":               {},
		"a count without bytes": {0x7F, 0xFF, 0xFF, 0xFF},
		"a negative count":      {0x80, 0, 0, 0},
		"a long key":            {0, 0, 0, 1, 0xFF, 0xFF, 'k'},
		"an unknown type":       {0, 0, 0, 1, 0, 1, 'k', 14},
		"a long string":         {0, 0, 0, 1, 0, 1, 'k', tagBigString, 0x7F, 0xFF, 0xFF, 0xFF, 'x'},
		"long bytes":            {0, 0, 0, 1, 0, 1, 'k', tagBytes, 0x7F, 0xFF, 0xFF, 0xFF, 'x'},
		"a nest":                append([]byte{0, 0, 0, 1, 0, 1, 'k'}, nested...),
		"half a character":      {0, 0, 0, 1, 0, 1, 'k', tagString, 0, 1, 0xE4},
	} {
		if list, err := ReadMap(b); err == nil {
			t.Errorf("%s was read as %v", name, list)
		}
	}
	if list, err := ReadMap([]byte{0, 0, 0, 2, 0, 1, 'k', tagByte, 1, 0, 1, 'k', tagByte, 2, 99}); err != nil || len(list) != 1 || list[0].Value.String() != "2" {
		t.Errorf("the last of two entries of a key should count, got %v, %v", list, err)
	}
}

func TestForeignTypesBecomeTheNearestThatJavaHas(t *testing.T) {
	v := func(v message.Value) message.Value {
		list, err := ReadMap(AppendMap(nil, []message.Property{{Name: "k", Value: v}}))
		if err != nil {
			t.Fatal(err)
		}
		return list[0].Value
	}
	for _, c := range []struct{ from, to message.Value }{
		{message.Uint8Value(200), message.Int16Value(200)},
		{message.Uint16Value(60000), message.Int32Value(60000)},
		{message.Uint32Value(math.MaxUint32), message.Int64Value(math.MaxUint32)},
		{message.Uint64Value(7), message.Int64Value(7)},
		{message.Uint64Value(math.MaxUint64), message.StringValue("18446744073709551615")},
		{message.SymbolValue("s"), message.StringValue("s")},
		{message.TimestampValue(5), message.Int64Value(5)},
		{message.CharValue('x'), message.CharValue('x')},
		{message.CharValue('😀'), message.StringValue("😀")},
		{message.DescribedValue(message.SymbolValue("d"), message.BoolValue(true)), message.BoolValue(true)},
	} {
		if got := v(c.from); !got.Equal(c.to) {
			t.Errorf("%v became %v, want %v", c.from, got, c.to)
		}
	}
}

// describeMap returns list as the vectors show it.
func describeMap(list []message.Property) any {
	entries := []any{}
	for _, e := range list {
		entries = append(entries, map[string]any{"k": javaText(e.Name), "v": describeValue(e.Value)})
	}
	return map[string]any{"t": "map", "v": entries}
}

var javaTypes = map[message.Type]string{
	message.TypeNull: "null", message.TypeBool: "boolean", message.TypeInt8: "byte", message.TypeInt16: "short",
	message.TypeInt32: "int", message.TypeInt64: "long", message.TypeFloat: "float", message.TypeDouble: "double",
	message.TypeChar: "char", message.TypeBinary: "bytes", message.TypeList: "list", message.TypeMap: "map",
	message.TypeString: "string",
}

func describeValue(v message.Value) any {
	m := map[string]any{"t": javaTypes[v.Type()]}
	switch v.Type() {
	case message.TypeNull:
	case message.TypeBool:
		m["v"], _ = v.Bool()
	case message.TypeBinary:
		b, _ := v.Binary()
		m["v"] = "hex:" + hex.EncodeToString(b)
	case message.TypeChar:
		c, _ := v.Char()
		m["v"] = strconv.Itoa(int(c))
	case message.TypeFloat:
		f, _ := v.Float64()
		m["bits"], m["v"] = fmt.Sprintf("%08x", math.Float32bits(float32(f))), number(f, 32)
	case message.TypeDouble:
		f, _ := v.Float64()
		m["bits"], m["v"] = fmt.Sprintf("%016x", math.Float64bits(f)), number(f, 64)
	case message.TypeString:
		if units(v.String()) >= bigString {
			m["t"] = "bigString"
		}
		m["v"] = javaText(v.String())
	case message.TypeList:
		list, _ := v.List()
		out := []any{}
		for _, e := range list {
			out = append(out, describeValue(e))
		}
		m["v"] = out
	case message.TypeMap:
		entries, _ := v.Map()
		out := []any{}
		for _, e := range entries {
			out = append(out, map[string]any{"k": javaText(e.Key.String()), "v": describeValue(e.Value)})
		}
		m["v"] = out
	default:
		m["v"] = v.String()
	}
	return m
}

// number returns f in Java's notation.
func number(f float64, bits int) string {
	if math.IsNaN(f) {
		return "NaN"
	}
	s := strconv.FormatFloat(f, 'f', -1, bits)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func FuzzReadMap(f *testing.F) {
	v, err := golden()
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range v.PrimitiveMaps {
		b, _ := hex.DecodeString(m.Hex)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _ = ReadText(b)
		_, _ = ReadStream(b)
		list, err := ReadMap(b)
		if err != nil {
			return
		}
		again, err := ReadMap(AppendMap(nil, list))
		if err != nil || len(again) != len(list) {
			t.Fatalf("%v became %v (%v)", list, again, err)
		}
	})
}
