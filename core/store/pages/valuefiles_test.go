package pages

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// pagesOf are n pages of a queue, 16 KiB each, from number first on.
func pagesOf(first, n int) (cs []change) {
	for i := first; i < first+n; i++ {
		cs = append(cs, change{fmt.Sprintf("\x04%06d", i), blob(uint64(i), 16<<10)})
	}
	return cs
}

func deleted(cs []change) (ds []change) {
	for _, c := range cs {
		ds = append(ds, del(c.key))
	}
	return ds
}

func valueFileNames(t *testing.T, dir string) (values, spare []string) {
	t.Helper()
	for _, name := range listing(t, dir) {
		switch {
		case strings.HasSuffix(name, valueSuffix):
			values = append(values, name)
		case strings.HasSuffix(name, spareSuffix):
			spare = append(spare, name)
		}
	}
	return values, spare
}

func TestAQueueThatMovesOnTakesTheDiskOfWhatWaits(t *testing.T) {
	o := smallOptions(t.TempDir())
	s := openBadger(t, o)
	const waiting, step = 256, 64 // pages: 4 MiB in files of 1 MiB, 1 MiB a checkpoint
	mustCheckpoint(t, s, 1, pagesOf(0, waiting)...)
	for i := range 30 {
		first := i * step
		cs := append(deleted(pagesOf(first, step)), pagesOf(first+waiting, step)...)
		mustCheckpoint(t, s, uint64(i+2), cs...)
	}
	values, spare := valueFileNames(t, o.Dir)
	if len(values) > 6 || len(spare) > spareFiles {
		t.Errorf("%d value files, %d spare ones for 4 MiB", len(values), len(spare))
	}
	if live, _ := s.Size(); live > 6<<20 {
		t.Errorf("%d bytes are thought to be alive", live)
	}
	want := map[string][]byte{}
	apply(want, pagesOf(30*step, waiting))
	wantSame(t, s, mark(31), want)
	mustCheckpoint(t, s, 32, deleted(pagesOf(30*step, waiting))...)
	if values, spare := valueFileNames(t, o.Dir); len(values) != 0 || len(spare) > spareFiles {
		t.Errorf("files %q and %q without a value", values, spare)
	}
}

func TestAReaderFindsWhatItBeganToReadInFilesThatDiedMeanwhile(t *testing.T) {
	o := smallOptions(t.TempDir())
	s := openBadger(t, o)
	pages := pagesOf(0, 400)
	mustCheckpoint(t, s, 1, pages...)
	n := 0
	err := s.Scan([]byte("\x04"), func(key, value []byte) error {
		if n == 0 {
			mustCheckpoint(t, s, 2, deleted(pages)...)
			mustCheckpoint(t, s, 3, pagesOf(1000, 400)...) // would write over what was given up
			mustCheckpoint(t, s, 4, deleted(pagesOf(1000, 400))...)
		}
		if string(key) != pages[n].key || !bytes.Equal(value, pages[n].value) {
			return fmt.Errorf("%q is not page %d", key, n)
		}
		n++
		return nil
	})
	if err != nil || n != len(pages) {
		t.Fatalf("%d pages, %v", n, err)
	}
	mustCheckpoint(t, s, 5)
	if values, _ := valueFileNames(t, o.Dir); len(values) != 0 {
		t.Errorf("files %q stay when the reader has gone", values)
	}
}

// forgotten is a store in which one page of 16 is alive, and what it holds.
func forgotten(t *testing.T, o Options) (s *Badger, want map[string][]byte) {
	t.Helper()
	s, want = openBadger(t, o), map[string][]byte{}
	mustCheckpoint(t, s, 1, pagesOf(0, 640)...)
	var cs []change
	for i, c := range pagesOf(0, 640) {
		if i%16 == 0 {
			want[c.key] = c.value
		} else {
			cs = append(cs, del(c.key))
		}
	}
	mustCheckpoint(t, s, 2, cs...)
	return s, want
}

