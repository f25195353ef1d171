package pages

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

const (
	valueSuffix = ".val"
	spareSuffix = ".spare"
	// maxValueFile is how large a value file can be configured to get.
	maxValueFile = 1 << 30
	// apartSize is from how many bytes on a value stands in a value file.
	apartSize = 512
	// spareFiles is how many value files are kept to be written over: that needs no change of the file
	// system's own structures, nor fresh space.
	spareFiles = 2
)

// fileUse is how much of a value file is used, in bytes.
type fileUse struct {
	size int64 // records, without what may lie behind them
	live int64 // of those, the ones that keys refer to
}

func (u fileUse) encode() []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(u.size)), uint64(u.live))
}

func decodeFileUse(b []byte) (u fileUse, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 {
		return u, false
	}
	live, m := binary.Uvarint(b[n:])
	u = fileUse{int64(size), int64(live)}
	return u, m > 0 && n+m == len(b) && live <= size && size <= maxValueFile
}

// fileKey is where the use of a value file stands; filePrefix finds them all.
func fileKey(id uint64) []byte { return binary.BigEndian.AppendUint64(slices.Clone(filePrefix), id) }

var filePrefix = []byte{internal, 'v'}

// valueFiles are the files of values that stand apart from Badger, which would write them again each
// time it merges tables. They are appended to by checkpoints, one after another. A file is given up
// as a whole when nothing in it is live.
type valueFiles struct {
	fs  disk.FS // immutable
	dir string  // immutable
	max int64   // immutable: bytes of a file

	direct atomic.Bool // the files can be read and written past the system's cache
	ahead  windows
	blocks sync.Pool // of *[]byte, aligned, for direct reads
	buf    []byte    // aligned, of whoever has the slot: for writes

	mu    sync.Mutex // guards what follows; whoever has the slot changes it
	use   map[uint64]fileUse
	next  uint64 // number of the next file
	dying []dyingFile
	spare []string // names of files to be written over
}

// dyingFile has no live record since version; earlier readers may still want it.
type dyingFile struct{ id, version uint64 }

func valueName(id uint64) string { return fmt.Sprintf("%016x%s", id, valueSuffix) }

// valueNumber is the inverse of valueName.
func valueNumber(name string) (id uint64, ok bool) {
	id, err := strconv.ParseUint(strings.TrimSuffix(name, valueSuffix), 16, 64)
	return id, err == nil && id != 0 && name == valueName(id)
}

func (v *valueFiles) path(id uint64) string { return filepath.Join(v.dir, valueName(id)) }

// adopt makes use what the files hold, and checks that they have it. Unless readOnly is set, what a
// checkpoint that was not completed has left is removed.
func (v *valueFiles) adopt(use map[uint64]fileUse, readOnly bool) error {
	v.use, v.next = use, 1
	_, direct := v.fs.(disk.Direct)
	v.direct.Store(direct)
	for id, u := range use {
		v.next = max(v.next, id+1)
		size, err := v.length(id)
		if err != nil {
			return err
		}
		if size < u.size {
			return damaged(valueName(id), "a value file has %d bytes, it had %d", size, u.size)
		}
	}
	if readOnly {
		return nil
	}
	names, err := v.fs.List(v.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := v.tidy(name); err != nil {
			return err
		}
	}
	return nil
}

// length returns the size of a file that must be there.
func (v *valueFiles) length(id uint64) (int64, error) {
	f, err := v.openRead(id)
	if err != nil {
		return 0, err
	}
	size, err := f.Size()
	return size, errors.Join(err, f.Close())
}

func (v *valueFiles) openRead(id uint64) (disk.File, error) {
	f, err := v.fs.OpenRead(v.path(id))
	if err != nil && disk.IsNotExist(err) {
		return nil, damaged(valueName(id), "a value file is missing")
	}
	return f, err
}

// tidy removes a value file that is not in use, and cuts one that is longer than what is used of it.
func (v *valueFiles) tidy(name string) error {
	id, ok := valueNumber(name)
	switch {
	case !ok && !strings.HasSuffix(name, spareSuffix):
		return nil
	case ok && v.use[id] != fileUse{}:
		return v.cut(id)
	}
	return v.fs.Remove(filepath.Join(v.dir, name))
}

func (v *valueFiles) cut(id uint64) error {
	f, err := v.fs.Open(v.path(id))
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(v.use[id].size), f.Close())
}

// tail returns the file that the next record goes to and what is used of it; 0 for a new one.
func (v *valueFiles) tail() (id uint64, u fileUse) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for n := range v.use {
		id = max(id, n)
	}
	return id, v.use[id]
}

// used returns the present use of a file.
func (v *valueFiles) used(id uint64) fileUse {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.use[id]
}

func isValueFile(name string) bool {
	return strings.HasSuffix(name, valueSuffix) || strings.HasSuffix(name, spareSuffix)
}

// taken is what all files take from the disk, with those that wait to be removed or written over.
func (v *valueFiles) taken() int64 {
	all := v.totals()
	v.mu.Lock()
	defer v.mu.Unlock()
	return all.size + int64(len(v.dying)+len(v.spare))*v.max
}

// totals sums the use of all files.
func (v *valueFiles) totals() (sum fileUse) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, u := range v.use {
		sum.size += u.size
		sum.live += u.live
	}
	return sum
}

