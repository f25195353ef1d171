package log

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

func TestWriteOrSyncErrorIsFinal(t *testing.T) {
	cases := []struct {
		name  string
		fault disk.Fault
	}{
		{"the write of the frames fails", disk.Fault{Op: disk.OpWrite, Err: syscall.EIO}},
		{"the write of the frames is short", disk.Fault{Op: disk.OpWrite, Err: syscall.EIO, Short: 60}},
		{"the sync fails", disk.Fault{Op: disk.OpSync, Err: syscall.EIO}},
		{"the write of the mark fails", disk.Fault{Op: disk.OpWrite, After: 1, Err: syscall.EIO}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := testOptions(disk.NewFake())
			fake := o.FS.(*disk.Fake)
			l := mustOpen(t, o)
			appendEach(t, l, "one", "two")
			fake.Inject(c.fault)
			l.Append([]byte("three"))
			err := l.Commit(true)
			if !errors.Is(err, syscall.EIO) || errors.Is(err, ErrFull) {
				t.Fatalf("commit: %v, want EIO", err)
			}
			if again := l.Commit(true); again == nil || again.Error() != err.Error() {
				t.Errorf("second commit: %v, want the same error", again)
			}
			if err := l.TruncateAfter(Position{}); !errors.Is(err, syscall.EIO) {
				t.Errorf("truncate: %v, want the same error", err)
			}
			if l.Durable() != 2 {
				t.Errorf("durable is %d, want 2", l.Durable())
			}
			mustClose(t, l)
			fake.Crash(3)
			got := replayed(t, mustOpen(t, o), 0)
			wantRecords(t, got[:2], []string{"one", "two"})
			if len(got) > 3 || len(got) == 3 && got[2] != "three" {
				t.Errorf("records are %q", got)
			}
		})
	}
}

// Found by the simulation of groups: a follower's last sync failed while it was closing, the next process took what it read for
// synced, and a power cut took it away below the durable mark.
func TestWhatAFailedSyncLeftInMemoryIsWrittenAgain(t *testing.T) {
	o := testOptions(disk.NewFake())
	fake := o.FS.(*disk.Fake)
	l := mustOpen(t, o)
	appendEach(t, l, "one", "two")
	l.Append([]byte("three"))
	mustCommit(t, l, false)
	fake.Inject(disk.Fault{Op: disk.OpSync, Err: syscall.EIO})
	if err := l.Close(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("close: %v, want EIO", err)
	}
	l = mustOpen(t, o)
	wantRecords(t, replayed(t, l, 0), []string{"one", "two", "three"})
	appendEach(t, l, "four") // confirmed behind three
	for seed := range uint64(8) {
		crashed := fake.Copy()
		crashed.Crash(seed)
		again := o
		again.FS = crashed
		wantRecords(t, replayed(t, mustOpen(t, again), 0), []string{"one", "two", "three", "four"})
	}
}

func TestErrorWhileASegmentIsPreparedFailsTheLog(t *testing.T) {
	for _, op := range []disk.Op{disk.OpCreate, disk.OpAllocate, disk.OpRename, disk.OpSyncDir} {
		o := testOptions(disk.NewFake())
		l := mustOpen(t, o)
		l.fs.(*disk.Fake).Inject(disk.Fault{Op: op, Err: syscall.EIO})
		var err error
		for i := 0; err == nil && i < 100; i++ {
			l.Append(make([]byte, 2000))
			err = l.Commit(true)
		}
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("operation %d fails: %v, want EIO", op, err)
		}
	}
}

// fillUp appends until the log says that there is no room, and returns how many records went in.
func fillUp(t *testing.T, l *Log) int {
	t.Helper()
	n := 0
	for rec := make([]byte, 1000); l.Room() >= int64(len(rec))+64; n++ {
		l.Append(rec)
		mustCommit(t, l, true)
		if n > 1000 {
			t.Fatal("the log is never full")
		}
	}
	return n
}

