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

// checkpointer is the applier's knowledge of checkpoints.
type checkpointer struct {
	due   atomic.Bool
	busy  atomic.Bool
	lag   atomic.Int64 // log bytes behind the last completed checkpoint
	since int64        // owned by the applier: bytes logged when the last one was frozen
	last  uint64       // owned by the applier: index of the last one frozen
	wg    sync.WaitGroup
}

func (c *checkpointer) wait() { c.wg.Wait() }

// logged is a count of log bytes that only rises.
func (s *Store) logged() int64 { return int64(s.counts.bytes.Load()) }

// maybeCheckpoint freezes the state at pos and has it written in the
// background, if enough was logged or enough time has passed. Only one
// checkpoint is under way at a time.
func (s *Store) maybeCheckpoint(pos log.Position) {
	grown := s.logged() - s.cp.since
	if !s.cp.busy.Load() {
		s.cp.lag.Store(grown)
	}
	due := grown >= s.o.CheckpointBytes || s.cp.due.Load()
	if !due || s.cp.busy.Load() || pos.Index == s.cp.last || s.Failed() != nil {
		s.cp.due.CompareAndSwap(true, pos.Index != s.cp.last)
		return
	}
	s.cp.due.Store(false)
	s.cp.busy.Store(true)
	s.cp.since, s.cp.last = s.logged(), pos.Index
	frozen := s.machine.Freeze()
	s.cp.wg.Go(func() {
		defer s.cp.busy.Store(false)
		s.writeUntilDone(frozen, pos)
	})
}

// writeUntilDone writes a checkpoint, again and again while the disk has no
// room: the log holds everything meanwhile.
func (s *Store) writeUntilDone(frozen Frozen, pos log.Position) {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := s.writeCheckpoint(frozen, pos)
		if err == nil {
			return
		}
		if !errors.Is(err, pages.ErrNoSpace) {
			s.fail(err)
			return
		}
		s.o.Logger.Warn("checkpoint waits for disk space; free some, or messages will be refused when the log is full", "error", err)
		select {
		case <-time.After(pause):
		case <-s.stop:
			return
		}
	}
}

func (s *Store) writeCheckpoint(frozen Frozen, pos log.Position) error {
	began := time.Now()
	w, err := s.pages.Begin(pages.Mark{Index: pos.Index, Epoch: pos.Epoch, Chain: pos.Chain, Format: formatVersion})
	if err != nil {
		return fmt.Errorf("begin a checkpoint at %d: %w", pos.Index, err)
	}
	if err := frozen.Write(s.pages, w); err != nil {
		w.Abort()
		return fmt.Errorf("write the checkpoint at %d: %w", pos.Index, err)
	}
	if err := w.Commit(); err != nil {
		return fmt.Errorf("complete the checkpoint at %d: %w", pos.Index, err)
	}
	frozen.Written()
	s.log.Release(pos.Index)
	s.counts.checkpoints.Add(1)
	s.counts.lastCheckpoint.Store(int64(time.Since(began)))
	return nil
}

// checkpointNow writes a checkpoint while nothing is being applied.
func (s *Store) checkpointNow(pos log.Position) error {
	if pos.Index == s.pages.Mark().Index {
		return nil
	}
	return s.writeCheckpoint(s.machine.Freeze(), pos)
}

// positionAt describes the record boundary at index during recovery. The
// chain is known at the log's end only; a mark elsewhere goes without.
func (s *Store) positionAt(index uint64) log.Position {
	if last := s.log.Last(); last.Index == index {
		return last
	}
	return log.Position{Index: index, Epoch: s.log.Last().Epoch}
}

// formatVersion is that of everything that the machine writes to pages.
const formatVersion = 1
