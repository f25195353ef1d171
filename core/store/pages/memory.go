package pages

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
)

// Memory is a Store for tests: the same rules, in memory.
type Memory struct {
	mu        sync.Mutex
	values    map[string][]byte // never changed in place: replaced by each checkpoint
	completed Mark
	intent    uint64
	writer    *memoryWriter
	closed    bool
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty Store.
func NewMemory() *Memory { return &Memory{values: make(map[string][]byte)} }

// Crash ends the process that used the store, and starts it again: a checkpoint that was not
// completed is gone and leaves its intent, its Writer fails with ErrClosed; a closed store is open.
func (s *Memory) Crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropWriter()
	s.closed = false
}

func (s *Memory) dropWriter() {
	if s.writer != nil {
		s.writer.err = ErrClosed
		s.writer = nil
	}
}

// Mark implements Store.
func (s *Memory) Mark() Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.completed
}

// Intent implements Store.
func (s *Memory) Intent() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.intent
}

// Begin implements Store.
func (s *Memory) Begin(m Mark) (Writer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, ErrClosed
	case s.writer != nil:
		return nil, ErrBusy
	}
	if err := admit(s.completed, s.intent, m); err != nil {
		return nil, err
	}
	s.writer = &memoryWriter{s: s, mark: m, values: maps.Clone(s.values), fresh: s.intent == 0}
	s.intent = m.Index
	return s.writer, nil
}

// Get implements Store.
func (s *Memory) Get(dst, key []byte) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return dst, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return dst, ErrClosed
	}
	value, ok := s.values[string(key)]
	if !ok {
		return dst, ErrNotFound
	}
	return append(dst, value...), nil
}

// Scan implements Store.
func (s *Memory) Scan(prefix []byte, fn func(key, value []byte) error) error {
	s.mu.Lock()
	values, closed := s.values, s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if !bytes.HasPrefix([]byte(k), prefix) {
			continue
		}
		if err := fn([]byte(k), bytes.Clone(values[k])); err != nil {
			return err
		}
	}
	return nil
}

// Size implements Store.
func (s *Memory) Size() (live, disk int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.values {
		live += int64(len(k) + len(v))
	}
	return live, live
}

// Maintain implements Store; there is nothing dead here.
func (s *Memory) Maintain(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return nil
}

// Close implements Store. Crash opens it again.
func (s *Memory) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropWriter()
	s.closed = true
	return nil
}

type memoryWriter struct {
	s       *Memory
	mark    Mark
	values  map[string][]byte
	fresh   bool // no earlier attempt
	touched bool
	err     error // guarded by s.mu
	done    bool
}

// Put implements Writer.
func (w *memoryWriter) Put(key, value []byte) error {
	return w.change(checkPut(key, value), func() { w.values[string(key)] = bytes.Clone(value) })
}

// Delete implements Writer.
func (w *memoryWriter) Delete(key []byte) error {
	return w.change(checkKey(key), func() { delete(w.values, string(key)) })
}

func (w *memoryWriter) change(bad error, apply func()) error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	if bad != nil {
		w.err = bad
		return bad
	}
	w.touched = true
	apply()
	return nil
}

func (w *memoryWriter) usable() error {
	if w.done {
		return ErrDone
	}
	return w.err
}

// Commit implements Writer.
func (w *memoryWriter) Commit() error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	w.done = true
	w.s.values, w.s.completed, w.s.intent, w.s.writer = w.values, w.mark, 0, nil
	return nil
}

// Abort implements Writer.
func (w *memoryWriter) Abort() {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.done || w.s.writer != w {
		return
	}
	w.done = true
	w.s.writer = nil
	if w.fresh && !w.touched {
		w.s.intent = 0
	}
}
