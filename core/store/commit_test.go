package store

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store/disk"
)

func TestRequestsCompleteInTheOrderOfCommit(t *testing.T) {
	r := opened(t)
	k := &sink{}
	refused := errors.New("refused")
	const n = 3000
	for i := range uint64(n) {
		q := change(i, Durability(i%3), k)
		switch i % 7 {
		case 3:
			q.Op = Op{} // waits for what came before
		case 4:
			q.Err = refused
		case 5:
			q.Op = Op{Kind: OpTransient, Msg: queueMessage(i, "q", "x")}
		}
		r.Commit(q)
	}
	eventually(t, "completion of all", func() bool { return k.completed() == n })
	if !slices.IsSorted(k.order) {
		t.Fatal("requests completed out of order")
	}
	for i := range uint64(n) {
		var want error
		if i%7 == 4 {
			want = refused
		}
		if err, _ := k.result(i); !errors.Is(err, want) {
			t.Fatalf("request %d: %v, want %v", i, err, want)
		}
	}
	applied, _, _ := r.ledger.snapshot()
	want := uint64(0)
	for _, serial := range applied {
		for want%7 == 3 || want%7 == 4 {
			want++
		}
		if serial != want {
			t.Fatalf("%d was applied where %d should be", serial, want)
		}
		want++
	}
}

func TestRequestsOfManyCommittersKeepTheirOwnOrder(t *testing.T) {
	r := opened(t)
	var committers sync.WaitGroup
	var pending atomic.Int64
	sinks := make([]sink, 8)
	const each = 500
	for i := range sinks {
		committers.Go(func() {
			for n := range uint64(each) {
				q := change(uint64(i)*each+n, Synced, &sinks[i])
				q.Pending = &pending
				pending.Add(1)
				r.Commit(q)
			}
		})
	}
	committers.Wait()
	for i := range sinks {
		eventually(t, "completion of all", func() bool { return sinks[i].completed() == each })
		if !slices.IsSorted(sinks[i].order) {
			t.Fatalf("committer %d's requests completed out of order", i)
		}
	}
	if n := pending.Load(); n != 0 {
		t.Fatalf("%d requests count as pending", n)
	}
	if s := r.Stats(); s.Records != 8*each || s.Syncs == 0 || s.Syncs > 8*each || s.WaitingBytes != 0 {
		t.Fatalf("stats: %+v", s)
	}
}

// gated is a rig whose syncs can be held.
func gated(t *testing.T, edit ...func(*Options)) (*rig, *gate) {
	t.Helper()
	g := &gate{}
	r := newRig(t, append(edit, func(o *Options) { o.FS = g })...)
	g.FS = r.fs
	r.open()
	t.Cleanup(r.closeNow)
	return r, g
}

func TestSyncedRequestsCompleteAfterTheSync(t *testing.T) {
	r, g := gated(t)
	r.commitAll(1, 1, Synced)
	tried, _ := g.counts()
	open := g.close()
	defer open()
	k := &syncedSink{g: g, seen: map[uint64]int{}}
	r.Commit(change(2, Lazy, k))
	if err := k.wait(t, 2); err != nil {
		t.Fatal(err)
	}
	_, before := g.counts()
	r.Commit(change(3, Synced, k))
	r.Commit(Request{Done: k, Token: 4}) // waits for 3
	eventually(t, "sync", func() bool { now, _ := g.counts(); return now > tried })
	r.Commit(change(5, Lazy, k)) // behind 3, so after it
	applied, _, _ := r.ledger.snapshot()
	if len(applied) != 2 {
		t.Fatalf("%d changes were applied before the sync", len(applied))
	}
	open()
	eventually(t, "completion of all", func() bool { return k.completed() == 4 })
	if k.seen[2] != before {
		t.Errorf("the lazy request waited for a sync")
	}
	for token := uint64(3); token <= 5; token++ {
		if k.seen[token] <= before {
			t.Errorf("request %d completed before the sync", token)
		}
	}
}

// syncedSink notes how many syncs had ended when a request completed.
type syncedSink struct {
	sink
	g    *gate
	seen map[uint64]int // only the applier writes
}

func (k *syncedSink) Complete(token uint64, err error) {
	_, k.seen[token] = k.g.counts()
	k.sink.Complete(token, err)
}

