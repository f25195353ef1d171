package pages

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

const (
	// valueBuffer is how many bytes of records are written at a time.
	valueBuffer = 512 << 10
	// syncEvery: a sync of more would make the log's syncs, which share the disk, wait too long. (What is
	// written past the system's cache doesn't gather there.)
	syncEvery = 2 << 20
)

// valueWriter adds a checkpoint's values to the value files. Nothing of what it does counts before
// valueFiles.complete.
type valueWriter struct {
	files   *valueFiles
	space   func() error // whether the disk has room to go on
	changed map[uint64]fileUse

	// The file that is appended to; f is nil before the first record.
	id       uint64
	f        disk.File
	direct   bool // f goes past the system's cache
	buf      []byte
	written  int64 // bytes before buf, whole blocks
	unsynced int64 // of those

	made []uint64 // files that this checkpoint began
}

func (v *valueFiles) writer(space func() error) *valueWriter {
	return &valueWriter{files: v, space: space, changed: make(map[uint64]fileUse)}
}

// append adds a record.
func (w *valueWriter) append(key, value []byte, version uint64) (place, error) {
	size := recordSize(key, value)
	if err := w.open(int64(size)); err != nil {
		return place{}, noSpace(err)
	}
	p := place{file: w.id, off: uint32(w.written) + uint32(len(w.buf)), size: uint32(size)}
	w.buf = appendRecord(w.buf, key, value, version)
	w.changed[w.id] = fileUse{w.end(), w.use(w.id).live + int64(size)}
	if len(w.buf) >= valueBuffer {
		return p, noSpace(w.flush())
	}
	return p, nil
}

// end is where the next record stands.
func (w *valueWriter) end() int64 { return w.written + int64(len(w.buf)) }

// fill completes the last block with zeros: no later write touches one that holds what counts.
func (w *valueWriter) fill() {
	if n := blocks(len(w.buf)); n > len(w.buf) {
		clear(w.buf[len(w.buf):n])
		w.buf = w.buf[:n]
		w.changed[w.id] = fileUse{w.end(), w.use(w.id).live}
	}
}

// free notes that the record at p is dead.
func (w *valueWriter) free(p place) {
	u := w.use(p.file)
	u.live = max(0, u.live-int64(p.size))
	w.changed[p.file] = u
}

func (w *valueWriter) use(id uint64) fileUse {
	if u, ok := w.changed[id]; ok {
		return u
	}
	return w.files.used(id)
}

// open makes sure that there is a file with room for size bytes.
func (w *valueWriter) open(size int64) (err error) {
	switch {
	case w.f != nil && w.end()+size <= w.files.max:
		return nil
	case w.f != nil:
		if err := w.finish(); err != nil {
			return err
		}
		return w.create()
	}
	if w.files.buf == nil {
		w.files.buf = aligned(blocks(valueBuffer + recordHead + MaxKey + MaxValue))
	}
	w.buf = w.files.buf[:0]
	id, u := w.files.tail()
	w.written = int64(blocks(int(u.size)))
	if id == 0 || w.written+size > w.files.max {
		return w.create()
	}
	w.id = id
	return w.reopen()
}

func (w *valueWriter) create() error {
	id, f, err := w.files.create()
	if err != nil {
		return err
	}
	w.id, w.written, w.unsynced, w.made = id, 0, 0, append(w.made, id)
	if err := f.Close(); err != nil {
		return err
	}
	return w.reopen()
}

// reopen opens the file that is appended to, past the cache if possible.
func (w *valueWriter) reopen() (err error) {
	if w.f = w.files.openDirect(w.id); w.f != nil {
		w.direct = true
		return nil
	}
	w.direct = false
	w.f, err = w.files.fs.Open(w.files.path(w.id))
	return err
}

// finish ends a full file: it is as long as what it holds, which is how Check knows that.
func (w *valueWriter) finish() error {
	w.fill()
	err := w.flush()
	if err == nil {
		err = w.f.Truncate(w.written)
	}
	if err == nil {
		err = w.f.Sync()
	}
	err = errors.Join(err, w.f.Close())
	w.f = nil
	return err
}

// flush writes the whole blocks of what is buffered.
func (w *valueWriter) flush() error {
	n := len(w.buf) &^ (disk.BlockSize - 1)
	if n == 0 {
		return nil
	}
	if err := w.space(); err != nil {
		return err
	}
	if err := w.write(w.buf[:n]); err != nil {
		return err
	}
	w.written += int64(n)
	w.unsynced += int64(n)
	w.buf = w.buf[:copy(w.buf, w.buf[n:])]
	if w.direct || w.unsynced < syncEvery {
		return nil
	}
	return w.sync()
}

func (w *valueWriter) write(b []byte) error {
	_, err := w.f.WriteAt(b, w.written)
	if err == nil || !w.direct || !w.files.refused(err) {
		return err
	}
	if err := w.f.Close(); err != nil {
		return err
	}
	if err := w.reopen(); err != nil {
		return err
	}
	_, err = w.f.WriteAt(b, w.written)
	return err
}

func (w *valueWriter) sync() error {
	if w.unsynced == 0 {
		return nil
	}
	w.unsynced = 0
	return w.f.Sync()
}

// settle makes everything durable that was appended.
func (w *valueWriter) settle() error {
	if w.f == nil {
		return nil
	}
	w.fill()
	err := w.flush()
	if err == nil {
		err = w.sync()
	}
	if err == nil && len(w.made) > 0 {
		err = w.files.fs.SyncDir(w.files.dir)
	}
	return noSpace(err)
}

// tables calls fn for each file whose use has changed, with its key and, unless the file is to be
// given up, what stands there.
func (w *valueWriter) tables(fn func(key, use []byte) error) error {
	for _, id := range slices.Sorted(maps.Keys(w.changed)) {
		var use []byte
		if u := w.changed[id]; u.live > 0 {
			use = u.encode()
		}
		if err := fn(fileKey(id), use); err != nil {
			return err
		}
	}
	return nil
}

// close ends the writer.
func (w *valueWriter) close() {
	if w.f != nil {
		_ = w.f.Close() // what counts is synced
		w.f = nil
	}
	w.buf = nil
}

// undo removes the files that a checkpoint began which is given up. What lies behind the used part of
// an older one will be written over.
func (w *valueWriter) undo() {
	for _, id := range w.made {
		_ = w.files.fs.Remove(w.files.path(id)) // or else the next Open does
	}
}

// noSpace makes a full disk known as such.
func noSpace(err error) error {
	switch {
	case err == nil:
		return nil
	case disk.IsFull(err):
		return fmt.Errorf("write values: %w: %w", ErrNoSpace, err)
	}
	return fmt.Errorf("write values: %w", err)
}
