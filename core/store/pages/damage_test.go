package pages

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// closedStore is a directory of a store that was closed, with several tables and value files, and its
// content.
func closedStore(t *testing.T, options func(dir string) Options) (dir string, at Mark, want map[string][]byte) {
	t.Helper()
	dir, want = t.TempDir(), map[string][]byte{}
	for i := range uint64(4) {
		s, err := Open(options(dir))
		if err != nil {
			t.Fatal(err)
		}
		var cs []change
		for n := range 300 {
			cs = append(cs, change{fmt.Sprintf("\x03%d%04d", i, n), blob(i<<16+uint64(n), 40)})
		}
		for n := range 30 {
			cs = append(cs, change{fmt.Sprintf("\x04%d%04d", i, n), blob(i<<16+uint64(n), 64<<10)})
		}
		cs = append(cs, put("\x02last", strconv.FormatUint(i, 10)))
		at = mark(i + 1)
		mustCheckpoint(t, s, i+1, cs...)
		apply(want, cs)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir, at, want
}

// copyStore copies a directory, leaving zeros out: Badger's files are sparse.
func copyStore(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	names, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range names {
		if err := copySparse(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func copySparse(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	buf, zeros := make([]byte, 256<<10), make([]byte, 256<<10)
	at := int64(0)
	for {
		n, err := io.ReadFull(in, buf)
		if n > 0 && !bytes.Equal(buf[:n], zeros[:n]) {
			if _, err := out.WriteAt(buf[:n], at); err != nil {
				return errors.Join(err, out.Close())
			}
		}
		at += int64(n)
		if err != nil {
			return errors.Join(out.Truncate(at), out.Close())
		}
	}
}

func named(t testing.TB, dir, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s in %s", pattern, dir)
	}
	return names[len(names)-1]
}

func flip(t testing.TB, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

func size(t testing.TB, path string) int64 {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size()
}

func TestOpenNamesTheDamage(t *testing.T) {
	whole, at, want := closedStore(t, smallOptions)
	truncate := func(pattern string, part int64) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			p := named(t, dir, pattern)
			if err := os.Truncate(p, size(t, p)*part/100); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(pattern string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(named(t, dir, pattern)); err != nil {
				t.Fatal(err)
			}
		}
	}
	flipAt := func(pattern string, part int64) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			p := named(t, dir, pattern)
			flip(t, p, min(size(t, p)*part/100, size(t, p)-1))
		}
	}
	for _, c := range []struct {
		name, file string
		harm       func(t *testing.T, dir string)
	}{
		{"table is missing", ".sst", remove("*.sst")},
		{"table is empty", ".sst", truncate("*.sst", 0)},
		{"table is cut in half", ".sst", truncate("*.sst", 50)},
		{"table lacks its end", ".sst", truncate("*.sst", 99)},
		{"bit in a block", ".sst", flipAt("*.sst", 40)},
		{"bit in the index", ".sst", flipAt("*.sst", 99)},
		{"bit in the last byte of a table", ".sst", flipAt("*.sst", 100)},
		{"manifest is missing", manifestFile, remove(manifestFile)},
		{"manifest is empty", manifestFile, truncate(manifestFile, 0)},
		{"manifest is cut in half", "", truncate(manifestFile, 50)}, // between two changes: then a table is missed
		{"bit in the manifest", manifestFile, flipAt(manifestFile, 60)},
		{"bit in the manifest's magic", manifestFile, flipAt(manifestFile, 0)},
		{"checkpoint file is missing", checkpointFile, remove(checkpointFile)},
		{"checkpoint file is short", checkpointFile, truncate(checkpointFile, 90)},
		{"bit in the checkpoint file", checkpointFile, flipAt(checkpointFile, 50)},
		{"key registry is cut", badger.KeyRegistryFileName, truncate(badger.KeyRegistryFileName, 50)},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyStore(t, whole)
			c.harm(t, dir)
			before := listing(t, dir)
			s, err := Open(smallOptions(dir))
			if err == nil {
				_ = s.Close()
				t.Fatal("open found nothing")
			}
			var d *DamageError
			if !errors.As(err, &d) {
				t.Fatalf("not a DamageError: %v", err)
			}
			if !strings.HasSuffix(d.File, c.file) || d.Advice == "" {
				t.Errorf("file %q, want %q; %v", d.File, c.file, err)
			}
			if after := listing(t, dir); !slices.Equal(before, after) {
				t.Errorf("open changed the directory from %q to %q", before, after)
			}
			if r, err := Check(dir); err != nil || len(r.Damage) == 0 {
				t.Errorf("check: %+v, %v", r, err)
			}
		})
	}
	s := openBadger(t, smallOptions(copyStore(t, whole)))
	wantSame(t, s, at, want)
}

