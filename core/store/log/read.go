package log

import (
	"errors"
	"fmt"
	"sort"
)

// holding returns the segment in which entries behind index are, or would be. The caller holds mu; index is not before the
// first segment.
func (l *Log) holding(index uint64) *segment {
	i := sort.Search(len(l.segs), func(i int) bool { return l.segs[i].prev.Index > index })
	return l.segs[i-1]
}

// reading is a pinned segment: its file is neither recycled nor cut.
type reading struct {
	*segment
	at   spot   // boundary at or before the index asked for
	end  int64  // of the frames
	last uint64 // index at end
}

// pin finds the segment with the entry behind index, which is in the log.
func (l *Log) pin(index uint64) (reading, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.cutting {
		l.changed.Wait()
	}
	switch {
	case errors.Is(l.err, ErrClosed):
		return reading{}, l.err
	case index < l.segs[0].prev.Index:
		return reading{}, fmt.Errorf("%w: entry %d is asked for, the first one is %d", ErrReleased, index+1, l.segs[0].base())
	case index >= l.lastPos.Index:
		return reading{}, fmt.Errorf("%w: entry %d is asked for, the last one is %d", ErrBoundary, index+1, l.lastPos.Index)
	}
	s := l.holding(index)
	s.pins++
	return reading{segment: s, at: s.before(index), end: s.end, last: s.last.Index}, nil
}

func (l *Log) unpin(r reading) {
	l.mu.Lock()
	r.pins--
	idle := r.pins == 0
	if idle {
		l.changed.Broadcast()
	}
	waiting := len(l.retired) > 0
	l.mu.Unlock()
	if idle && waiting {
		l.nudge()
	}
}

// BoundaryAt returns the position behind the frame that holds entry index: the first place from there on at which the log
// could end. What lies just before the log's first entry is such a place too. The error is ErrReleased or ErrBoundary when
// the log does not have that entry.
func (l *Log) BoundaryAt(index uint64) (Position, error) {
	if pos, ok := l.segmentEnd(index); ok {
		return pos, nil
	}
	if index == 0 {
		return Position{}, fmt.Errorf("%w: there is no entry 0", ErrBoundary)
	}
	r, err := l.pin(index - 1)
	if err != nil {
		return Position{}, err
	}
	defer l.unpin(r)
	var sc scanner
	sc.start(r.file, r.at, r.end)
	for sc.pos.Index < index {
		if _, err := sc.next(); err != nil {
			return Position{}, scanDamage(r.name, &sc, err)
		}
	}
	return sc.pos, nil
}

// segmentEnd returns the position at index if a segment begins or ends there.
func (l *Log) segmentEnd(index uint64) (Position, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segs {
		switch index {
		case s.prev.Index:
			return s.prev, true
		case s.last.Index:
			return s.last, true
		}
	}
	return Position{}, false
}

// scanDamage turns a frame that cannot be read, though it was, into damage.
func scanDamage(name string, sc *scanner, err error) error {
	if !isBad(err) {
		return err
	}
	return &DamageError{
		File: name, Offset: sc.offset, Index: sc.pos.Index + 1,
		What: "a frame that was written cannot be read", Advice: adviceRestore, Err: err,
	}
}

// Replay calls fn for each record whose index is greater than from, in order, up to the last one written when Replay was
// called. from must be the index of a record, or 0. rec is valid only during the call. An error from fn ends the replay and
// is returned as it is. When the log ends before from, what was durable is missing: a *DamageError.
func (l *Log) Replay(from uint64, fn func(index, epoch uint64, rec []byte) error) error {
	last := l.Last().Index
	if from > last {
		return &DamageError{
			File: l.active().name, Index: last + 1, Advice: adviceRestore,
			What: fmt.Sprintf("the log ends at %d, but %d was durable", last, from),
		}
	}
	var sc scanner
	asm := assembler{after: from}
	for at := from; at < last; {
		r, err := l.pin(at)
		if err != nil {
			return err
		}
		err = replaySegment(&sc, r, &asm, fn)
		at = r.last
		l.unpin(r)
		if err != nil {
			return err
		}
	}
	return nil
}

func replaySegment(sc *scanner, r reading, asm *assembler, fn func(index, epoch uint64, rec []byte) error) error {
	sc.start(r.file, r.at, r.end)
	for sc.pos.Index < r.last {
		f, err := sc.next()
		if err != nil {
			return scanDamage(r.name, sc, err)
		}
		if f.last() <= asm.after {
			continue
		}
		if err := asm.frame(&f, fn); err != nil {
			return err
		}
	}
	return nil
}

// assembler puts records together from entries.
type assembler struct {
	after uint64 // entries up to this index are left out
	open  bool   // buf has the beginning of a record
	buf   []byte
}

func (a *assembler) frame(f *frame, fn func(index, epoch uint64, rec []byte) error) error {
	index := f.base
	for rest := f.raw[frameHeaderSize:]; len(rest) > 0; index++ {
		kind, data, tail, err := nextEntry(rest)
		if err != nil {
			return err
		}
		rest = tail
		if index <= a.after {
			continue
		}
		rec, whole, err := a.entry(kind, data)
		if err != nil {
			return fmt.Errorf("%w: entry %d continues a record that began before", err, index)
		}
		if !whole {
			continue
		}
		if err := fn(index, f.epoch, rec); err != nil {
			return err
		}
	}
	return nil
}

// entry adds one entry and returns the record that it completes. A record that was begun and is followed by another
// one was cut off by a crash and is dropped.
func (a *assembler) entry(kind byte, data []byte) (rec []byte, whole bool, err error) {
	switch kind {
	case kindFull:
		a.open = false
		return data, true, nil
	case kindFirst:
		a.open = true
		a.buf = append(a.buf[:0], data...)
		return nil, false, nil
	}
	if !a.open {
		return nil, false, ErrBoundary
	}
	a.buf = append(a.buf, data...)
	a.open = kind != kindLast
	return a.buf, kind == kindLast, nil
}

// ReadFrames appends to dst the frames, as they are on the disk, from the one with the entry behind from on: as many
// as fit into limit bytes, but at least one if there is any. Frames that are written but not yet durable are included.
// The entry behind from may be in the middle of the first frame when from is not the end of a frame.
// Without a frame behind from, dst is returned as it is; if from is behind the log's end the error is ErrBoundary.
func (l *Log) ReadFrames(dst []byte, from uint64, limit int) ([]byte, error) {
	if from == l.Last().Index {
		return dst, nil
	}
	r, err := l.pin(from)
	if err != nil {
		return dst, err
	}
	defer l.unpin(r)
	sc, _ := l.scanners.Get().(*scanner)
	if sc == nil {
		sc = &scanner{}
	}
	defer l.scanners.Put(sc)
	sc.start(r.file, r.at, r.end)
	start := len(dst)
	for sc.pos.Index < r.last {
		f, err := sc.next()
		if err != nil {
			return dst, scanDamage(r.name, sc, err)
		}
		if f.last() <= from {
			continue
		}
		if n := len(dst) - start; n > 0 && n+len(f.raw) > limit {
			break
		}
		dst = append(dst, f.raw...)
	}
	return dst, nil
}
