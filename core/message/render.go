package message

import (
	"bytes"
	"encoding/hex"
	"math"
	"strconv"
	"unicode/utf8"
)

// String returns v as text, the way ActiveMQ shows a property to a STOMP
// client, which is Java's: 1, true, 1.0E10, [a, b], {k=v}. A timestamp is its
// milliseconds, a UUID has its usual form, a binary is its text if it is
// UTF-8, and in hexadecimal if it isn't. A described value is the value. null
// is "null".
func (v Value) String() string {
	if s, ok := v.Text(); ok {
		return s
	}
	return string(v.AppendText(nil))
}

// AppendText appends what String returns.
func (v Value) AppendText(dst []byte) []byte {
	switch v.typ {
	case TypeBool:
		return strconv.AppendBool(dst, v.num != 0)
	case TypeInt8, TypeInt16, TypeInt32, TypeInt64, TypeTimestamp:
		return strconv.AppendInt(dst, int64(v.num), 10)
	case TypeUint8, TypeUint16, TypeUint32, TypeUint64:
		return strconv.AppendUint(dst, v.num, 10)
	case TypeFloat:
		return appendJavaFloat(dst, float64(math.Float32frombits(uint32(v.num))), 32)
	case TypeDouble:
		return appendJavaFloat(dst, math.Float64frombits(v.num), 64)
	case TypeDecimal32, TypeDecimal64, TypeDecimal128:
		return appendDecimal(dst, v)
	case TypeChar:
		return utf8.AppendRune(dst, rune(uint32(v.num)))
	case TypeUUID:
		return appendUUID(dst, v.bytes())
	case TypeString, TypeSymbol:
		return append(dst, v.bytes()...)
	case TypeBinary:
		return appendBinary(dst, v.bytes())
	case TypeList, TypeArray:
		return appendTextList(dst, v.values())
	case TypeMap:
		return appendTextMap(dst, v.entries())
	case TypeDescribed:
		return v.entries()[0].Value.AppendText(dst)
	}
	return append(dst, "null"...)
}

// appendJavaFloat follows Double.toString: at least one digit on each side of
// the point, and an exponent outside of 0.001 to 10 million.
func appendJavaFloat(dst []byte, f float64, bits int) []byte {
	abs := math.Abs(f)
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	case abs == 0 || abs >= 1e-3 && abs < 1e7:
		start := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, bits)
		if bytes.IndexByte(dst[start:], '.') < 0 {
			dst = append(dst, ".0"...)
		}
		return dst
	}
	var buf [32]byte
	mantissa, exponent, _ := bytes.Cut(strconv.AppendFloat(buf[:0], f, 'e', -1, bits), []byte{'e'})
	dst = append(dst, mantissa...)
	if bytes.IndexByte(mantissa, '.') < 0 {
		dst = append(dst, ".0"...)
	}
	dst = append(dst, 'E')
	if exponent[0] == '-' {
		dst = append(dst, '-')
	}
	return append(dst, bytes.TrimLeft(exponent, "+-0")...)
}

func appendUUID(dst, u []byte) []byte {
	for i, part := range [...][]byte{u[:4], u[4:6], u[6:8], u[8:10], u[10:]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}

func appendBinary(dst, b []byte) []byte {
	if utf8.Valid(b) {
		return append(dst, b...)
	}
	return hex.AppendEncode(dst, b)
}

func appendTextList(dst []byte, list []Value) []byte {
	dst = append(dst, '[')
	for i, e := range list {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = e.AppendText(dst)
	}
	return append(dst, ']')
}

func appendTextMap(dst []byte, entries []MapEntry) []byte {
	dst = append(dst, '{')
	for i, e := range entries {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(e.Key.AppendText(dst), '=')
		dst = e.Value.AppendText(dst)
	}
	return append(dst, '}')
}
