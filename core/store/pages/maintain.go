package pages

import (
	"context"
	"errors"
	"fmt"
)

// Maintain implements Store: it moves what is alive out of value files that are mostly dead, and merges
// tables, wherever more than Options.DeadBytes and Options.DeadPercent of the disk space are dead.
func (s *Badger) Maintain(ctx context.Context) error {
	for {
		v := s.values.totals()
		id := s.values.sparsest()
		if id == 0 || !s.wasteful(v.live, v.size) {
			break
		}
		if moved, err := s.moveValues(ctx, id); err != nil || !moved {
			return err
		}
	}
	if live, disk := s.tableSize(); !s.wasteful(live, disk) {
		return nil
	}
	return s.Compact(ctx)
}

func (s *Badger) wasteful(live, disk int64) bool {
	dead := disk - live
	return dead > s.opt.DeadBytes && dead*100 > disk*int64(s.opt.DeadPercent)
}

// exclude waits until there is no Writer; the slot is to be given back.
func (s *Badger) exclude(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return ErrClosed
	case <-s.slot:
		return nil
	}
}

// Compact gives all dead space in tables back. It takes the time of reading and writing what is alive, and as
// much more disk space for that long; ErrNoSpace if there isn't so much.
//
// Badger writes a memory table to disk only when it is full or when Badger is closed, and tombstones
// that are not on disk keep what they delete: so it is closed and opened, then merged into one level.
func (s *Badger) Compact(ctx context.Context) error {
	if err := s.exclude(ctx); err != nil {
		return err
	}
	defer func() { s.slot <- struct{}{} }()
	live, before := s.tableSize()
	if err := s.checkSpace(s.opt.MinFree + live); err != nil {
		return fmt.Errorf("compact page store: %w", err)
	}
	if err := s.reopen(); err != nil {
		return fmt.Errorf("compact page store: %w", err)
	}
	if err := s.flatten(); err != nil {
		return fmt.Errorf("compact page store: %w", err)
	}
	_, after := s.tableSize()
	s.log.Info("tables of the page store merged", "bytes_before", before, "bytes_after", after)
	return nil
}

// reopen closes and opens Badger. Readers wait for it.
func (s *Badger) reopen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return s.broken
	}
	err := guarded("close", s.db.Close)
	s.db = nil
	if err == nil {
		s.db, err = s.openBadger()
	}
	if err != nil {
		s.broken = fmt.Errorf("page store could not be opened again: %w", err)
		return s.broken
	}
	mark, _, err := s.storedMark()
	if want := s.Mark(); err == nil && mark != want {
		err = damaged("", "Badger's mark is %d, the last completed checkpoint is %d", mark.Index, want.Index)
	}
	if err != nil {
		err = errors.Join(err, s.db.Close())
		s.db, s.broken = nil, err
		return err
	}
	s.discard()
	return nil
}

// flatten merges all tables into one level; nothing is written meanwhile, readers are served.
func (s *Badger) flatten() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return s.broken
	}
	if err := guarded("merge", func() error { return s.db.Flatten(1) }); err != nil {
		return err
	}
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	s.usage.dead = 0
	return nil
}
