package log

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// Options configure a log. Dir is required, everything else has a default.
type Options struct {
	Dir string
	FS  disk.FS // default disk.OS

	SegmentSize int64  // bytes of a segment file, a multiple of 4096; default 64 MiB
	MaxFrame    int    // bytes of a frame that the log writes, at most 4 MiB; default 1 MiB. Larger records are split
	Spare       int    // segments kept ready; released ones are recycled up to this number; at least 2, default 4
	Retain      int64  // bytes of frames that Release leaves in place for followers; default 0
	ScanFrom    uint64 // Open does not read segments that end at or before this index: what a checkpoint covers
	Epoch       uint64 // epoch of what Append writes, unless the log has a higher one; default 1

	// Start is the position before the first entry of a log that does not exist yet: where a snapshot ends.
	Start Position
	// Inline makes the log work on the callers' goroutines alone, so that a simulation is deterministic.
	Inline bool
	// RetryEvery is how long the log waits before it tries again to prepare a segment on a full disk; default 1 s.
	RetryEvery time.Duration

	Logger *slog.Logger     // default: none
	Now    func() time.Time // default time.Now; written into frames, never acted upon
}

// Check reports what is wrong with the options, without touching the disk.
func (o Options) Check() error {
	_, err := o.withDefaults()
	return err
}

func (o Options) withDefaults() (Options, error) {
	if o.FS == nil {
		o.FS = disk.OS{}
	}
	if o.SegmentSize == 0 {
		o.SegmentSize = 64 << 20
	}
	if o.MaxFrame == 0 {
		o.MaxFrame = 1 << 20
	}
	if o.Spare == 0 {
		o.Spare = 4
	}
	o.Spare = max(o.Spare, ahead)
	o.Epoch = max(o.Epoch, o.Start.Epoch, 1)
	if o.RetryEvery == 0 {
		o.RetryEvery = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	switch {
	case o.Dir == "":
		return o, errors.New("log: no directory given")
	case o.MaxFrame < minFrame || o.MaxFrame > maxFrameSize:
		return o, fmt.Errorf("log: frame size %d is not between %d and %d", o.MaxFrame, minFrame, maxFrameSize)
	case o.SegmentSize%headerSize != 0 || o.SegmentSize > maxSegmentSize:
		return o, fmt.Errorf("log: segment size %d is not a multiple of %d up to %d", o.SegmentSize, headerSize, int64(maxSegmentSize))
	case o.SegmentSize < headerSize+int64(o.MaxFrame):
		return o, fmt.Errorf("log: segment size %d is too small for frames of %d", o.SegmentSize, o.MaxFrame)
	}
	return o, nil
}

// minFrame is the smallest allowed Options.MaxFrame: a smaller one would be mostly headers.
const minFrame = 256

// Log is an open write-ahead log. The package's documentation says which goroutine may call what.
type Log struct {
	// immutable
	opt  Options
	fs   disk.FS
	log  *slog.Logger
	id   [16]byte
	lock io.Closer
	max  int // bytes of data that fit into one entry

	// owned by the committer
	buf    []byte    // entries that wait for Commit, in frames
	frames []pending // the frames in buf
	next   uint64    // index of the next entry
	epoch  uint64
	tail   Position // where frames appended with AppendFrames end

	// work serialises maintenance of segments: it is held while one piece of it is done.
	work sync.Mutex

	// guarded by mu
	mu      sync.Mutex
	changed *sync.Cond // a segment is ready, a pin is gone, full or err changed
	segs    []*segment // with frames, oldest first; the last one is written to
	ready   []*segment // prepared, in the order in which they will be used
	retired []*segment // released, to be recycled or removed, oldest first
	unseal  []*segment // full, but the next one's activation may not be durable yet
	seal    []*segment // full, mark to be set
	want    int        // ready segments that a commit waits for
	lastPos Position   // written
	durable uint64
	epochs  []EpochStart
	cutting bool  // TruncateAfter is at work: readers wait
	full    error // why no segment can be prepared; nil if one can
	retry   bool  // try in spite of full
	err     error // the log has failed or is closed

	scanners sync.Pool // of ReadFrames: shipping reads small pieces often

	kick chan struct{} // wakes the maintenance goroutine
	stop chan struct{}
	done sync.WaitGroup
}

// First returns the index of the first entry that the log still has, or would have if it is empty.
func (l *Log) First() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segs[0].base()
}