// listing is the names of the files that hold data.
func listing(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != ownerFile {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestAFlippedBitAnywhereIsAnErrorOrHarmless flips in a closed store and in one whose process was killed.
func TestAFlippedBitAnywhereIsAnErrorOrHarmless(t *testing.T) {
	const trials = 60
	r := rand.New(rand.NewPCG(3, 3))
	closed, at, want := closedStore(t, smallOptions)
	killed, killedAt, killedWant := killedStore(t)
	for _, c := range []struct {
		name string
		dir  string
		at   Mark
		want map[string][]byte
	}{{"closed", closed, at, want}, {"killed", killed, killedAt, killedWant}} {
		found := 0
		for trial := range trials {
			dir := copyStore(t, c.dir)
			name, off := randomPlace(t, r, dir)
			flip(t, filepath.Join(dir, name), off)
			err := openAndCompare(dir, c.at, c.want)
			var d *DamageError
			if err != nil && !errors.As(err, &d) {
				t.Fatalf("%s, trial %d, byte %d of %s: %v", c.name, trial, off, name, err)
			}
			if err != nil {
				found++
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%s: %d of %d flipped bits were damage", c.name, found, trials)
		if found < trials/4 {
			t.Errorf("%s: the trials prove little", c.name)
		}
	}
}

func killedStore(t *testing.T) (dir string, at Mark, want map[string][]byte) {
	t.Helper()
	dir, want = t.TempDir(), map[string][]byte{}
	for {
		killOnce(t, dir, 1)
		logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
		if err != nil {
			t.Fatal(err)
		}
		if len(logs) > 1 {
			break // one that is whole and one that may be torn
		}
	}
	s, err := Open(smallOptions(copyStore(t, dir)))
	if err != nil {
		t.Fatal(err)
	}
	at = s.Mark()
	for i := range at.Index {
		apply(want, killChanges(i+1))
	}
	wantSame(t, s, at, want)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, at, want
}

// randomPlace is a byte of a file, in the part that isn't zero.
func randomPlace(t *testing.T, r *rand.Rand, dir string) (name string, off int64) {
	t.Helper()
	names := slices.DeleteFunc(listing(t, dir), func(n string) bool { return n == "LOCK" || n == "DISCARD" })
	for {
		name = names[r.IntN(len(names))]
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(bytes.TrimRight(b, "\x00")); n > 0 {
			return name, r.Int64N(int64(n))
		}
	}
}

func openAndCompare(dir string, at Mark, want map[string][]byte) error {
	s, err := Open(smallOptions(dir))
	if err != nil {
		return err
	}
	return errors.Join(same(s, at, want), s.Close())
}

// tableWith returns the table that holds a value, and where: which one that
// is depends on what Badger has merged.
func tableWith(t *testing.T, dir string, value []byte) (table string, off int) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		b, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		if off := bytes.Index(b, value); off >= 0 {
			return table, off
		}
	}
	t.Fatalf("no table of %q holds the value", tables)
	return "", 0
}

func TestABadValueIsAnErrorWhenItIsReadEvenIfOpenDidNotLook(t *testing.T) {
	dir, _, want := closedStore(t, inTables)
	key := "\x0430029"
	table, off := tableWith(t, dir, want[key])
	flip(t, table, int64(off+1000))
	o := smallOptions(dir)
	o.Verify = VerifyIndexes
	s := openBadger(t, o)
	var d *DamageError
	dst := []byte("dst")
	if got, err := s.Get(dst, []byte(key)); !errors.As(err, &d) || string(got) != "dst" {
		t.Errorf("get: %d bytes, %v", len(got), err)
	}
	if err := s.Scan([]byte(key), func(_, _ []byte) error { return nil }); !errors.As(err, &d) {
		t.Errorf("scan: %v", err)
	}
	other := "\x0430028"
	if got, err := s.Get(nil, []byte(other)); err != nil || !bytes.Equal(got, want[other]) {
		t.Errorf("get of another key: %v", err)
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(nil, []byte(key)); !errors.As(err, &d) {
		t.Errorf("get after the tables were merged: %v", err)
	}
}

func TestASecondOwnerIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := openBadger(t, smallOptions(dir))
	mustCheckpoint(t, s, 1, put("\x02a", "1"))
	_, open := Open(smallOptions(dir))
	_, check := Check(dir)
	for name, err := range map[string]error{"open": open, "check": check, "dump": Dump(dir, nil)} {
		if !errors.Is(err, ErrLocked) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantSame(t, s, mark(1), map[string][]byte{"\x02a": []byte("1")})
}

func TestFilesThatACrashLeftEmptyAreRemoved(t *testing.T) {
	dir, at, want := closedStore(t, smallOptions)
	for _, name := range []string{"99999.mem", "999999.vlog"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := openBadger(t, smallOptions(dir))
	wantSame(t, s, at, want)
}

func TestCheckAndDumpReadAStoreThatIsNotOpen(t *testing.T) {
	closed, at, want := closedStore(t, smallOptions)
	killed, killedAt, killedWant := killedStore(t)
	for _, c := range []struct {
		name string
		dir  string
		at   Mark
		want map[string][]byte
		logs bool
	}{{"closed", closed, at, want, false}, {"killed", killed, killedAt, killedWant, true}} {
		before := listing(t, c.dir)
		r, err := Check(c.dir)
		if err != nil || len(r.Damage) > 0 || r.Mark.Index > c.at.Index || r.Logs > 0 != c.logs {
			t.Errorf("%s: check: %+v, %v", c.name, r, err)
		}
		if !c.logs && (r.Tables == 0 || r.Mark != c.at) {
			t.Errorf("%s: check: %+v", c.name, r)
		}
		n := 0
		err = Dump(c.dir, func(key, value []byte) error {
			n++
			if !bytes.Equal(value, c.want[string(key)]) {
				return fmt.Errorf("key %x has another value", key)
			}
			return nil
		})
		if err != nil || n != len(c.want) {
			t.Errorf("%s: dump: %d keys of %d, %v", c.name, n, len(c.want), err)
		}
		if after := listing(t, c.dir); !c.logs && !slices.Equal(before, after) {
			t.Errorf("%s: files were %q, are %q", c.name, before, after)
		}
	}
	if _, err := Check(t.TempDir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("check of an empty directory: %v", err)
	}
	if err := Dump(t.TempDir(), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("dump of an empty directory: %v", err)
	}
}
