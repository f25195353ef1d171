package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// MismatchError says that the log and the page store of a data directory do
// not belong together: one of them was removed, or replaced by another one.
type MismatchError struct {
	What, Advice string
	Newer        bool // both are whole: a newer release wrote them
}

func (e *MismatchError) Error() string { return e.What + "; " + e.Advice }

func mismatch(format string, args ...any) error {
	return &MismatchError{What: fmt.Sprintf(format, args...), Advice: adviceCopy}
}

const (
	adviceCopy = "put the missing files back, or restore the whole data directory from a copy; " +
		"only if its messages are not needed, remove the directory to start empty"
	adviceNewer = "start the release that wrote it, or a newer one"
)

// restore brings the machine to the state of the log: the last checkpoint,
// then what the log has behind it.
func (s *Store) restore() error {
	began := time.Now()
	mark, intent := s.pages.Mark(), s.pages.Intent()
	if err := s.fits(mark, intent); err != nil {
		return err
	}
	if err := s.machine.Load(s.pages); err != nil {
		return fmt.Errorf("load the checkpoint: %w", err)
	}
	s.cp.last = mark.Index
	if s.group != nil {
		return s.restoreFollower(mark, intent)
	}
	if err := s.replay(mark.Index, intent); err != nil {
		return err
	}
	s.o.Logger.Info("store open", "checkpoint", mark.Index, "last", s.log.Last().Index,
		"took", time.Since(began).Round(time.Millisecond))
	return nil
}

// fits checks that the log continues the page store.
func (s *Store) fits(mark pages.Mark, intent uint64) error {
	if err := fit(s.log.First(), s.log.Last().Index, mark, intent); err != nil {
		return err
	}
	at, err := s.log.BoundaryAt(mark.Index)
	if err != nil {
		return fmt.Errorf("look for the checkpoint in the log: %w", err)
	}
	if at != (log.Position{Index: mark.Index, Epoch: mark.Epoch, Chain: mark.Chain}) {
		return mismatch("the page store's checkpoint at record %d is not one of this log", mark.Index)
	}
	return nil
}

// fit checks what can be told from the numbers alone: the log's first and last
// record, the page store's checkpoint, and the one that was begun.
func fit(first, last uint64, mark pages.Mark, intent uint64) error {
	switch {
	case mark.Index > 0 && mark.Format != formatVersion:
		what := fmt.Sprintf("the checkpoint has format %d, this program reads %d", mark.Format, formatVersion)
		return &MismatchError{What: what, Advice: adviceNewer, Newer: true}
	case mark.Index > last:
		return mismatch("the log ends at record %d, before the checkpoint at %d: log files are missing", last, mark.Index)
	case intent > last:
		return mismatch("the log ends at record %d, but a checkpoint was begun at %d: log files are missing", last, intent)
	case first > mark.Index+1:
		return mismatch("the log begins at record %d, but the last checkpoint in the page store is at %d: "+
			"the page store is missing, or older than the log", first, mark.Index)
	}
	return nil
}

// replay applies the log behind from. A checkpoint that was begun at intent
// comes first, others on the way keep memory bounded. The last of them is
// written when the store serves already.
func (s *Store) replay(from, intent uint64) error {
	for last := s.log.Last().Index; from < last; {
		at, size, due, err := s.replayPart(from, intent)
		if err != nil {
			return fmt.Errorf("replay the log: %w", err)
		}
		s.replayed += size
		if due && s.cp.pending != nil {
			if err := s.writePending(); err != nil && !errors.Is(err, pages.ErrNoSpace) {
				return err
			}
		}
		if due && s.cp.pending == nil {
			s.freeze(at, s.logged())
		}
		from, intent = at.Index, 0
	}
	return nil
}

// errReached ends a replay.
var errReached = errors.New("reached")

// replayPart applies records behind from until a checkpoint is due, or up to
// the log's end. It returns where it ended and how many bytes it applied.
func (s *Store) replayPart(from, intent uint64) (at log.Position, size int64, due bool, err error) {
	var ops []Op
	end := intent // where to stop
	err = s.log.Replay(from, func(index, _ uint64, rec []byte) (err error) {
		if ops, err = DecodeOps(ops[:0], append([]byte(nil), rec...)); err != nil {
			return fmt.Errorf("record %d: %w", index, err)
		}
		for i := range ops {
			s.machine.Apply(&ops[i])
		}
		size += int64(len(rec))
		if intent == 0 && index > end && size >= s.o.CheckpointBytes && !s.cp.noSpace.Load() {
			// A checkpoint stands at the end of a frame, if a record ends there.
			if at, err = s.log.BoundaryAt(index); err != nil {
				return err
			}
			end = at.Index
		}
		if index == end {
			return errReached
		}
		return nil
	})
	switch {
	case errors.Is(err, errReached):
		at, err = s.log.BoundaryAt(end)
		return at, size, true, err
	case err == nil && intent != 0:
		return at, size, false, mismatch("no record ends at %d, where a checkpoint was begun", intent)
	}
	return s.log.Last(), size, false, err
}
