package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Limits of what a frame may hold, whatever its size.
const (
	maxDepth   = 8    // of structures in each other
	maxArray   = 4096 // elements
	maxCauses  = 16   // of an exception
	maxStack   = 1024 // lines of a stack trace
	maxIntern  = 128  // bytes of a string that is worth keeping
	internSize = 64   // strings kept
)

var (
	errShort    = errors.New("the frame ends too early")
	errTrailing = errors.New("the frame is longer than what it holds")
	errDepth    = fmt.Errorf("structures are nested more than %d deep", maxDepth)
	errCached   = errors.New("the tight form of a structure that was encoded before is not supported")
)

// reader takes a frame apart. After the first error everything reads as zero.
type reader struct {
	version int
	tight   bool
	trace   bool

	data  []byte // what is left
	bits  []byte // tight: the booleans
	bit   int    // the next of bits
	depth int
	keeps int // above 0 what is read outlives the frame: it goes into the cache
	err   error

	cache   readCache
	strings [internSize]string // seen lately: the same ids and names come again and again
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.data, r.bits, r.bit = nil, nil, 0
}

// take returns the next n bytes, nil after an error.
func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.data) {
		r.fail(errShort)
		return nil
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

// flag reads what is a bit when tight, and a byte when loose.
func (r *reader) flag() bool {
	if !r.tight {
		b := r.take(1)
		return len(b) == 1 && b[0] != 0
	}
	if r.bit >= 8*len(r.bits) {
		r.fail(errShort)
		return false
	}
	on := r.bits[r.bit/8]>>(r.bit%8)&1 != 0
	r.bit++
	return on
}

func (r *reader) bool() bool { return r.flag() }

func (r *reader) uint8() uint8 {
	if b := r.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) int8() int8 { return int8(r.uint8()) }

func (r *reader) uint16() uint16 {
	if b := r.take(2); len(b) == 2 {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) int32() int32 { return int32(r.uint32()) }

func (r *reader) int64() int64 {
	if r.tight {
		wide, odd := r.flag(), r.flag()
		switch {
		case !wide && !odd:
			return 0
		case !wide:
			return int64(r.uint16())
		case !odd:
			return int64(r.uint32())
		}
	}
	if b := r.take(8); len(b) == 8 {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *reader) string() String {
	if !r.flag() {
		return String{}
	}
	latin := r.tight && r.flag()
	b := r.take(int(r.uint16()))
	if r.err != nil {
		return String{}
	}
	if latin && !ascii(b) {
		return Text(fromLatin1(b))
	}
	if len(b) <= maxIntern {
		return Text(r.intern(b))
	}
	return Text(r.text(b))
}

func (r *reader) text(b []byte) string {
	s, err := fromModified(b)
	if err != nil {
		r.fail(err)
	}
	return s
}

// intern returns b as a string, without an allocation if it was seen lately.
func (r *reader) intern(b []byte) string {
	hash := uint32(len(b))
	for _, c := range b {
		hash = hash*31 + uint32(c)
	}
	slot := &r.strings[hash%internSize]
	if *slot == string(b) { // what is equal to modified UTF-8 as bytes is its own plain form
		return *slot
	}
	s := r.text(b)
	if len(s) == len(b) {
		*slot = s
	}
	return s
}

// bytes returns a slice of the frame, or a copy of what goes into the cache; nil
// for null.
func (r *reader) bytes() []byte {
	if !r.flag() {
		return nil
	}
	n := r.int32()
	b := r.take(int(n))
	if b == nil && r.err == nil {
		b = []byte{}
	}
	if r.keeps > 0 {
		b = bytes.Clone(b)
	}
	return b
}

func (r *reader) fixed(dst []byte) { copy(dst, r.take(len(dst))) }

// structure reads a type and what belongs to it. nested says that it is not
// the frame itself.
func (r *reader) structure(allowed *typeSet, nested bool) Structure {
	return r.body(Type(r.uint8()), allowed, nested)
}

// body reads what belongs to a structure of type t.
func (r *reader) body(t Type, allowed *typeSet, nested bool) Structure {
	switch {
	case r.err != nil:
		return nil
	case int(t) >= len(types) || types[t].make == nil || types[t].since > r.version:
		r.fail(fmt.Errorf("type %d is unknown in version %d", t, r.version))
		return nil
	case !allowed.has(t):
		r.fail(fmt.Errorf("%s stands where it may not", t))
		return nil
	case r.depth >= maxDepth:
		r.fail(errDepth)
		return nil
	case nested && r.tight && types[t].cachedForm && r.flag():
		r.fail(errCached)
		return nil
	}
	s := types[t].make()
	r.depth++
	s.read(r)
	r.depth--
	return s
}

// readNested reads a field that holds a T or null. allowed are types that are
// a T.
func readNested[T Structure](r *reader, allowed typeSet) (x T) {
	if r.flag() {
		if s := r.structure(&allowed, true); s != nil {
			x, _ = s.(T)
		}
	}
	return x
}

// readCached is readNested for a field whose values are sent once only while
// the cache is on.
func readCached[T Structure](r *reader, allowed typeSet) (x T) {
	if r.cache.size == 0 {
		return readNested[T](r, allowed)
	}
	isNew := r.flag()
	index := int16(r.uint16())
	if isNew {
		r.keeps++
		x = readNested[T](r, allowed)
		r.keeps--
		if r.err == nil {
			r.cacheStore(index, Structure(x), isNull(x))
		}
		return x
	}
	s := r.cached(index)
	if s == nil {
		return x
	}
	if !allowed.has(s.StructureType()) {
		r.fail(fmt.Errorf("%s from the cache stands where it may not", s.StructureType()))
		return x
	}
	x, _ = s.(T)
	return x
}

// readArray reads a field that holds several T, nil for null.
func readArray[T Structure](r *reader, allowed typeSet) []T {
	if !r.flag() {
		return nil
	}
	n := int(r.uint16())
	if n > maxArray || n > len(r.data)+8*len(r.bits)-r.bit { // each takes a byte or a bit
		r.fail(fmt.Errorf("an array of %d elements is too long", n))
		return nil
	}
	list := make([]T, 0, min(n, 16))
	for range n {
		list = append(list, readNested[T](r, allowed))
		if r.err != nil {
			return nil
		}
	}
	return list
}

func (r *reader) throwable() *Throwable {
	var first *Throwable
	for next, n := &first, 0; r.flag(); n++ {
		if n == maxCauses {
			r.fail(fmt.Errorf("an exception has more than %d causes", maxCauses))
			return nil
		}
		t := &Throwable{Class: r.string(), Text: r.string()}
		*next, next = t, &t.Cause
		if !r.trace {
			break
		}
		lines := int(r.uint16())
		if lines > maxStack {
			r.fail(fmt.Errorf("a stack trace has more than %d lines", maxStack))
			return nil
		}
		t.Stack = make([]StackTraceElement, 0, min(lines, 16))
		for range lines {
			t.Stack = append(t.Stack, StackTraceElement{r.string(), r.string(), r.string(), r.int32()})
			if r.err != nil {
				return nil
			}
		}
	}
	return first
}
