package log

import "fmt"

// keepBuffer is how much memory the log keeps between commits.
const keepBuffer = 8 << 20

// pending is a frame in Log.buf.
type pending struct {
	start, end int
	count      uint32
	epoch      uint64
	open       bool     // more entries may follow
	raw        bool     // complete, from AppendFrames
	pos        Position // behind the frame, once it is complete
}

// Append buffers one record, the parts joined, and returns its index. The parts are copied. Nothing reaches the disk
// before Commit.
func (l *Log) Append(parts ...[]byte) uint64 {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	if size > l.max {
		l.appendFragments(parts, size)
	} else {
		l.beginEntry(kindFull, size)
		for _, p := range parts {
			l.buf = append(l.buf, p...)
		}
		l.endEntry()
	}
	return l.next - 1
}

// appendFragments buffers a record as several entries, as large as the frames allow.
func (l *Log) appendFragments(parts [][]byte, size int) {
	kind := byte(kindFirst)
	part, at := 0, 0
	for size > 0 {
		n := min(size, l.max)
		if n == size {
			kind = kindLast
		}
		l.beginEntry(kind, n)
		for need := n; need > 0; {
			m := min(need, len(parts[part])-at)
			l.buf = append(l.buf, parts[part][at:at+m]...)
			need -= m
			if at += m; at == len(parts[part]) {
				part, at = part+1, 0
			}
		}
		l.endEntry()
		size -= n
		kind = kindMiddle
	}
}

// beginEntry appends the header of an entry of n bytes, in a new frame if the last one has no room for it.
func (l *Log) beginEntry(kind byte, n int) {
	if i := len(l.frames) - 1; i < 0 || !l.frames[i].open || len(l.buf)-l.frames[i].start+entryHeaderSize+n > l.opt.MaxFrame {
		l.closeFrame()
		l.frames = append(l.frames, pending{start: len(l.buf), epoch: l.epoch, open: true})
		l.buf = append(l.buf, blankFrameHeader[:]...)
	}
	l.buf = appendEntryHeader(l.buf, kind, n)
}

// blankFrameHeader keeps the place of a header that sealFrame fills in.
var blankFrameHeader [frameHeaderSize]byte

func (l *Log) endEntry() {
	f := &l.frames[len(l.frames)-1]
	f.count++
	f.end = len(l.buf)
	l.next++
}

// closeFrame makes the next entry begin a new frame.
func (l *Log) closeFrame() {
	if i := len(l.frames) - 1; i >= 0 {
		l.frames[i].open = false
	}
}

// Buffered returns the bytes that wait for Commit.
func (l *Log) Buffered() int { return len(l.buf) }

// Discard drops what waits for Commit; its indexes will be given again.
func (l *Log) Discard() {
	last := l.Last()
	l.reset(last)
}

// reset forgets the buffer; the log goes on behind pos.
func (l *Log) reset(pos Position) {
	l.buf, l.frames = l.buf[:0], l.frames[:0]
	if cap(l.buf) > keepBuffer {
		l.buf = nil
	}
	l.next, l.tail = pos.Index+1, pos
}

// AppendFrames buffers frames that another log's ReadFrames returned, byte for byte, after checking that they are whole
// and continue this log: all of them or, with an error, none. Chain, index or epoch that do not fit are ErrMismatch.
func (l *Log) AppendFrames(raw []byte) error {
	if n := len(l.frames); n > 0 && !l.frames[n-1].raw {
		return fmt.Errorf("%w: own records wait for Commit", ErrMismatch)
	}
	most := min(maxFrameSize, l.opt.SegmentSize-headerSize)
	frames, pos, at := l.frames, l.tail, len(l.buf)
	for rest := raw; len(rest) > 0; {
		f, err := parseFrame(rest, pos)
		if err != nil {
			return fmt.Errorf("%w: %w, behind %v", ErrMismatch, err, pos)
		}
		if int64(len(f.raw)) > most {
			return fmt.Errorf("%w: frame of %d bytes does not fit into a segment", ErrMismatch, len(f.raw))
		}
		rest, pos = rest[len(f.raw):], f.end()
		frames = append(frames, pending{
			start: at, end: at + len(f.raw), count: f.count, epoch: f.epoch, raw: true, pos: pos,
		})
		at += len(f.raw)
	}
	l.buf = append(l.buf, raw...)
	l.frames, l.tail, l.next = frames, pos, pos.Index+1
	l.epoch = max(l.epoch, pos.Epoch)
	return nil
}
