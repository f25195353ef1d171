package log

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// TestCutInterruptedAtAnyOperationIsWholeOrNotDone halts the machine at each operation of a cut over several
// segments, and then at each operation of the recovery.
func TestCutInterruptedAtAnyOperationIsWholeOrNotDone(t *testing.T) {
	recs := numbered("r", 50, 900)
	prepare := func() (Options, *disk.Fake, *Log) {
		o := testOptions(disk.NewFake())
		l := mustOpen(t, o)
		appendEach(t, l, recs...)
		return o, o.FS.(*disk.Fake), l
	}
	const keep = 7
	outcomes := map[int]int{}
	for halt := 0; ; halt++ {
		finished := false
		for again := range 12 {
			o, fake, l := prepare()
			raw, err := l.ReadFrames(nil, keep-1, 1)
			if err != nil {
				t.Fatal(err)
			}
			fake.HaltAfter(halt)
			err = l.TruncateAfter(frameEnd(raw))
			finished = err == nil
			if err != nil && !errors.Is(err, disk.ErrHalted) {
				t.Fatalf("halt after %d: %v", halt, err)
			}
			fake.HaltAfter(0)
			mustNotClose(t, l)
			fake.Crash(uint64(100*halt + again))
			fake.HaltAfter(2 * again)
			if l, err = Open(o); err == nil {
				mustNotClose(t, l)
			}
			fake.Crash(uint64(again))
			l = mustOpen(t, o)
			got := replayed(t, l, 0)
			if len(got) != keep && (finished || len(got) != len(recs)) {
				t.Fatalf("halt after %d, seed %d: %d records are left", halt, again, len(got))
			}
			wantRecords(t, got, recs[:len(got)])
			outcomes[len(got)]++
			appendEach(t, l, "next")
			wantRecords(t, replayed(t, l, 0), append(slices.Clone(got), "next"))
			mustClose(t, l)
		}
		if finished {
			break
		}
	}
	if outcomes[keep] == 0 || outcomes[len(recs)] == 0 {
		t.Errorf("outcomes are %v, want both", outcomes)
	}
}

func frameEnd(raw []byte) Position {
	f := mustFrame(raw)
	return f.end()
}

// mustNotClose closes a log whose machine may have halted: it must neither hang nor panic.
func mustNotClose(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil && !errors.Is(err, disk.ErrHalted) {
		t.Fatalf("close: %v", err)
	}
}

// TestHaltAtAnyOperationOfALifeKeepsWhatWasSynced walks through creation, filling, recycling and reopening.
func TestHaltAtAnyOperationOfALifeKeepsWhatWasSynced(t *testing.T) {
	for halt := 0; ; halt++ {
		o := testOptions(disk.NewFake())
		fake := o.FS.(*disk.Fake)
		fake.HaltAfter(halt)
		synced, err := liveOnce(o)
		if err == nil {
			break
		}
		if !errors.Is(err, disk.ErrHalted) {
			t.Fatalf("halt after %d: %v", halt, err)
		}
		fake.Crash(uint64(halt))
		l := mustOpen(t, o)
		from := l.First() - 1
		got := replayed(t, l, from)
		if last := from + uint64(len(got)); last < synced || last > synced+1 {
			t.Fatalf("halt after %d: last record is %d, synced was %d", halt, last, synced)
		}
		for i, rec := range got {
			if want := fmt.Sprintf("%0900d", from+1+uint64(i)); rec != want {
				t.Fatalf("halt after %d: record %d is %.30q", halt, i, rec)
			}
		}
		mustClose(t, l)
	}
}

// liveOnce appends, releases and reopens a log and returns the last index that was synced.
func liveOnce(o Options) (synced uint64, err error) {
	for range 2 {
		l, err := Open(o)
		if err != nil {
			return synced, err
		}
		for range 60 {
			index := l.Append(fmt.Appendf(nil, "%0900d", synced+1))
			if err := l.Commit(true); err != nil {
				return synced, errors.Join(err, l.Close())
			}
			synced = index
			if index%25 == 0 {
				l.Release(index)
			}
		}
		if err := l.Close(); err != nil {
			return synced, err
		}
	}
	return synced, nil
}

func TestSegmentIsNotReleasedBeforeItsSuccessorIsDurable(t *testing.T) {
	for seed := range uint64(40) {
		o := testOptions(disk.NewFake())
		l := mustOpen(t, o)
		recs := numbered("r", 20, 1000)
		for _, r := range recs {
			l.Append([]byte(r))
			mustCommit(t, l, false)
		}
		if len(l.segs) != 2 {
			t.Fatalf("%d segments, want 2", len(l.segs))
		}
		full := l.Durable() // a full segment is always synced
		l.Release(full)
		o.FS.(*disk.Fake).Crash(seed)
		l = mustOpen(t, o)
		got := replayed(t, l, 0)
		if uint64(len(got)) < full {
			t.Fatalf("seed %d: %d records, %d were durable", seed, len(got), full)
		}
		wantRecords(t, got, recs[:len(got)])
	}
}
