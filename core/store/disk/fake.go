package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// ErrHalted is returned by every operation between the moment at which a Fake halts, or crashes, and,
// for files and locks from before the crash, for ever.
var ErrHalted = errors.New("the machine has halted")

// Fake is a file system in memory that can lose power. The zero value is not usable; see NewFake.
type Fake struct {
	mu       sync.Mutex
	names    map[string]*inode // what a running process sees
	platter  map[string]*inode // entries that a crash cannot take away
	pending  []entryChange     // changes of entries not yet synced, in order
	dirs     map[string]bool
	locks    map[string]bool
	life     int // counts crashes; handles of an earlier life are dead
	capacity int64
	faults   []*Fault
	count    int // operations that change something
	haltAt   int // count at which the machine halts; -1 never
}

var _ FS = (*Fake)(nil)

// entryChange is one change of a directory that SyncDir has not made durable: name points to node
// from now on (nil: nothing), and gone, if not empty, points to nothing.
type entryChange struct {
	dir, name, gone string
	node            *inode
}

// NewFake returns an empty file system with the root directory and unlimited space.
func NewFake() *Fake {
	return &Fake{
		names:    map[string]*inode{},
		platter:  map[string]*inode{},
		dirs:     map[string]bool{".": true, string(filepath.Separator): true},
		locks:    map[string]bool{},
		capacity: -1,
		haltAt:   -1,
	}
}

// MkdirAll makes directories that survive every crash at once: losing them is not what is tested here.
func (f *Fake) MkdirAll(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.halted() {
		return ErrHalted
	}
	for d := filepath.Clean(dir); !f.dirs[d]; d = filepath.Dir(d) {
		f.dirs[d] = true
	}
	return nil
}

// Create implements FS.
func (f *Fake) Create(name string) (File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.begin(OpCreate); err != nil {
		return nil, pathError("create", name, err)
	}
	if !f.dirs[filepath.Dir(name)] {
		return nil, pathError("create", name, fs.ErrNotExist)
	}
	if f.names[name] != nil {
		return nil, pathError("create", name, fs.ErrExist)
	}
	node := &inode{dirty: map[int64]struct{}{}}
	f.change(entryChange{dir: filepath.Dir(name), name: name, node: node})
	return f.handle(name, node, true), nil
}

// Open implements FS.
func (f *Fake) Open(name string) (File, error) { return f.open(name, true) }

// OpenRead implements FS.
func (f *Fake) OpenRead(name string) (File, error) { return f.open(name, false) }

func (f *Fake) open(name string, writable bool) (File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.halted() {
		return nil, pathError("open", name, ErrHalted)
	}
	node := f.names[name]
	if node == nil {
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	return f.handle(name, node, writable), nil
}

// Rename implements FS.
func (f *Fake) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.begin(OpRename); err != nil {
		return pathError("rename", from, err)
	}
	node := f.names[from]
	if node == nil {
		return pathError("rename", from, fs.ErrNotExist)
	}
	if filepath.Dir(from) != filepath.Dir(to) {
		return fmt.Errorf("rename %q to %q: not the same directory", from, to)
	}
	f.change(entryChange{dir: filepath.Dir(to), name: to, gone: from, node: node})
	return nil
}

// Remove implements FS.
func (f *Fake) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.begin(OpRemove); err != nil {
		return pathError("remove", name, err)
	}
	if f.names[name] == nil {
		return pathError("remove", name, fs.ErrNotExist)
	}
	f.change(entryChange{dir: filepath.Dir(name), gone: name})
	return nil
}

// List implements FS.
func (f *Fake) List(dir string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir = filepath.Clean(dir)
	if f.halted() {
		return nil, pathError("list", dir, ErrHalted)
	}
	if !f.dirs[dir] {
		return nil, pathError("list", dir, fs.ErrNotExist)
	}
	var names []string
	for name := range f.names {
		if filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// SyncDir implements FS.
func (f *Fake) SyncDir(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir = filepath.Clean(dir)
	if _, err := f.begin(OpSyncDir); err != nil {
		return pathError("sync directory", dir, err)
	}
	f.pending = slices.DeleteFunc(f.pending, func(c entryChange) bool {
		if c.dir == dir {
			c.apply(f.platter)
		}
		return c.dir == dir
	})
	return nil
}

// Free implements FS.
func (f *Fake) Free(string) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.halted() {
		return 0, ErrHalted
	}
	return f.room(), nil
}

// Lock implements FS.
func (f *Fake) Lock(dir string) (io.Closer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir = filepath.Clean(dir)
	if f.halted() {
		return nil, pathError("lock", dir, ErrHalted)
	}
	if f.locks[dir] {
		return nil, &LockedError{Dir: dir}
	}
	f.locks[dir] = true
	return &fakeLock{fake: f, dir: dir, life: f.life}, nil
}

type fakeLock struct {
	fake *Fake
	dir  string
	life int
}

func (l *fakeLock) Close() error {
	l.fake.mu.Lock()
	defer l.fake.mu.Unlock()
	if l.life == l.fake.life {
		delete(l.fake.locks, l.dir)
	}
	return nil
}

func (f *Fake) change(c entryChange) {
	c.apply(f.names)
	f.pending = append(f.pending, c)
}

func (c entryChange) apply(names map[string]*inode) {
	if c.gone != "" {
		delete(names, c.gone)
	}
	if c.node != nil {
		names[c.name] = c.node
	}
}

// room returns the bytes that files may still grow by, all together.
func (f *Fake) room() int64 {
	if f.capacity < 0 {
		return 1 << 62
	}
	free := f.capacity
	for _, node := range f.names {
		free -= int64(len(node.cache))
	}
	return max(free, 0)
}

func (f *Fake) grow(node *inode, size int64) error {
	more := size - int64(len(node.cache))
	if more <= 0 {
		return nil
	}
	if more > f.room() {
		return syscall.ENOSPC
	}
	node.resize(size)
	return nil
}

// Bytes returns a copy of what a process would read from the file. It panics if there is none.
func (f *Fake) Bytes(name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.node(name).cache)
}

// Put gives a file a content that survives every crash, making it if needed: damage done by a stranger.
func (f *Fake) Put(name string, content []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	node := &inode{cache: slices.Clone(content), platter: slices.Clone(content), dirty: map[int64]struct{}{}}
	f.names[name], f.platter[name] = node, node
}

// Flip inverts one bit of the file, in the cache and on the platter: a disk that rots.
func (f *Fake) Flip(name string, bit int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	node := f.node(name)
	for _, b := range [][]byte{node.cache, node.platter} {
		if bit/8 < int64(len(b)) {
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// Copy returns an independent copy of the files as a process sees them, with everything synced and no faults.
func (f *Fake) Copy() *Fake {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := NewFake()
	c.dirs = maps.Clone(f.dirs)
	for name, node := range f.names {
		n := &inode{cache: slices.Clone(node.cache), platter: slices.Clone(node.cache), dirty: map[int64]struct{}{}}
		c.names[name], c.platter[name] = n, n
	}
	return c
}

func (f *Fake) node(name string) *inode {
	node := f.names[name]
	if node == nil {
		panic(fmt.Sprintf("disk.Fake: no file %q among %s", name, strings.Join(slices.Sorted(maps.Keys(f.names)), ", ")))
	}
	return node
}

func pathError(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }
