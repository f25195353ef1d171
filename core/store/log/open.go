package log

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Open opens the log in a directory, or makes one there. It cuts a torn tail off and says so; damage is a *DamageError,
// a directory in use a *disk.LockedError.
func Open(o Options) (*Log, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := o.FS.MkdirAll(o.Dir); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	lock, err := o.FS.Lock(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	l := &Log{
		opt: o, fs: o.FS, log: o.Logger, lock: lock,
		max:  o.MaxFrame - frameHeaderSize - entryHeaderSize,
		kick: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	l.changed = sync.NewCond(&l.mu)
	if err := l.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open log %q: %w", o.Dir, err), lock.Close())
	}
	l.next = l.lastPos.Index + 1
	l.tail = l.lastPos
	l.epoch = max(o.Epoch, l.lastPos.Epoch)
	if o.Inline {
		l.maintain()
	} else {
		l.done.Go(l.turnSegments)
	}
	return l, nil
}

// load finds out what the directory holds and makes it a log that can be appended to.
func (l *Log) load() error {
	v := &survey{fs: l.fs, dir: l.opt.Dir, writable: true}
	err := v.run(l.opt.ScanFrom)
	if err == nil && len(v.segs) == 0 {
		err = l.create(v)
	}
	if err == nil {
		err = l.adopt(v)
	}
	if err != nil {
		v.close()
	}
	return err
}

// create makes the first segment. It gets its name only when it is a valid one.
func (l *Log) create(v *survey) error {
	h := header{state: segmentEmpty, id: 1, size: l.opt.SegmentSize}
	if _, err := rand.Read(h.log[:]); err != nil {
		return fmt.Errorf("choose the log's identity: %w", err)
	}
	if err := l.clean(v); err != nil {
		return err
	}
	s, err := l.makeSegment(h)
	if err != nil {
		return err
	}
	v.segs = []*segment{s}
	v.last = l.opt.Start
	if err := s.activate(l.opt.Start); err != nil {
		return err
	}
	// Clean: there is nothing behind the header that adopt would have to look for.
	if err := s.writeMark(markClean, l.opt.Start, headerSize); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync first segment: %w", err)
	}
	return l.install(s)
}

// adopt repairs what a crash may have left and takes the survey's findings over.
func (l *Log) adopt(v *survey) error {
	for _, name := range v.strange {
		l.log.Warn("log directory contains a file that is not the log's", "dir", l.opt.Dir, "file", name)
	}
	for _, name := range v.odd {
		l.log.Warn("one of two durable marks of a log segment is unreadable, the other is used", "file", name)
	}
	if err := l.clean(v); err != nil {
		return err
	}
	s := v.segs[len(v.segs)-1]
	if err := s.file.Allocate(s.size); err != nil {
		return fmt.Errorf("allocate segment: %w", err)
	}
	if err := l.repairTail(v, s); err != nil {
		return err
	}
	if err := l.settle(s); err != nil {
		return err
	}
	l.id = s.log
	l.segs, l.ready = v.segs, slices.Concat(v.void, v.empty)
	l.lastPos, l.durable, l.epochs = v.last, v.last.Index, v.epochs
	for _, full := range l.segs[:len(l.segs)-1] {
		if !full.sealed {
			l.seal = append(l.seal, full)
		}
	}
	return l.dropUnfit()
}

// clean removes segments that were being made or retired.
func (l *Log) clean(v *survey) error {
	for _, name := range v.litter {
		if err := l.fs.Remove(name); err != nil {
			return fmt.Errorf("remove unfinished segment: %w", err)
		}
	}
	v.litter = nil
	return nil
}

// repairTail removes what follows the last frame, unless the log was closed.
func (l *Log) repairTail(v *survey, s *segment) error {
	switch s.mark.state {
	case markOpen, markSealed: // its end is to be found
	case markClean:
		return nil
	case markCutting:
		l.log.Warn("completing an interrupted cut of the log", "file", s.name, "index", v.last.Index)
		return cutBehind(s, v.void, v.last)
	}
	torn, err := scrub(s.file, s.end, s.size, v.last.Index)
	if err != nil {
		return err
	}
	if len(v.empty) > 0 { // its activation may have been lost; no later one can have been written to
		next := v.empty[0]
		n, err := scrub(next.file, headerSize, next.size, v.last.Index)
		if err != nil {
			return err
		}
		if n > 0 {
			torn += n
			if err := next.file.Sync(); err != nil {
				return fmt.Errorf("sync after the cut of a torn tail: %w", err)
			}
		}
	}
	if torn > 0 {
		l.log.Warn("cut a torn tail off the log: it was written but never reported durable",
			"file", s.name, "offset", s.end, "bytes", torn, "last_index", v.last.Index, "durable_index", s.durable().Index,
			"reason", fmt.Sprint(v.why))
	}
	return nil
}

// settle makes durable what was read, which may have been in the page cache only, and then says so in the mark.
func (l *Log) settle(s *segment) error {
	if err := rewrite(s); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync log: %w", err)
	}
	if err := s.writeMark(markOpen, s.last, s.end); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync durable mark: %w", err)
	}
	return nil
}

// rewrite writes the frames behind the durable mark once more. If the process before met a failed sync of them, as late as
// when it closed the log, the system takes them for written: another sync would succeed and lie.
func rewrite(s *segment) error {
	from := int64(headerSize)
	if s.mark.counter > 0 {
		from = max(from, s.mark.end)
	}
	buf := make([]byte, min(1<<20, max(0, s.end-from)))
	for at := from; at < s.end; {
		b := buf[:min(int64(len(buf)), s.end-at)]
		if _, err := s.file.ReadAt(b, at); err != nil {
			return fmt.Errorf("read the end of the log: %w", err)
		}
		if _, err := s.file.WriteAt(b, at); err != nil {
			return fmt.Errorf("write the end of the log again: %w", err)
		}
		at += int64(len(b))
	}
	return nil
}

// dropUnfit removes prepared segments that were made for other options or are too short, the last one first
// so that no gap appears.
func (l *Log) dropUnfit() error {
	keep := 0
	for ; keep < len(l.ready); keep++ {
		s := l.ready[keep]
		size, err := s.file.Size()
		if err != nil {
			return fmt.Errorf("size of prepared segment: %w", err)
		}
		if s.size != l.opt.SegmentSize || size < s.size {
			break
		}
	}
	for i := len(l.ready) - 1; i >= keep; i-- {
		s := l.ready[i]
		if err := errors.Join(s.file.Close(), l.fs.Remove(s.name), l.fs.SyncDir(l.opt.Dir)); err != nil {
			return fmt.Errorf("remove prepared segment: %w", err)
		}
	}
	l.ready = l.ready[:keep]
	return nil
}

// makeSegment creates a file of full size under a temporary name with a durable header. It is not installed.
func (l *Log) makeSegment(h header) (s *segment, err error) {
	s = &segment{header: h, name: segmentName(l.opt.Dir, h.id) + makingSuffix}
	if s.file, err = l.fs.Create(s.name); err != nil {
		return nil, fmt.Errorf("create segment: %w", err)
	}
	if err = s.file.Allocate(h.size); err == nil {
		err = s.empty()
	}
	if err != nil {
		// What the file takes must be given back, or a full disk stays full. A failure of that is found at Open.
		return nil, fmt.Errorf("prepare segment: %w", errors.Join(err, s.file.Close(), l.fs.Remove(s.name)))
	}
	return s, nil
}

// install gives a segment its final name, durably.
func (l *Log) install(s *segment) error {
	name := segmentName(l.opt.Dir, s.id)
	if err := l.fs.Rename(s.name, name); err != nil {
		return fmt.Errorf("name segment: %w", err)
	}
	s.name = name
	if err := l.fs.SyncDir(l.opt.Dir); err != nil {
		return fmt.Errorf("sync log directory: %w", err)
	}
	return nil
}
