package store

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/entrepot-mq/entrepot/core/store/log"
)

// openGroup opens a store that is part of a group, as a follower.
func openGroup(t *testing.T, r *rig) {
	t.Helper()
	r.o.Group = true
	m := newLedger()
	s, err := Open(r.o, m)
	if err != nil {
		t.Fatal(err)
	}
	r.Store, r.ledger = s, m
	s.Follow()
	t.Cleanup(func() { _ = s.Close(context.Background()) })
}

// lead makes the store the leader of an epoch, alone: written and synced records count as committed when commit says so.
func lead(t *testing.T, r *rig, epoch uint64, edit ...func(*Leadership)) (written chan log.Position) {
	t.Helper()
	barrier, err := r.Lead(epoch)
	if err != nil {
		t.Fatal(err)
	}
	written = make(chan log.Position, 1000)
	l := Leadership{
		Written: func(p log.Position) { written <- p }, Synced: func(uint64) {}, Valid: func() bool { return true },
	}
	for _, f := range edit {
		f(&l)
	}
	r.Advance(barrier.Index)
	if err := r.Serve(l); err != nil {
		t.Fatal(err)
	}
	return written
}

func (r *rig) appliedIs(want ...uint64) bool {
	applied, _, _ := r.ledger.snapshot()
	return slices.Equal(applied, want)
}

func TestALeadersRequestsCompleteWhenTheGroupHasThem(t *testing.T) {
	r := newRig(t)
	openGroup(t, r)
	k := &sink{}
	r.Commit(change(1, Synced, k))
	if err := k.wait(t, 1); !errors.Is(err, ErrNotLeader) {
		t.Fatalf("a follower's request: %v", err)
	}
	written := lead(t, r, 2)
	r.Commit(change(2, Synced, k))
	pos := <-written
	if pos.Epoch != 2 || k.completed() != 1 || !r.appliedIs(0) { // 0 is the barrier
		t.Fatalf("written at %v: %d completed", pos, k.completed())
	}
	r.Advance(pos.Index)
	if err := k.wait(t, 2); err != nil {
		t.Fatal(err)
	}
	if !r.appliedIs(0, 2) {
		t.Fatal("not applied")
	}
}

func TestADeposedLeaderLeavesOpenWhatItHasWrittenAndRefusesTheRest(t *testing.T) {
	r := newRig(t)
	openGroup(t, r)
	written := lead(t, r, 2)
	k := &sink{}
	r.Commit(change(1, Synced, k))
	<-written
	r.Depose(errors.New("somebody else leads"))
	if err := k.wait(t, 1); !errors.Is(err, ErrNotLeader) || !errors.Is(err, ErrUncertain) {
		t.Fatalf("what was written: %v", err)
	}
	r.Commit(change(2, Synced, k))
	if err := k.wait(t, 2); !errors.Is(err, ErrNotLeader) {
		t.Fatalf("what came later: %v", err)
	}
	if !r.appliedIs(0) {
		t.Fatal("a deposed leader has applied something")
	}
}

func TestAFollowerAppliesWhatIsCommittedAndNothingElse(t *testing.T) {
	leader, follower := newRig(t), newRig(t)
	openGroup(t, leader)
	openGroup(t, follower)
	written := lead(t, leader, 2)
	k := &sink{}
	var ends []log.Position
	for n := uint64(1); n <= 3; n++ {
		leader.Commit(change(n, Synced, k))
		ends = append(ends, <-written)
	}
	frames, err := leader.Log().ReadFrames(nil, 0, 1<<20)
	if err == nil {
		err = follower.Log().AppendFrames(frames)
	}
	if err == nil {
		err = follower.Log().Commit(true)
	}
	if err != nil {
		t.Fatal(err)
	}
	follower.Advance(ends[1].Index)
	eventually(t, "application", func() bool { return follower.Applied() == ends[1].Index })
	if !follower.appliedIs(0, 1, 2) {
		t.Fatal("the follower's state is not what is committed")
	}
	// A restart knows only what a checkpoint has: the rest may have been cut off meanwhile.
	follower.mustClose()
	follower.pages.Crash()
	openGroup(t, follower)
	if !follower.appliedIs() || follower.Applied() != 0 {
		t.Fatal("a restarted follower has applied what nobody told it is committed")
	}
	// It becomes the leader with what it has, and its barrier commits that.
	lead(t, follower, 3)
	eventually(t, "application", func() bool { return follower.appliedIs(0, 1, 2, 3, 0) })
}

