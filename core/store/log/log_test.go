package log

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

func TestLargeRecordsAreSplitAndJoinedAcrossSegments(t *testing.T) {
	o := testOptions(disk.NewFake())
	l := mustOpen(t, o)
	payload := o.MaxFrame - frameHeaderSize - entryHeaderSize
	cases := []struct {
		size    int
		entries uint64
	}{
		{0, 1}, {1, 1}, {payload, 1}, {payload + 1, 2}, {2 * payload, 2}, {5*testSegment + 17, 21}, {3, 1},
	}
	var want []string
	var index uint64
	for i, c := range cases {
		rec := bytes.Repeat([]byte{byte('a' + i)}, c.size)
		index += c.entries
		if got := l.Append(rec[:c.size/3], nil, rec[c.size/3:]); got != index {
			t.Fatalf("record of %d bytes has index %d, want %d", c.size, got, index)
		}
		mustCommit(t, l, true)
		want = append(want, string(rec))
	}
	wantRecords(t, replayed(t, l, 0), want)
	wantRecords(t, replayed(t, l, 3), want[3:]) // any record's index is a start
	if err := l.Replay(4, nil); !errors.Is(err, ErrBoundary) {
		t.Errorf("replay from inside a record: %v, want ErrBoundary", err)
	}
	wantDamage(t, l.Replay(index+1, nil))
	mustClose(t, l)
	wantRecords(t, replayed(t, mustOpen(t, o), 0), want)
}

func TestRecordWhoseEndWasTornOffNeverExisted(t *testing.T) {
	o := testOptions(disk.NewFake())
	fake := o.FS.(*disk.Fake)
	l := mustOpen(t, o)
	appendEach(t, l, "before")
	fake.Inject(disk.Fault{Op: disk.OpWrite, Err: errors.New("power cut"), Short: 2*4096 + 100})
	l.Append(bytes.Repeat([]byte("t"), 9000))
	if err := l.Commit(true); err == nil {
		t.Fatal("commit succeeded")
	}
	mustClose(t, l)
	l = mustOpen(t, o)
	if got := l.Last().Index; got != 3 {
		t.Fatalf("last index is %d, want 3: two fragments are whole", got)
	}
	appendEach(t, l, "after")
	wantRecords(t, replayed(t, l, 0), []string{"before", "after"})
}

func TestScanFromSkipsSegmentsButKnowsTheEpochs(t *testing.T) {
	o := testOptions(disk.NewFake())
	l := mustOpen(t, o)
	for epoch := uint64(1); epoch <= 4; epoch++ {
		if err := l.SetEpoch(epoch); err != nil {
			t.Fatal(err)
		}
		appendEach(t, l, numbered("e", 50, 1000)...)
	}
	want := []EpochStart{{1, 1}, {2, 51}, {3, 101}, {4, 151}}
	if got := l.Epochs(); !slices.Equal(got, want) {
		t.Errorf("epochs are %v, want %v", got, want)
	}
	if err := l.SetEpoch(3); err == nil {
		t.Error("the epoch went back")
	}
	mustClose(t, l)
	o.ScanFrom = 199
	l = mustOpen(t, o)
	if got := l.Epochs(); !slices.Equal(got, want) {
		t.Errorf("after open epochs are %v, want %v", got, want)
	}
	wantRecords(t, replayed(t, l, 199), numbered("e", 50, 1000)[49:])
	if got := replayed(t, l, 0); len(got) != 200 {
		t.Errorf("%d records are replayed from segments that were not scanned", len(got))
	}
	if raw, err := l.ReadFrames(nil, 20, 1); err != nil || mustFrame(raw).base != 21 {
		t.Errorf("frames behind 20: %v", err)
	}
	l.Release(120)
	if got := l.Epochs(); got[0].Epoch != 3 || got[0].Index != max(101, l.First()) {
		t.Errorf("after a release epochs are %v, first is %d", got, l.First())
	}
}

