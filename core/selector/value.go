package selector

import (
	"cmp"
	"math"
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
)

// truth is a value of three-valued logic.
type truth uint8

const (
	isFalse truth = iota
	isTrue
	unknown
)

func truthOf(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

// not is NOT: UNKNOWN stays UNKNOWN.
func (t truth) not() truth {
	switch t {
	case isFalse:
		return isTrue
	case isTrue:
		return isFalse
	}
	return unknown
}

// class is the type of a value as far as selectors tell types apart.
type class uint8

const (
	classNull class = iota
	classBool
	classInt
	classFloat
	classText
	classOther // there is a value, and nothing to compare it with: binary, list
)

// value is what an expression is worth for one message.
type value struct {
	class class
	bits  uint64 // of a bool, an int64 or a float64
	text  string
}

func intOf(n int64) value     { return value{class: classInt, bits: uint64(n)} }
func floatOf(f float64) value { return value{class: classFloat, bits: math.Float64bits(f)} }
func textOf(s string) value   { return value{class: classText, text: s} }

func boolOf(b bool) value {
	if b {
		return value{class: classBool, bits: 1}
	}
	return value{class: classBool}
}

// textOrNull is the value of a field in which nothing is written as "".
func textOrNull(s string) value {
	if s == "" {
		return value{}
	}
	return textOf(s)
}

func (t truth) value() value {
	if t == unknown {
		return value{}
	}
	return boolOf(t == isTrue)
}

func (v value) isNumber() bool { return v.class == classInt || v.class == classFloat }

// float returns a number as a float64, rounded if it is a large integer.
func (v value) float() float64 {
	if v.class == classInt {
		return float64(int64(v.bits))
	}
	return math.Float64frombits(v.bits)
}

// valueOf returns the value of a property.
func valueOf(v message.Value) value {
	if s, ok := v.Text(); ok {
		return textOf(s)
	}
	if n, ok := v.Int64(); ok {
		return intOf(n)
	}
	if f, ok := v.Float64(); ok {
		return floatOf(f)
	}
	if b, ok := v.Bool(); ok {
		return boolOf(b)
	}
	if u, ok := v.Uint64(); ok {
		return floatOf(float64(u))
	}
	if ms, ok := v.Timestamp(); ok {
		return intOf(ms)
	}
	if v.IsNull() {
		return value{}
	}
	return value{class: classOther}
}

// condition is v where a condition is wanted. What isn't a boolean is not
// TRUE; a string that says so is, if strings are converted.
func (v value) condition(convert bool) truth {
	switch {
	case v.class == classNull:
		return unknown
	case v.class == classText && convert:
		v = boolIn(v.text)
	}
	return truthOf(v.class == classBool && v.bits != 0)
}

// boolIn returns the boolean that a string property holds, null if none.
func boolIn(s string) value {
	switch {
	case strings.EqualFold(s, "true"):
		return boolOf(true)
	case strings.EqualFold(s, "false"):
		return boolOf(false)
	}
	return value{}
}

// compare is a op b: UNKNOWN if one of them is NULL, FALSE if they can't be
// compared.
func compare(op op, a, b value, convert bool) truth {
	if a.class == classNull || b.class == classNull {
		return unknown
	}
	if convert {
		a, b = toward(op, a, b), toward(op, b, a)
	}
	switch {
	case a.class == classInt && b.class == classInt:
		return ordered(op, cmp.Compare(int64(a.bits), int64(b.bits)))
	case a.isNumber() && b.isNumber():
		return compareFloats(op, a.float(), b.float())
	case a.class != b.class:
		return isFalse
	case a.class == classText && (op == opEqual || op == opNotEqual):
		return truthOf((a.text == b.text) == (op == opEqual))
	case a.class == classText:
		return ordered(op, strings.Compare(a.text, b.text))
	case a.class == classBool && (op == opEqual || op == opNotEqual):
		return truthOf((a.bits == b.bits) == (op == opEqual))
	}
	return isFalse
}

// toward converts a string to what other demands. Two strings are compared as
// numbers where an order is asked for and both are numbers.
func toward(op op, v, other value) value {
	if v.class != classText {
		return v
	}
	var c value
	switch {
	case other.isNumber():
		c = numberIn(v.text)
	case other.class == classBool:
		c = boolIn(v.text)
	case other.class == classText && op != opEqual && op != opNotEqual && numberIn(other.text).class != classNull:
		c = numberIn(v.text)
	}
	if c.class == classNull {
		return v
	}
	return c
}

func ordered(op op, c int) truth {
	switch op {
	case opEqual:
		return truthOf(c == 0)
	case opNotEqual:
		return truthOf(c != 0)
	case opLess:
		return truthOf(c < 0)
	case opLessEqual:
		return truthOf(c <= 0)
	case opGreater:
		return truthOf(c > 0)
	}
	return truthOf(c >= 0)
}

// compareFloats is not ordered(cmp.Compare): a not-a-number is unequal to
// everything and neither less nor greater.
func compareFloats(op op, a, b float64) truth {
	switch op {
	case opEqual:
		return truthOf(a == b)
	case opNotEqual:
		return truthOf(a != b)
	case opLess:
		return truthOf(a < b)
	case opLessEqual:
		return truthOf(a <= b)
	case opGreater:
		return truthOf(a > b)
	}
	return truthOf(a >= b)
}

// number is v where a number is wanted: NULL if it is none.
func (v value) number(convert bool) value {
	switch {
	case v.isNumber():
		return v
	case v.class == classText && convert:
		return numberIn(v.text)
	}
	return value{}
}

// calculate is a op b for two numbers. Two integers give an integer, or a
// float if it doesn't fit 64 bits; dividing by zero gives NULL.
func calculate(op op, a, b value) value {
	if a.class == classNull || b.class == classNull {
		return value{}
	}
	if a.class == classInt && b.class == classInt {
		if v, ok := calculateInts(op, int64(a.bits), int64(b.bits)); ok {
			return v
		}
	}
	x, y := a.float(), b.float()
	switch op {
	case opAdd:
		return floatOf(x + y)
	case opSubtract:
		return floatOf(x - y)
	case opMultiply:
		return floatOf(x * y)
	}
	if y == 0 {
		return value{}
	}
	if op == opModulo {
		return floatOf(math.Mod(x, y))
	}
	return floatOf(x / y)
}

// calculateInts is not ok if the result needs more than 64 bits.
func calculateInts(op op, x, y int64) (v value, ok bool) {
	var r int64
	switch op {
	case opAdd:
		r = x + y
		ok = (r > x) == (y > 0)
	case opSubtract:
		r = x - y
		ok = (r < x) == (y > 0)
	case opMultiply:
		r = x * y
		ok = x == 0 || r/x == y && (x != -1 || y != math.MinInt64)
	default:
		switch {
		case y == 0:
			return value{}, true
		case y == -1:
			r, ok = -x, x != math.MinInt64
			if op == opModulo {
				r, ok = 0, true
			}
		case op == opModulo:
			r, ok = x%y, true
		default:
			r, ok = x/y, true
		}
	}
	return intOf(r), ok
}

// negate is -v for a number.
func negate(v value) value {
	switch {
	case v.class == classInt && int64(v.bits) != math.MinInt64:
		return intOf(-int64(v.bits))
	case v.isNumber():
		return floatOf(-v.float())
	}
	return value{}
}
