package store

import (
	"errors"
	"testing"
)

// What fills the disk may not take the room of the checkpoint that empties it.
func TestMessagesAreRefusedWhileTheNextCheckpointWouldNotFit(t *testing.T) {
	r := opened(t)
	r.reserve = 100 << 20
	need := r.reserve + roomMargin + r.o.SegmentSize + r.logged() - r.cp.completed.Load()
	for i, tt := range []struct {
		free int64
		want error
	}{{need, nil}, {need - 1, ErrFull}, {need + 1<<20, nil}} {
		r.look(tt.free)
		k := &sink{}
		token := uint64(10 * i)
		r.Commit(publish(token+1, 10, Synced, k))
		r.Commit(change(token+2, Synced, k))
		if err := k.wait(t, token+1); !errors.Is(err, tt.want) {
			t.Errorf("with %d bytes free a message completes with %v, want %v", tt.free, err, tt.want)
		}
		if err := k.wait(t, token+2); err != nil {
			t.Errorf("with %d bytes free what stores no message completes with %v", tt.free, err)
		}
	}
}
