package wire

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// vectors are frames that a Java broker and Java, .NET and C++ clients wrote,
// with what is in them.
type vectors struct {
	Structures, HandMade []struct {
		ID     string
		Groups []struct {
			Versions               []int
			Value                  json.RawMessage
			ValueWithoutStackTrace json.RawMessage
			Frames                 map[string]string
		}
	}
	CacheSequences []struct {
		ID        string
		Version   int
		Tight     bool
		CacheSize int
		Frames    []struct {
			Hex   string
			Value json.RawMessage
		}
	}
	PrimitiveMaps []struct {
		ID    string
		Value json.RawMessage
		Hex   string
	}
	BooleanStreams []struct{ Sequence, Hex string }
	WireFormatInfo []struct {
		Hex   string
		Value json.RawMessage
	}
	Strings []struct {
		Value                                      *string
		LooseFrameOfBrokerID, TightFrameOfBrokerID string
		ASCIILength                                int
		Loose, Tight                               string
	}
	TightLongs []struct {
		Value                                        int64
		LooseFrameOfSessionID, TightFrameOfSessionID string
	}
	MessageBodies []struct {
		ID, Type   string
		TypeID     Type
		Compressed bool
		Content    string
		Decoded    json.RawMessage
	}
	Conversations []conversation
}

type conversation struct {
	Name        string
	Client      string
	Connections []struct {
		Connection int
		Negotiated struct {
			Version                  int
			Tight, Cache, StackTrace bool
			CacheSize                int
		}
		Frames []struct {
			N     int
			Dir   string
			Hex   string
			Value json.RawMessage
		}
	}
}

