package pages

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
)

func TestMaintainShrinksTheDiskAfterADrainedQueueWhileReadersRead(t *testing.T) {
	o := inTables(t.TempDir())
	o.MemTable, o.DeadBytes = 16, 50<<20
	s := openBadger(t, o)
	const checkpoints, mib = 10, 20
	page := func(c, i int) string { return fmt.Sprintf("\x04%02d%06d", c, i) }
	index := uint64(0)
	for c := range checkpoints {
		var cs []change
		for i, ch := range bigChanges(uint64(c), mib) {
			cs = append(cs, change{page(c, i), ch.value})
		}
		index++
		mustCheckpoint(t, s, index, append(cs, put("\x02keep", "kept"))...)
	}
	if err := s.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, disk := s.Size(); disk < checkpoints*mib<<20 {
		t.Fatalf("%d bytes on disk with everything alive", disk)
	}
	for c := range checkpoints {
		var cs []change
		for i := range mib * 16 {
			cs = append(cs, del(page(c, i)))
		}
		index++
		mustCheckpoint(t, s, index, cs...)
	}
	live, disk := s.Size()
	if disk-live < 150<<20 {
		t.Errorf("%d of %d bytes are thought to be alive", live, disk)
	}
	readWhile(t, s, func() {
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	live, after := s.Size()
	t.Logf("%d MiB before, %d KiB after, of which %d KiB alive", disk>>20, after>>10, live>>10)
	if after > 20<<20 {
		t.Errorf("%d bytes on disk after maintenance", after)
	}
	want := map[string][]byte{"\x02keep": []byte("kept")}
	wantSame(t, s, mark(index), want)
	mustCheckpoint(t, s, index+1)
	wantSame(t, s, mark(index+1), want)
}

// readWhile runs fn while another goroutine reads a key that must always be there.
func readWhile(t *testing.T, s Store, fn func()) {
	t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if got, err := s.Get(nil, []byte("\x02keep")); err != nil || string(got) != "kept" {
				t.Errorf("get: %q, %v", got, err)
				return
			}
		}
	})
	fn()
	close(stop)
	wg.Wait()
}

func TestMaintainKeepsAnUnfinishedCheckpoint(t *testing.T) {
	s := openBadger(t, smallOptions(t.TempDir()))
	mustCheckpoint(t, s, 1, put("\x02keep", "kept"))
	w, err := s.Begin(mark(2))
	if err != nil {
		t.Fatal(err)
	}
	if err := write(w, append(bigChanges(1, 9), del("\x02keep"))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Compact(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("compact while a checkpoint is written: %v", err)
	}
	w.Abort()
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantSame(t, s, mark(1), map[string][]byte{"\x02keep": []byte("kept")})
	if s.Intent() != 2 {
		t.Fatalf("intent %d", s.Intent())
	}
	mustCheckpoint(t, s, 2, put("\x02keep", "2"))
	if got, err := s.Get(nil, []byte("\x02keep")); err != nil || string(got) != "2" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestBeginWaitsForMaintainAndReadersForTheirVersion(t *testing.T) {
	s := openBadger(t, smallOptions(t.TempDir()))
	mustCheckpoint(t, s, 1, put("\x02keep", "kept"))
	readWhile(t, s, func() {
		for i := range uint64(8) {
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := s.Compact(t.Context()); err != nil {
					t.Errorf("compact: %v", err)
				}
			})
			mustCheckpoint(t, s, i+2, put("\x02keep", "kept"), put("\x02a", strconv.FormatUint(i, 10)))
			wg.Wait()
		}
	})
	wantSame(t, s, mark(9), map[string][]byte{"\x02keep": []byte("kept"), "\x02a": []byte("7")})
}

func TestAFullDiskStopsACheckpointBeforeAnythingIsWritten(t *testing.T) {
	free := int64(1 << 30)
	o := smallOptions(t.TempDir())
	o.MinFree = 100 << 20
	o.Free = func(string) (int64, error) { return free, nil }
	s := openBadger(t, o)
	mustCheckpoint(t, s, 1, put("\x02a", "1"))
	free = 99 << 20
	if err := checkpointOf(s, 2); !errors.Is(err, ErrNoSpace) || s.Intent() != 0 {
		t.Fatalf("begin: %v, intent %d", err, s.Intent())
	}
	free = 101 << 20
	w, err := s.Begin(mark(2))
	if err != nil {
		t.Fatal(err)
	}
	free = 49 << 20
	if err := write(w, bigChanges(1, 9)); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("put: %v", err)
	}
	if err := w.Commit(); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("commit: %v", err)
	}
	w.Abort()
	if err := s.Compact(t.Context()); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("compact: %v", err)
	}
	wantSame(t, s, mark(1), map[string][]byte{"\x02a": []byte("1")})
	free = 1 << 30
	mustCheckpoint(t, s, 2, put("\x02a", "2"))
	wantSame(t, s, mark(2), map[string][]byte{"\x02a": []byte("2")})
}
