package pages

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
)

// readsInOrder reads pages first to first+n-1 of pagesOf.
func readsInOrder(s *Badger, first, n int) error {
	for _, c := range pagesOf(first, n) {
		got, err := s.Get([]byte("dst"), []byte(c.key))
		if err != nil {
			return err
		}
		if !bytes.Equal(got[3:], c.value) {
			return fmt.Errorf("page %q has another value", c.key)
		}
	}
	return nil
}

func TestWhatIsReadAheadOfTheEndIsReadAgainWhenItIsWritten(t *testing.T) {
	s := openBadger(t, smallOptions(t.TempDir()))
	const step = 5 // pages of 16 KiB: a window sees the next checkpoints' place too
	for round := range 60 {
		if round > 0 {
			if err := readsInOrder(s, (round-1)*step, step); err != nil {
				t.Fatal(err)
			}
		}
		cs := pagesOf(round*step, step)
		if round > 10 { // files die, and are written over
			cs = append(cs, deleted(pagesOf((round-11)*step, step))...)
		}
		mustCheckpoint(t, s, uint64(round+1), cs...)
		if err := readsInOrder(s, round*step, step); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

func TestManyReadersInOrderShareWindows(t *testing.T) {
	s := openBadger(t, smallOptions(t.TempDir()))
	const all = 400
	mustCheckpoint(t, s, 1, pagesOf(0, all)...)
	var wg sync.WaitGroup
	for reader := range 6 { // more files at a time than there are windows
		wg.Go(func() {
			for range 3 {
				if err := readsInOrder(s, reader*60, 100); err != nil {
					t.Errorf("reader %d: %v", reader, err)
					return
				}
			}
		})
	}
	for i := range uint64(10) {
		mustCheckpoint(t, s, i+2, pagesOf(1000+int(i)*10, 10)...)
	}
	wg.Wait()
}

// held returns the numbers of the value files that windows keep open.
func (ws *windows) held() (files []uint64) {
	for _, w := range ws.recent {
		if w.f != nil {
			files = append(files, w.of)
		}
	}
	return files
}

// A file that nobody needs must give its space back, or serve as a new one.
func TestWindowsKeepNoFileOpenThatIsGone(t *testing.T) {
	s := openBadger(t, smallOptions(t.TempDir()))
	const all = 200 // more than three files
	mustCheckpoint(t, s, 1, pagesOf(0, all)...)
	if err := readsInOrder(s, 0, all); err != nil {
		t.Fatal(err)
	}
	if s.values.direct.Load() && len(s.values.ahead.held()) == 0 { // others have no windows
		t.Fatal("no file is open after reads in order")
	}
	mustCheckpoint(t, s, 2, deleted(pagesOf(0, all))...)
	mustCheckpoint(t, s, 3, pagesOf(all, 1)...)
	for _, id := range s.values.ahead.held() {
		if s.values.used(id) == (fileUse{}) {
			t.Errorf("file %d is gone and open", id)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if open := s.values.ahead.held(); len(open) > 0 {
		t.Errorf("files %d are open after Close", open)
	}
}

func TestReadsThatDoNotFollowOneAnotherReadNothingAhead(t *testing.T) {
	var ws windows
	const mib = 1 << 20
	for i, c := range []struct {
		file uint64
		off  int64
		size int64
		want bool
	}{
		{1, 10 * mib, 1000, false},           // the first one of its file
		{1, 9 * mib, 1000, false},            // before it
		{2, 10*mib + 500, 1000, false},       // another file
		{1, 12 * mib, 1000, false},           // too far behind
		{1, 12*mib + 2000, 1000, true},       // goes on
		{1, 12*mib + 1000, 1000, true},       // in the block in which the window begins
		{1, 12*mib + 9000, 1000, true},       // in the window
		{1, 12*mib + 3000, 255 << 10, false}, // larger than what a window takes
	} {
		if got := ws.find(c.file, c.off, c.size) != nil; got != c.want {
			t.Errorf("%d: a window: %v", i, got)
		}
	}
}
