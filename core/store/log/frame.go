package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

const (
	frameHeaderSize = 48
	entryHeaderSize = 5
	frameVersion    = 1
	frameMagic      = uint32(0xE5) | uint32('L')<<8 | uint32('F')<<16 | uint32('1')<<24
	// maxFrameSize is the largest frame that is accepted, whoever wrote it.
	maxFrameSize = 4 << 20
)

// Entry kinds.
const (
	kindFull   = 1
	kindFirst  = 2
	kindMiddle = 3
	kindLast   = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameError is the reason why bytes are not the frame that continues the log. An error of any other type
// from a function that decodes frames comes from reading the file.
type frameError string

func (b frameError) Error() string { return string(b) }

const (
	errNoFrame      frameError = "no frame"
	errFrameShort   frameError = "frame is cut off"
	errFrameLength  frameError = "frame has an impossible length"
	errFrameCRC     frameError = "frame has a wrong checksum"
	errFrameChain   frameError = "frame does not follow the preceding one"
	errFrameIndex   frameError = "frame has an unexpected index or epoch"
	errFrameContent frameError = "frame has malformed entries"
	errFrameVersion frameError = "frame has an unknown format version"
)

func isBad(err error) bool {
	var b frameError
	return errors.As(err, &b)
}

// frame is a decoded view of a frame's bytes.
type frame struct {
	raw   []byte // the whole frame
	crc   uint32
	prev  uint32
	count uint32
	epoch uint64
	base  uint64
	time  int64
}

func (f *frame) last() uint64 { return f.base + uint64(f.count) - 1 }

func (f *frame) end() Position { return Position{Epoch: f.epoch, Index: f.last(), Chain: f.crc} }

// frameLength returns the length that a frame's header states, when it can be one. b has at least
// frameHeaderSize bytes.
func frameLength(b []byte) (int, error) {
	if binary.LittleEndian.Uint32(b) != frameMagic {
		return 0, errNoFrame
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n < frameHeaderSize+entryHeaderSize || n > maxFrameSize {
		return 0, errFrameLength
	}
	return int(n), nil
}

// parseFrame decodes the frame at the start of b, which must continue the log at pos. The frame refers to b.
func parseFrame(b []byte, pos Position) (frame, error) {
	if len(b) < frameHeaderSize {
		return frame{}, errFrameShort
	}
	n, err := frameLength(b)
	if err != nil {
		return frame{}, err
	}
	if n > len(b) {
		return frame{}, errFrameShort
	}
	f := frame{
		raw:   b[:n:n],
		crc:   binary.LittleEndian.Uint32(b[8:]),
		prev:  binary.LittleEndian.Uint32(b[12:]),
		count: binary.LittleEndian.Uint32(b[20:]),
		epoch: binary.LittleEndian.Uint64(b[24:]),
		base:  binary.LittleEndian.Uint64(b[32:]),
		time:  int64(binary.LittleEndian.Uint64(b[40:])),
	}
	switch {
	case f.prev != pos.Chain:
		return frame{}, errFrameChain
	case f.crc != frameCRC(f.raw, f.prev):
		return frame{}, errFrameCRC
	case b[16] != frameVersion || b[17] != 0 || b[18] != 0 || b[19] != 0:
		return frame{}, errFrameVersion
	case f.base != pos.Index+1 || f.epoch < pos.Epoch || f.base+uint64(f.count) < f.base:
		return frame{}, errFrameIndex
	}
	return f, f.validate()
}

func frameCRC(raw []byte, prev uint32) uint32 {
	return crc32.Update(crc32.Update(prev, castagnoli, raw[:8]), castagnoli, raw[12:])
}

// validate checks that the entries fill the frame exactly.
func (f *frame) validate() error {
	n := uint32(0)
	for rest := f.raw[frameHeaderSize:]; len(rest) > 0; n++ {
		kind, _, tail, err := nextEntry(rest)
		if err != nil || kind < kindFull || kind > kindLast {
			return errFrameContent
		}
		rest = tail
	}
	if n != f.count || n == 0 {
		return errFrameContent
	}
	return nil
}

// nextEntry takes the first entry off b.
func nextEntry(b []byte) (kind byte, data, rest []byte, err error) {
	if len(b) < entryHeaderSize {
		return 0, nil, nil, errFrameContent
	}
	n := binary.LittleEndian.Uint32(b[1:])
	if uint64(n) > uint64(len(b)-entryHeaderSize) {
		return 0, nil, nil, errFrameContent
	}
	end := entryHeaderSize + int(n)
	return b[0], b[entryHeaderSize:end:end], b[end:], nil
}

// sealFrame fills in the header of raw, whose entries are in place, and returns the position at its end.
func sealFrame(raw []byte, prev Position, epoch uint64, count uint32, unixNano int64) Position {
	le := binary.LittleEndian
	le.PutUint32(raw, frameMagic)
	le.PutUint32(raw[4:], uint32(len(raw)))
	le.PutUint32(raw[12:], prev.Chain)
	raw[16], raw[17], raw[18], raw[19] = frameVersion, 0, 0, 0
	le.PutUint32(raw[20:], count)
	le.PutUint64(raw[24:], epoch)
	le.PutUint64(raw[32:], prev.Index+1)
	le.PutUint64(raw[40:], uint64(unixNano))
	crc := frameCRC(raw, prev.Chain)
	le.PutUint32(raw[8:], crc)
	return Position{Epoch: epoch, Index: prev.Index + uint64(count), Chain: crc}
}

// appendEntryHeader appends the header of an entry with n bytes of data.
func appendEntryHeader(b []byte, kind byte, n int) []byte {
	b = append(b, kind)
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}

// plausible reports whether b, which has at least frameHeaderSize bytes, starts like a frame of the log behind index,
// and how long that frame says it is.
func plausible(b []byte, index uint64) (int, bool) {
	n, err := frameLength(b)
	if err != nil {
		return 0, false
	}
	return n, binary.LittleEndian.Uint64(b[32:]) > index
}

// Position is a place between two frames of the log.
type Position struct {
	Epoch uint64 // of the frame that ends here
	Index uint64 // of the last entry before this place
	Chain uint32 // CRC of the frame that ends here: a checksum of the whole history up to it
}

func (p Position) String() string { return fmt.Sprintf("%d/%d/%08x", p.Epoch, p.Index, p.Chain) }

// EpochStart says where an epoch begins.
type EpochStart struct {
	Epoch uint64
	Index uint64 // first entry of the epoch; Log.First if it began earlier than the log does
}