// Last returns the position behind the last frame written (not necessarily synced).
func (l *Log) Last() Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lastPos
}

// Durable returns the index up to which everything is known to be on the disk.
func (l *Log) Durable() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.durable
}

// Epochs returns the epochs of the frames in the log and where each begins, in order.
func (l *Log) Epochs() []EpochStart {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.epochs)
}

// Size returns the bytes of frames that the log keeps.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size()
}

func (l *Log) size() int64 {
	var n int64
	for _, s := range l.segs {
		n += s.end - headerSize
	}
	return n
}

// Err returns the error with which the log failed, ErrClosed after Close, or nil.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// SetEpoch sets the epoch of what Append writes from now on. It cannot go back.
func (l *Log) SetEpoch(e uint64) error {
	if e < l.epoch {
		return fmt.Errorf("log: epoch %d is older than %d", e, l.epoch)
	}
	l.closeFrame()
	l.epoch = e
	return nil
}

// Release says that entries up to upTo, the index of a record, are no longer needed. Segments that hold nothing else
// are recycled or removed in the background, oldest first, as far as Options.Retain allows.
// After a crash some of them may be there again.
func (l *Log) Release(upTo uint64) {
	l.mu.Lock()
	size := l.size()
	for len(l.segs) > 1 && l.segs[1].prev.Index <= upTo {
		old := l.segs[0]
		if slices.Contains(l.unseal, old) {
			break // a crash could still take the next segment away
		}
		if size -= old.end - headerSize; size < l.opt.Retain {
			break
		}
		l.retired = append(l.retired, old)
		l.segs = slices.Delete(l.segs, 0, 1)
	}
	for len(l.epochs) > 1 && l.epochs[1].Index <= l.segs[0].base() {
		l.epochs = slices.Delete(l.epochs, 0, 1)
	}
	if len(l.epochs) > 0 {
		l.epochs[0].Index = max(l.epochs[0].Index, l.segs[0].base())
	}
	l.retry = true
	l.mu.Unlock()
	l.nudge()
}

// Close syncs what was committed, notes that the log was closed, and gives the directory free. Records that were not
// committed are dropped. The error, if any, says that what was not synced before may be lost.
func (l *Log) Close() error {
	l.mu.Lock()
	if errors.Is(l.err, ErrClosed) {
		l.mu.Unlock()
		return nil
	}
	l.mu.Unlock()
	close(l.stop)
	l.done.Wait()
	err := l.finish()

	l.mu.Lock()
	l.err = ErrClosed
	for l.pinned(0) {
		l.changed.Wait()
	}
	all := slices.Concat(l.segs, l.ready, l.retired)
	l.mu.Unlock()
	for _, s := range all {
		err = errors.Join(err, s.file.Close())
	}
	return errors.Join(err, l.lock.Close())
}

// finish makes the durable mark exact. A failed log is left as it is.
func (l *Log) finish() error {
	if l.Err() != nil {
		return nil //nolint:nilerr // who met it has it already
	}
	s := l.active()
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("close log: %w", err)
	}
	if err := s.writeMark(markClean, s.last, s.end); err != nil {
		return fmt.Errorf("close log: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("close log: %w", err)
	}
	return nil
}

// active returns the segment that is written to. Only the committer changes which one that is.
func (l *Log) active() *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segs[len(l.segs)-1]
}

// fail makes err the log's error for good and returns it.
func (l *Log) fail(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = fmt.Errorf("log failed: %w", err)
		l.log.Error("log failed, it must be closed and opened again", "dir", l.opt.Dir, "err", err)
		l.changed.Broadcast()
	}
	return l.err
}

// pinned reports whether a reader uses a segment whose identifier is at least id. The caller holds mu.
func (l *Log) pinned(id uint64) bool {
	for _, list := range [][]*segment{l.segs, l.retired} {
		for _, s := range list {
			if s.id >= id && s.pins > 0 {
				return true
			}
		}
	}
	return false
}

// Behind returns roughly how many bytes of frames the log has behind index, all of them if index is before its first
// entry: to the frame it is exact only at some places.
func (l *Log) Behind(index uint64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n int64
	for _, s := range slices.Backward(l.segs) {
		if s.prev.Index <= index {
			if index < s.last.Index {
				n += s.end - s.before(index).offset
			}
			return n
		}
		n += s.end - headerSize
	}
	return n
}
