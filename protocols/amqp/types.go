package amqp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Format codes (AMQP 1.0, 1.2). The high half tells the width: 4 nothing, 5 to
// 9 a fixed number of bytes, a and b a size of 1 or 4 bytes, c and d the same
// with a count, e and f the same as an array.
const (
	fmtDescribed  = 0x00
	fmtNull       = 0x40
	fmtTrue       = 0x41
	fmtFalse      = 0x42
	fmtUint0      = 0x43
	fmtUlong0     = 0x44
	fmtList0      = 0x45
	fmtUbyte      = 0x50
	fmtByte       = 0x51
	fmtSmallUint  = 0x52
	fmtSmallUlong = 0x53
	fmtSmallInt   = 0x54
	fmtSmallLong  = 0x55
	fmtBool       = 0x56
	fmtUshort     = 0x60
	fmtShort      = 0x61
	fmtUint       = 0x70
	fmtInt        = 0x71
	fmtFloat      = 0x72
	fmtChar       = 0x73
	fmtDecimal32  = 0x74
	fmtUlong      = 0x80
	fmtLong       = 0x81
	fmtDouble     = 0x82
	fmtTimestamp  = 0x83
	fmtDecimal64  = 0x84
	fmtDecimal128 = 0x94
	fmtUUID       = 0x98
	fmtBinary8    = 0xa0
	fmtString8    = 0xa1
	fmtSymbol8    = 0xa3
	fmtBinary32   = 0xb0
	fmtString32   = 0xb1
	fmtSymbol32   = 0xb3
	fmtList8      = 0xc0
	fmtMap8       = 0xc1
	fmtList32     = 0xd0
	fmtMap32      = 0xd1
	fmtArray8     = 0xe0
	fmtArray32    = 0xf0
)

// maxDepth is how deep values may be nested, as in the hub.
const maxDepth = 32

var (
	errShort = errors.New("value is longer than what is there")
	errDepth = fmt.Errorf("values are nested deeper than %d levels", maxDepth)
)

// optional is a field whose absence is kept.
type optional[T any] struct {
	value T
	ok    bool
}

func some[T any](v T) optional[T] { return optional[T]{v, true} }

// decoder reads encoded values. After the first error it returns zeros. What it
// returns points into b.
type decoder struct {
	b   []byte
	err error
	// budget is how many more values may be made. Each costs a byte at least,
	// but for elements of an array that have no width: without it a few bytes
	// could ask for billions of them.
	budget int
}

// freeElements is how many values without width an input may hold beside one
// for each of its bytes.
const freeElements = 256

func newDecoder(b []byte) decoder { return decoder{b: b, budget: len(b) + freeElements} }

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

func (d *decoder) failf(format string, args ...any) { d.fail(fmt.Errorf(format, args...)) }

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.fail(errShort)
		return nil
	}
	p := d.b[:n:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail(errShort)
		return fmtNull
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

// size reads the size of a variable value: one byte, or four when wide.
func (d *decoder) size(wide bool) int {
	if !wide {
		if len(d.b) == 0 {
			d.fail(errShort)
			return 0
		}
		return int(d.byte())
	}
	p := d.take(4)
	if p == nil {
		return 0
	}
	n := binary.BigEndian.Uint32(p)
	if uint64(n) > uint64(len(d.b)) {
		d.fail(errShort)
		return 0
	}
	return int(n)
}

// variable reads what follows the constructor of a binary, string or symbol.
func (d *decoder) variable(code byte) []byte { return d.take(d.size(code >= 0xb0)) }

// compound reads size and count of a list, map or array and returns a decoder
// of its content.
func (d *decoder) compound(code byte) (inner decoder, count int) {
	wide := code&0x10 != 0
	inner = decoder{b: d.take(d.size(wide)), budget: d.budget}
	if d.err != nil {
		return inner, 0
	}
	if wide {
		p := inner.take(4)
		if p != nil {
			n := binary.BigEndian.Uint32(p)
			if int64(n) > int64(d.budget) {
				inner.failf("compound of %d values is larger than its %d bytes allow", n, len(inner.b))
				n = 0
			}
			count = int(n)
		}
	} else {
		count = int(inner.byte())
	}
	d.err = inner.err
	return inner, count
}

// descriptor reads the descriptor of a described value: its code, or that of
// its symbol. Unknown ones are 0.
func (d *decoder) descriptor() uint64 {
	if c := d.byte(); c != fmtDescribed && d.err == nil {
		d.failf("found format code %#02x where a described type has to be", c)
	}
	return d.descriptorCode()
}

// descriptorCode reads what follows the constructor of a described value.
func (d *decoder) descriptorCode() uint64 {
	switch code := d.byte(); code {
	case fmtSmallUlong:
		return uint64(d.byte())
	case fmtUlong0:
		return 0
	case fmtUlong:
		if p := d.take(8); p != nil {
			return binary.BigEndian.Uint64(p)
		}
	case fmtSymbol8, fmtSymbol32:
		return compositeNames[alias(d.variable(code))]
	default:
		d.failf("descriptor has format code %#02x, neither ulong nor symbol", code)
	}
	return 0
}

func (d *decoder) utf8(p []byte) string {
	if !utf8.Valid(p) {
		d.failf("string is not valid UTF-8")
		return ""
	}
	return alias(p)
}

func (d *decoder) ascii(p []byte) string {
	for _, c := range p {
		if c >= 0x80 {
			d.failf("symbol is not ASCII")
			return ""
		}
	}
	return alias(p)
}

// uint64Of reads what follows an unsigned integer's constructor.
func (d *decoder) uint64Of(code byte) (n uint64, ok bool) {
	switch code {
	case fmtUint0, fmtUlong0:
		return 0, true
	case fmtUbyte, fmtSmallUint, fmtSmallUlong:
		p := d.take(1)
		if p == nil {
			return 0, true
		}
		return uint64(p[0]), true
	case fmtUshort:
		if p := d.take(2); p != nil {
			n = uint64(binary.BigEndian.Uint16(p))
		}
		return n, true
	case fmtUint:
		if p := d.take(4); p != nil {
			n = uint64(binary.BigEndian.Uint32(p))
		}
		return n, true
	case fmtUlong:
		if p := d.take(8); p != nil {
			n = binary.BigEndian.Uint64(p)
		}
		return n, true
	}
	return 0, false
}
