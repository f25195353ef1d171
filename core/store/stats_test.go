package store

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestSyncsAndConfirmationsAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time is virtual here
		g := &gate{}
		r := newRig(t, func(o *Options) { o.FS = g })
		g.FS = r.fs
		r.open()
		before := r.Stats()
		open := g.close()
		k := &sink{}
		r.Commit(change(0, Lazy, nil)) // nobody waits for it
		r.Commit(change(1, Synced, k))
		synctest.Wait()
		time.Sleep(30 * time.Millisecond)
		open()
		if err := k.wait(t, 1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s := r.Stats()
		if n := s.Syncing.Total() - before.Syncing.Total(); n != 1 || s.Syncing.Sum-before.Syncing.Sum != 30*time.Millisecond {
			t.Errorf("%d syncs that took %s", n, s.Syncing.Sum-before.Syncing.Sum)
		}
		if n := s.Confirming.Total() - before.Confirming.Total(); n != 1 || s.Confirming.Sum-before.Confirming.Sum != 30*time.Millisecond {
			t.Errorf("%d confirmations that took %s", n, s.Confirming.Sum-before.Confirming.Sum)
		}
		_ = r.Close(context.Background())
	})
}
