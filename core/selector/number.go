package selector

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// magnitude is a number literal without sign.
type magnitude struct {
	float   float64
	integer uint64
	isFloat bool
}

// parseNumber reads a literal as Java writes them: decimal, hexadecimal and
// octal integers, L at will; floats with a point or an exponent, or a D or F.
// reason is empty if it is one.
func parseNumber(s string) (m magnitude, reason string) {
	switch {
	case isHex(s):
		return parseInteger(s[2:], 16)
	case strings.ContainsAny(s, ".eEdDfF"):
		return parseFloat(s)
	case len(s) > 1 && s[0] == '0' && isDigit(s[1]):
		return parseInteger(s[1:], 8)
	}
	return parseInteger(s, 10)
}

func parseInteger(s string, base int) (m magnitude, reason string) {
	digits := s
	if n := len(s); n > 0 && s[n-1]|0x20 == 'l' {
		digits = s[:n-1]
	}
	if strings.IndexByte(digits, '_') >= 0 {
		return m, malformed(base)
	}
	u, err := strconv.ParseUint(digits, base, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && u > 1<<63:
		return m, "the number does not fit 64 bits; write it with a decimal point"
	case err != nil:
		return m, malformed(base)
	}
	m.integer = u
	return m, ""
}

func malformed(base int) string {
	switch base {
	case 16:
		return "not a hexadecimal number: 0x and digits 0 to 9, A to F"
	case 8:
		return "not an octal number: after a leading 0 only digits 0 to 7"
	}
	return "not a number; a name can't begin with a digit"
}

func parseFloat(s string) (m magnitude, reason string) {
	bits := 64
	switch s[len(s)-1] {
	case 'f', 'F':
		bits, s = 32, s[:len(s)-1]
	case 'd', 'D':
		s = s[:len(s)-1]
	}
	if !isFloatText(s) {
		return m, malformed(10)
	}
	f, err := strconv.ParseFloat(s, bits)
	if err != nil {
		return m, "the number is too large"
	}
	return magnitude{float: f, isFloat: true}, ""
}

// isFloatText reports whether s is digits with a point, an exponent or
// neither: none of the other things that strconv takes.
func isFloatText(s string) bool {
	mantissa := s
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if mantissa = s[:i]; !allDigits(trimSign(s[i+1:])) {
			return false
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	return (whole == "" || allDigits(whole)) && (fraction == "" || allDigits(fraction)) && (whole != "" || fraction != "")
}

func trimSign(s string) string {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		return s[1:]
	}
	return s
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

// signed returns the value of the literal, with a minus before it or not.
func (m magnitude) signed(minus bool) (v value, ok bool) {
	switch {
	case m.isFloat && minus:
		return floatOf(-m.float), true
	case m.isFloat:
		return floatOf(m.float), true
	case minus:
		return intOf(-int64(m.integer)), true // -(1<<63) is its own negative
	}
	return intOf(int64(m.integer)), m.integer <= math.MaxInt64
}

// longestNumber is the longest string that is taken for a number.
const longestNumber = 64

// numberIn returns the number that a string property holds, null if it holds
// none: an optional sign and decimal digits, with point and exponent or
// without. It allocates nothing.
func numberIn(s string) value {
	digits := trimSign(s)
	if len(s) > longestNumber || digits == "" {
		return value{}
	}
	if allDigits(digits) {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return intOf(n)
		}
	} else if !isFloatText(digits) {
		return value{}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return value{}
	}
	return floatOf(f)
}
