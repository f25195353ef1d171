package store

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/log"
)

// 100,000 records in small segments: the log never keeps much more than what
// may wait for a checkpoint.
func TestCheckpointsDuringLoadKeepTheLogShort(t *testing.T) {
	const n, every = 100_000, 64 << 10
	r := opened(t, func(o *Options) { o.CheckpointBytes = every })
	window := make(slots, 500)
	for range cap(window) {
		window <- struct{}{}
	}
	longest := int64(0)
	for i := uint64(1); i <= n; i++ {
		<-window
		r.Commit(change(i, Lazy, window))
		if i%1000 == 0 {
			longest = max(longest, r.log.Size())
			eventually(t, "producers released", func() bool { _, behind := r.Behind(); return !behind })
		}
	}
	for range cap(window) {
		<-window
	}
	r.wantState(upTo(n))
	s := r.Stats()
	if s.Bytes < 10*every || s.Checkpoints < 3 {
		t.Fatalf("%d checkpoints over %d bytes prove nothing", s.Checkpoints, s.Bytes)
	}
	if most := int64((maxLag + 2) * every); longest > most {
		t.Errorf("the log grew to %d bytes, %d at most were expected", longest, most)
	}
	if r.log.First() < n/2 {
		t.Errorf("the log begins at %d still", r.log.First())
	}
	r.crash(1)
	r.open()
	_, count, _ := r.ledger.snapshot()
	r.wantState(upTo(count))
}

// A broker that was started again and has nothing to do must not try to write
// the checkpoint that it was started from.
func TestIdleStoreWritesNoCheckpoint(t *testing.T) {
	r := opened(t)
	r.commitAll(1, 10, Synced)
	r.o.CheckpointInterval = 2 * time.Millisecond
	r.restart()
	before := r.pages.Mark()
	seen := func() int { r.ledger.mu.Lock(); defer r.ledger.mu.Unlock(); return r.ledger.settled }
	eventually(t, "ticks", func() bool { return seen() > 10 })
	if err := r.Failed(); err != nil {
		t.Fatal(err)
	}
	if s := r.Stats(); s.Checkpoints != 0 || r.pages.Mark() != before {
		t.Fatalf("%d checkpoints of nothing", s.Checkpoints)
	}
	r.commitAll(11, 11, Lazy)
	eventually(t, "checkpoint by time", func() bool { return r.pages.Mark().Index == 11 })
}

// The log that the checkpoint came from must not be lost behind it: after a
// power cut the page store would be ahead, and the data directory unusable.
func TestCheckpointIsNeverAheadOfWhatTheLogHasSynced(t *testing.T) {
	for seed := range uint64(30) {
		r := newRig(t)
		r.open()
		r.commitAll(1, 20, Lazy)
		r.checkpoint()
		if at, durable := r.pages.Mark().Index, r.log.Durable(); at > durable || at != 20 {
			t.Fatalf("checkpoint is at %d, the log is durable to %d", at, durable)
		}
		r.commitAll(21, 25, Lazy)
		r.crash(seed)
		r.open()
		_, count, _ := r.ledger.snapshot()
		if count < 20 {
			t.Fatalf("%d changes are left", count)
		}
		r.wantState(upTo(count))
		r.closeNow()
	}
}

func TestCheckpointAfterARestartCountsWhatWasReplayed(t *testing.T) {
	r := newRig(t, func(o *Options) { o.CheckpointBytes = 4000 })
	r.open()
	r.commitAll(1, 100, Synced) // some 2500 bytes
	r.crash(1)
	r.open()
	defer r.closeNow()
	r.wantState(upTo(100))
	if r.Stats().Bytes != 0 {
		t.Fatalf("%d bytes count as written since the start", r.Stats().Bytes)
	}
	for n := uint64(101); r.Stats().Checkpoints == 0; n++ {
		r.commitAll(n, n, Synced)
		if r.Stats().Bytes > 4500 {
			t.Fatal("no checkpoint")
		}
	}
}

