package log

import (
	"encoding/binary"
	"fmt"
)

// Ends appends to dst where each of the frames in raw, which ReadFrames or another node's log returned, says that it
// ends. Only lengths are checked: AppendFrames finds out whether the frames are what they say.
func Ends(dst []Position, raw []byte) ([]Position, error) {
	for len(raw) > 0 {
		if len(raw) < frameHeaderSize {
			return dst, fmt.Errorf("%w: %w", ErrMismatch, errFrameShort)
		}
		n, err := frameLength(raw)
		if err != nil {
			return dst, fmt.Errorf("%w: %w", ErrMismatch, err)
		}
		if n > len(raw) {
			return dst, fmt.Errorf("%w: %w", ErrMismatch, errFrameShort)
		}
		le := binary.LittleEndian
		dst = append(dst, Position{
			Epoch: le.Uint64(raw[24:]), Index: le.Uint64(raw[32:]) + uint64(le.Uint32(raw[20:])) - 1, Chain: le.Uint32(raw[8:]),
		})
		raw = raw[n:]
	}
	return dst, nil
}

// FrameSize returns how many bytes the first frame of raw takes; Ends has accepted raw.
func FrameSize(raw []byte) int { return int(binary.LittleEndian.Uint32(raw[4:])) }

// Reader reads records in order, as far as it is told each time: what a follower applies as it learns that it may.
// One goroutine uses it. What it has read must not be cut off the log.
type Reader struct {
	l   *Log
	asm assembler
	at  uint64 // entries up to here were read
	pos Position
	sc  scanner
}

// Reader returns a reader of the records behind from, which is the index of a record, or 0.
func (l *Log) Reader(from uint64) *Reader {
	return &Reader{l: l, asm: assembler{after: from}, at: from}
}

// Next calls fn for each record that is complete at index upTo and was not read before. upTo is the end of a frame. rec
// is valid only during the call. An error from fn ends the reading for good.
func (r *Reader) Next(upTo uint64, fn func(index, epoch uint64, rec []byte) error) error {
	for r.at < upTo {
		seg, err := r.l.pin(r.at)
		if err != nil {
			return err
		}
		seg.last = min(seg.last, upTo)
		err = replaySegment(&r.sc, seg, &r.asm, fn)
		r.l.unpin(seg)
		if err != nil {
			return err
		}
		r.at, r.asm.after, r.pos = seg.last, seg.last, r.sc.pos
	}
	return nil
}

// Position is where the last frame read ends.
func (r *Reader) Position() Position { return r.pos }
