package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// checkpoint is a state on its way to the page store. Nobody can freeze it a
// second time: it is written, or the log is replayed.
type checkpoint struct {
	frozen Frozen
	pos    log.Position
	logged int64 // Store.logged at pos
}

// checkpointer is what is known of checkpoints.
type checkpointer struct {
	due       atomic.Bool  // time for one
	busy      atomic.Bool  // a goroutine has pending
	completed atomic.Int64 // Store.logged at the last completed one
	noSpace   atomic.Bool  // the disk has no room for it

	// Owned by the goroutine that writes while busy, by the applier
	// otherwise, and by Open and Close before and after both.
	pending *checkpoint // frozen, not yet written
	frozen  int64       // Store.logged at the last one frozen
	last    uint64      // its index

	wg        sync.WaitGroup
	abandoned atomic.Bool
}

func (c *checkpointer) wait() { c.wg.Wait() }

// abandon makes the checkpoint that is being written end early.
func (c *checkpointer) abandon() { c.abandoned.Store(true) }

var errAbandoned = errors.New("checkpoint given up")

// maybeCheckpoint freezes the state behind b and has it written in the
// background, if enough was logged or enough time has passed. Only one
// checkpoint is under way at a time.
func (s *Store) maybeCheckpoint(b *batch) {
	if s.cp.busy.Load() || s.cp.pending != nil || s.Failed() != nil {
		return // a checkpoint that was left pending can be completed by Close only
	}
	due := s.cp.due.Load() || b.logged-s.cp.frozen >= s.o.CheckpointBytes
	switch {
	case !due:
	case b.pos.Index == s.cp.last:
		s.cp.due.Store(false)
	case !b.synced:
		// A checkpoint must not be ahead of the log that a crash would leave.
		s.syncNow()
	default:
		s.cp.due.Store(false)
		s.freeze(b.pos, b.logged)
		s.writeInBackground()
	}
}

// freeze makes the present state, which is the one at pos, the next
// checkpoint.
func (s *Store) freeze(pos log.Position, logged int64) {
	s.cp.pending = &checkpoint{frozen: s.machine.Freeze(), pos: pos, logged: logged}
	s.cp.frozen, s.cp.last = logged, pos.Index
}

func (s *Store) writeInBackground() {
	s.cp.busy.Store(true)
	s.cp.wg.Go(func() {
		s.writeUntilDone()
		s.cp.busy.Store(false)
		s.wakeApplier() // perhaps the next one is due
	})
}

// writeUntilDone writes the pending checkpoint, again and again while the disk
// has no room: the log holds everything meanwhile.
func (s *Store) writeUntilDone() {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := s.writePending()
		if err == nil {
			s.maintain()
			return
		}
		if !errors.Is(err, pages.ErrNoSpace) {
			return
		}
		select {
		case <-time.After(pause):
		case <-s.life.Done():
			return
		}
	}
}

// writePending writes the pending checkpoint. Where that fails for another
// reason than the disk's space or an urgent end, the store fails.
func (s *Store) writePending() error {
	c := s.cp.pending
	began := time.Now()
	switch err := s.writeCheckpoint(c); {
	case errors.Is(err, pages.ErrNoSpace):
		if !s.cp.noSpace.Swap(true) {
			s.o.Logger.Warn("checkpoint waits for disk space; free some, or messages will be refused when the log is full", "error", err)
		}
		return err
	case errors.Is(err, errAbandoned):
		return err
	case err != nil:
		s.fail(err)
		return err
	}
	s.cp.noSpace.Store(false)
	s.cp.pending = nil
	s.cp.completed.Store(c.logged)
	s.counts.checkpoints.Add(1)
	s.counts.lastCheckpoint.Store(int64(time.Since(began)))
	return nil
}

func (s *Store) writeCheckpoint(c *checkpoint) error {
	w, err := s.pages.Begin(pages.Mark{Index: c.pos.Index, Epoch: c.pos.Epoch, Chain: c.pos.Chain, Format: formatVersion})
	if err != nil {
		return fmt.Errorf("begin a checkpoint at %d: %w", c.pos.Index, err)
	}
	defer w.Abort()
	if err := c.frozen.Write(s.pages, hurried{w, &s.cp}); err != nil {
		return fmt.Errorf("write the checkpoint at %d: %w", c.pos.Index, err)
	}
	if err := w.Commit(); err != nil {
		return fmt.Errorf("complete the checkpoint at %d: %w", c.pos.Index, err)
	}
	c.frozen.Written()
	s.release(c.pos.Index)
	return nil
}

// hurried is a Writer that ends early when the checkpoint is abandoned.
type hurried struct {
	pages.Writer
	c *checkpointer
}

// Put implements pages.Writer.
func (h hurried) Put(key, value []byte) error {
	if h.c.abandoned.Load() {
		return errAbandoned
	}
	return h.Writer.Put(key, value)
}

// Delete implements pages.Writer.
func (h hurried) Delete(key []byte) error {
	if h.c.abandoned.Load() {
		return errAbandoned
	}
	return h.Writer.Delete(key)
}

// maintain lets the page store give disk space back, if there is much. It
// follows a checkpoint, so that the next one is what waits for it.
func (s *Store) maintain() {
	err := s.pages.Maintain(s.life)
	switch {
	case err == nil || s.life.Err() != nil:
	case errors.Is(err, pages.ErrNoSpace):
		s.o.Logger.Warn("the page store can't give disk space back: that takes some space for a while", "error", err)
	default:
		s.fail(err)
	}
}

// lastCheckpoint leaves nothing to be replayed, at a stop in order. A disk
// without room is no error: the log has everything.
func (s *Store) lastCheckpoint() error {
	if err := s.log.Commit(true); err != nil {
		s.fail(err)
		return s.Failed()
	}
	if s.cp.pending != nil {
		if err := s.writePending(); err != nil {
			return ignoreUnwritten(err)
		}
	}
	if last := s.log.Last(); last.Index != s.cp.last {
		s.freeze(last, s.logged())
		return ignoreUnwritten(s.writePending())
	}
	return nil
}

// ignoreUnwritten passes over the reasons for which a checkpoint may wait
// until the next start.
func ignoreUnwritten(err error) error {
	if errors.Is(err, pages.ErrNoSpace) || errors.Is(err, errAbandoned) {
		return nil
	}
	return err
}

// formatVersion is that of everything that the machine writes to pages.
const formatVersion = 1
