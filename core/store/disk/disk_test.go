package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// each runs a test on both implementations, with an empty directory.
func each(t *testing.T, test func(t *testing.T, f FS, dir string)) {
	t.Helper()
	t.Run("OS", func(t *testing.T) { test(t, OS{}, t.TempDir()) })
	t.Run("Fake", func(t *testing.T) {
		f := NewFake()
		if err := f.MkdirAll("/dir"); err != nil {
			t.Fatal(err)
		}
		test(t, f, "/dir")
	})
}

func create(t *testing.T, f FS, name, content string) File {
	t.Helper()
	h, err := f.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	if _, err := h.WriteAt([]byte(content), 0); err != nil {
		t.Fatal(err)
	}
	return h
}

func contentOf(t *testing.T, f FS, name string) string {
	t.Helper()
	h, err := f.OpenRead(name)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	size, err := h.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if n, err := h.ReadAt(b, 0); n != len(b) {
		t.Fatal(err)
	}
	return string(b)
}

func TestFilesAreMadeReadRenamedAndRemoved(t *testing.T) {
	each(t, func(t *testing.T, f FS, dir string) {
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		h := create(t, f, a, "hello")
		if _, err := f.Create(a); !errors.Is(err, fs.ErrExist) {
			t.Errorf("create twice: %v", err)
		}
		if _, err := f.Open(b); !IsNotExist(err) {
			t.Errorf("open what is not there: %v", err)
		}
		if err := f.Rename(a, b); err != nil {
			t.Fatal(err)
		}
		if _, err := h.WriteAt([]byte("J"), 0); err != nil {
			t.Errorf("write through a handle from before the rename: %v", err)
		}
		if got := contentOf(t, f, b); got != "Jello" {
			t.Errorf("content is %q", got)
		}
		create(t, f, a, "")
		if names, err := f.List(dir); err != nil || !slices.Equal(names, []string{"a", "b"}) {
			t.Errorf("list: %v, %v", names, err)
		}
		if err := errors.Join(f.Remove(b), f.SyncDir(dir)); err != nil {
			t.Error(err)
		}
		if err := f.Remove(b); !IsNotExist(err) {
			t.Errorf("remove twice: %v", err)
		}
		if err := f.Rename(a, filepath.Join(filepath.Dir(dir), "elsewhere")); err == nil {
			t.Error("renamed into another directory")
		}
		if _, err := f.List(filepath.Join(dir, "none")); !IsNotExist(err) {
			t.Errorf("list of no directory: %v", err)
		}
		if free, err := f.Free(dir); err != nil || free <= 0 {
			t.Errorf("free: %d, %v", free, err)
		}
	})
}

func TestReadsAllocationsAndTruncationsFollowTheContract(t *testing.T) {
	each(t, func(t *testing.T, f FS, dir string) {
		h := create(t, f, filepath.Join(dir, "a"), "0123456789")
		b := make([]byte, 4)
		if n, err := h.ReadAt(b, 8); n != 2 || !errors.Is(err, io.EOF) {
			t.Errorf("read over the end: %d, %v", n, err)
		}
		if n, err := h.ReadAt(b, 100); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("read behind the end: %d, %v", n, err)
		}
		steps := []struct {
			name string
			do   func() error
			size int64
		}{
			{"allocate", func() error { return h.Allocate(5000) }, 5000},
			{"allocate less", func() error { return h.Allocate(100) }, 5000},
			{"truncate", func() error { return h.Truncate(5) }, 5},
			{"extend", func() error { return h.Truncate(20) }, 20},
			{"sync", h.Sync, 20},
		}
		for _, s := range steps {
			if err := s.do(); err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
			if size, err := h.Size(); err != nil || size != s.size {
				t.Errorf("%s: size is %d, %v, want %d", s.name, size, err, s.size)
			}
		}
		if got := contentOf(t, f, h.Name()); got != "01234"+string(make([]byte, 15)) {
			t.Errorf("content is %q", got)
		}
		r, err := f.OpenRead(h.Name())
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if _, err := r.WriteAt(b, 0); err == nil {
			t.Error("wrote through a handle for reading")
		}
	})
}

func TestADirectoryIsLockedOnce(t *testing.T) {
	each(t, func(t *testing.T, f FS, dir string) {
		lock, err := f.Lock(dir)
		if err != nil {
			t.Fatal(err)
		}
		var locked *LockedError
		if _, err := f.Lock(dir); !errors.As(err, &locked) || locked.Dir != dir {
			t.Errorf("second lock: %v", err)
		}
		if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := f.Lock(dir)
		if err != nil {
			t.Fatalf("lock after the release: %v", err)
		}
		_ = again.Close()
	})
}

func TestLockNamesTheOtherProcess(t *testing.T) {
	if dir := os.Getenv("ENTREPOT_TEST_LOCK"); dir != "" { // the second process
		var locked *LockedError
		if _, err := (OS{}).Lock(dir); !errors.As(err, &locked) || locked.PID != os.Getppid() {
			t.Fatalf("lock: %v, want process %d", err, os.Getppid())
		}
		return
	}
	dir := t.TempDir()
	lock, err := OS{}.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "ENTREPOT_TEST_LOCK="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("second process: %v\n%s", err, out)
	}
}

