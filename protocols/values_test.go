package protocols

import (
	"slices"
	"testing"
	"time"
)

func TestAbsentAndEmptyOptionsAreTheDefault(t *testing.T) {
	v := Values{"empty": ""}
	for _, name := range []string{"absent", "empty"} {
		if v.Has(name) {
			t.Errorf("Has(%s) = true", name)
		}
		if n, err := v.Int(name, 7); n != 7 || err != nil {
			t.Errorf("Int(%s) = %d, %v", name, n, err)
		}
		if b, err := v.Bool(name, true); !b || err != nil {
			t.Errorf("Bool(%s) = %t, %v", name, b, err)
		}
		if f, err := v.Float(name, 1.5); f != 1.5 || err != nil {
			t.Errorf("Float(%s) = %g, %v", name, f, err)
		}
		if d, err := v.Duration(name, time.Second); d != time.Second || err != nil {
			t.Errorf("Duration(%s) = %s, %v", name, d, err)
		}
		if n, err := v.Size(name, 9); n != 9 || err != nil {
			t.Errorf("Size(%s) = %d, %v", name, n, err)
		}
		if a, b, err := v.Pair(name, 1, 2); a != 1 || b != 2 || err != nil {
			t.Errorf("Pair(%s) = %d, %d, %v", name, a, b, err)
		}
		if s := v.String(name, "x"); s != "x" {
			t.Errorf("String(%s) = %q", name, s)
		}
		if l := v.List(name); l != nil {
			t.Errorf("List(%s) = %q", name, l)
		}
	}
}

func TestDurationsCountMillisecondsWithoutAUnit(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "30000": 30 * time.Second, "30s": 30 * time.Second, "1m30s": 90 * time.Second, "250ms": 250 * time.Millisecond,
	} {
		if got, err := (Values{"d": text}).Duration("d", 1); got != want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"-1", "-1s", "soon", "9223372036854775807", "1.5", "10 s"} {
		if got, err := (Values{"d": text}).Duration("d", 1); err == nil || got != 1 {
			t.Errorf("%s: got %s, %v, want an error", text, got, err)
		}
	}
}

func TestSizesTakeSuffixes(t *testing.T) {
	for text, want := range map[string]int{
		"0": 0, "100": 100, "1b": 1, "64k": 64 << 10, "64 kb": 64 << 10, "64KiB": 64 << 10, "100m": 100 << 20, "1G": 1 << 30,
		"104857600": 100 << 20, "9223372036854775807": 1<<63 - 1,
	} {
		if got, err := (Values{"s": text}).Size("s", 1); got != want || err != nil {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"-1", "k", "1x", "1kk", "1bk", "8589934592g", "9223372036854775808", "1.5m"} {
		if got, err := (Values{"s": text}).Size("s", 1); err == nil || got != 1 {
			t.Errorf("%s: got %d, %v, want an error", text, got, err)
		}
	}
}

func TestErrorsNameTheOptionAndShowARightValue(t *testing.T) {
	_, intErr := Values{"n": "x"}.Int("n", 0)
	_, boolErr := Values{"n": "x"}.Bool("n", false)
	_, floatErr := Values{"n": "NaN"}.Float("n", 0)
	_, durationErr := Values{"n": "x"}.Duration("n", 0)
	_, sizeErr := Values{"n": "x"}.Size("n", 0)
	_, _, pairErr := Values{"n": "1"}.Pair("n", 0, 0)
	for want, got := range map[string]error{
		`option n="x": want a whole number such as 1000`:                intErr,
		`option n="x": want true or false`:                              boolErr,
		`option n="NaN": want a number such as 1.5`:                     floatErr,
		`option n="x": want a time such as 30000 (milliseconds) or 30s`: durationErr,
		`option n="x": want a size such as 65536, 64k or 100m`:          sizeErr,
		`option n="1": want two numbers such as 10000,10000`:            pairErr,
	} {
		if got == nil || got.Error() != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

func TestPairsAndLists(t *testing.T) {
	v := Values{"p": "10000, 5000", "l": " a ,,b", "neg": "-1,2"}
	if a, b, err := v.Pair("p", 0, 0); a != 10000 || b != 5000 || err != nil {
		t.Errorf("Pair = %d, %d, %v", a, b, err)
	}
	if _, _, err := v.Pair("neg", 0, 0); err == nil {
		t.Error("a negative pair was taken")
	}
	if l := v.List("l"); !slices.Equal(l, []string{"a", "b"}) {
		t.Errorf("List = %q", l)
	}
}
