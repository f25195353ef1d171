package message

import (
	"math/big"
	"strconv"
)

// decimalForm describes one of the decimals of IEEE 754 in the binary integer
// encoding, which is AMQP's: sign, exponent, coefficient.
type decimalForm struct {
	exponentBits uint
	trailingBits uint // of the coefficient, when no bit of it is implied
	bias         int
	digits       int
}

func formOf(t Type) decimalForm {
	switch t {
	case TypeDecimal32:
		return decimalForm{8, 23, 101, 7}
	case TypeDecimal64:
		return decimalForm{10, 53, 398, 16}
	}
	return decimalForm{14, 113, 6176, 34}
}

// appendDecimal appends a decimal as Java's BigDecimal would: 1.50, 1E+10.
func appendDecimal(dst []byte, v Value) []byte {
	f := formOf(v.typ)
	bits := new(big.Int).SetUint64(v.num)
	if v.typ == TypeDecimal128 {
		bits.SetBytes(v.bytes())
	}
	field := func(shift, width uint) *big.Int {
		mask := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), width), big.NewInt(1))
		return mask.And(mask, new(big.Int).Rsh(bits, shift))
	}
	signAt := f.exponentBits + f.trailingBits
	if bits.Bit(int(signAt)) != 0 {
		dst = append(dst, '-')
	}
	if top := field(signAt-5, 5).Uint64(); top >= 0b11110 {
		if top == 0b11110 {
			return append(dst, "Infinity"...)
		}
		return append(dst, "NaN"...)
	}
	exponent, coefficient := field(f.trailingBits, f.exponentBits), field(0, f.trailingBits)
	if field(signAt-2, 2).Uint64() == 0b11 {
		// The two bits say that the exponent is two bits further down, and
		// that the coefficient begins with 100.
		exponent = field(f.trailingBits-2, f.exponentBits)
		coefficient = field(0, f.trailingBits-2)
		coefficient.SetBit(coefficient, int(f.trailingBits), 1)
	}
	digits := coefficient.String()
	if len(digits) > f.digits {
		digits = "0" // a coefficient out of range counts as zero
	}
	return appendScaled(dst, digits, int(exponent.Int64())-f.bias)
}

// appendScaled appends digits times ten to the power of exponent.
func appendScaled(dst []byte, digits string, exponent int) []byte {
	adjusted := exponent + len(digits) - 1
	switch {
	case exponent > 0 || adjusted < -6:
		dst = append(dst, digits[0])
		if len(digits) > 1 {
			dst = append(append(dst, '.'), digits[1:]...)
		}
		dst = append(dst, 'E')
		if adjusted > 0 {
			dst = append(dst, '+')
		}
		return strconv.AppendInt(dst, int64(adjusted), 10)
	case exponent == 0:
		return append(dst, digits...)
	}
	if point := len(digits) + exponent; point > 0 {
		dst = append(append(dst, digits[:point]...), '.')
		return append(dst, digits[point:]...)
	}
	dst = append(dst, "0."...)
	for range -exponent - len(digits) {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}
