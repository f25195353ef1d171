package config

import (
	"testing"
	"time"
)

func TestSizes(t *testing.T) {
	for _, test := range []struct {
		text, err string
		want      Size
	}{
		{text: "0", want: 0},
		{text: "4096", want: 4096},
		{text: "64MiB", want: 64 << 20},
		{text: " 64 mib ", want: 64 << 20},
		{text: "1MB", want: 1_000_000},
		{text: "2k", want: 2048},
		{text: "3G", want: 3 << 30},
		{text: "12B", want: 12},
		{text: "9223372036854775807", want: 1<<63 - 1},
		{text: "", err: `"" is not a size: write a whole number and a unit, such as 64MiB, 1GiB or 512KiB`},
		{text: "MiB", err: `"MiB" is not a size: write a whole number and a unit, such as 64MiB, 1GiB or 512KiB`},
		{text: "1.5GiB", err: `"1.5GiB" is not a size: write a whole number and a unit, such as 64MiB, 1GiB or 512KiB`},
		{text: "-1k", err: `"-1k" is negative: a size is 0 or more`},
		{text: "9999999TiB", err: `"9999999TiB" is beyond any memory or disk`},
		{text: "99999999999999999999", err: `"99999999999999999999" is beyond any memory or disk`},
	} {
		got, err := ParseSize(test.text)
		if got != test.want || errorText(err) != test.err {
			t.Errorf("ParseSize(%q) = %d, %v; want %d, %s", test.text, got, err, test.want, test.err)
		}
		if err != nil {
			continue
		}
		if again, err := ParseSize(got.String()); again != got || err != nil {
			t.Errorf("%q prints as %s and reads as %d, %v", test.text, got, again, err)
		}
	}
}

func TestDurations(t *testing.T) {
	for _, test := range []struct {
		text, err string
		want      time.Duration
	}{
		{text: "0", want: 0},
		{text: "10s", want: 10 * time.Second},
		{text: "1m30s", want: 90 * time.Second},
		{text: "250ms", want: 250 * time.Millisecond},
		{text: "2d", want: 48 * time.Hour},
		{text: "30", err: `"30" has no unit: write 30s for seconds or 30ms for milliseconds`},
		{text: "soon", err: `"soon" is not a time: write a number and a unit, such as 10s, 1m30s, 250ms or 2d`},
		{text: "-1s", err: `"-1s" is negative: a time is 0 or more`},
		{text: "99999999d", err: `"99999999d" is not a time: write a number and a unit, such as 10s, 1m30s, 250ms or 2d`},
	} {
		got, err := ParseDuration(test.text)
		if got != test.want || errorText(err) != test.err {
			t.Errorf("ParseDuration(%q) = %s, %v; want %s, %s", test.text, got, err, test.want, test.err)
		}
	}
}

func TestNearestFindsSlipsAndNothingElse(t *testing.T) {
	for _, test := range []struct{ word, want string }{
		{"sinc", "sync"},
		{"snyc", "sync"},
		{"SYNC", "sync"},
		{"segmentsize", "segmentSize"},
		{"elephant", ""},
		{"", ""},
	} {
		got, _ := nearest(test.word, []string{"sync", "segmentSize", "memory"})
		if got != test.want {
			t.Errorf("nearest(%q) = %q, want %q", test.word, got, test.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