func TestSoonIsSyncedWithinTheIntervalAndLazyIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time is virtual here
		const interval = 50 * time.Millisecond
		r := newRig(t, func(o *Options) { o.SyncInterval = interval })
		r.open()
		defer r.closeNow()
		r.commitAll(1, 1, Soon)
		if r.log.Durable() == r.log.Last().Index {
			t.Error("a change that need be safe soon was synced at once")
		}
		time.Sleep(interval)
		synctest.Wait()
		if r.log.Durable() != r.log.Last().Index {
			t.Error("no sync within the interval")
		}
		syncs := r.Stats().Syncs
		r.commitAll(2, 2, Lazy)
		time.Sleep(100 * interval)
		synctest.Wait()
		if now := r.Stats().Syncs; now != syncs {
			t.Errorf("%d syncs for a change that need not be safe", now-syncs)
		}
	})
}

func TestSoonAndLazyCompleteWithoutASync(t *testing.T) {
	r, _ := gated(t)
	r.commitAll(1, 50, Soon)
	r.commitAll(51, 100, Lazy)
	if s := r.Stats(); s.Syncs != 0 {
		t.Fatalf("%d syncs", s.Syncs)
	}
	r.mustClose() // which syncs
	r.fs.Crash(1)
	r.pages.restart()
	r.open()
	r.wantState(upTo(100))
}

// A record of several ops is a whole: a restart sees all of them.
func TestOpsOfARequestAreOneRecord(t *testing.T) {
	r := opened(t)
	k := &sink{}
	var ops []Op
	for n := range uint64(500) { // larger than a frame
		ops = append(ops, Op{Kind: OpPublish, Msg: queueMessage(n+1, "q", "0123456789")})
	}
	r.Commit(Request{Ops: ops, Done: k, Token: 1})
	if err := k.wait(t, 1); err != nil {
		t.Fatal(err)
	}
	r.crash(3)
	r.open()
	r.wantState(upTo(500))
}

func TestRequestsAfterCloseAreRefused(t *testing.T) {
	r := opened(t)
	r.commitAll(1, 3, Synced)
	r.mustClose()
	k := &sink{}
	var pending atomic.Int64
	pending.Add(1)
	q := publish(4, 100, Synced, k)
	q.Pending = &pending
	r.Commit(q)
	if err := k.wait(t, 4); !errors.Is(err, ErrClosed) {
		t.Fatalf("error is %v, want ErrClosed", err)
	}
	if pending.Load() != 0 || r.Stats().WaitingBytes != 0 {
		t.Fatalf("%d requests, %d bytes count as waiting", pending.Load(), r.Stats().WaitingBytes)
	}
	r.mustClose() // a second time
}

func TestProducersWaitWhileTheDiskIsSlow(t *testing.T) {
	r, g := gated(t, func(o *Options) {
		smallSegments(o)
		o.SegmentSize, o.logOptions = 4<<20, nil
	})
	open := g.close()
	defer open()
	k := &sink{}
	const n = 20
	for i := range uint64(n) {
		r.Commit(publish(i, 1<<20, Synced, k))
	}
	if reason, behind := r.Behind(); !behind || reason != "the disk is slower than the producers" {
		t.Fatalf("behind is %v: %q", behind, reason)
	}
	open()
	eventually(t, "completion of all", func() bool { return k.completed() == n })
	eventually(t, "end of the waiting", func() bool { _, behind := r.Behind(); return !behind })
}

func BenchmarkCommit(b *testing.B) {
	for _, d := range []struct {
		name string
		d    Durability
	}{{"synced", Synced}, {"soon", Soon}} {
		b.Run(d.name, func(b *testing.B) {
			s, err := Open(Options{Dir: b.TempDir(), FS: disk.OS{}}, discard{})
			if err != nil {
				b.Fatal(err)
			}
			s.Start()
			defer s.Close(b.Context())
			e := message.Envelope{ID: message.ID{Lo: 1}, Destination: message.Queue("q"), Durable: true}
			m := message.New(&e, message.EncodingSTOMP, make([]byte, 1024))
			slots := make(slots, 1000)
			for range cap(slots) {
				slots <- struct{}{}
			}
			b.ReportAllocs()
			b.SetBytes(1024)
			for b.Loop() {
				<-slots
				s.Commit(Request{Op: Op{Kind: OpPublish, Msg: m}, Durability: d.d, Done: slots})
			}
			for range cap(slots) {
				<-slots
			}
		})
	}
}

// slots bound what is under way.
type slots chan struct{}

func (s slots) Complete(uint64, error) { s <- struct{}{} }
