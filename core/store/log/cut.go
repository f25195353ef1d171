package log

import (
	"fmt"
	"slices"
)

// TruncateAfter cuts off everything behind pos, which must be the end of a frame of this log with this epoch and chain
// (else ErrBoundary, and nothing has changed). The cut is durable when it returns. What waits for Commit is dropped,
// indexes go on behind pos. It waits for readers; a Replay callback must not call it.
func (l *Log) TruncateAfter(pos Position) error {
	if err := l.Err(); err != nil {
		return err
	}
	l.work.Lock()
	defer l.work.Unlock()
	s, offset, err := l.locate(pos)
	if err != nil {
		return err
	}
	if pos == l.Last() {
		l.reset(pos)
		return nil
	}
	void := l.forget(s, pos, offset)
	l.reset(pos)
	err = cutDurably(s, void, pos)
	if err != nil {
		err = l.fail(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready = slices.Concat(void, l.ready)
	l.cutting = false
	l.changed.Broadcast()
	return err
}

// locate finds the segment and the offset at which pos is.
func (l *Log) locate(pos Position) (*segment, int64, error) {
	l.mu.Lock()
	if pos.Index < l.segs[0].prev.Index {
		defer l.mu.Unlock()
		return nil, 0, fmt.Errorf("%w: %v is before %d", ErrReleased, pos, l.segs[0].base())
	}
	s := l.holding(pos.Index)
	at, end := s.before(pos.Index), s.end
	l.mu.Unlock()
	var sc scanner
	sc.start(s.file, at, end)
	for sc.pos.Index < pos.Index {
		_, err := sc.next()
		if isBad(err) {
			break
		}
		if err != nil {
			return nil, 0, err
		}
	}
	if sc.pos != pos {
		return nil, 0, fmt.Errorf("%w: no frame ends at %v", ErrBoundary, pos)
	}
	return s, sc.offset, nil
}

// forget takes what lies behind pos out of the log's variables, all of them in one step, once no reader is left,
// and keeps new readers waiting. It returns the segments that hold nothing any more.
func (l *Log) forget(s *segment, pos Position, offset int64) []*segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutting = true
	for l.pinned(s.id) {
		l.changed.Wait()
	}
	i := slices.Index(l.segs, s) + 1
	void := slices.Clone(l.segs[i:])
	l.segs = l.segs[:i]
	s.cut(pos, offset)
	l.lastPos = pos
	l.durable = min(l.durable, pos.Index)
	l.epochs = slices.DeleteFunc(l.epochs, func(e EpochStart) bool { return e.Index > pos.Index })
	behind := func(q *segment) bool { return q.id >= s.id }
	l.seal = slices.DeleteFunc(l.seal, behind)
	l.unseal = slices.DeleteFunc(l.unseal, behind)
	return void
}

// cutDurably writes the intent first, so that a crash at any moment leaves either the whole log or the cut one.
func cutDurably(s *segment, void []*segment, pos Position) error {
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync before a cut: %w", err)
	}
	if err := s.writeMark(markCutting, pos, s.end); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync the intent to cut: %w", err)
	}
	return cutBehind(s, void, pos)
}

// cutBehind does what the state "cutting" of s announces: s becomes the last segment and ends at pos.
// The later segments are emptied from the last one on, so that those left are one log at any time.
func cutBehind(s *segment, void []*segment, pos Position) error {
	for _, q := range slices.Backward(void) {
		if err := q.empty(); err != nil {
			return err
		}
	}
	for _, q := range void {
		if _, err := scrub(q.file, headerSize, q.size, pos.Index); err != nil {
			return err
		}
		if err := q.file.Sync(); err != nil {
			return fmt.Errorf("sync segment behind a cut: %w", err)
		}
	}
	if _, err := scrub(s.file, s.end, s.size, pos.Index); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync cut segment: %w", err)
	}
	if err := s.writeMark(markOpen, pos, s.end); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync cut segment: %w", err)
	}
	return nil
}
