package pages

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestStoreBehavesTheSameInMemoryAndOnDisk(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s subject)
	}{
		{"a new store is empty", func(t *testing.T, s subject) {
			wantSame(t, s, Mark{}, nil)
			wantMissing(t, s, "\x02a")
			if s.Intent() != 0 {
				t.Fatalf("intent %d in a new store", s.Intent())
			}
		}},
		{"a checkpoint is seen when it is committed, not before", func(t *testing.T, s subject) {
			w, err := s.Begin(mark(5))
			if err != nil {
				t.Fatal(err)
			}
			if err := write(w, bigChanges(1, 9)); err != nil {
				t.Fatal(err)
			}
			wantSame(t, s, Mark{}, nil)
			if err := w.Commit(); err != nil {
				t.Fatal(err)
			}
			want := map[string][]byte{}
			apply(want, bigChanges(1, 9))
			wantSame(t, s, mark(5), want)
			if s.Intent() != 0 {
				t.Fatalf("intent %d after commit", s.Intent())
			}
		}},
		{"an empty checkpoint moves the mark", func(t *testing.T, s subject) {
			mustCheckpoint(t, s, 3, put("\x02a", "1"))
			mustCheckpoint(t, s, 9)
			wantSame(t, s, mark(9), map[string][]byte{"\x02a": []byte("1")})
		}},
		{"the last operation on a key counts", func(t *testing.T, s subject) {
			changes := slices.Concat(bigChanges(1, 5), bigChanges(2, 5),
				[]change{put("\x02a", "1"), del("\x02a"), put("\x02b", "1"), del("\x02b"), put("\x02b", "")})
			mustCheckpoint(t, s, 1, changes...)
			want := map[string][]byte{"\x02b": {}}
			apply(want, bigChanges(2, 5))
			wantSame(t, s, mark(1), want)
		}},
		{"delete removes, also what does not exist", func(t *testing.T, s subject) {
			mustCheckpoint(t, s, 1, put("\x02a", "1"), put("\x02b", "2"))
			mustCheckpoint(t, s, 2, del("\x02a"), del("\x02c"))
			wantSame(t, s, mark(2), map[string][]byte{"\x02b": []byte("2")})
			wantMissing(t, s, "\x02a")
		}},
		{"a checkpoint that is cut is written again, deletes included", cutAndRewritten},
		{"an aborted checkpoint leaves its intent unless it is empty", func(t *testing.T, s subject) {
			abort := func(index uint64, changes ...change) {
				w, err := s.Begin(mark(index))
				if err != nil {
					t.Fatal(err)
				}
				if err := write(w, changes); err != nil {
					t.Fatal(err)
				}
				w.Abort()
				if err := w.Commit(); !errors.Is(err, ErrDone) {
					t.Fatalf("commit after abort: %v", err)
				}
			}
			abort(4)
			if s.Intent() != 0 {
				t.Fatalf("intent %d", s.Intent())
			}
			abort(5, put("\x02a", "1"))
			abort(5)
			if err := checkpointOf(s, 6); s.Intent() != 5 || !errors.Is(err, ErrIntent) {
				t.Fatalf("intent %d, begin 6: %v", s.Intent(), err)
			}
			mustCheckpoint(t, s, 5, put("\x02a", "1"))
			wantSame(t, s, mark(5), map[string][]byte{"\x02a": []byte("1")})
		}},
		{"begin refuses what is not the next checkpoint", func(t *testing.T, s subject) {
			mustCheckpoint(t, s, 7)
			for _, index := range []uint64{0, 6, 7, 1 << 63} {
				if err := checkpointOf(s, index); !errors.Is(err, ErrOldIndex) {
					t.Errorf("begin %d: %v", index, err)
				}
			}
			w, err := s.Begin(mark(8))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Begin(mark(8)); !errors.Is(err, ErrBusy) {
				t.Errorf("second begin: %v", err)
			}
			w.Abort()
			mustCheckpoint(t, s, 8)
		}},
		{"keys and values have limits", keysAndValuesHaveLimits},
		{"get appends to dst", func(t *testing.T, s subject) {
			mustCheckpoint(t, s, 1, put("\x02a", "value"))
			if got, err := s.Get([]byte("dst+"), []byte("\x02a")); err != nil || string(got) != "dst+value" {
				t.Fatalf("%q, %v", got, err)
			}
			if got, err := s.Get([]byte("dst"), []byte("\x02b")); !errors.Is(err, ErrNotFound) || string(got) != "dst" {
				t.Fatalf("%q, %v", got, err)
			}
		}},
		{"scan keeps to its prefix and its checkpoint", scanKeepsToItsPrefix},
		{"a closed store says so", func(t *testing.T, s subject) {
			w, err := s.Begin(mark(1))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.Close(), s.Close()); err != nil {
				t.Fatal(err)
			}
			_, get := s.Get(nil, []byte("\x02a"))
			_, begin := s.Begin(mark(1))
			if begin == nil || !errors.Is(begin, ErrClosed) && !errors.Is(begin, ErrBusy) {
				t.Errorf("begin: %v", begin)
			}
			for name, err := range map[string]error{
				"get": get, "scan": s.Scan(nil, nil), "put": w.Put([]byte("\x02a"), nil), "commit": w.Commit(),
			} {
				if !errors.Is(err, ErrClosed) {
					t.Errorf("%s: %v", name, err)
				}
			}
			w.Abort()
			s.crash(t)
			mustCheckpoint(t, s, 1)
		}},
	} {
		t.Run(c.name, func(t *testing.T) { subjects(t, c.run) })
	}
}

