package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Longest strings, in bytes: Java's tight encoder refuses more.
const (
	maxLooseString = 65535
	maxTightString = 32766
)

var (
	errStringLong = errors.New("a string is longer than OpenWire can say")
	errArrayLong  = fmt.Errorf("an array has more than %d elements", maxArray)
	errStackLong  = fmt.Errorf("a stack trace has more than %d lines", maxStack)
)

// writer puts a frame together. Tight frames have their booleans in front,
// which are collected meanwhile.
type writer struct {
	version int
	tight   bool
	trace   bool

	data []byte
	bits []byte
	bit  int // how many of bits
	err  error

	cache *writeCache // nil: off
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// flag writes a bit when tight, a byte when loose.
func (w *writer) flag(on bool) {
	var b byte
	if on {
		b = 1
	}
	if !w.tight {
		w.data = append(w.data, b)
		return
	}
	if w.bit%8 == 0 {
		w.bits = append(w.bits, 0)
	}
	w.bits[w.bit/8] |= b << (w.bit % 8)
	w.bit++
}

func (w *writer) bool(on bool)   { w.flag(on) }
func (w *writer) int8(n int8)    { w.data = append(w.data, byte(n)) }
func (w *writer) int16(n int16)  { w.data = binary.BigEndian.AppendUint16(w.data, uint16(n)) }
func (w *writer) int32(n int32)  { w.data = binary.BigEndian.AppendUint32(w.data, uint32(n)) }
func (w *writer) fixed(b []byte) { w.data = append(w.data, b...) }

func (w *writer) int64(n int64) {
	if w.tight {
		wide, odd := uint64(n) > 0xFFFF, n != 0 && uint64(n) <= 0xFFFF || uint64(n) > 0xFFFFFFFF
		w.flag(wide)
		w.flag(odd)
		switch {
		case !wide && !odd:
			return
		case !wide:
			w.int16(int16(n))
			return
		case !odd:
			w.int32(int32(n))
			return
		}
	}
	w.data = binary.BigEndian.AppendUint64(w.data, uint64(n))
}

func (w *writer) string(s String) {
	w.flag(s.set)
	if !s.set {
		return
	}
	plain, n, most := ascii(s.text), len(s.text), maxLooseString
	if w.tight {
		w.flag(plain)
		most = maxTightString
	}
	if !plain {
		n = modifiedLen(s.text)
	}
	if n > most {
		w.fail(errStringLong)
		return
	}
	w.int16(int16(n))
	if plain {
		w.data = append(w.data, s.text...)
		return
	}
	w.data = appendModified(w.data, s.text)
}

func (w *writer) bytes(b []byte) {
	w.flag(b != nil)
	if b != nil {
		w.int32(int32(len(b)))
		w.data = append(w.data, b...)
	}
}

// structure writes s with its type. nested says that it is not the frame
// itself.
func (w *writer) structure(s Structure, nested bool) {
	t := s.StructureType()
	if types[t].since > w.version {
		w.fail(fmt.Errorf("%s can't be sent in version %d", t, w.version))
		return
	}
	w.data = append(w.data, byte(t))
	if nested && w.tight && types[t].cachedForm {
		w.flag(false)
	}
	s.write(w)
}

// field is what a structure has in a field: a pointer to a structure, or an
// interface that holds one.
type field interface {
	comparable
	Structure
}

func isNull[T Structure](x T) bool { return any(x) == any(*new(T)) }

func writeNested[T field](w *writer, x T) {
	var null T
	w.flag(x != null)
	if x != null {
		w.structure(x, true)
	}
}

func writeCached[T field](w *writer, x T) {
	if w.cache == nil {
		writeNested(w, x)
		return
	}
	var null T
	key := w.cache.keyOf(x, x == null)
	if i, ok := w.cache.find(key); ok {
		w.flag(false)
		w.int16(i)
		return
	}
	w.flag(true)
	kept := string(key) // a value inside x uses key's memory
	at := len(w.data)
	if !w.tight {
		w.int16(w.cache.add(kept))
		writeNested(w, x)
		return
	}
	// Tight, what is inside a value gets its index first.
	w.int16(0)
	writeNested(w, x)
	binary.BigEndian.PutUint16(w.data[at:], uint16(w.cache.add(kept)))
}

func writeArray[T field](w *writer, list []T) {
	w.flag(list != nil)
	if list == nil {
		return
	}
	if len(list) > maxArray {
		w.fail(errArrayLong)
		return
	}
	w.int16(int16(len(list)))
	for _, x := range list {
		writeNested(w, x)
	}
}

func (w *writer) throwable(t *Throwable) {
	for {
		w.flag(t != nil)
		if t == nil {
			return
		}
		w.string(t.Class)
		w.string(t.Text)
		if !w.trace {
			return
		}
		if len(t.Stack) > maxStack {
			w.fail(errStackLong)
			return
		}
		w.int16(int16(len(t.Stack)))
		for _, e := range t.Stack {
			w.string(e.Class)
			w.string(e.Method)
			w.string(e.File)
			w.int32(e.Line)
		}
		t = t.Cause
	}
}
