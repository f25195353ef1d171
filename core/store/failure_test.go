package store

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// failing opens a store that reports its failure.
func failing(t *testing.T, edit ...func(*Options)) (*rig, chan error) {
	t.Helper()
	told := make(chan error, 10)
	r := opened(t, append(edit, func(o *Options) { o.OnFailure = func(err error) { told <- err } })...)
	return r, told
}

// wantFailed fails unless the store refuses everything, and said so once.
func wantFailed(t *testing.T, r *rig, told chan error, cause error) {
	t.Helper()
	select {
	case err := <-told:
		if !errors.Is(err, ErrFailed) || !errors.Is(err, cause) {
			t.Fatalf("OnFailure was told %v", err)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("OnFailure was told nothing")
	}
	k := &sink{}
	r.Commit(change(901, Lazy, k))
	r.Commit(publish(902, 10, Synced, k))
	r.Commit(Request{Done: k, Token: 903})
	for token := uint64(901); token <= 903; token++ {
		if err := k.wait(t, token); !errors.Is(err, ErrFailed) || errors.Is(err, ErrUncertain) {
			t.Fatalf("request %d after the failure: %v", token, err)
		}
	}
	if err := r.Failed(); !errors.Is(err, ErrFailed) || !r.Stats().Failed {
		t.Fatalf("Failed returns %v", err)
	}
	if len(told) != 0 {
		t.Fatal("OnFailure was told twice")
	}
}

func TestFailedWriteOrSyncIsFinalAndARestartRecoversWhatWasCompleted(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault disk.Fault
	}{
		{"write", disk.Fault{Op: disk.OpWrite, Err: syscall.EIO}},
		{"short write", disk.Fault{Op: disk.OpWrite, Err: syscall.EIO, Short: 700}},
		{"sync", disk.Fault{Op: disk.OpSync, Err: syscall.EIO}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, told := failing(t)
			r.commitAll(1, 200, Synced)
			r.fs.Inject(tt.fault)
			k := &sink{}
			r.Commit(change(201, Synced, k))
			if err := k.wait(t, 201); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) || !errors.Is(err, ErrUncertain) {
				t.Fatalf("error is %v, want ErrFailed and ErrUncertain because of EIO", err)
			}
			wantFailed(t, r, told, syscall.EIO)
			if applied, _, _ := r.ledger.snapshot(); len(applied) != 200 {
				t.Fatalf("%d changes are applied, 200 are safe", len(applied))
			}
			r.crash(5)
			r.open()
			_, count, _ := r.ledger.snapshot()
			if count != 200 && count != 201 {
				t.Fatalf("%d changes are there after the restart", count)
			}
			r.wantState(upTo(count))
		})
	}
}

// A request that waits for what came before must not be told that it is safe
// when the sync failed, though it has no record of its own.
func TestWaitingForEarlierRequestsFailsWithTheirSync(t *testing.T) {
	r, told := failing(t)
	r.commitAll(1, 10, Soon)
	r.fs.Inject(disk.Fault{Op: disk.OpSync, Err: syscall.EIO})
	k := &sink{}
	r.Commit(Request{Done: k, Token: 11})
	if err := k.wait(t, 11); !errors.Is(err, ErrFailed) {
		t.Fatalf("error is %v, want ErrFailed", err)
	}
	wantFailed(t, r, told, syscall.EIO)
}

func TestFailRefusesWhatComesLaterOnly(t *testing.T) {
	r, told := failing(t)
	r.commitAll(1, 5, Synced)
	lost := errors.New("page 7 is unreadable")
	r.Fail(lost)
	r.Fail(errors.New("another one"))
	wantFailed(t, r, told, lost)
	r.crash(1)
	r.open()
	r.wantState(upTo(5))
}

func TestFailedCheckpointFailsTheStore(t *testing.T) {
	r, told := failing(t)
	r.commitAll(1, 50, Synced)
	r.pages.set(syscall.EIO, false)
	r.cp.due.Store(true)
	r.wakeApplier()
	wantFailed(t, r, told, syscall.EIO)
	r.pages.set(nil, false)
	r.crash(1)
	r.open()
	r.wantState(upTo(50))
}

