package protocols

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Values are a listener's options: the query of its URI. Every method returns
// def for an option that is absent or empty, and an error that names the
// option and shows a right value otherwise. A Values is read-only once its
// listener has started, and may then be read by many goroutines.
type Values map[string]string

// Has reports whether the option was given.
func (v Values) Has(name string) bool { return v[name] != "" }

// String returns the option as it was written.
func (v Values) String(name, def string) string {
	if s := v[name]; s != "" {
		return s
	}
	return def
}

// Int returns a whole number, which may be negative.
func (v Values) Int(name string, def int) (int, error) {
	s := v[name]
	if s == "" {
		return def, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return def, v.bad(name, "a whole number such as 1000")
	}
	return n, nil
}

// Bool returns a truth value: true, false and what strconv.ParseBool takes.
func (v Values) Bool(name string, def bool) (bool, error) {
	s := v[name]
	if s == "" {
		return def, nil
	}
	b, err := strconv.ParseBool(strings.ToLower(s))
	if err != nil {
		return def, v.bad(name, "true or false")
	}
	return b, nil
}

// Float returns a finite number.
func (v Values) Float(name string, def float64) (float64, error) {
	s := v[name]
	if s == "" {
		return def, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return def, v.bad(name, "a number such as 1.5")
	}
	return f, nil
}

// Duration returns a time span that is not negative. A bare number counts
// milliseconds, as in ActiveMQ; "10s" and "1m30s" are taken too.
func (v Values) Duration(name string, def time.Duration) (time.Duration, error) {
	s := v[name]
	if s == "" {
		return def, nil
	}
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		if ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
			return def, v.bad(name, "a time such as 30000 (milliseconds) or 30s")
		}
		return time.Duration(ms) * time.Millisecond, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return def, v.bad(name, "a time such as 30000 (milliseconds) or 30s")
	}
	return d, nil
}

// Size returns a number of bytes that is not negative. The suffixes k, m and
// g (also kb, kib, ...) multiply by powers of 1024.
func (v Values) Size(name string, def int) (int, error) {
	s := v[name]
	if s == "" {
		return def, nil
	}
	n, ok := parseSize(s)
	if !ok {
		return def, v.bad(name, "a size such as 65536, 64k or 100m")
	}
	return n, nil
}

// Pair returns two whole numbers that are not negative, written "10000,5000".
func (v Values) Pair(name string, defA, defB int) (a, b int, err error) {
	s := v[name]
	if s == "" {
		return defA, defB, nil
	}
	left, right, found := strings.Cut(s, ",")
	a, errA := strconv.Atoi(strings.TrimSpace(left))
	b, errB := strconv.Atoi(strings.TrimSpace(right))
	if !found || errA != nil || errB != nil || a < 0 || b < 0 {
		return defA, defB, v.bad(name, "two numbers such as 10000,10000")
	}
	return a, b, nil
}

// List returns the elements of a comma-separated list without blanks and
// empty ones, nil when the option is absent.
func (v Values) List(name string) []string {
	var out []string
	for e := range strings.SplitSeq(v[name], ",") {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	return out
}

func (v Values) bad(name, want string) error {
	return fmt.Errorf("option %s=%q: want %s", name, v[name], want)
}

func parseSize(s string) (int, bool) {
	digits := strings.TrimRight(strings.ToLower(strings.TrimSpace(s)), "kmgib")
	unit := 1
	switch strings.ToLower(strings.TrimSpace(s))[len(digits):] {
	case "", "b":
	case "k", "kb", "kib":
		unit = 1 << 10
	case "m", "mb", "mib":
		unit = 1 << 20
	case "g", "gb", "gib":
		unit = 1 << 30
	default:
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 63)
	if err != nil || n > uint64(math.MaxInt/unit) {
		return 0, false
	}
	return int(n) * unit, true
}
