package log

import (
	"fmt"
	"slices"
)

// Commit writes what is buffered and, if sync is set, makes it and everything before it durable. With ErrFull
// nothing has been written and the buffer is kept. Any other error is final, and it is unknown whether
// the records survive.
func (l *Log) Commit(sync bool) error {
	if err := l.Err(); err != nil {
		return err
	}
	l.closeFrame()
	if len(l.frames) > 0 {
		if err := l.reserve(l.crossings()); err != nil {
			return err
		}
		l.sealFrames()
		if err := l.writeFrames(); err != nil {
			return l.fail(err)
		}
		last := l.Last()
		l.reset(last)
	}
	if sync {
		if err := l.sync(); err != nil {
			return l.fail(err)
		}
	}
	return nil
}

// crossings returns how many segments beyond the active one the buffer needs.
func (l *Log) crossings() int {
	s := l.active()
	room := s.size - s.end
	n := 0
	for i := range l.frames {
		size := int64(l.frames[i].end - l.frames[i].start)
		if size > room {
			n++
			room = l.opt.SegmentSize - headerSize
		}
		room -= size
	}
	return n
}

// sealFrames completes the headers of the log's own frames. Doing it again, after ErrFull, is harmless.
func (l *Log) sealFrames() {
	pos := l.Last()
	now := l.opt.Now().UnixNano()
	for i := range l.frames {
		f := &l.frames[i]
		if !f.raw {
			f.pos = sealFrame(l.buf[f.start:f.end], pos, f.epoch, f.count, now)
		}
		pos = f.pos
	}
}

// writeFrames writes the buffer, one write for what goes into one segment.
func (l *Log) writeFrames() error {
	for i := 0; i < len(l.frames); {
		s := l.active()
		first, room := i, s.size-s.end
		for i < len(l.frames) && int64(l.frames[i].end-l.frames[first].start) <= room {
			i++
		}
		if i == first {
			if err := l.advance(s); err != nil {
				return err
			}
			continue
		}
		if _, err := s.file.WriteAt(l.buf[l.frames[first].start:l.frames[i-1].end], s.end); err != nil {
			return fmt.Errorf("write frames: %w", err)
		}
		l.publish(s, l.frames[first:i])
	}
	return nil
}

// publish lets readers see frames that were written.
func (l *Log) publish(s *segment, frames []pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range frames {
		f := &frames[i]
		l.epochs = noteEpoch(l.epochs, f.epoch, l.lastPos.Index+1)
		s.extend(f.pos, int64(f.end-f.start))
		l.lastPos = f.pos
	}
}

// advance makes the next prepared segment the active one. The full one is synced first, so that at most
// one segment has bytes that are not durable.
func (l *Log) advance(s *segment) error {
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync full segment: %w", err)
	}
	l.mu.Lock()
	next := l.ready[0]
	l.mu.Unlock()
	if err := next.activate(s.last); err != nil {
		return err
	}
	l.mu.Lock()
	l.ready = slices.Delete(l.ready, 0, 1)
	l.segs = append(l.segs, next)
	l.durable = s.last.Index
	l.seal = append(l.seal, l.unseal...) // s is durable, and with it its own activation
	l.unseal = append(l.unseal[:0], s)
	l.mu.Unlock()
	l.nudge()
	return nil
}

// sync makes everything written durable and then sets the durable mark, which the next sync carries to the disk.
func (l *Log) sync() error {
	l.mu.Lock()
	s, done := l.segs[len(l.segs)-1], l.durable == l.lastPos.Index
	l.mu.Unlock()
	if done {
		return nil
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync log: %w", err)
	}
	if err := s.writeMark(markOpen, s.last, s.end); err != nil {
		return err
	}
	l.mu.Lock()
	l.durable = s.last.Index
	sealing := len(l.unseal) > 0
	l.seal = append(l.seal, l.unseal...)
	l.unseal = l.unseal[:0]
	l.mu.Unlock()
	if sealing {
		l.nudge()
	}
	return nil
}
