package disk

import (
	"fmt"
	"io"
	"io/fs"
)

// inode is a file of a Fake: what reads see, what a crash leaves, and which sectors differ.
type inode struct {
	cache   []byte
	platter []byte
	dirty   map[int64]struct{} // sector numbers
}

func (n *inode) touch(from, to int64) {
	for s := from / SectorSize; s*SectorSize < to; s++ {
		n.dirty[s] = struct{}{}
	}
}

func (n *inode) resize(size int64) {
	old := int64(len(n.cache))
	if size < old {
		clear(n.cache[size:])
		n.cache = n.cache[:size]
	} else {
		n.cache = append(n.cache, make([]byte, size-old)...)
	}
	n.touch(min(old, size), max(old, size))
}

func (n *inode) sync() {
	n.platter = resized(n.platter, len(n.cache))
	for s := range n.dirty {
		copySector(n.platter, n.cache, s)
	}
	clear(n.dirty)
}

func resized(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size:size]
	}
	return append(b, make([]byte, size-len(b))...)
}

// copySector copies one sector as far as both sides have it.
func copySector(dst, src []byte, sector int64) {
	from := sector * SectorSize
	if from >= int64(len(src)) || from >= int64(len(dst)) {
		return
	}
	copy(dst[from:min(from+SectorSize, int64(len(dst)))], src[from:])
}

type fakeFile struct {
	fake     *Fake
	node     *inode
	name     string
	life     int
	writable bool
	closed   bool
}

func (f *Fake) handle(name string, node *inode, writable bool) File {
	return &fakeFile{fake: f, node: node, name: name, life: f.life, writable: writable}
}

func (h *fakeFile) Name() string { return h.name }

// lock takes the file system's mutex and checks that the handle is usable; the caller unlocks in any case.
func (h *fakeFile) lock() error {
	h.fake.mu.Lock()
	switch {
	case h.life != h.fake.life || h.fake.halted():
		return ErrHalted
	case h.closed:
		return fs.ErrClosed
	}
	return nil
}

// change is lock for an operation that changes the file.
func (h *fakeFile) change(op Op) (*Fault, error) {
	if err := h.lock(); err != nil {
		return nil, err
	}
	if !h.writable {
		return nil, fs.ErrPermission
	}
	return h.fake.begin(op)
}

func (h *fakeFile) ReadAt(p []byte, off int64) (int, error) {
	err := h.lock()
	defer h.fake.mu.Unlock()
	if err == nil {
		_, err = h.fake.fault(OpRead)
	}
	if err != nil {
		return 0, pathError("read", h.name, err)
	}
	if off < 0 {
		return 0, pathError("read", h.name, fmt.Errorf("offset %d is negative", off))
	}
	if off >= int64(len(h.node.cache)) {
		return 0, io.EOF
	}
	n := copy(p, h.node.cache[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *fakeFile) WriteAt(p []byte, off int64) (int, error) {
	fault, err := h.change(OpWrite)
	defer h.fake.mu.Unlock()
	n := len(p)
	if err != nil {
		n = 0
		if fault != nil {
			n = min(fault.Short, len(p))
		}
	}
	if n > 0 {
		end := off + int64(n)
		if full := h.fake.grow(h.node, end); full != nil {
			return 0, pathError("write", h.name, full)
		}
		copy(h.node.cache[off:end], p[:n])
		h.node.touch(off, end)
	}
	if err != nil {
		return n, pathError("write", h.name, err)
	}
	return n, nil
}

func (h *fakeFile) Size() (int64, error) {
	err := h.lock()
	defer h.fake.mu.Unlock()
	if err != nil {
		return 0, pathError("size", h.name, err)
	}
	return int64(len(h.node.cache)), nil
}

func (h *fakeFile) Allocate(size int64) error {
	_, err := h.change(OpAllocate)
	defer h.fake.mu.Unlock()
	if err == nil {
		err = h.fake.grow(h.node, size)
	}
	if err != nil {
		return pathError("allocate", h.name, err)
	}
	return nil
}

func (h *fakeFile) Truncate(size int64) error {
	_, err := h.change(OpTruncate)
	defer h.fake.mu.Unlock()
	if err == nil {
		if size < int64(len(h.node.cache)) {
			h.node.resize(size)
		} else {
			err = h.fake.grow(h.node, size)
		}
	}
	if err != nil {
		return pathError("truncate", h.name, err)
	}
	return nil
}

// Sync, when it is told to fail, forgets which sectors were dirty without writing them, as Linux does:
// a second Sync would succeed and lie.
func (h *fakeFile) Sync() error {
	fault, err := h.change(OpSync)
	defer h.fake.mu.Unlock()
	if err != nil {
		if fault != nil {
			clear(h.node.dirty)
		}
		return pathError("sync", h.name, err)
	}
	h.node.sync()
	return nil
}

func (h *fakeFile) Close() error {
	h.fake.mu.Lock()
	defer h.fake.mu.Unlock()
	if h.closed {
		return pathError("close", h.name, fs.ErrClosed)
	}
	h.closed = true
	return nil
}
