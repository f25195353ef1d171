package pages

import (
	"errors"
	"syscall"
	"unsafe"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// Value files go past the operating system's cache where that is possible. A checkpoint writes each
// value once, and a backlog is read once: caching that costs more than all else that is done with it,
// takes memory from what is read again, and in a container it counts. Small values, of which the
// system's read-ahead gets several at a time, are read through the cache all the same.

// directSize is from how many bytes on a record is read past the cache.
const directSize = 16 << 10

// usualRead is the size of a buffer for direct reads: a page of messages of 1 KiB, whatever blocks it
// begins and ends in.
const usualRead = 80 << 10

// aligned returns an empty slice that takes n bytes from a multiple of disk.BlockSize on.
func aligned(n int) []byte {
	b := make([]byte, n+disk.BlockSize)
	off := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (disk.BlockSize - 1))
	return b[off : off : off+n]
}

// openDirect opens a value file past the cache, and returns nil if that can't be done.
func (v *valueFiles) openDirect(id uint64) disk.File {
	if !v.direct.Load() {
		return nil
	}
	d, ok := v.fs.(disk.Direct)
	if !ok {
		return nil
	}
	f, err := d.OpenDirect(v.path(id))
	if err != nil {
		v.refused(err)
		return nil
	}
	return f
}

// refused reports whether err says that the file system knows no direct reads and writes; nobody tries
// again then.
func (v *valueFiles) refused(err error) bool {
	no := errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)
	if no {
		v.direct.Store(false)
	}
	return no
}

// readDirect is read past the cache. false says nothing about the value: it is to be read the other way.
func (v *valueFiles) readDirect(dst, key []byte, version uint64, p place) (_ []byte, ok bool) {
	take := func(b []byte) bool {
		value, ok := valueIn(b, key, version)
		if ok {
			dst = append(dst, value...)
		}
		return ok
	}
	if w := v.ahead.find(p.file, int64(p.off), int64(p.size)); w != nil && v.ahead.take(w, v, p, take) {
		return dst, true
	}
	ok = v.readAlone(p, take)
	return dst, ok
}

// readAlone calls take with the bytes of p, and returns what it returns; false if they can't be read.
func (v *valueFiles) readAlone(p place, take func(b []byte) bool) bool {
	f := v.openDirect(p.file)
	if f == nil {
		return false
	}
	defer f.Close()
	from := int64(p.off) &^ (disk.BlockSize - 1)
	skip := int(int64(p.off) - from)
	length := blocks(skip + int(p.size))
	buf := v.block(length)
	defer v.blocks.Put(buf)
	b := (*buf)[:length]
	if _, err := f.ReadAt(b, from); err != nil {
		v.refused(err)
		return false
	}
	return take(b[skip : skip+int(p.size)])
}

// block returns a buffer that takes n bytes.
func (v *valueFiles) block(n int) *[]byte {
	if buf, ok := v.blocks.Get().(*[]byte); ok && cap(*buf) >= n {
		return buf
	}
	b := aligned(max(n, usualRead))
	return &b
}

// blocks rounds n up to whole blocks.
func blocks(n int) int { return (n + disk.BlockSize - 1) &^ (disk.BlockSize - 1) }