func cutAndRewritten(t *testing.T, s subject) {
	t.Helper()
	want := map[string][]byte{}
	first := slices.Concat(bigChanges(1, 9), []change{put("\x02a", "1"), put("\x02b", "2")})
	mustCheckpoint(t, s, 10, first...)
	apply(want, first)
	var second []change
	for i, c := range bigChanges(2, 9) {
		if i%3 == 0 {
			c.value = nil
		}
		second = append(second, c)
	}
	second = append(second, del("\x02a"), put("\x02c", "3"))
	for _, cut := range []int{len(second) / 2, len(second), 0} {
		w, err := s.Begin(mark(20))
		if err != nil {
			t.Fatal(err)
		}
		if err := write(w, second[:cut]); err != nil {
			t.Fatal(err)
		}
		s.crash(t)
		wantSame(t, s, mark(10), want)
		if s.Intent() != 20 {
			t.Fatalf("intent %d, want 20", s.Intent())
		}
		if err := checkpointOf(s, 21); !errors.Is(err, ErrIntent) {
			t.Fatalf("begin 21: %v", err)
		}
	}
	mustCheckpoint(t, s, 20, second...)
	apply(want, second)
	wantSame(t, s, mark(20), want)
	s.crash(t)
	wantSame(t, s, mark(20), want)
	if s.Intent() != 0 {
		t.Fatalf("intent %d", s.Intent())
	}
	mustCheckpoint(t, s, 30, put("\x02a", "4"))
	want["\x02a"] = []byte("4")
	wantSame(t, s, mark(30), want)
}

