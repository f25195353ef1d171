package message

import (
	"bytes"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// allocated returns the bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What a decoder may allocate: its fixed parts, a cell for each byte (a map's
// entry of 48 bytes takes two), and what else runs beside the test.
const (
	cellsPerByte = 40
	fixedAlloc   = 64 << 10
)

func FuzzDecode(f *testing.F) {
	for _, raw := range goldenInputs(f, "messages.txt") {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m *Message
		var err error
		if got := allocated(func() { m, err = Decode(raw) }); got > uint64(len(raw))*cellsPerByte+fixedAlloc {
			t.Fatalf("%d bytes allocated for %d", got, len(raw))
		}
		if err != nil {
			return
		}
		again := New(&m.Envelope, m.Encoding(), m.Payload())
		if !reflect.DeepEqual(dropEmpty(m.Envelope), dropEmpty(again.Envelope)) || !bytes.Equal(m.Payload(), again.Payload()) {
			t.Fatalf("%x\ngave  %+v\nagain %+v", raw, m.Envelope, again.Envelope)
		}
		if twice := again.With(func(*Envelope) {}); !bytes.Equal(twice.Raw(), again.Raw()) {
			t.Fatalf("%x is encoded as %x and then as %x", raw, again.Raw(), twice.Raw())
		}
	})
}

// dropEmpty makes a list of annotations that was announced and is empty the
// same as none.
func dropEmpty(e Envelope) Envelope {
	if len(e.Annotations) == 0 {
		e.Annotations = nil
	}
	return e
}

func FuzzDecodeView(f *testing.F) {
	for _, b := range goldenInputs(f, "views.txt") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v *View
		var err error
		if got := allocated(func() { v, err = DecodeView(b) }); got > uint64(len(b))*cellsPerByte+fixedAlloc {
			t.Fatalf("%d bytes allocated for %d", got, len(b))
		}
		if err != nil {
			return
		}
		encoded := AppendView(nil, v)
		again, err := DecodeView(encoded)
		if err != nil || !again.Equal(v) {
			t.Fatalf("%x\ngave  %+v\nagain %+v, %v", b, v, again, err)
		}
		if !bytes.Equal(AppendView(nil, again), encoded) {
			t.Fatalf("%x is encoded in two ways", b)
		}
		for _, p := range v.Properties {
			_ = p.Value.String()
		}
		_ = v.Body.Value.String()
	})
}

func FuzzDestination(f *testing.F) {
	for _, s := range []string{
		"queue://a.b", "topic://a.*,queue://b , c", "temp-queue://ID:x-1", "A.>.B", "a..b", "*.>", "Q?x=1", " ", ",", "a,a", "\xff", "a\n",
	} {
		f.Add(s, "a.b.c")
	}
	f.Fuzz(func(t *testing.T, s, name string) {
		d, err := ParseDestination(s, KindTopic)
		if err != nil {
			if !d.IsZero() || ValidateName(strings.Trim(s, " ")) == nil && !strings.Contains(s, "://") {
				t.Fatalf("%q: %v, %v", s, d, err)
			}
			return
		}
		if again, err := ParseDestination(d.String(), KindQueue); err != nil || again != d {
			t.Fatalf("%q is %v and then %v, %v", s, d, again, err)
		}
		checkComponents(t, d)
		checkMatching(t, d.Name, name)
	})
}

func checkComponents(t *testing.T, d Destination) {
	t.Helper()
	parts, err := d.Components()
	if err != nil {
		if parts != nil {
			t.Fatalf("%v: components %v and %v", d, parts, err)
		}
		return
	}
	for i, p := range parts {
		if p.IsComposite() || ValidateName(p.Name) != nil || slices.Contains(parts[:i], p) {
			t.Fatalf("%v has component %v", d, p)
		}
	}
}

func checkMatching(t *testing.T, pattern, name string) {
	t.Helper()
	if got, want := Matches(pattern, name), slowMatches(strings.Split(pattern, "."), strings.Split(name, ".")); got != want {
		t.Fatalf("Matches(%q, %q) = %v", pattern, name, got)
	}
	if !IsPattern(pattern) && Matches(pattern, name) != (pattern == name) {
		t.Fatalf("%q is no pattern and matches %q: %v", pattern, name, pattern != name)
	}
	if Covers(pattern, name) && !IsPattern(name) && !Matches(pattern, name) {
		t.Fatalf("%q covers %q and does not match it", pattern, name)
	}
}

// slowMatches is the rule, as it is written.
func slowMatches(pattern, name []string) bool {
	switch {
	case len(pattern) == 0:
		return len(name) == 0
	case pattern[0] == ">":
		return true
	case len(name) == 0 || pattern[0] != "*" && pattern[0] != name[0]:
		return false
	}
	return slowMatches(pattern[1:], name[1:])
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"ID:entrepot-1f-42", "ID:entrepot-ffffffffffffffff-18446744073709551615", "ID:entrepot-01-0", "", "ID:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := ParseID(s)
		if other, otherOK := ParseID([]byte(s)); other != id || otherOK != ok {
			t.Fatalf("%q: %v as a string, %v as bytes", s, id, other)
		}
		if ok && id.String() != s {
			t.Fatalf("%q is %v", s, id)
		}
	})
}
