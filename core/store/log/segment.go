package log

import (
	"fmt"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

const (
	segmentSuffix  = ".seg"
	makingSuffix   = ".tmp"
	retiredSuffix  = ".old"
	maxSegmentSize = 16 << 30
	// spotDistance is how many bytes of frames lie between two remembered places of a segment:
	// what a reader that starts in the middle has to walk at most.
	spotDistance = 64 << 10
)

func segmentName(dir string, id uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", id, segmentSuffix))
}

// parseSegmentName returns the identifier in a segment's file name.
func parseSegmentName(name string) (uint64, bool) {
	digits := strings.TrimSuffix(name, segmentSuffix)
	if len(digits) != 16 || strings.ToLower(digits) != digits {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 16, 64)
	return id, err == nil && id > 0
}

// spot is a remembered frame boundary.
type spot struct {
	pos    Position
	offset int64
}

// segment is an open segment file. Its header is owned by whoever activates or empties it (the committer);
// end, last and spots are guarded by Log.mu once the log is open; mark is owned by the committer while the
// segment is the last one, then by the goroutine that seals it.
type segment struct {
	header
	file disk.File
	name string // path; changes when the file is recycled

	mark   mark
	end    int64    // behind the last frame
	last   Position // at end
	spots  []spot
	pins   int    // readers that use the file now
	seed   uint32 // of the CRC of marks, see markSeed
	sealed bool   // as the survey found it

	scratch [markLen]byte // for writeMark, which must not allocate
}

func (s *segment) base() uint64 { return s.prev.Index + 1 }

// rewind makes the segment one without frames.
func (s *segment) rewind() {
	s.end, s.last = headerSize, s.prev
	s.spots = s.spots[:0]
	s.sealed = false
}

// extend notes a frame that ends at pos and is n bytes long.
func (s *segment) extend(pos Position, n int64) {
	from := int64(headerSize)
	if len(s.spots) > 0 {
		from = s.spots[len(s.spots)-1].offset
	}
	s.end += n
	s.last = pos
	if s.end-from >= spotDistance {
		s.spots = append(s.spots, spot{pos: pos, offset: s.end})
	}
}

// before returns the last remembered place at which entries <= index end.
func (s *segment) before(index uint64) spot {
	i := sort.Search(len(s.spots), func(i int) bool { return s.spots[i].pos.Index > index })
	if i == 0 {
		return spot{pos: s.prev, offset: headerSize}
	}
	return s.spots[i-1]
}

// cut forgets what lies behind a place in the segment.
func (s *segment) cut(pos Position, offset int64) {
	s.end, s.last = offset, pos
	i := sort.Search(len(s.spots), func(i int) bool { return s.spots[i].offset > offset })
	s.spots = s.spots[:i]
}

// writeMark writes the next durable mark. It is not synced.
func (s *segment) writeMark(state markState, pos Position, end int64) error {
	m := mark{state: state, counter: s.mark.counter + 1, pos: pos, end: end}
	m.encode(s.scratch[:], s.seed)
	if _, err := s.file.WriteAt(s.scratch[:], markOffset(m.counter)); err != nil {
		return fmt.Errorf("write durable mark: %w", err)
	}
	s.mark = m
	return nil
}

// empty writes a header without frames and blank marks, and syncs it.
func (s *segment) empty() error {
	s.state, s.prev, s.mark = segmentEmpty, Position{}, mark{}
	s.seed = markSeed(s.log, s.id)
	if _, err := s.file.WriteAt(s.encodeBlock(), 0); err != nil {
		return fmt.Errorf("write header of an empty segment: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync header of an empty segment: %w", err)
	}
	s.rewind()
	return nil
}

// activate makes the segment the one that continues the log at pos. It is durable with the next sync.
func (s *segment) activate(pos Position) error {
	s.state, s.prev, s.mark = segmentActive, pos, mark{}
	if _, err := s.file.WriteAt(s.encode(), 0); err != nil {
		return fmt.Errorf("activate segment: %w", err)
	}
	s.rewind()
	return nil
}

// durable is the position up to which everything is known to be on the disk when s is the last segment.
func (s *segment) durable() Position {
	if s.mark.counter == 0 || s.mark.pos.Index < s.prev.Index {
		return s.prev
	}
	return s.mark.pos
}
