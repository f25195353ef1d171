package filelock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/election"
)

func locker(t *testing.T, dir, node string) *Locker {
	t.Helper()
	return New(Options{
		Dir: dir, Node: node, Period: 20 * time.Millisecond, Poll: 5 * time.Millisecond,
		Client: map[string]string{"stomp": node + ":1"}, Console: node + ":2",
	})
}

func acquire(t *testing.T, l *Locker) *Lock {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	k, err := l.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func lost(t *testing.T, k *Lock) {
	t.Helper()
	select {
	case <-k.Lost():
	case <-time.After(60 * time.Second):
		t.Fatal("the loss goes unnoticed")
	}
	if k.Deadline() != 0 {
		t.Errorf("a lost lock has the deadline %v", k.Deadline())
	}
}

func TestOneHoldsTheLockAndTheNextGetsItWithAHigherEpoch(t *testing.T) {
	dir := t.TempDir()
	a, b := locker(t, dir, "a"), locker(t, dir, "b")
	if _, err := b.Holder(); !errors.Is(err, ErrNobody) {
		t.Error("before the first: ", err)
	}
	first := acquire(t, a)
	if k, err := b.try(t.Context()); k != nil || err != nil {
		t.Fatalf("a second one got %v, %v", k, err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Acquire(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Error("waiting: ", err)
	}
	h, err := b.Holder()
	if err != nil || h.Node != "a" || h.Epoch != 1 || h.Client["stomp"] != "a:1" || h.Console != "a:2" || h.Released {
		t.Errorf("the holder is %+v, %v", h, err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	if h, err = b.Holder(); err != nil || !h.Released {
		t.Errorf("after its release the lock says %+v, %v", h, err)
	}
	second := acquire(t, b)
	if second.Epoch() != 2 {
		t.Errorf("the second epoch is %d", second.Epoch())
	}
	if err := second.Release(); err != nil {
		t.Error(err)
	}
}

func TestNeverTwoHoldTheLock(t *testing.T) {
	dir := t.TempDir()
	var holders, turns atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		l := locker(t, dir, "x")
		wg.Go(func() {
			for turns.Load() < 40 {
				k, err := l.Acquire(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold it", n)
				}
				if got := turns.Add(1); k.Epoch() != uint64(got) {
					t.Errorf("turn %d has epoch %d", got, k.Epoch())
				}
				holders.Add(-1)
				if err := k.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestTheDeadlineMovesWithTheBeats(t *testing.T) {
	k := acquire(t, locker(t, t.TempDir(), "a"))
	start := k.Deadline()
	if start <= election.Now() {
		t.Error("a new lock has expired")
	}
	for end := time.Now().Add(60 * time.Second); k.Deadline() == start; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no beat moved it")
		}
	}
	if err := k.Release(); err != nil {
		t.Error(err)
	}
}

func TestAReplacedFileIsALostLock(t *testing.T) {
	dir := t.TempDir()
	k := acquire(t, locker(t, dir, "a"))
	if err := os.Remove(filepath.Join(dir, "MASTER")); err != nil {
		t.Fatal(err)
	}
	second := acquire(t, locker(t, dir, "b")) // which is why it must be noticed
	lost(t, k)
	if err := errors.Join(k.Release(), second.Release()); err != nil {
		t.Error(err)
	}
}

func TestAnotherNodesEpochIsALostLock(t *testing.T) {
	dir := t.TempDir()
	l := locker(t, dir, "a")
	k := acquire(t, l)
	f, err := os.OpenFile(l.name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for { // until no beat has overwritten it
		if err := write(f, Holder{Node: "b", Epoch: 9}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-k.Lost():
		case <-time.After(time.Millisecond):
			continue
		}
		break
	}
	if err := k.Release(); err != nil {
		t.Error(err)
	}
	if h, err := l.Holder(); err != nil || h.Node != "b" || h.Released {
		t.Errorf("who lost the lock wrote to it: %+v, %v", h, err)
	}
}

func TestAFailedBeatIsALostLock(t *testing.T) {
	k := acquire(t, locker(t, t.TempDir(), "a"))
	k.f.Close() // as NFS fails writes of a client whose lock is gone
	lost(t, k)
}

func TestASuccessorWaitsWhileTheLastHolderWrites(t *testing.T) {
	dir := t.TempDir()
	l := locker(t, dir, "b")
	l.o.Grace = time.Second
	f, err := os.Create(l.name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stop, stopped := make(chan struct{}), make(chan struct{})
	if err := write(f, Holder{Node: "a", Epoch: 4}); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(stopped)
		for beat := uint64(1); ; beat++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if err := write(f, Holder{Node: "a", Epoch: 4, Beat: beat}); err != nil {
				t.Error(err)
			}
		}
	}()
	for range 2 {
		if k, err := l.try(t.Context()); k != nil || err != nil {
			t.Fatalf("it started beside the old master: %v, %v", k, err)
		}
	}
	close(stop)
	<-stopped
	k := acquire(t, l)
	if k.Epoch() != 5 {
		t.Errorf("the epoch is %d", k.Epoch())
	}
	if err := k.Release(); err != nil {
		t.Error(err)
	}
}

func TestAFileThatIsNoLockIsNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	l := locker(t, dir, "a")
	if err := os.WriteFile(l.name, []byte("somebody's letter"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Acquire(t.Context()); err == nil || !strings.Contains(err.Error(), "is not a lock's") {
		t.Error(err)
	}
}