var golden = sync.OnceValues(func() (*vectors, error) {
	f, err := os.Open("testdata/vectors.json.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	v := new(vectors)
	return v, json.NewDecoder(z).Decode(v)
})

func loadGolden(t testing.TB) *vectors {
	t.Helper()
	v, err := golden()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(s, "hex:"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// check decodes frame, compares it with what Java saw in it, and encodes it
// again.
func check(t *testing.T, d *Decoder, e *Encoder, frame []byte, want json.RawMessage) {
	t.Helper()
	s, err := d.Decode(frame[4:])
	if err != nil {
		t.Fatalf("decode %x: %v", frame, err)
	}
	if got, want := describe(t, s, d.r.version), canonical(t, want); !reflect.DeepEqual(got, want) {
		t.Fatalf("decoded\n%v, want\n%v", got, want)
	}
	out, err := e.Append(nil, s)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out, frame) {
		t.Fatalf("encoded\n%x, want\n%x", out, frame)
	}
}

func TestEveryGoldenFrameIsReadAndWrittenAsJavaDoes(t *testing.T) {
	v := loadGolden(t)
	frames := 0
	for _, structure := range append(v.Structures, v.HandMade...) {
		t.Run(structure.ID, func(t *testing.T) {
			for _, g := range structure.Groups {
				for kind, frame := range g.Frames {
					for _, version := range g.Versions {
						f := Format{Version: version, Tight: strings.HasPrefix(kind, "tight"), Trace: strings.HasSuffix(kind, "stackTrace")}
						want := g.Value
						if !f.Trace && g.ValueWithoutStackTrace != nil {
							want = g.ValueWithoutStackTrace
						}
						check(t, NewDecoder(f), NewEncoder(f), unhex(t, frame), want)
						frames++
					}
				}
			}
		})
	}
	if frames < 4900 {
		t.Errorf("only %d frames were checked", frames)
	}
}

func TestTheCacheIsReadAndWrittenAsJavaDoes(t *testing.T) {
	for _, sequence := range loadGolden(t).CacheSequences {
		t.Run(sequence.ID, func(t *testing.T) {
			f := Format{Version: sequence.Version, Tight: sequence.Tight, CacheSize: sequence.CacheSize}
			d, e := NewDecoder(f), NewEncoder(f)
			for _, frame := range sequence.Frames {
				check(t, d, e, unhex(t, frame.Hex), frame.Value)
			}
		})
	}
}

func TestRecordedSessionsAreReadAndWrittenAsTheyWere(t *testing.T) {
	frames := 0
	for _, c := range loadGolden(t).Conversations {
		t.Run(c.Name, func(t *testing.T) {
			for _, connection := range c.Connections {
				n := connection.Negotiated
				f := Format{Version: n.Version, Tight: n.Tight, Trace: n.StackTrace}
				if n.Cache {
					f.CacheSize = n.CacheSize
				}
				type direction struct {
					d *Decoder
					e *Encoder
				}
				ways := map[string]*direction{}
				for _, frame := range connection.Frames {
					way := ways[frame.Dir]
					if way == nil { // the first frame negotiates
						check(t, NewDecoder(Format{}), NewEncoder(Format{}), unhex(t, frame.Hex), frame.Value)
						ways[frame.Dir] = &direction{NewDecoder(f), NewEncoder(f)}
						continue
					}
					check(t, way.d, way.e, unhex(t, frame.Hex), frame.Value)
					frames++
				}
			}
		})
	}
	if frames < 2000 {
		t.Errorf("only %d frames were checked", frames)
	}
}

func TestStringsLongsAndBooleansAtTheirLimits(t *testing.T) {
	v := loadGolden(t)
	for _, s := range v.Strings {
		x := &BrokerID{}
		if s.Value != nil {
			x.Value = Text(*s.Value)
		}
		want := map[bool]string{false: s.LooseFrameOfBrokerID, true: s.TightFrameOfBrokerID}
		if s.ASCIILength > 0 {
			x.Value = Text(strings.Repeat("x", s.ASCIILength))
			want = map[bool]string{false: s.Loose, true: s.Tight}
		}
		for tight, frame := range want {
			f := Format{Version: 12, Tight: tight}
			out, err := NewEncoder(f).Append(nil, x)
			if strings.HasPrefix(frame, "encoder refuses") {
				if !errors.Is(err, errStringLong) {
					t.Errorf("a string of %d bytes, tight %v: %v", s.ASCIILength, tight, err)
				}
				continue
			}
			got := hex.EncodeToString(out)
			if _, start, ok := strings.Cut(frame, "starts "); ok {
				got, frame = got[:len(start)], start
			}
			if err != nil || got != frame {
				t.Errorf("%.20q: encoded %s (%v), want %s", x.Value, got, err, frame)
			}
			back, err := NewDecoder(f).Decode(out[4:])
			if err != nil || *back.(*BrokerID) != *x {
				t.Errorf("%.20q was decoded as %v (%v)", x.Value, back, err)
			}
		}
	}
	for _, n := range v.TightLongs {
		x := &SessionID{ConnectionID: Text("c"), Value: n.Value}
		for tight, frame := range map[bool]string{false: n.LooseFrameOfSessionID, true: n.TightFrameOfSessionID} {
			f := Format{Version: 12, Tight: tight}
			out, err := NewEncoder(f).Append(nil, x)
			if err != nil || hex.EncodeToString(out) != frame {
				t.Errorf("%d: encoded %x (%v), want %s", n.Value, out, err, frame)
			}
		}
	}
	for _, b := range v.BooleanStreams {
		r := reader{data: unhex(t, b.Hex), tight: true}
		r.bits = r.take(r.bitsLen())
		for i, c := range b.Sequence {
			if on := r.flag(); on != (c == '1') {
				t.Fatalf("bit %d of %d is %v", i, len(b.Sequence), on)
			}
		}
		if r.err != nil || len(r.data) != 0 {
			t.Errorf("%d bits: %v, %d bytes left", len(b.Sequence), r.err, len(r.data))
		}
	}
}

// describe returns s as the vectors show it, with the fields that version has.
func describe(tb testing.TB, s any, version int) any {
	tb.Helper()
	v := reflect.ValueOf(s)
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() || v.Kind() == reflect.Slice && v.IsNil() {
		return nil
	}
	switch x := s.(type) {
	case String:
		if x.IsNull() {
			return nil
		}
		return javaText(x.String())
	case []byte:
		return "hex:" + hex.EncodeToString(x)
	case *Throwable:
		m := map[string]any{"class": describe(tb, x.Class, version), "message": describe(tb, x.Text, version)}
		if x.Stack != nil {
			lines := []any{}
			for _, e := range x.Stack {
				lines = append(lines, map[string]any{
					"class": describe(tb, e.Class, version), "method": describe(tb, e.Method, version),
					"file": describe(tb, e.File, version), "line": strconv.Itoa(int(e.Line)),
				})
			}
			m["stackTrace"], m["cause"] = lines, describe(tb, x.Cause, version)
		}
		return m
	case Structure:
		m := map[string]any{"_type": x.StructureType().String()}
		fields(tb, v.Elem(), version, m)
		return m
	}
	switch v.Kind() {
	case reflect.Slice:
		list := []any{}
		for i := range v.Len() {
			list = append(list, describe(tb, v.Index(i).Interface(), version))
		}
		return list
	case reflect.Array:
		return fmt.Sprintf("hex:%x", s)
	case reflect.Bool:
		return v.Bool()
	default:
		return fmt.Sprint(v.Interface())
	}
}

// fields adds the fields of a structure to m.
func fields(tb testing.TB, v reflect.Value, version int, m map[string]any) {
	tb.Helper()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			fields(tb, v.Field(i), version, m)
			continue
		}
		name := f.Tag.Get("wire")
		if since, until := schemaVersions(tb, v.Type().Name(), name); version < since || until > 0 && version > until {
			continue
		}
		m[name] = describe(tb, v.Field(i).Interface(), version)
	}
}

var schema = sync.OnceValue(func() map[string][2]int {
	text, err := os.ReadFile("schema.json")
	if err != nil {
		panic(err)
	}
	var list []struct {
		Name   string
		Fields []struct {
			Name         string
			Since, Until int
		}
	}
	if err := json.Unmarshal(text, &list); err != nil {
		panic(err)
	}
	m := map[string][2]int{}
	for _, s := range list {
		for _, f := range s.Fields {
			m[strings.ToLower(strings.TrimPrefix(s.Name, "Base"))+"."+f.Name] = [2]int{f.Since, f.Until}
		}
	}
	return m
})

func schemaVersions(tb testing.TB, structure, field string) (since, until int) {
	tb.Helper()
	v, ok := schema()[strings.ToLower(strings.TrimPrefix(structure, "Base"))+"."+field]
	if !ok {
		tb.Fatalf("the schema knows no field %s.%s", structure, field)
	}
	return v[0], v[1]
}

// javaText returns s as the vectors have it: Java's halves of surrogate pairs
// are the replacement character in JSON.
func javaText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// canonical returns a value of the vectors in the form of describe.
func canonical(tb testing.TB, raw json.RawMessage) any {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var x any
	if err := d.Decode(&x); err != nil {
		tb.Fatal(err)
	}
	return plain(x)
}

func plain(x any) any {
	switch v := x.(type) {
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case json.Number:
		return v.String()
	}
	return x
}