func TestFollowerIsIdenticalAndCanBeCutAndExtended(t *testing.T) {
	leader := mustOpen(t, testOptions(disk.NewFake()))
	o := testOptions(disk.NewFake())
	follower := mustOpen(t, o)
	ship := func() {
		t.Helper()
		for follower.Last() != leader.Last() {
			raw, err := leader.ReadFrames(nil, follower.Last().Index, 5000)
			if err != nil {
				t.Fatal(err)
			}
			if err := follower.AppendFrames(raw); err != nil {
				t.Fatal(err)
			}
			mustCommit(t, follower, true)
		}
	}
	appendEach(t, leader, numbered("common", 60, 700)...)
	ship()
	fork := follower.Last()

	appendEach(t, follower, numbered("diverged", 80, 700)...)
	if err := leader.SetEpoch(2); err != nil {
		t.Fatal(err)
	}
	appendEach(t, leader, numbered("two", 40, 900)...)
	raw, err := leader.ReadFrames(nil, fork.Index, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := follower.AppendFrames(raw); !errors.Is(err, ErrMismatch) {
		t.Fatalf("frames of another history: %v, want ErrMismatch", err)
	}
	wrong := fork
	wrong.Chain++
	if err := follower.TruncateAfter(wrong); !errors.Is(err, ErrBoundary) {
		t.Fatalf("cut at a wrong chain: %v, want ErrBoundary", err)
	}
	follower.Append([]byte("dropped by the cut"))
	if err := follower.TruncateAfter(fork); err != nil {
		t.Fatal(err)
	}
	if follower.Last() != fork || follower.Durable() != fork.Index || follower.Buffered() != 0 {
		t.Fatalf("after the cut: last %v, durable %d, buffered %d", follower.Last(), follower.Durable(), follower.Buffered())
	}
	ship()
	want := append(numbered("common", 60, 700), numbered("two", 40, 900)...)
	wantRecords(t, replayed(t, follower, 0), want)
	o.FS.(*disk.Fake).Crash(9)
	follower = mustOpen(t, o)
	wantRecords(t, replayed(t, follower, 0), want)
	if got := follower.Epochs(); !slices.Equal(got, leader.Epochs()) {
		t.Errorf("follower's epochs are %v, leader's %v", got, leader.Epochs())
	}
	if got := follower.Append([]byte("x")); got != leader.Last().Index+1 {
		t.Errorf("next index is %d", got)
	}
}

func TestCutToTheVeryBeginning(t *testing.T) {
	o := testOptions(disk.NewFake())
	o.Start = Position{Epoch: 3, Index: 1000, Chain: 77}
	l := mustOpen(t, o)
	if l.First() != 1001 || l.Last() != o.Start {
		t.Fatalf("first %d, last %v", l.First(), l.Last())
	}
	appendEach(t, l, numbered("r", 60, 900)...)
	if err := l.TruncateAfter(Position{Index: 999}); !errors.Is(err, ErrReleased) {
		t.Errorf("cut before the log: %v", err)
	}
	if err := l.TruncateAfter(o.Start); err != nil {
		t.Fatal(err)
	}
	if got := l.Epochs(); len(got) != 0 || l.Size() != 0 {
		t.Errorf("epochs %v, size %d after everything was cut", got, l.Size())
	}
	appendEach(t, l, "new")
	mustClose(t, l)
	wantRecords(t, replayed(t, mustOpen(t, o), 1000), []string{"new"})
}

func TestReadersRunBesideTheCommitterAndTheRecycling(t *testing.T) {
	o := Options{Dir: t.TempDir(), SegmentSize: 128 << 10, MaxFrame: 8 << 10, Spare: 3}
	l := mustOpen(t, o)
	follower := mustOpen(t, testOptions(disk.NewFake()))
	const n = 3000
	read := make(chan uint64, n)
	var group sync.WaitGroup
	group.Go(func() {
		defer close(read)
		for follower.Last().Index < n {
			raw, err := l.ReadFrames(nil, follower.Last().Index, 32<<10)
			if err == nil {
				err = follower.AppendFrames(raw)
			}
			if err == nil {
				err = follower.Commit(false)
			}
			if err != nil {
				t.Errorf("follow: %v", err)
				return
			}
			read <- follower.Last().Index
		}
	})
	group.Go(func() {
		for index := range read {
			l.Release(index)
		}
	})
	rec := bytes.Repeat([]byte("r"), 500)
	for i := range n {
		if l.Append(rec); i%10 == 9 {
			mustCommit(t, l, i%50 == 49)
		}
	}
	group.Wait()
	if follower.Last() != l.Last() {
		t.Errorf("follower is at %v, leader at %v", follower.Last(), l.Last())
	}
	if l.First() == 1 {
		t.Error("nothing was released")
	}
}

func TestCheckAndDumpShowTheLog(t *testing.T) {
	o := testOptions(disk.NewFake())
	l := mustOpen(t, o)
	appendEach(t, l, numbered("r", 30, 1000)...)
	l.Append(bytes.Repeat([]byte("f"), 10_000))
	mustCommit(t, l, true)
	live, err := Check(o.FS, "wal")
	if err != nil || live.Damage != nil || live.Clean || live.Durable != 33 {
		t.Errorf("check of an open log: %+v, %v", live, err)
	}
	mustClose(t, l)
	rep, err := Check(o.FS, "wal")
	if err != nil || rep.Damage != nil || !rep.Clean || rep.Cutting {
		t.Fatalf("check: %+v, %v", rep, err)
	}
	if rep.First != 1 || rep.Last != l.lastPos || rep.Durable != 33 || rep.Records != 31 || len(rep.Segments) != 4 || rep.Prepared < ahead {
		t.Errorf("report is %+v", rep)
	}
	var kinds []string
	next := uint64(1)
	err = Dump(o.FS, "wal", func(e Entry) error {
		if e.Index != next || e.Epoch != 1 || !e.Time.Equal(o.Now()) {
			t.Fatalf("entry is %+v, want index %d", e, next)
		}
		next++
		kinds = append(kinds, e.Kind)
		return nil
	})
	if want := []string{"full", "first", "middle", "last"}; err != nil || fmt.Sprint(kinds[29:]) != fmt.Sprint(want) {
		t.Errorf("last kinds are %v, want %v (%v)", kinds[29:], want, err)
	}
}

func TestAppendAndCommitDoNotAllocate(t *testing.T) {
	l := mustOpen(t, Options{Dir: t.TempDir(), SegmentSize: 16 << 20})
	rec := make([]byte, 1000)
	round := func() {
		for range 8 {
			l.Append(rec, rec[:10])
		}
		mustCommit(t, l, true)
	}
	waitFor(t, "prepared segments", func() bool { return readySegments(l) >= ahead })
	for range 20 {
		round()
	}
	if n := testing.AllocsPerRun(100, round); n >= 1 {
		t.Errorf("%v allocations per commit of 8 records, want none", n)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	cases := map[string]func(*Options){
		"no directory":              func(o *Options) { o.Dir = "" },
		"tiny frames":               func(o *Options) { o.MaxFrame = 100 },
		"huge frames":               func(o *Options) { o.MaxFrame = maxFrameSize + 1 },
		"segment smaller than them": func(o *Options) { o.SegmentSize = 4096 },
		"odd segment":               func(o *Options) { o.SegmentSize = 10_000 },
	}
	for name, change := range cases {
		o := testOptions(disk.NewFake())
		change(&o)
		if _, err := Open(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSegmentsOfAnotherSizeAreUsedUpAndReplaced(t *testing.T) {
	o := testOptions(disk.NewFake())
	l := mustOpen(t, o)
	recs := numbered("r", 20, 1000)
	appendEach(t, l, recs...)
	mustClose(t, l)
	o.SegmentSize *= 2
	l = mustOpen(t, o)
	appendEach(t, l, recs...)
	for _, s := range l.ready {
		if s.size != o.SegmentSize {
			t.Errorf("prepared segment has %d bytes", s.size)
		}
	}
	wantRecords(t, replayed(t, l, 0), append(recs, recs...))
}
