package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// ErrScratchFull is returned by Scratch.Write when the configured size is
// used up.
var ErrScratchFull = errors.New("the scratch area is full")

// Scratch is where bytes go that are needed in this run only: transient
// messages that memory has no room for. Files are appended to, never synced,
// and removed as soon as nothing in them is needed. Its methods may be called
// from any goroutine.
type Scratch struct {
	fs  disk.FS
	dir string
	max int64

	writing sync.Mutex // held by the one Write that is under way; taken before mu

	mu    sync.Mutex
	files map[*scratchFile]struct{}
	last  *scratchFile // the one that is appended to, nil for none
	named uint64       // files made so far
	used  int64        // bytes of all files
}

// scratchFileSize is how large a file gets: the unit in which space comes
// back.
const scratchFileSize = 64 << 20

type scratchFile struct {
	s    *Scratch
	f    disk.File
	size int64 // guarded by Scratch.mu
	live int64 // guarded by Scratch.mu: bytes that are needed
}

// OpenScratch empties dir and returns an area in it that takes up to limit
// bytes. The caller holds the lock of the data directory.
func OpenScratch(fs disk.FS, dir string, limit int64) (*Scratch, error) {
	if err := fs.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("make the scratch area: %w", err)
	}
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("empty the scratch area: %w", err)
	}
	for _, name := range names {
		if err := fs.Remove(filepath.Join(dir, name)); err != nil {
			return nil, fmt.Errorf("empty the scratch area: %w", err)
		}
	}
	return &Scratch{fs: fs, dir: dir, max: limit, files: make(map[*scratchFile]struct{})}, nil
}

// Place is where something stands in a Scratch.
type Place struct {
	file     *scratchFile
	off, len int64
}

// Write stores the size bytes that fill writes. Only one Write runs at a
// time; it is a caller's error to write more or less.
func (s *Scratch) Write(size int64, fill func(w io.Writer) error) (Place, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	p, err := s.reserve(size)
	if err != nil {
		return Place{}, err
	}
	w := bufio.NewWriterSize(io.NewOffsetWriter(p.file.f, p.off), 64<<10)
	if err = fill(w); err == nil {
		err = w.Flush()
	}
	if err != nil {
		s.mu.Lock()
		s.last = nil // whatever is wrong with the file, nothing more goes there
		s.mu.Unlock()
		p.Free()
		return Place{}, fmt.Errorf("write to the scratch area: %w", err)
	}
	return p, nil
}

func (s *Scratch) reserve(size int64) (Place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used+size > s.max {
		return Place{}, fmt.Errorf("%w: %d of %d bytes are used", ErrScratchFull, s.used, s.max)
	}
	f := s.last
	if f == nil || f.size+size > scratchFileSize && f.size > 0 {
		s.named++
		file, err := s.fs.Create(filepath.Join(s.dir, fmt.Sprintf("%08x.scratch", s.named)))
		if err != nil {
			return Place{}, fmt.Errorf("extend the scratch area: %w", err)
		}
		f = &scratchFile{s: s, f: file}
		s.files[f], s.last = struct{}{}, f
	}
	p := Place{file: f, off: f.size, len: size}
	f.size += size
	f.live += size
	s.used += size
	return p, nil
}

// Size is the number of bytes at p.
func (p Place) Size() int64 { return p.len }

// ReadAt fills b with the bytes at off of what was written. After Free it
// fails.
func (p Place) ReadAt(b []byte, off int64) error {
	if off < 0 || off+int64(len(b)) > p.len {
		return fmt.Errorf("read bytes %d to %d of %d in the scratch area", off, off+int64(len(b)), p.len)
	}
	if _, err := p.file.f.ReadAt(b, p.off+off); err != nil {
		return fmt.Errorf("read the scratch area: %w", err)
	}
	return nil
}

// Free says, once, that what stands at p isn't needed any more.
func (p Place) Free() {
	s := p.file.s
	s.mu.Lock()
	p.file.live -= p.len
	gone := p.file.live == 0
	if gone {
		s.used -= p.file.size
		delete(s.files, p.file)
		if s.last == p.file {
			s.last = nil
		}
	}
	s.mu.Unlock()
	if gone {
		p.file.remove()
	}
}

// remove deletes the file. What stays behind because of an error is removed
// by the next OpenScratch.
func (f *scratchFile) remove() {
	_ = f.f.Close()
	_ = f.s.fs.Remove(f.f.Name())
}

// Used returns the bytes that the files take, which can be more than what is
// needed.
func (s *Scratch) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// Close removes everything. Nothing else may be under way.
func (s *Scratch) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.files {
		f.remove()
	}
	clear(s.files)
	s.last, s.used = nil, 0
}