func TestFullDiskLeavesAReserveForSmallRecordsAndRecovers(t *testing.T) {
	o := testOptions(disk.NewFake())
	fake := o.FS.(*disk.Fake)
	fake.Limit(6 * testSegment)
	l := mustOpen(t, o)
	if l.Room() != math.MaxInt64 {
		t.Errorf("room is %d while there is space", l.Room())
	}
	n := fillUp(t, l)
	if n < 30 {
		t.Errorf("only %d records of 1000 bytes in %d bytes", n, 6*testSegment)
	}
	if got := len(l.ready); got != 1 {
		t.Errorf("%d prepared segments are left, want the reserve", got)
	}
	acks := 0
	var err error
	for ; err == nil; acks++ {
		l.Append(make([]byte, 100))
		err = l.Commit(true)
	}
	if !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) || l.Err() != nil {
		t.Fatalf("after the reserve: %v (log: %v), want ErrFull", err, l.Err())
	}
	if acks < 70 {
		t.Errorf("only %d acknowledgements fit into the reserve", acks)
	}
	last := l.Last().Index
	l.Discard()
	if l.Buffered() != 0 {
		t.Errorf("%d bytes are buffered after Discard", l.Buffered())
	}
	if got := l.Append([]byte("again")); got != last+1 {
		t.Errorf("index after Discard is %d, want %d", got, last+1)
	}
	l.Append(make([]byte, 3000))
	if err := l.Commit(true); !errors.Is(err, ErrFull) {
		t.Fatalf("commit: %v, want ErrFull", err)
	}
	l.Release(l.Durable())
	mustCommit(t, l, true) // what was kept in the buffer
	if l.Room() != math.MaxInt64 || l.Last().Index != last+2 {
		t.Errorf("after the release room is %d, last %v", l.Room(), l.Last())
	}
	mustClose(t, l)
	if rep, err := Check(fake, "wal"); err != nil || rep.Damage != nil || rep.Last.Index != last+2 {
		t.Errorf("check: %+v, %v", rep, err)
	}
}

func TestFullDiskRecoversByItselfWhenSpaceComesBack(t *testing.T) {
	o := testOptions(disk.NewFake())
	fake := o.FS.(*disk.Fake)
	o.Inline, o.RetryEvery = false, time.Millisecond
	fake.Limit(4 * testSegment)
	l := mustOpen(t, o)
	fillUp(t, l)
	if l.Room() == math.MaxInt64 {
		t.Fatal("the log does not say that it is full")
	}
	fake.Limit(-1)
	waitFor(t, "room", func() bool { return l.Room() == math.MaxInt64 })
	appendEach(t, l, numbered("more", 40, 1000)...)
}

func TestRecycledSegmentsDoNotShowTheirOldFrames(t *testing.T) {
	o := testOptions(disk.NewFake())
	fake := o.FS.(*disk.Fake)
	l := mustOpen(t, o)
	for round := range 30 {
		appendEach(t, l, numbered("round", 20, 700)...)
		l.Release(l.Durable())
		if used := fake.Used(); used > 5*testSegment {
			t.Fatalf("round %d: %d bytes on the disk", round, used)
		}
	}
	if id := l.active().id; id < 20 {
		t.Fatalf("active segment is %d: nothing was recycled", id)
	}
	from, last := l.First()-1, l.Last()
	want := replayed(t, l, from)
	fake.Crash(1)
	l = mustOpen(t, o)
	wantRecords(t, replayed(t, l, from), want)
	if l.Last() != last {
		t.Errorf("last is %v, want %v", l.Last(), last)
	}
}

func TestReleaseKeepsWhatRetainAsksFor(t *testing.T) {
	o := testOptions(disk.NewFake())
	o.Retain = 3 * testSegment
	l := mustOpen(t, o)
	appendEach(t, l, numbered("r", 100, 1000)...)
	l.Release(l.Durable())
	if size := l.Size(); size < o.Retain || size > o.Retain+testSegment {
		t.Errorf("size is %d, want about %d", size, o.Retain)
	}
	if err := l.Replay(l.First()-2, nil); !errors.Is(err, ErrReleased) {
		t.Errorf("replay of what was released: %v", err)
	}
}

func TestSecondProcessIsToldWhoHasTheLog(t *testing.T) {
	dir := os.Getenv("ENTREPOT_TEST_LOG")
	if dir != "" { // the second process
		_, err := Open(Options{Dir: dir, SegmentSize: 1 << 20, MaxFrame: 4096})
		var locked *disk.LockedError
		if !errors.As(err, &locked) || locked.PID != os.Getppid() {
			t.Fatalf("open: %v, want locked by %d", err, os.Getppid())
		}
		return
	}
	dir = t.TempDir()
	o := Options{Dir: dir, SegmentSize: 1 << 20, MaxFrame: 4096}
	l := mustOpen(t, o)
	var locked *disk.LockedError
	if _, err := Open(o); !errors.As(err, &locked) {
		t.Errorf("second open in this process: %v, want locked", err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "ENTREPOT_TEST_LOG="+dir)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "no tests") {
		t.Errorf("second process: %v\n%s", err, out)
	}
	mustClose(t, l)
	mustClose(t, mustOpen(t, o))
}
