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
	// syncEvery: a sync of more would make the log's syncs, which share the disk, wait too long.
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
	buf      []byte
	written  int64 // bytes before buf
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
	u := w.use(w.id)
	w.changed[w.id] = fileUse{u.size + int64(size), u.live + int64(size)}
	if len(w.buf) >= valueBuffer {
		return p, noSpace(w.flush())
	}
	return p, nil
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
	if w.f == nil {
		w.buf = make([]byte, 0, valueBuffer+valueBuffer/4)
		id, u := w.files.tail()
		if id != 0 && u.size+size <= w.files.max {
			w.id, w.written = id, u.size
			w.f, err = w.files.fs.Open(w.files.path(id))
			return err
		}
		return w.create()
	}
	if w.written+int64(len(w.buf))+size <= w.files.max {
		return nil
	}
	if err := w.finish(); err != nil {
		return err
	}
	return w.create()
}

func (w *valueWriter) create() (err error) {
	w.written, w.unsynced = 0, 0
	w.id, w.f, err = w.files.create()
	if err == nil {
		w.made = append(w.made, w.id)
	}
	return err
}

// finish ends a full file: it is as long as what it holds, which is how Check knows that.
func (w *valueWriter) finish() error {
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

// flush writes what is buffered.
func (w *valueWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	if err := w.space(); err != nil {
		return err
	}
	if _, err := w.f.WriteAt(w.buf, w.written); err != nil {
		return err
	}
	w.written += int64(len(w.buf))
	w.unsynced += int64(len(w.buf))
	w.buf = w.buf[:0]
	if w.unsynced < syncEvery {
		return nil
	}
	return w.sync()
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