// fill publishes until the disk is full and returns the serials stored.
func fill(t *testing.T, r *rig, k *sink, from uint64) (stored []uint64, next uint64) {
	t.Helper()
	for n := from; n < from+10_000; n++ {
		r.Commit(publish(n, 900, Synced, k))
		switch err := k.wait(t, n); {
		case err == nil:
			stored = append(stored, n)
		case errors.Is(err, ErrFull):
			return stored, n + 1
		default:
			t.Fatalf("publish %d: %v", n, err)
		}
	}
	t.Fatal("the disk is never full")
	return nil, 0
}

func TestFullDiskRefusesMessagesAndStillTakesAcknowledgements(t *testing.T) {
	r, told := failing(t)
	k := &sink{}
	r.fs.Limit(r.fs.Used() + 100<<10)
	stored, next := fill(t, r, k, 1)
	for range 50 {
		r.Commit(change(next, Synced, k))
		if err := k.wait(t, next); err != nil {
			t.Fatalf("acknowledgement on a full disk: %v", err)
		}
		stored = append(stored, next)
		next++
	}
	// A transaction that stores a message and acknowledges one: none of it.
	tx := []Op{{Kind: OpAck, Queue: 1, Pos: next}, {Kind: OpPublish, Msg: queueMessage(next+1, "q", strings.Repeat("x", 5000))}}
	r.Commit(Request{Ops: tx, Done: k, Token: next})
	if err := k.wait(t, next); !errors.Is(err, ErrFull) {
		t.Fatalf("transaction on a full disk: %v", err)
	}
	next += 2

	r.fs.Limit(-1)
	eventually(t, "messages taken again", func() bool {
		r.Commit(publish(next, 900, Synced, k))
		err := k.wait(t, next)
		if err == nil {
			stored = append(stored, next)
		}
		next++
		return err == nil
	})
	r.wantState(stored)
	if r.Failed() != nil || len(told) != 0 {
		t.Fatalf("a full disk failed the store: %v", r.Failed())
	}
	r.crash(2)
	r.open()
	r.wantState(stored)
}

// When even the reserve is used up, acknowledgements wait for space: were they
// refused, their messages would be in limbo until the next start.
func TestAcknowledgementsWaitWhenEvenTheReserveIsUsedUp(t *testing.T) {
	r := opened(t)
	k := &sink{}
	r.fs.Limit(r.fs.Used())
	stored, next := fill(t, r, k, 1)
	for !r.full.Load() {
		r.Commit(change(next, Synced, k))
		token := next
		eventually(t, "completion or a full disk", func() bool { _, done := k.result(token); return done || r.full.Load() })
		stored = append(stored, next)
		next++
	}
	if reason, behind := r.Behind(); !behind || reason != "the disk is full" {
		t.Fatalf("behind is %v: %q", behind, reason)
	}
	r.Commit(Request{Done: k, Token: next}) // waits for what came before
	if _, done := k.result(next); done {
		t.Fatal("a request overtook an acknowledgement that waits")
	}
	r.fs.Limit(-1)
	if err := k.wait(t, next); err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); n < next; n++ {
		if err, done := k.result(n); !done || err != nil && !errors.Is(err, ErrFull) {
			t.Fatalf("request %d: done is %v, %v", n, done, err)
		}
	}
	r.wantState(stored)
	if _, behind := r.Behind(); behind {
		t.Fatal("producers wait though there is space")
	}
}

func TestCloseEndsTheWaitingForSpace(t *testing.T) {
	r := newRig(t)
	r.open()
	k := &sink{}
	r.fs.Limit(r.fs.Used())
	stored, next := fill(t, r, k, 1)
	var last uint64
	for !r.full.Load() {
		last = next
		r.Commit(change(next, Synced, k))
		eventually(t, "completion or a full disk", func() bool { _, done := k.result(last); return done || r.full.Load() })
		if err, done := k.result(last); done && err == nil {
			stored = append(stored, last)
		}
		next++
	}
	r.mustClose()
	if err := k.wait(t, last); !errors.Is(err, ErrFull) {
		t.Fatalf("acknowledgement without space: %v", err)
	}
	r.fs.Limit(-1)
	r.pages.Crash()
	r.open()
	defer r.closeNow()
	r.wantState(stored)
}

