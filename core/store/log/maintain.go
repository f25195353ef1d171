package log

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// ahead is how many segments the log prepares before they are needed: the next one and a reserve, which only a full
// disk makes it use.
const ahead = 2

// Room returns how many bytes can still be appended without touching the reserve of one segment when the disk is full,
// and math.MaxInt64 while it is not known to be full. Each record takes up to 64 bytes beyond its own; what
// is buffered is not counted. When it is zero, only small records that give space back
// (acknowledgements) should be appended.
func (l *Log) Room() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full == nil {
		return math.MaxInt64
	}
	waste := int64(l.opt.MaxFrame) // a frame that does not fit leaves as much behind
	s := l.segs[len(l.segs)-1]
	room := max(s.size-s.end-waste, 0)
	if len(l.ready) > 1 {
		room += int64(len(l.ready)-1) * (l.opt.SegmentSize - headerSize - waste)
	}
	return room
}

// reserve waits until n segments are prepared, and one more unless the disk is full.
func (l *Log) reserve(n int) error {
	if n == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.want = n + 1
	defer func() { l.want = 0 }()
	l.retry = true
	for {
		switch {
		case l.err != nil:
			return l.err
		case len(l.ready) > n:
			return nil
		case l.full != nil && !l.retry && len(l.ready) == n:
			return nil
		case l.full != nil && !l.retry:
			return fmt.Errorf("%w: %w", ErrFull, l.full)
		}
		if l.opt.Inline {
			l.mu.Unlock()
			l.maintain()
			l.mu.Lock()
		} else {
			l.wake()
			l.changed.Wait()
		}
	}
}

// nudge gets due maintenance done: in the background, or here if there is none. The caller holds no lock.
func (l *Log) nudge() {
	if l.opt.Inline {
		l.maintain()
		return
	}
	l.wake()
}

func (l *Log) wake() {
	select {
	case l.kick <- struct{}{}:
	default: // it is awake already
	}
}

// turnSegments is the log's own goroutine.
func (l *Log) turnSegments() {
	retry := time.NewTimer(l.opt.RetryEvery)
	defer retry.Stop()
	for {
		l.maintain()
		var again <-chan time.Time
		if l.isFull() {
			retry.Reset(l.opt.RetryEvery)
			again = retry.C
		}
		select {
		case <-l.stop:
			return
		case <-l.kick:
		case <-again:
			l.mu.Lock()
			l.retry = true
			l.mu.Unlock()
		}
	}
}

func (l *Log) isFull() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.full != nil
}

// maintain does the maintenance that is due, one piece after the other.
func (l *Log) maintain() {
	for l.step() {
	}
}

// step does one piece of maintenance and reports whether there was one.
func (l *Log) step() bool {
	l.work.Lock()
	defer l.work.Unlock()
	do := l.due()
	if do == nil {
		return false
	}
	if err := do(); err != nil {
		_ = l.fail(err) // Err has it
	}
	return true
}

// due takes the next piece of maintenance from its list. Sealing comes first: a retired segment may still wait for it.
// Released segments come before new ones, which they save.
func (l *Log) due() func() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil:
		return nil
	case len(l.seal) > 0:
		s := l.seal[0]
		l.seal = slices.Delete(l.seal, 0, 1)
		return func() error { return sealSegment(s) }
	case len(l.retired) > 0 && l.retired[0].pins == 0:
		s := l.retired[0]
		l.retired = slices.Delete(l.retired, 0, 1)
		return func() error { return l.retire(s) }
	case len(l.ready) < max(ahead, l.want) && (l.full == nil || l.retry):
		return l.prepare
	}
	return nil
}

// sealSegment notes that the log goes on in the next segment.
func sealSegment(s *segment) error {
	if err := s.writeMark(markSealed, s.last, s.end); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync sealed segment: %w", err)
	}
	return nil
}

// retire takes the oldest segment out of the log, durably before the next one, and makes it a prepared one
// or removes it.
func (l *Log) retire(s *segment) error {
	old := strings.TrimSuffix(s.name, segmentSuffix) + retiredSuffix
	if err := l.fs.Rename(s.name, old); err != nil {
		return errors.Join(fmt.Errorf("retire segment: %w", err), s.file.Close())
	}
	s.name = old
	if err := l.fs.SyncDir(l.opt.Dir); err != nil {
		return errors.Join(fmt.Errorf("sync log directory: %w", err), s.file.Close())
	}
	l.mu.Lock()
	recycle := s.size == l.opt.SegmentSize && len(l.ready) < max(l.opt.Spare, l.want)
	id := l.nextID()
	l.mu.Unlock()
	if !recycle {
		if err := errors.Join(s.file.Close(), l.fs.Remove(s.name)); err != nil {
			return fmt.Errorf("remove retired segment: %w", err)
		}
		return nil
	}
	s.id = id
	if err := errors.Join(s.empty(), l.install(s)); err != nil {
		return errors.Join(fmt.Errorf("recycle segment: %w", err), s.file.Close())
	}
	l.offer(s)
	return nil
}

// prepare makes a new segment. A full disk is not an error but a state.
func (l *Log) prepare() error {
	l.mu.Lock()
	h := header{state: segmentEmpty, log: l.id, id: l.nextID(), size: l.opt.SegmentSize}
	l.retry = false
	l.mu.Unlock()
	s, err := l.makeSegment(h)
	if err == nil {
		if err = l.install(s); err != nil {
			return errors.Join(err, s.file.Close())
		}
		l.offer(s)
		return nil
	}
	if !disk.IsFull(err) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full == nil {
		l.log.Error("no space for another log segment, only the reserve is left", "dir", l.opt.Dir, "err", err)
	}
	l.full = err
	l.changed.Broadcast()
	return nil
}

// offer adds a prepared segment. With enough of them the disk counts as not full again.
func (l *Log) offer(s *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready = append(l.ready, s)
	if l.full != nil {
		l.retry = true
		if len(l.ready) >= ahead {
			l.full = nil
			l.log.Info("space for log segments is available again", "dir", l.opt.Dir)
		}
	}
	l.changed.Broadcast()
}

// nextID returns the identifier of the next segment to be prepared. The caller holds mu and work.
func (l *Log) nextID() uint64 {
	if n := len(l.ready); n > 0 {
		return l.ready[n-1].id + 1
	}
	return l.segs[len(l.segs)-1].id + 1
}
