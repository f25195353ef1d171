package store

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// life is a store that crashes again and again, and what it must remember.
type life struct {
	*rig
	committed []uint64 // serials of requests that may be in the log, in order
	floor     int      // how many of them must be
	next      uint64   // serial
}

func newLife(t fataler) *life {
	return &life{next: 1, rig: newRig(t, func(o *Options) { o.CheckpointBytes = 1500 })}
}

// adopt compares the state with what it may be, and goes on from there.
func (l *life) adopt() {
	l.t.Helper()
	_, count, slots := l.ledger.snapshot()
	if count < uint64(l.floor) || count > uint64(len(l.committed)) {
		l.t.Fatalf("%d changes are there; %d were safe, %d were made", count, l.floor, len(l.committed))
	}
	l.committed = l.committed[:count]
	l.floor = int(count)
	if want := stateAfter(l.committed); !maps.Equal(slots, want) {
		l.t.Fatalf("state after %d changes: %v, want %v", count, slots, want)
	}
}

// work commits n requests of the given durabilities and sizes, and waits for
// them. It reports whether the machine still runs.
func (l *life) work(n int, kind func() (d Durability, size int)) (runs bool) {
	l.t.Helper()
	k := &sink{}
	from := len(l.committed)
	durabilities := make([]Durability, n)
	for i := range n {
		d, size := kind()
		durabilities[i] = d
		q := change(l.next, d, k)
		if size > 0 {
			q = publish(l.next, size, d, k)
		}
		l.committed = append(l.committed, l.next)
		l.Commit(q)
		l.next++
	}
	eventually(l.t, "completion of all", func() bool { return k.completed() == n })
	for i := range n {
		err, _ := k.result(l.committed[from+i])
		switch {
		case err == nil && !runs && i > 0:
			l.t.Fatalf("a request completed behind one that failed")
		case err == nil && durabilities[i] == Synced:
			l.floor = from + i + 1
		case err != nil && !errors.Is(err, ErrFailed):
			l.t.Fatalf("request %d: %v", l.committed[from+i], err)
		}
		runs = err == nil
	}
	return runs
}

// reopen opens the store; halting says after how many changes of the disk and
// operations of the page store the machine halts once more.
func (l *life) reopen(seed uint64, disks, pages int) {
	l.t.Helper()
	l.fs.HaltAfter(disks)
	l.pages.haltAfter(pages)
	err := l.tryOpen()
	if err == nil {
		_, count, _ := l.ledger.snapshot()
		if count < uint64(l.floor) {
			l.t.Fatalf("%d changes are there, %d were safe", count, l.floor)
		}
		if disks < 0 && pages < 0 {
			l.adopt()
			return
		}
	} else if !errors.Is(err, disk.ErrHalted) {
		l.t.Fatalf("open: %v", err)
	}
	l.crash(seed)
	l.reopen(seed+1, -1, -1)
}

func TestAfterACrashAnywhereTheStateIsThatOfAPrefixWithEverySafeRequest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLife(t)
		defer func() { l.closeNow() }()
		l.open()
		for range rapid.IntRange(1, 6).Draw(t, "lives") {
			seed := rapid.Uint64().Draw(t, "seed")
			switch rapid.IntRange(0, 3).Draw(t, "halt") {
			case 0:
				l.fs.HaltAfter(rapid.IntRange(0, 60).Draw(t, "after disk operations"))
			case 1, 2: // mostly in the middle of a checkpoint
				l.pages.haltAfter(rapid.IntRange(0, 60).Draw(t, "after page operations"))
			}
			rnd := rand.New(rand.NewPCG(seed, 1))
			for range rapid.IntRange(1, 6).Draw(t, "rounds") {
				n := 1 + rnd.IntN(40)
				runs := l.work(n, func() (Durability, int) {
					size := 0
					if rnd.IntN(8) == 0 {
						size = rnd.IntN(6000)
					}
					return Durability(rnd.IntN(3)), size
				})
				if !runs {
					break
				}
			}
			if rapid.IntRange(0, 3).Draw(t, "end") == 0 && l.Failed() == nil {
				if err := l.Close(t.Context()); err == nil {
					l.floor = len(l.committed)
				}
			}
			l.crash(seed)
			l.reopen(seed,
				rapid.SampledFrom([]int{-1, -1, 0, 1, 3, 10, 25}).Draw(t, "halt recovery after disk operations"),
				rapid.SampledFrom([]int{-1, -1, 0, 1, 5, 20}).Draw(t, "halt recovery after page operations"))
		}
	})
}

// TestHaltAtEachOperationOfTheCheckpoints walks through a life with checkpoints and
// halts it at each operation of the page store: at the beginning, in the
// middle, before and at the completion of checkpoints, and of their repetition.
func TestHaltAtEachOperationOfTheCheckpoints(t *testing.T) {
	halted := 0
	for halt := 0; ; halt++ {
		l := newLife(failWith{t, fmt.Sprintf("halt after %d", halt)})
		l.open()
		l.pages.haltAfter(halt)
		finished := true
		for range 12 {
			if !l.work(20, func() (Durability, int) { return Synced, 0 }) {
				finished = false
				break
			}
		}
		if finished {
			l.checkpointOrHalt()
			finished = l.Failed() == nil
		}
		l.crash(uint64(halt))
		l.reopen(uint64(halt), -1, halt%17)
		l.work(5, func() (Durability, int) { return Synced, 0 })
		l.closeNow()
		if finished {
			break
		}
		halted++
	}
	if halted < 50 {
		t.Errorf("only %d lives were cut", halted)
	}
}

// checkpointOrHalt has a checkpoint written, or tried.
func (l *life) checkpointOrHalt() {
	before := l.Stats().Checkpoints
	l.cp.due.Store(true)
	l.wakeApplier()
	eventually(l.t, "checkpoint or failure", func() bool {
		return l.Failed() != nil || l.Stats().Checkpoints > before && !l.cp.busy.Load()
	})
}

// failWith says in each failure what was tried.
type failWith struct {
	*testing.T
	what string
}

func (f failWith) Fatalf(format string, args ...any) {
	f.Helper()
	f.T.Fatalf("%s: %s", f.what, fmt.Sprintf(format, args...))
}