// What lies behind the checkpoint may be much: recovery writes checkpoints on
// its way, so that its memory stays bounded, and begins behind them after the
// next crash.
func TestReplayOfALongLogWritesCheckpoints(t *testing.T) {
	r := newRig(t, func(o *Options) { o.CheckpointBytes = 1 << 30 })
	r.open()
	const n = 5000
	r.commitAll(1, n, Synced)
	r.crash(1)
	r.o.CheckpointBytes = 1000
	r.open()
	defer r.closeNow()
	r.wantState(upTo(n))
	if s := r.Stats(); s.Checkpoints < 3 {
		t.Fatalf("%d checkpoints", s.Checkpoints)
	}
	mark := r.pages.Mark() // once: a checkpoint in the background may move it
	if at, err := r.log.BoundaryAt(mark.Index); err != nil || at.Index != mark.Index {
		t.Fatalf("checkpoint at %d, which is not a frame's end: %v, %v", mark.Index, at, err)
	}
}

// Records in several fragments: a checkpoint must not stand between them.
func TestReplayOfLongRecordsWritesCheckpointsBehindThem(t *testing.T) {
	r := newRig(t, func(o *Options) { o.CheckpointBytes = 1 << 30 })
	r.open()
	k := &sink{}
	const n = 60
	for i := uint64(1); i <= n; i++ {
		r.Commit(publish(i, int(i%3)*4500, Synced, k))
	}
	eventually(t, "completion of all", func() bool { return k.completed() == n })
	r.crash(1)
	r.o.CheckpointBytes = 10_000
	r.open()
	defer r.closeNow()
	r.wantState(upTo(n))
	if r.Stats().Checkpoints == 0 {
		t.Fatal("no checkpoint")
	}
	r.crash(2)
	r.open()
	r.wantState(upTo(n))
}

func TestStateGoesOnWhileACheckpointIsWritten(t *testing.T) {
	r := opened(t)
	r.commitAll(1, 30, Synced)
	release := r.pages.hold()
	defer release()
	r.cp.due.Store(true)
	r.wakeApplier()
	eventually(t, "checkpoint under way", r.cp.busy.Load)
	r.commitAll(31, 500, Synced)
	release()
	eventually(t, "checkpoint", func() bool { return !r.cp.busy.Load() })
	if at := r.pages.Mark().Index; at != 30 {
		t.Fatalf("checkpoint is at %d", at)
	}
	r.crash(4)
	r.open()
	r.wantState(upTo(500))
}

// The reason that Behind gives when it is the checkpoint itself that is slow.
func TestProducersWaitForASlowCheckpointAndGoOn(t *testing.T) {
	r := opened(t, func(o *Options) { o.CheckpointBytes = 2000 })
	release := r.pages.hold()
	defer release()
	var behind atomic.Bool
	k := &sink{}
	for n := uint64(1); n <= 100; n++ {
		r.Commit(publish(n, 900, Synced, k))
		if err := k.wait(t, n); err != nil {
			t.Fatal(err)
		}
		if reason, b := r.Behind(); b {
			if want := "the checkpoint is slower than the producers"; reason != want {
				t.Fatalf("reason is %q, want %q", reason, want)
			}
			behind.Store(true)
		}
	}
	if !behind.Load() {
		t.Fatal("producers were never told to wait")
	}
	release()
	// Nothing is committed from now on: the checkpoints must follow by themselves.
	eventually(t, "producers released", func() bool { _, b := r.Behind(); return !b })
}

func TestMarkNamesTheLogPositionExactly(t *testing.T) {
	r := opened(t)
	for i := range uint64(5) {
		r.commitAll(i*10+1, i*10+10, Synced)
		r.checkpoint()
		m, last := r.pages.Mark(), r.log.Last()
		if got := (log.Position{Epoch: m.Epoch, Index: m.Index, Chain: m.Chain}); got != last {
			t.Fatalf("mark is %v, the log ends at %v", fmt.Sprint(got), last)
		}
		if m.Format != formatVersion {
			t.Fatalf("format is %d", m.Format)
		}
	}
}
