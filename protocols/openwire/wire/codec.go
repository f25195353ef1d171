package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// MaxVersion is the newest version of the protocol.
const MaxVersion = 12

// Format is what two peers agreed on. The zero value is what the first frame
// of each direction has: loose, without cache, of any version.
type Format struct {
	Version   int
	Tight     bool
	Trace     bool // exceptions come with stack traces
	CacheSize int  // 0: no cache
}

func (f Format) version() int { return min(max(f.Version, 1), MaxVersion) }

// Decoder reads the frames of one direction.
type Decoder struct{ r reader }

// NewDecoder returns a Decoder of frames in the format f.
func NewDecoder(f Format) *Decoder {
	return &Decoder{reader{
		version: f.version(), tight: f.Tight, trace: f.Trace,
		cache: readCache{size: min(f.CacheSize, math.MaxInt16)},
	}}
}

// Decode reads a frame, given without its size. An empty command is nil. The
// structure's byte slices point into frame.
func (d *Decoder) Decode(frame []byte) (Structure, error) {
	r := &d.r
	r.data, r.bits, r.bit, r.depth, r.err = frame, nil, 0, 0, nil
	t := Type(r.uint8())
	if t == 0 && len(frame) == 1 {
		return nil, nil
	}
	if r.tight {
		r.bits = r.take(r.bitsLen())
	}
	s := r.body(t, &allowAny, false)
	switch {
	case r.err != nil:
		return nil, fmt.Errorf("%s: %w", t, r.err)
	case len(r.data) != 0 || r.tight && (r.bit+7)/8 != len(r.bits):
		return nil, fmt.Errorf("%s: %w", t, errTrailing)
	}
	return s, nil
}

// bitsLen reads how many bytes of booleans follow.
func (r *reader) bitsLen() int {
	switch n := r.uint8(); n {
	case bits8:
		return int(r.uint8())
	case bits16:
		return int(int16(r.uint16()))
	default:
		return int(n)
	}
}

// How the length of the booleans is written, when it is not in the first byte
// itself.
const (
	bits8  = 0xC0
	bits16 = 0x80
)

// Encoder writes the frames of one direction.
type Encoder struct{ w writer }

// NewEncoder returns an Encoder of frames in the format f. A cache that is
// smaller than a peer can work with is not used.
func NewEncoder(f Format) *Encoder {
	e := &Encoder{writer{version: f.version(), tight: f.Tight, trace: f.Trace}}
	if f.CacheSize >= minCacheSize {
		e.w.cache = newWriteCache(min(f.CacheSize, math.MaxInt16))
	}
	return e
}

// errNothing is returned for a nil structure.
var errNothing = errors.New("there is no structure to encode")

// Append appends s as a frame with its size. After an error dst is as it was
// and, if a cache is on, the connection can't go on: its values may not have
// been sent.
func (e *Encoder) Append(dst []byte, s Structure) ([]byte, error) {
	w := &e.w
	if s == nil {
		return dst, errNothing
	}
	w.bits, w.bit, w.err = w.bits[:0], 0, nil
	if w.cache != nil {
		w.cache.beginFrame()
	}
	start := len(dst)
	if !w.tight {
		w.data = append(dst, 0, 0, 0, 0)
		w.structure(s, false)
		out := w.data
		w.data = nil
		return finish(out, start, w.err)
	}
	w.data = w.data[:0]
	w.structure(s, false)
	dst = append(dst, 0, 0, 0, 0, w.data[0])
	switch n := len(w.bits); {
	case n < 64:
		dst = append(dst, byte(n))
	case n < 256:
		dst = append(dst, bits8, byte(n))
	case n <= math.MaxInt16:
		dst = append(dst, bits16, byte(n>>8), byte(n))
	default:
		w.fail(errArrayLong)
	}
	dst = append(dst, w.bits...)
	dst = append(dst, w.data[1:]...)
	if cap(w.data) > maxKept {
		w.data = nil
	}
	return finish(dst, start, w.err)
}

// maxKept is the most memory that an Encoder keeps between frames.
const maxKept = 64 << 10

// finish writes the size of the frame that begins at start.
func finish(dst []byte, start int, err error) ([]byte, error) {
	size := len(dst) - start - 4
	if err == nil && size > math.MaxInt32 {
		err = errFrameLong
	}
	if err != nil {
		return dst[:start], err
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(size))
	return dst, nil
}

var errFrameLong = errors.New("a frame is longer than OpenWire can say")
