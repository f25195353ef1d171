package message

import (
	"encoding/binary"
	"unsafe"
)

// reader takes fields off an encoding; after a failure, of which it keeps the
// first, everything reads as zero.
type reader struct {
	b   []byte
	err error
	// owed is the least number of bytes that elements announced by counts and
	// not read yet must take. It keeps nested counts from asking, all
	// together, for more memory than the bytes that are there can fill.
	owed int
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail(ErrTruncated)
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		return uint64(r.byte())
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(ErrTruncated)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// uvarintMax reads a number that is limit at most.
func (r *reader) uvarintMax(limit uint64) uint64 {
	u := r.uvarint()
	if u > limit {
		r.fail(ErrCorrupt)
		return 0
	}
	return u
}

// varintWidth reads a number that fits into a signed integer of width bits.
func (r *reader) varintWidth(width uint) int64 {
	n := r.varint()
	if shift := 64 - width; n<<shift>>shift != n {
		r.fail(ErrCorrupt)
		return 0
	}
	return n
}

// take returns the next n bytes, which point into the encoding.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail(ErrTruncated)
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

// string returns a string that points into the encoding.
func (r *reader) string() string {
	p := r.take(r.uvarint())
	return unsafe.String(unsafe.SliceData(p), len(p))
}

// count reads the number of elements that follow, of which each takes least
// bytes or more. The caller calls paid(least) before it reads each.
func (r *reader) count(least int) int {
	n := r.uvarint()
	if free := len(r.b) - r.owed; free < 0 || n > uint64(free/least) {
		r.fail(ErrTruncated)
		return 0
	}
	r.owed += int(n) * least
	return int(n)
}

func (r *reader) paid(least int) { r.owed -= least }