func TestMkdirAllMakesParents(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 {
		if err := (OS{}).MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	create(t, OS{}, filepath.Join(dir, "f"), "")
	if err := (OS{}).MkdirAll(filepath.Join(dir, "f")); err == nil {
		t.Error("made a directory where a file is")
	}
}

func TestZerosAreWrittenWhereSpaceCannotBeReserved(t *testing.T) {
	h := create(t, OS{}, filepath.Join(t.TempDir(), "a"), "abc").(osFile)
	if err := fillZeros(h.File, 300<<10); err != nil {
		t.Fatal(err)
	}
	want := append([]byte("abc"), make([]byte, 300<<10-3)...)
	if got := contentOf(t, OS{}, h.Name()); got != string(want) {
		t.Errorf("content differs, %d bytes", len(got))
	}
}

func TestCrashKeepsWhatWasSyncedAndASubsetOfTheRest(t *testing.T) {
	kept := map[string]int{}
	for seed := range uint64(200) {
		f := NewFake()
		h := create(t, f, "a", "")
		before, after := bytes.Repeat([]byte{'o'}, 16*SectorSize), bytes.Repeat([]byte{'n'}, 8*SectorSize)
		mustDo(t, errOnly(h.WriteAt(before, 0)), h.Sync(), f.SyncDir("."))
		mustDo(t, errOnly(h.WriteAt(after, 4*SectorSize)))
		f.Crash(seed)
		if _, err := h.WriteAt(before, 0); !errors.Is(err, ErrHalted) {
			t.Fatalf("a handle from before the crash works: %v", err)
		}
		got := contentOf(t, f, "a")
		if len(got) != len(before) {
			t.Fatalf("seed %d: %d bytes", seed, len(got))
		}
		shape := ""
		for s := range 16 {
			sector := got[s*SectorSize : (s+1)*SectorSize]
			if sector != string(bytes.Repeat([]byte{sector[0]}, SectorSize)) {
				t.Fatalf("seed %d: sector %d is torn", seed, s)
			}
			if sector[0] == 'n' && (s < 4 || s >= 12) {
				t.Fatalf("seed %d: sector %d was not written", seed, s)
			}
			shape += sector[:1]
		}
		kept[shape]++
	}
	if len(kept) < 20 || kept["oooonnnnnnnnoooo"] == 0 || kept["oooooooooooooooo"] == 0 {
		t.Errorf("crashes are too much alike: %v", kept)
	}
}

func TestCrashLosesEntriesThatWereNotSynced(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(100) {
		f := NewFake()
		mustDo(t, create(t, f, "kept", "k").Sync(), f.SyncDir("."))
		mustDo(t, create(t, f, "new", "n").Sync(), f.Rename("kept", "renamed"))
		f.Crash(seed)
		names, err := f.List(".")
		mustDo(t, err)
		seen[fmt.Sprint(names)]++
	}
	if len(seen) != 4 {
		t.Errorf("outcomes are %v, want all four combinations", seen)
	}
}

func TestFaultsStrikeTheOperationTheyAreMeantFor(t *testing.T) {
	f := NewFake()
	h := create(t, f, "a", "")
	boom := errors.New("boom")
	f.Inject(Fault{Op: OpWrite, After: 1, Err: boom, Short: 3})
	mustDo(t, errOnly(h.WriteAt([]byte("first"), 0)))
	if n, err := h.WriteAt([]byte("SECOND"), 0); n != 3 || !errors.Is(err, boom) {
		t.Errorf("short write: %d, %v", n, err)
	}
	if got := contentOf(t, f, "a"); got != "SECst" {
		t.Errorf("content is %q", got)
	}
	f.Inject(Fault{Op: OpSync, Err: syscall.EIO})
	if err := h.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v", err)
	}
	mustDo(t, h.Sync(), f.SyncDir(".")) // reports success and has lost the bytes
	f.Crash(1)
	if got := contentOf(t, f, "a"); got == "SECst" {
		t.Error("a sync after a failed one made the bytes durable")
	}
}

func TestAFullDiskRefusesToGrow(t *testing.T) {
	f := NewFake()
	f.Limit(1000)
	h := create(t, f, "a", "")
	mustDo(t, h.Allocate(900))
	for name, err := range map[string]error{
		"allocate": h.Allocate(1001), "write": errOnly(h.WriteAt(make([]byte, 200), 850)), "truncate": h.Truncate(2000),
	} {
		if !IsFull(err) {
			t.Errorf("%s: %v, want no space", name, err)
		}
	}
	mustDo(t, errOnly(h.WriteAt(make([]byte, 100), 900)))
	if free, err := f.Free("."); free != 0 || err != nil {
		t.Errorf("free is %d, %v", free, err)
	}
	mustDo(t, f.Remove("a"))
	if free, _ := f.Free("."); free != 1000 || f.Used() != 0 {
		t.Errorf("free is %d after the removal", free)
	}
}

func TestAHaltedMachineDoesNothingUntilItCrashes(t *testing.T) {
	f := NewFake()
	h := create(t, f, "a", "x")
	mustDo(t, h.Sync(), f.SyncDir("."))
	f.HaltAfter(1)
	mustDo(t, errOnly(h.WriteAt([]byte("y"), 0)))
	_, create := f.Create("b")
	_, open := f.Open("a")
	_, list := f.List(".")
	_, lock := f.Lock(".")
	for i, err := range []error{h.Sync(), create, open, list, lock, f.Rename("a", "b"), f.Remove("a"), f.SyncDir(".")} {
		if !errors.Is(err, ErrHalted) {
			t.Errorf("operation %d: %v", i, err)
		}
	}
	f.Crash(0)
	if got := contentOf(t, f, "a"); got != "x" && got != "y" {
		t.Errorf("content is %q", got)
	}
}

func TestFlipAndPutSurviveACrash(t *testing.T) {
	f := NewFake()
	f.Put("a", []byte{0, 0})
	f.Flip("a", 9)
	f.Crash(rand.Uint64())
	if got := f.Bytes("a"); !bytes.Equal(got, []byte{0, 2}) {
		t.Errorf("content is %v", got)
	}
}

func errOnly(_ int, err error) error { return err }

func mustDo(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
