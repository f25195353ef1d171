package message

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestIDText(t *testing.T) {
	for text, id := range map[string]ID{
		"ID:entrepot-0-0":   {0, 0},
		"ID:entrepot-1f-42": {0x1f, 42},
		"ID:entrepot-ffffffffffffffff-18446744073709551615": {math.MaxUint64, math.MaxUint64},
	} {
		if got := id.String(); got != text {
			t.Errorf("%#v: %q, want %q", id, got, text)
		}
		if got, ok := ParseID(text); got != id || !ok {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
}

func TestParseIDTakesOneSpellingOnly(t *testing.T) {
	for _, text := range []string{
		"", "ID:", "ID:entrepot-", "ID:entrepot--", "ID:entrepot-1", "ID:entrepot-1-", "ID:entrepot--1", "id:entrepot-1-1",
		"ID:entrepot-01-1", "ID:entrepot-1-01", "ID:entrepot-1F-1", "ID:entrepot-1-a", "ID:entrepot-1-1 ", " ID:entrepot-1-1",
		"ID:entrepot-1-1-1", "ID:entrepot-g-1", "ID:entrepot-+1-1", "ID:entrepot-10000000000000000-1",
		"ID:entrepot-1-18446744073709551616", "ID:entrepot-1-99999999999999999999", "ID:other-1-1",
		"ID:entrepot-1-" + strings.Repeat("9", 1000),
	} {
		if id, ok := ParseID(text); ok || id != (ID{}) {
			t.Errorf("%.60q is %v", text, id)
		}
	}
}

func TestParseIDReadsWhatStringWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := ID{rapid.Uint64().Draw(t, "hi"), rapid.Uint64().Draw(t, "lo")}
		if got, ok := ParseID(id.AppendText([]byte{})); got != id || !ok {
			t.Fatalf("%v: %v, %v", id, got, ok)
		}
	})
}

func TestIDTextDoesNotAllocate(t *testing.T) {
	id := ID{math.MaxUint64, math.MaxUint64}
	text := id.String()
	b := []byte(text)
	if n := testing.AllocsPerRun(100, func() {
		ParseID(text)
		ParseID(b)
		b = id.AppendText(b[:0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