// sparsest returns the file, not the last one, with the smallest live part; 0 if there is none.
func (v *valueFiles) sparsest() (id uint64) {
	tail, _ := v.tail()
	v.mu.Lock()
	defer v.mu.Unlock()
	var least fileUse
	for n, u := range v.use {
		if n != tail && (id == 0 || u.live*least.size < least.live*u.size) {
			id, least = n, u
		}
	}
	return id
}

// complete takes over what a checkpoint at version has changed. Files without live records die.
func (v *valueFiles) complete(changed map[uint64]fileUse, version uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, u := range changed {
		if u.live > 0 {
			v.use[id] = u
			continue
		}
		delete(v.use, id)
		v.dying = append(v.dying, dyingFile{id, version})
	}
}

// reap gives up the files that died at oldest or before: no reader wants them any more. What can't be
// removed now is when the store is opened next. Whoever has the slot calls it.
func (v *valueFiles) reap(oldest uint64) {
	dead := v.dead(oldest)
	if len(dead) > 0 {
		v.ahead.forget(func(id uint64) bool { return slices.Contains(dead, id) })
	}
	for _, id := range dead {
		path := v.path(id)
		v.mu.Lock()
		keep := len(v.spare) < spareFiles
		v.mu.Unlock()
		if !keep {
			_ = v.fs.Remove(path)
		} else if v.fs.Rename(path, path+spareSuffix) == nil {
			v.mu.Lock()
			v.spare = append(v.spare, path+spareSuffix)
			v.mu.Unlock()
		}
	}
}

// dead takes the files that died at oldest or before out of the list.
func (v *valueFiles) dead(oldest uint64) (ids []uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dying = slices.DeleteFunc(v.dying, func(d dyingFile) bool {
		if d.version > oldest {
			return false
		}
		ids = append(ids, d.id)
		return true
	})
	return ids
}

// create opens a new file, for which a spare one is used if there is one.
func (v *valueFiles) create() (id uint64, f disk.File, err error) {
	v.mu.Lock()
	id = v.next
	v.next++
	spare := ""
	if n := len(v.spare); n > 0 {
		spare, v.spare = v.spare[n-1], v.spare[:n-1]
	}
	v.mu.Unlock()
	if spare == "" {
		f, err = v.fs.Create(v.path(id))
		return id, f, err
	}
	if err = v.fs.Rename(spare, v.path(id)); err == nil {
		f, err = v.fs.Open(v.path(id))
	}
	return id, f, err
}

// read appends the value that stands at p under key since version to dst.
func (v *valueFiles) read(dst, key []byte, version uint64, p place) ([]byte, error) {
	if p.size > recordHead+MaxKey+MaxValue {
		return dst, damaged(valueName(p.file), "a record of %d bytes at %d", p.size, p.off)
	}
	if p.size >= directSize {
		if dst, ok := v.readDirect(dst, key, version, p); ok {
			return dst, nil
		}
	}
	f, err := v.openRead(p.file)
	if err != nil {
		return dst, err
	}
	start := len(dst)
	dst = slices.Grow(dst, int(p.size))
	b := dst[start : start+int(p.size)]
	_, err = f.ReadAt(b, int64(p.off))
	if err = errors.Join(err, f.Close()); err != nil {
		return dst[:start], &DamageError{What: fmt.Sprintf("value of key %x", key), File: valueName(p.file), Advice: restoreAdvice, Err: err}
	}
	value, ok := valueIn(b, key, version)
	if !ok {
		return dst[:start], damaged(valueName(p.file), "value of key %x, version %d, at %d: checksum does not match", key, version, p.off)
	}
	return append(dst[:start], value...), nil // moves it to where the record began
}

// valueIn returns the value in the bytes of a record, and false if it isn't that of key and version.
func valueIn(b, key []byte, version uint64) ([]byte, bool) {
	r, ok := parseRecord(b)
	return r.value, ok && r.version == version && string(r.key) == string(key)
}

// each calls fn for every record in the first size bytes of a file, in order, until fn returns an error.
func (v *valueFiles) each(id uint64, size int64, fn func(p place, r record) error) error {
	f, err := v.openRead(id)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 1<<20) // more than a record
	for at := int64(0); at < size; {
		r, n, err := nextRecord(in, at)
		if err != nil {
			return &DamageError{What: fmt.Sprintf("no whole record at %d", at), File: valueName(id), Advice: restoreAdvice, Err: err}
		}
		if r.key != nil {
			if err := fn(place{id, uint32(at), uint32(n)}, r); err != nil {
				return err
			}
		}
		if _, err := in.Discard(n); err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

var errRecord = errors.New("checksum does not match")

// nextRecord looks at what stands at offset at: a record of n bytes, or without a key n zeros that fill
// a block.
func nextRecord(in *bufio.Reader, at int64) (r record, n int, err error) {
	head, err := in.Peek(recordHead)
	if n, ok := recordLength(head); ok {
		b, err := in.Peek(n)
		if r, ok := parseRecord(b); ok {
			return r, n, nil
		}
		if err != nil {
			return record{}, 0, err
		}
	}
	n = int(-at & (disk.BlockSize - 1))
	fill, fillErr := in.Peek(n)
	if fillErr == nil && n > 0 && !slices.ContainsFunc(fill, func(c byte) bool { return c != 0 }) {
		return record{}, n, nil
	}
	if err == nil {
		err = errRecord
	}
	return record{}, 0, err
}
