package pages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// subject is a Store that can be crashed.
type subject interface {
	Store
	// crash abandons what is open and starts the store again.
	crash(t fataler)
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

type memorySubject struct{ *Memory }

func (s memorySubject) crash(fataler) { s.Crash() }

type badgerSubject struct {
	*Badger
	o Options
}

// crash closes Badger under an open Writer: what the Writer had committed stays. (Processes that are
// killed are TestKillNine's.)
func (s *badgerSubject) crash(t fataler) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	b, err := Open(s.o)
	if err != nil {
		t.Fatalf("open after a crash: %v", err)
	}
	s.Badger = b
}

func smallOptions(dir string) Options {
	return Options{Dir: dir, MemTable: 8, BaseTable: 2, ValueFile: 1 << 20}
}

// inTables are smallOptions with which no value stands apart.
func inTables(dir string) Options {
	o := smallOptions(dir)
	o.Apart = func([]byte) bool { return false }
	return o
}

func openBadger(t testing.TB, o Options) *Badger {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func subjects(t *testing.T, run func(t *testing.T, s subject)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { run(t, memorySubject{NewMemory()}) })
	for name, o := range map[string]Options{"badger": inTables(t.TempDir()), "values apart": smallOptions(t.TempDir())} {
		t.Run(name, func(t *testing.T) {
			o.DeadBytes = 2 << 20 // Maintain has something to do
			s := &badgerSubject{Badger: openBadger(t, o), o: o}
			t.Cleanup(func() { _ = s.Close() })
			run(t, s)
		})
	}
}

func mark(index uint64) Mark {
	return Mark{Index: index, Epoch: index/10 + 1, Chain: uint32(index) * 2654435761, Format: 1}
}

// change is a Put, or a Delete if value is nil.
type change struct {
	key   string
	value []byte
}

func put(key, value string) change { return change{key, []byte(value)} }
func del(key string) change        { return change{key: key} }

func write(w Writer, changes []change) error {
	for _, c := range changes {
		var err error
		if c.value == nil {
			err = w.Delete([]byte(c.key))
		} else {
			err = w.Put([]byte(c.key), c.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func checkpointOf(s Store, index uint64, changes ...change) error {
	w, err := s.Begin(mark(index))
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := write(w, changes); err != nil {
		return err
	}
	return w.Commit()
}

func mustCheckpoint(t fataler, s Store, index uint64, changes ...change) {
	t.Helper()
	if err := checkpointOf(s, index, changes...); err != nil {
		t.Fatalf("checkpoint %d: %v", index, err)
	}
}

func apply(m map[string][]byte, changes []change) {
	for _, c := range changes {
		if c.value == nil {
			delete(m, c.key)
		} else {
			m[c.key] = c.value
		}
	}
}

// same says how s differs from the content and mark that it should have; all keys are also read with Get.
func same(s Store, at Mark, want map[string][]byte) error {
	if got := s.Mark(); got != at {
		return fmt.Errorf("mark is %+v, want %+v", got, at)
	}
	var keys []string
	err := s.Scan(nil, func(key, value []byte) error {
		keys = append(keys, string(key))
		if !bytes.Equal(value, want[string(key)]) {
			return fmt.Errorf("scan: key %x has %d bytes that are not the value", key, len(value))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if sorted := slices.Sorted(maps.Keys(want)); !slices.Equal(keys, sorted) {
		return fmt.Errorf("scan: keys %q, want %q", keys, sorted)
	}
	for k, v := range want {
		got, err := s.Get(nil, []byte(k))
		if err != nil {
			return fmt.Errorf("get %x: %w", k, err)
		}
		if !bytes.Equal(got, v) {
			return fmt.Errorf("get %x: %d bytes, want %d", k, len(got), len(v))
		}
	}
	return nil
}

func wantSame(t fataler, s Store, at Mark, want map[string][]byte) {
	t.Helper()
	if err := same(s, at, want); err != nil {
		t.Fatalf("%v", err)
	}
}

func wantMissing(t fataler, s Store, key string) {
	t.Helper()
	if got, err := s.Get(nil, []byte(key)); !errors.Is(err, ErrNotFound) {
		t.Fatalf("get %q: %q, %v; want ErrNotFound", key, got, err)
	}
}

// blob is n bytes that depend on seed only.
func blob(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return b[:n]
}

// bigChanges is about mib MiB of values of 64 KiB, more than a transaction from 4 MiB on.
func bigChanges(seed uint64, mib int) []change {
	var cs []change
	for i := range mib * 16 {
		cs = append(cs, change{fmt.Sprintf("\x04page%06d", i), blob(seed<<20+uint64(i), 64<<10)})
	}
	return cs
}