func TestForgottenValuesAreMovedTogether(t *testing.T) {
	o := smallOptions(t.TempDir())
	o.DeadBytes = 1 << 20
	s, want := forgotten(t, o)
	want["\x02keep"] = []byte("kept")
	mustCheckpoint(t, s, 3, put("\x02keep", "kept"))
	before, _ := valueFileNames(t, o.Dir)
	readWhile(t, s, func() {
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	wantSame(t, s, mark(3), want)
	mustCheckpoint(t, s, 4)
	after, _ := valueFileNames(t, o.Dir)
	if len(before) < 10 || len(after) > 3 {
		t.Errorf("%d files before, %d after", len(before), len(after))
	}
	wantSame(t, s, mark(4), want)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := Check(o.Dir); err != nil || len(r.Damage) > 0 || r.Values != len(after) {
		t.Errorf("check: %+v, %v", r, err)
	}
	wantSame(t, openBadger(t, o), mark(4), want)
}

func TestNothingIsMovedBeforeAnUnfinishedCheckpointIsWrittenAgain(t *testing.T) {
	o := smallOptions(t.TempDir())
	o.DeadBytes = 1 << 20
	s, want := forgotten(t, o)
	w, err := s.Begin(mark(3))
	if err != nil {
		t.Fatal(err)
	}
	// More than a transaction: some of it is in Badger, at a version that a move must not make visible.
	var cs []change
	for i := range 8000 {
		cs = append(cs, put(fmt.Sprintf("\x03%d", i), strings.Repeat("x", 400)))
	}
	if err := write(w, cs); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	before, _ := valueFileNames(t, o.Dir)
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, _ := valueFileNames(t, o.Dir); len(after) != len(before) {
		t.Errorf("%d files before, %d after", len(before), len(after))
	}
	wantSame(t, s, mark(2), want)
	mustCheckpoint(t, s, 3, cs...)
	apply(want, cs)
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantSame(t, s, mark(3), want)
}

// TestWhatAnEarlierAttemptLeftIsNeverRead: its places name files that are gone, and Badger does not say
// which of two entries of one version it keeps when it merges tables.
func TestWhatAnEarlierAttemptLeftIsNeverRead(t *testing.T) {
	s := &badgerSubject{o: smallOptions(t.TempDir())}
	s.Badger = openBadger(t, s.o)
	t.Cleanup(func() { _ = s.Close() })
	cs, want := pagesOf(0, 40), map[string][]byte{}
	for i := range 8000 { // some transactions
		cs = append(cs, put(fmt.Sprintf("\x03%d", i), strings.Repeat("x", 400)))
	}
	for range 3 {
		w, err := s.Begin(mark(1))
		if err != nil {
			t.Fatal(err)
		}
		if err := write(w, cs); err != nil {
			t.Fatal(err)
		}
		s.crash(t)
	}
	mustCheckpoint(t, s, 1, cs...)
	apply(want, cs)
	wantSame(t, s, mark(1), want)
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantSame(t, s, mark(1), want)
	s.crash(t)
	wantSame(t, s, mark(1), want)
}

// failing is the machine's file system until it fails, from some change on for good: as if the process
// had died there.
type failing struct {
	disk.OS
	left int // changes that still work
	err  error
}

type failingFile struct {
	disk.File
	fs *failing
}

func (f *failing) change() error {
	if f.left--; f.left < 0 {
		return f.err
	}
	return nil
}

func (f *failing) wrap(file disk.File, err error) (disk.File, error) {
	if err != nil {
		return nil, err
	}
	return failingFile{file, f}, nil
}

func (f *failing) Create(name string) (disk.File, error) {
	if err := f.change(); err != nil {
		return nil, err
	}
	return f.wrap(f.OS.Create(name))
}

func (f *failing) Open(name string) (disk.File, error) { return f.wrap(f.OS.Open(name)) }

func (f *failing) OpenDirect(name string) (disk.File, error) {
	d, ok := disk.FS(f.OS).(disk.Direct)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return f.wrap(d.OpenDirect(name))
}

func (f *failing) Rename(from, to string) error {
	if err := f.change(); err != nil {
		return err
	}
	return f.OS.Rename(from, to)
}

func (f *failing) Remove(name string) error {
	if err := f.change(); err != nil {
		return err
	}
	return f.OS.Remove(name)
}

func (f *failing) SyncDir(dir string) error {
	if err := f.change(); err != nil {
		return err
	}
	return f.OS.SyncDir(dir)
}

func (f failingFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.fs.change(); err != nil {
		n, _ := f.File.WriteAt(b[:len(b)/2/disk.BlockSize*disk.BlockSize], off) // torn
		return n, err
	}
	return f.File.WriteAt(b, off)
}

func (f failingFile) Truncate(size int64) error {
	if err := f.fs.change(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f failingFile) Sync() error {
	if err := f.fs.change(); err != nil {
		return err
	}
	return f.File.Sync()
}

// TestAnEndAtAnyWriteLeavesTheLastCheckpoint fails each change of value files in turn, in checkpoints
// and in moves, and opens the store again.
func TestAnEndAtAnyWriteLeavesTheLastCheckpoint(t *testing.T) {
	eio := errors.New("input/output error")
	checkpoints, moves := 0, 0
	for n := 0; ; n++ {
		fs := &failing{left: 1 << 30, err: eio}
		o := smallOptions(t.TempDir())
		o.DeadBytes, o.FS = 1<<20, fs
		s, want := forgotten(t, o)
		fs.left = n
		at, more := mark(2), pagesOf(1000, 80)
		err := checkpointOf(s, 3, more...)
		if err == nil {
			at = mark(3)
			apply(want, more)
			if err = s.Maintain(t.Context()); err != nil {
				moves++
			}
		} else {
			checkpoints++
		}
		if err != nil && !errors.Is(err, eio) {
			t.Fatalf("change %d: %v", n, err)
		}
		wantSame(t, s, at, want) // whoever reads goes on
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		o.FS = nil
		s = openBadger(t, o)
		wantSame(t, s, at, want)
		if at == mark(2) {
			mustCheckpoint(t, s, 3, more...)
			apply(want, more)
		}
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatalf("change %d: maintain: %v", n, err)
		}
		wantSame(t, s, mark(3), want)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if r, err := Check(o.Dir); err != nil || len(r.Damage) > 0 {
			t.Fatalf("change %d: check: %+v, %v", n, r, err)
		}
		if fs.left >= 0 {
			break // nothing failed
		}
	}
	if checkpoints < 5 || moves < 5 {
		t.Errorf("%d checkpoints and %d moves were cut off: they prove little", checkpoints, moves)
	}
}

func TestAFullDiskUnderValueFilesIsFoundOutAndLeavesNothingBehind(t *testing.T) {
	fs := &failing{left: 1 << 30, err: fmt.Errorf("write: %w", syscall.ENOSPC)}
	o := smallOptions(t.TempDir())
	o.FS = fs
	s := openBadger(t, o)
	cs, want := pagesOf(0, 200), map[string][]byte{}
	for _, left := range []int{0, 1, 3} {
		fs.left = left
		if err := checkpointOf(s, 1, cs...); !errors.Is(err, ErrNoSpace) {
			t.Fatalf("after %d changes: %v", left, err)
		}
	}
	fs.left = 1 << 30
	if err := checkpointOf(s, 2); !errors.Is(err, ErrIntent) {
		t.Fatalf("another checkpoint: %v", err)
	}
	mustCheckpoint(t, s, 1, cs...)
	apply(want, cs)
	wantSame(t, s, mark(1), want)
}

func TestDamageOfValueFilesIsFound(t *testing.T) {
	whole, at, want := closedStore(t, smallOptions)
	key := "\x0410007"
	missing := func(t *testing.T, path string) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	short := func(t *testing.T, path string) {
		if err := os.Truncate(path, size(t, path)-1); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		harm   func(t *testing.T, path string)
		opened bool
	}{
		{"missing", missing, false},
		{"short", short, false},
		{"bit in a value", func(t *testing.T, path string) { flip(t, path, valueAt(t, path, want[key])+1000) }, true},
		{"bit in a key", func(t *testing.T, path string) { flip(t, path, valueAt(t, path, want[key])-1) }, true},
		{"bit in a length", func(t *testing.T, path string) {
			flip(t, path, valueAt(t, path, want[key])-int64(len(key))-recordHead+6)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyStore(t, whole)
			path := fileWith(t, dir, want[key])
			c.harm(t, path)
			var d *DamageError
			if r, err := Check(dir); err != nil || c.opened && len(r.Damage) == 0 {
				t.Errorf("check: %+v, %v", r, err)
			}
			s, err := Open(smallOptions(dir))
			if !c.opened {
				if !errors.As(err, &d) || d.File != filepath.Base(path) {
					t.Fatalf("open: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			dst := []byte("dst")
			if got, err := s.Get(dst, []byte(key)); !errors.As(err, &d) || string(got) != "dst" || d.File != filepath.Base(path) {
				t.Errorf("get: %d bytes, %v", len(got), err)
			}
			if err := s.Scan([]byte(key), func(_, _ []byte) error { return nil }); !errors.As(err, &d) {
				t.Errorf("scan: %v", err)
			}
			if got, err := s.Get(nil, []byte("\x0410008")); err != nil || !bytes.Equal(got, want["\x0410008"]) {
				t.Errorf("get of another key: %v", err)
			}
		})
	}
	wantSame(t, openBadger(t, smallOptions(copyStore(t, whole))), at, want)
}

// fileWith returns the value file that holds a value.
func fileWith(t *testing.T, dir string, value []byte) string {
	t.Helper()
	values, _ := valueFileNames(t, dir)
	for _, name := range values {
		path := filepath.Join(dir, name)
		if b, err := os.ReadFile(path); err != nil {
			t.Fatal(err)
		} else if bytes.Contains(b, value) {
			return path
		}
	}
	t.Fatalf("no file of %q holds the value", values)
	return ""
}

func valueAt(t *testing.T, path string, value []byte) int64 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return int64(bytes.Index(b, value))
}