func keysAndValuesHaveLimits(t *testing.T, s subject) {
	t.Helper()
	long := string(make([]byte, MaxKey))
	for i, c := range []struct {
		change change
		want   error
	}{
		{change{"\x05a", blob(1, MaxValue)}, nil},
		{change{"\x05a", blob(1, MaxValue+1)}, ErrTooLarge},
		{put("\x05"+long[1:], "x"), nil},
		{put("\x05"+long, "x"), ErrBadKey},
		{put("", "x"), ErrBadKey},
		{del(""), ErrBadKey},
		{put("\x00mark", "x"), ErrBadKey},
		{del("!badger!x"), ErrBadKey},
	} {
		w, err := s.Begin(mark(max(s.Intent(), s.Mark().Index+1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := write(w, []change{c.change}); !errors.Is(err, c.want) {
			t.Errorf("%d: %v, want %v", i, err, c.want)
		}
		if err := w.Commit(); !errors.Is(err, c.want) {
			t.Errorf("%d: commit: %v, want %v", i, err, c.want)
		}
		w.Abort()
	}
	if _, err := s.Get(nil, []byte("\x00mark")); !errors.Is(err, ErrBadKey) {
		t.Errorf("get of an internal key: %v", err)
	}
}

func scanKeepsToItsPrefix(t *testing.T, s subject) {
	t.Helper()
	var changes []change
	for i := range 2*scanKeys + 10 {
		changes = append(changes, put(fmt.Sprintf("\x03%06d", i), strconv.Itoa(i)))
	}
	changes = append(changes, put("\x02\xff", "before"), put("\x04", "behind"))
	changes = append(changes, bigChanges(1, 3)...) // more than a piece of bytes
	mustCheckpoint(t, s, 1, changes...)
	n, stop := 0, errors.New("stop")
	err := s.Scan([]byte("\x03"), func(key, value []byte) error {
		if want := fmt.Sprintf("\x03%06d", n); string(key) != want || string(value) != strconv.Itoa(n) {
			return fmt.Errorf("%q = %q, want %q", key, value, want)
		}
		if n == 100 { // a checkpoint and a maintenance in the middle of the scan
			if err := checkpointOf(s, 2, put("\x03000101", "new"), del("\x03000102"), put("\x030001015", "more")); err != nil {
				return err
			}
			if err := s.Maintain(context.Background()); err != nil {
				return err
			}
		}
		n++
		return nil
	})
	if err != nil || n != 2*scanKeys+10 {
		t.Fatalf("%d keys, %v", n, err)
	}
	n = 0
	err = s.Scan([]byte("\x03"), func(_, _ []byte) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Fatalf("%d calls, %v", n, err)
	}
	if err := s.Scan([]byte("\x09"), func(_, _ []byte) error { return stop }); err != nil {
		t.Fatal(err)
	}
}

// TestAnyHistoryOfCheckpointsAndCrashesReadsAsTheLastCompletedOne compares with a map.
func TestAnyHistoryOfCheckpointsAndCrashesReadsAsTheLastCompletedOne(t *testing.T) {
	subjects(t, func(t *testing.T, s subject) {
		want, at := map[string][]byte{}, s.Mark()
		rapid.Check(t, func(t *rapid.T) {
			for range rapid.IntRange(1, 3).Draw(t, "checkpoints") {
				index := at.Index + rapid.Uint64Range(1, 9).Draw(t, "step")
				changes := drawChanges(t, index)
				for range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "crashes") {
					w, err := s.Begin(mark(index))
					if err != nil {
						t.Fatalf("begin: %v", err)
					}
					cut := rapid.IntRange(0, len(changes)).Draw(t, "cut")
					if err := write(w, changes[:cut]); err != nil {
						t.Fatalf("write: %v", err)
					}
					s.crash(t)
					wantSame(t, s, at, want)
					if s.Intent() != index {
						t.Fatalf("intent %d, want %d", s.Intent(), index)
					}
				}
				mustCheckpoint(t, s, index, changes...)
				at = mark(index)
				apply(want, changes)
				if rapid.Bool().Draw(t, "maintain") {
					if err := s.Maintain(context.Background()); err != nil {
						t.Fatalf("maintain: %v", err)
					}
				}
				wantSame(t, s, at, want)
			}
		})
	})
}

// drawChanges makes some changes of few keys, sometimes with values that fill transactions.
func drawChanges(t *rapid.T, seed uint64) []change {
	size := rapid.SampledFrom([]int{0, 10, 1000, 300_000, MaxValue}).Draw(t, "size")
	var cs []change
	for i := range rapid.IntRange(0, 12).Draw(t, "changes") {
		c := change{key: fmt.Sprintf("\x04%d", rapid.IntRange(0, 15).Draw(t, "key"))}
		if rapid.IntRange(0, 3).Draw(t, "delete") > 0 {
			c.value = blob(seed*100+uint64(i), size)
		}
		cs = append(cs, c)
	}
	return cs
}
