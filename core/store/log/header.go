package log

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

const (
	headerMagic   = "ENTRLOG\n"
	headerVersion = 1
	headerLen     = 72
	markLen       = 44
	// headerSize is where frames begin.
	headerSize = 4096
)

// maxIndex is beyond what a log can reach; it keeps sums of indexes from overflowing.
const maxIndex = 1 << 62

// headerState says whether a segment holds frames.
type headerState uint32

const (
	segmentEmpty headerState = iota
	segmentActive
)

// header is the first sector of a segment.
type header struct {
	state headerState
	log   [16]byte
	id    uint64
	size  int64
	prev  Position // the position before the segment's first frame
}

func (h *header) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, disk.SectorSize)
	b = append(b, headerMagic...)
	b = le.AppendUint32(b, headerVersion)
	b = le.AppendUint32(b, uint32(h.state))
	b = append(b, h.log[:]...)
	b = le.AppendUint64(b, h.id)
	b = le.AppendUint64(b, uint64(h.size))
	b = le.AppendUint64(b, h.prev.Index+1)
	b = le.AppendUint64(b, h.prev.Epoch)
	b = le.AppendUint32(b, h.prev.Chain)
	b = le.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return b[:disk.SectorSize]
}

// decodeHeader decodes a header sector. The second result says what is wrong with it; empty if nothing.
func decodeHeader(b []byte) (h header, wrong string) {
	le := binary.LittleEndian
	switch {
	case len(b) < headerLen || string(b[:8]) != headerMagic:
		return h, "the file does not begin like a segment of a log"
	case le.Uint32(b[headerLen-4:]) != crc32.Checksum(b[:headerLen-4], castagnoli):
		return h, "the segment's header has a wrong checksum"
	case le.Uint32(b[8:]) != headerVersion:
		return h, wrongVersion
	}
	h.state = headerState(le.Uint32(b[12:]))
	copy(h.log[:], b[16:])
	h.id = le.Uint64(b[32:])
	h.size = int64(le.Uint64(b[40:]))
	h.prev = Position{Epoch: le.Uint64(b[56:]), Index: le.Uint64(b[48:]) - 1, Chain: le.Uint32(b[64:])}
	if h.state > segmentActive || h.prev.Index > maxIndex || h.size < headerSize || h.size > maxSegmentSize {
		return h, "the segment's header has impossible values"
	}
	return h, ""
}

const wrongVersion = "the segment has an unknown format version"

// markState says how the log goes on behind a durable mark.
type markState uint32

const (
	markOpen    markState = iota // there may be frames behind the mark
	markSealed                   // the next segment holds what follows
	markCutting                  // what follows is to be deleted
	markClean                    // nothing follows: the log was closed
)

// mark is a durable mark: everything up to pos is on the disk.
type mark struct {
	state   markState
	counter uint64
	pos     Position
	end     int64 // offset behind pos in the segment
}

// markSeed ties a mark to one life of one segment.
func markSeed(log [16]byte, id uint64) uint32 {
	var b [24]byte
	copy(b[:], log[:])
	binary.LittleEndian.PutUint64(b[16:], id)
	return crc32.Checksum(b[:], castagnoli)
}

// encode writes the mark to dst, which has at least markLen bytes.
func (m *mark) encode(dst []byte, seed uint32) {
	le := binary.LittleEndian
	le.PutUint32(dst, uint32(m.state))
	le.PutUint32(dst[4:], m.pos.Chain)
	le.PutUint64(dst[8:], m.counter)
	le.PutUint64(dst[16:], m.pos.Index)
	le.PutUint64(dst[24:], m.pos.Epoch)
	le.PutUint64(dst[32:], uint64(m.end))
	le.PutUint32(dst[40:], crc32.Update(seed, castagnoli, dst[:40]))
}

func decodeMark(b []byte, seed uint32) (m mark, ok bool) {
	le := binary.LittleEndian
	if len(b) < markLen || le.Uint32(b[40:]) != crc32.Update(seed, castagnoli, b[:40]) {
		return m, false
	}
	m = mark{
		state:   markState(le.Uint32(b)),
		counter: le.Uint64(b[8:]),
		pos:     Position{Chain: le.Uint32(b[4:]), Index: le.Uint64(b[16:]), Epoch: le.Uint64(b[24:])},
		end:     int64(le.Uint64(b[32:])),
	}
	return m, m.state <= markClean
}

// markOffset is where the mark with this counter is written: the other slot keeps the one before it.
func markOffset(counter uint64) int64 { return disk.SectorSize * (1 + int64(counter%2)) }

// encodeBlock returns the whole first block of a segment with blank marks.
func (h *header) encodeBlock() []byte {
	b := make([]byte, headerSize)
	copy(b, h.encode())
	seed := markSeed(h.log, h.id)
	blank := mark{}
	blank.encode(b[disk.SectorSize:], seed)
	blank.encode(b[2*disk.SectorSize:], seed)
	return b
}