func TestEarlyCompletionDoesNotWaitForTheGroup(t *testing.T) {
	r := newRig(t)
	openGroup(t, r)
	written := lead(t, r, 2, func(l *Leadership) { l.Early = true })
	k := &sink{}
	r.Commit(publish(1, 10, Synced, k))
	if err := k.wait(t, 1); err != nil {
		t.Fatal(err)
	}
	if !r.appliedIs(0) {
		t.Fatal("a consumer could see what only one node has")
	}
	r.Advance((<-written).Index)
	eventually(t, "application", func() bool { return r.appliedIs(0, 1) })
}

func TestALeaderWithoutItsLeaseDispatchesNothing(t *testing.T) {
	r := newRig(t)
	openGroup(t, r)
	written := lead(t, r, 2, func(l *Leadership) { l.Valid = func() bool { return false } })
	k := &sink{}
	r.Commit(change(1, Synced, k))
	r.Advance((<-written).Index)
	if err := k.wait(t, 1); !errors.Is(err, ErrNotLeader) || !errors.Is(err, ErrUncertain) {
		t.Fatalf("%v", err)
	}
	if !r.appliedIs(0) {
		t.Fatal("applied, and dispatched, without a lease")
	}
	r.Commit(change(2, Synced, k))
	if err := k.wait(t, 2); !errors.Is(err, ErrNotLeader) {
		t.Fatalf("a record after one that was left out: %v", err)
	}
}

func TestADrainedLeaderHoldsRequestsBackAndRefusesNone(t *testing.T) {
	r := newRig(t)
	openGroup(t, r)
	written := lead(t, r, 2)
	r.Drain(true)
	k := &sink{}
	r.Commit(change(1, Synced, k))
	if n := len(written); n != 0 || k.completed() != 0 {
		t.Fatalf("%d written, %d completed", n, k.completed())
	}
	r.Drain(false)
	r.Advance((<-written).Index)
	if err := k.wait(t, 1); err != nil {
		t.Fatal(err)
	}
}

// What is committed may end in the middle of a large record. A checkpoint there would have the rest of it replayed without its
// beginning, as if it had been cut off by a crash.
func TestAFollowersCheckpointDoesNotCutALargeRecordInTwo(t *testing.T) {
	leader, follower := newRig(t), newRig(t, func(o *Options) { o.CheckpointBytes = 1 })
	openGroup(t, leader)
	openGroup(t, follower)
	written := lead(t, leader, 2)
	k := &sink{}
	leader.Commit(publish(1, 10, Synced, k))
	small := <-written
	leader.Commit(publish(2, 10_000, Synced, k))
	large := <-written
	frames, err := leader.Log().ReadFrames(nil, 0, 1<<20)
	if err == nil {
		err = follower.Log().AppendFrames(frames)
	}
	if err == nil {
		err = follower.Log().Commit(true)
	}
	if err != nil {
		t.Fatal(err)
	}
	ends, err := log.Ends(nil, frames)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range ends {
		if end.Index <= small.Index {
			continue // the first time, a whole record and a part of the next one
		}
		follower.Advance(end.Index)
		eventually(t, "application", func() bool { return follower.Applied() == end.Index && !follower.cp.busy.Load() })
		if at := follower.pages.Mark().Index; at > small.Index && at < large.Index {
			t.Errorf("a checkpoint stands at %d, within the record that ends at %d", at, large.Index)
		}
	}
	if !follower.appliedIs(0, 1, 2) {
		t.Fatal("the follower's state is not what is committed")
	}
}
