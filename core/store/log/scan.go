package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// scanWindow is how many bytes a scanner reads at a time.
const scanWindow = 256 << 10

// scanner walks the frames of one segment.
type scanner struct {
	file   disk.File
	pos    Position // before the next frame
	offset int64    // of the next frame
	limit  int64    // no frame goes beyond it

	buf  []byte // window of the file; frames returned point into it
	from int64  // offset of buf in the file
}

// start points the scanner at a frame boundary of a segment; the window's memory is used again.
func (s *scanner) start(file disk.File, at spot, limit int64) {
	s.file, s.pos, s.offset, s.limit = file, at.pos, at.offset, limit
	s.buf, s.from = s.buf[:0], at.offset
}

// next returns the frame at the scanner's place and steps over it. It is valid until the next call.
// At the end of the segment, and where no frame continues the log, the error is a frameError.
func (s *scanner) next() (frame, error) {
	b, err := s.window(frameHeaderSize)
	if err != nil {
		return frame{}, err
	}
	n, err := frameLength(b)
	if err != nil {
		return frame{}, err
	}
	if b, err = s.window(n); err != nil {
		return frame{}, err
	}
	f, err := parseFrame(b[:n], s.pos)
	if err != nil {
		return frame{}, err
	}
	s.offset += int64(n)
	s.pos = f.end()
	return f, nil
}

// window returns at least n bytes from the scanner's place, or errFrameShort if the segment has fewer.
func (s *scanner) window(n int) ([]byte, error) {
	skip := s.offset - s.from
	if have := int64(len(s.buf)) - skip; have >= int64(n) {
		return s.buf[skip:], nil
	}
	if s.offset+int64(n) > s.limit {
		return nil, errFrameShort
	}
	size := min(max(n, scanWindow), int(s.limit-s.offset))
	if cap(s.buf) < size {
		s.buf = make([]byte, size)
	}
	got, err := s.file.ReadAt(s.buf[:size], s.offset)
	s.buf, s.from = s.buf[:got], s.offset
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read log: %w", err)
	}
	if got < n {
		return nil, errFrameShort
	}
	return s.buf, nil
}

// scrub overwrites with zeros what lies behind offset and could one day be read as frames of the log behind index,
// and returns how many bytes from offset on that were. Older frames in a recycled file stay: the chain excludes them.
// The zeros are not synced.
func scrub(file disk.File, offset, size int64, index uint64) (int64, error) {
	end, err := lastPlausible(file, offset, size, index)
	if err != nil || end <= offset {
		return 0, err
	}
	zeros := make([]byte, min(end-offset, 1<<20))
	for at := offset; at < end; {
		n := min(int64(len(zeros)), end-at)
		if _, err := file.WriteAt(zeros[:n], at); err != nil {
			return 0, fmt.Errorf("overwrite what was cut: %w", err)
		}
		at += n
	}
	return end - offset, nil
}

// lastPlausible returns the end of the last thing behind offset that starts like a frame of the log behind index,
// or offset if there is none.
func lastPlausible(file disk.File, offset, size int64, index uint64) (int64, error) {
	magic := binary.LittleEndian.AppendUint32(nil, frameMagic)
	buf := make([]byte, min(1<<20, max(size-offset, 0)))
	end := offset
	for at := offset; size-at >= frameHeaderSize; {
		n, err := file.ReadAt(buf[:min(int64(len(buf)), size-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("read behind the end of the log: %w", err)
		}
		if n < frameHeaderSize {
			break // the file is shorter than it should be
		}
		b := buf[:n]
		for i := 0; i+frameHeaderSize <= len(b); i++ {
			j := bytes.Index(b[i:], magic)
			if j < 0 || i+j+frameHeaderSize > len(b) {
				break
			}
			i += j
			if length, ok := plausible(b[i:], index); ok {
				end = max(end, min(at+int64(i+length), size))
			}
		}
		at += int64(n - frameHeaderSize + 1)
	}
	return end, nil
}
