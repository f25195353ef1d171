package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes.
type Size int64

// Units of sizes.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

var sizeUnits = []struct {
	name  string
	bytes Size
}{
	{"TiB", TiB},
	{"GiB", GiB},
	{"MiB", MiB},
	{"KiB", KiB},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"KB", 1e3},
	{"t", TiB},
	{"g", GiB},
	{"m", MiB},
	{"k", KiB}, // as in listener URIs
	{"B", 1},
}

// ParseSize reads "64MiB", "64 MB", "64m" or a number of bytes. Units are
// taken in any case.
func ParseSize(s string) (Size, error) {
	number, unit := strings.TrimSpace(s), Size(1)
	for _, u := range sizeUnits {
		if n := len(number) - len(u.name); n >= 0 && strings.EqualFold(number[n:], u.name) {
			number, unit = strings.TrimSpace(number[:n]), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%q is not a size: write a whole number and a unit, such as 64MiB, 1GiB or 512KiB", s)
	case n < 0:
		return 0, fmt.Errorf("%q is negative: a size is 0 or more", s)
	case err != nil || n > math.MaxInt64/int64(unit):
		return 0, fmt.Errorf("%q is beyond any memory or disk", s)
	}
	return Size(n) * unit, nil
}

// String writes s with the largest unit that keeps it exact.
func (s Size) String() string {
	for _, u := range sizeUnits[:4] {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// ParseDuration reads "10s", "1m30s", "250ms" or "2d". A number without a
// unit is an error but for 0.
func ParseDuration(s string) (time.Duration, error) {
	text := strings.TrimSpace(s)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseInt(days, 10, 32)
		if err == nil && n >= 0 && n <= 36500 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
		return 0, fmt.Errorf("%q has no unit: write %ds for seconds or %dms for milliseconds", s, n, n)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time: write a number and a unit, such as 10s, 1m30s, 250ms or 2d", s)
	}
	if d < 0 {
		return 0, fmt.Errorf("%q is negative: a time is 0 or more", s)
	}
	return d, nil
}

// set parses text into v, a field that k describes.
func (k *key) set(v reflect.Value, text string) error {
	if v.Kind() == reflect.Pointer { // nil is not given
		given := reflect.New(v.Type().Elem())
		if err := k.set(given.Elem(), text); err != nil {
			return err
		}
		v.Set(given)
		return nil
	}
	switch p := v.Addr().Interface().(type) {
	case *Size:
		n, err := ParseSize(text)
		if err != nil {
			return err
		}
		*p = n
	case *time.Duration:
		d, err := ParseDuration(text)
		if err != nil {
			return err
		}
		*p = d
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		*p = n
	case *float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		*p = n
	case *bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		*p = text == "true"
	case *string:
		if err := k.checkChoice(text); err != nil {
			return err
		}
		*p = text
	default:
		panic(fmt.Sprintf("config: %s has the unsupported type %s", k.path, v.Type()))
	}
	return nil
}

func (k *key) checkChoice(text string) error {
	if len(k.choices) == 0 || slices.Contains(k.choices, text) {
		return nil
	}
	hint := ""
	if near, ok := nearest(text, k.choices); ok {
		hint = fmt.Sprintf("; did you mean %s?", near)
	}
	return fmt.Errorf("%q is not one of %s%s", text, strings.Join(k.choices, ", "), hint)
}

// format writes a field's value as set reads it.
func format(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		return format(v.Elem())
	}
	if list, ok := reflect.TypeAssert[[]string](v); ok {
		return strings.Join(list, " ")
	}
	return fmt.Sprint(v.Interface())
}