func TestMessagesAreRefusedWhileACheckpointFindsNoSpaceAndAcknowledgementsAreNot(t *testing.T) {
	r, told := failing(t, func(o *Options) { o.CheckpointBytes = 10 << 10 })
	r.pages.set(nil, true)
	k := &sink{}
	var n uint64
	eventually(t, "refused message", func() bool {
		r.Commit(publish(n+1, 900, Synced, k))
		err := k.wait(t, n+1)
		if err == nil {
			n++
		} else if !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		return err != nil
	})
	if n < 8*10-10 || r.Stats().Checkpoints != 0 {
		t.Fatalf("refused after %d messages, %d checkpoints", n, r.Stats().Checkpoints)
	}
	if reason, behind := r.Behind(); behind {
		t.Fatalf("producers are to wait: %s", reason)
	}
	r.Commit(change(n+2, Synced, k))
	if err := k.wait(t, n+2); err != nil {
		t.Fatalf("acknowledgement: %v", err)
	}
	grown := r.Stats().LogBytes
	r.pages.set(nil, false)
	eventually(t, "checkpoint", func() bool { return r.Stats().Checkpoints > 0 })
	eventually(t, "log released", func() bool { return r.Stats().LogBytes < grown/2 })
	if r.Failed() != nil || len(told) != 0 {
		t.Fatalf("failed: %v", r.Failed())
	}
	r.crash(1)
	r.open()
	r.wantState(append(upTo(n), n+2))
}

// The checkpoint that could not be written is not lost at Close: what was
// frozen for it must be written before anything later is.
func TestCloseWithACheckpointThatFoundNoSpaceLosesNothing(t *testing.T) {
	for _, room := range []bool{false, true} {
		t.Run(map[bool]string{false: "still no space", true: "space is back"}[room], func(t *testing.T) {
			r := newRig(t)
			r.open()
			r.commitAll(1, 40, Synced)
			r.pages.set(nil, true)
			r.cp.due.Store(true)
			r.wakeApplier()
			eventually(t, "failed attempt", r.cp.noSpace.Load)
			r.commitAll(41, 60, Synced)
			r.pages.set(nil, !room)
			r.mustClose()
			want := uint64(0)
			if room {
				want = 60
			}
			if at := r.pages.Mark().Index; at != want {
				t.Fatalf("checkpoint is at %d, want %d", at, want)
			}
			r.pages.set(nil, false)
			r.pages.Crash()
			r.open()
			defer r.closeNow()
			r.wantState(upTo(60))
		})
	}
}

func TestStartOnADiskWithoutSpaceForACheckpoint(t *testing.T) {
	r := newRig(t, func(o *Options) { o.CheckpointBytes = 500 })
	big := r.o
	big.CheckpointBytes = 1 << 30
	r.o, big = big, r.o
	r.open()
	r.commitAll(1, 300, Synced)
	r.crash(1)
	r.o = big
	r.pages.set(nil, true)
	r.open()
	defer r.closeNow()
	r.wantState(upTo(300))
	r.commitAll(301, 310, Synced)
	if at := r.pages.Mark(); at != (pages.Mark{}) {
		t.Fatalf("checkpoint %+v without space", at)
	}
	r.pages.set(nil, false)
	eventually(t, "checkpoint", func() bool { return r.Stats().Checkpoints > 0 })
	r.restart()
	r.wantState(upTo(310))
}

func TestCloseInAHurryLeavesTheRestToTheNextStart(t *testing.T) {
	r := newRig(t)
	r.open()
	r.commitAll(1, 100, Synced)
	release := r.pages.hold()
	defer release()
	r.cp.due.Store(true)
	r.wakeApplier()
	eventually(t, "checkpoint under way", r.cp.busy.Load)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var closed atomic.Bool
	go func() {
		_ = r.Close(ctx)
		closed.Store(true)
	}()
	eventually(t, "abandoned checkpoint", r.cp.abandoned.Load)
	release()
	eventually(t, "closed store", closed.Load)
	if at := r.pages.Mark().Index; at != 0 {
		t.Fatalf("a checkpoint at %d was completed", at)
	}
	r.pages.Crash()
	r.open()
	defer r.closeNow()
	r.wantState(upTo(100))
}
