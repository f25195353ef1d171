package log

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// Report is what Check found.
type Report struct {
	Segments []SegmentReport
	Prepared int // empty segments
	First    uint64
	Last     Position
	Durable  uint64 // everything up to here must be readable
	Epochs   []EpochStart
	Records  uint64
	Clean    bool // the log was closed
	Cutting  bool // a cut was interrupted; Open completes it
	// Notes are findings that do not endanger the log, in words.
	Notes []string
	// Damage is why the log cannot be opened; nil if it can.
	Damage *DamageError
}

// SegmentReport describes a segment with frames.
type SegmentReport struct {
	File   string
	ID     uint64
	First  uint64 // index of the first entry
	Last   uint64 // index of the last entry
	Frames uint64
	Bytes  int64 // of the frames
}

// Entry is one entry of a log as Dump shows it.
type Entry struct {
	File   string
	Offset int64 // of the frame
	Epoch  uint64
	Index  uint64
	Time   time.Time // when the frame was written, by the clock of the node that wrote it
	Kind   string    // full, first, middle or last
	Data   []byte    // valid during the call
}

// Check reads a whole log directory without changing or locking it. The error is about reading only: damage is in the
// report. While a broker has the log open, the result may be damage that is not there.
func Check(fs disk.FS, dir string) (Report, error) {
	var rep Report
	frames := map[*segment]uint64{}
	v := survey{fs: fs, dir: dir}
	var asm assembler
	v.visit = func(s *segment, f *frame, _ int64) error {
		frames[s]++
		for rest := f.raw[frameHeaderSize:]; len(rest) > 0; {
			kind, data, tail, err := nextEntry(rest)
			if err != nil {
				return err
			}
			rest = tail
			if _, whole, err := asm.entry(kind, data); err == nil && whole {
				rep.Records++
			}
		}
		return nil
	}
	defer v.close()
	err := v.run(0)
	if err != nil && !errors.As(err, &rep.Damage) {
		return rep, err
	}
	for _, s := range v.segs {
		rep.Segments = append(rep.Segments, SegmentReport{
			File: filepath.Base(s.name), ID: s.id, First: s.base(), Last: s.last.Index, Frames: frames[s], Bytes: s.end - headerSize,
		})
	}
	rep.Prepared = len(v.empty)
	rep.Last, rep.Epochs = v.last, v.epochs
	if n := len(v.segs); n > 0 {
		s := v.segs[n-1]
		rep.First, rep.Durable = v.segs[0].base(), s.durable().Index
		rep.Clean, rep.Cutting = s.mark.state == markClean, s.mark.state == markCutting
	}
	for _, name := range v.strange {
		rep.Notes = append(rep.Notes, fmt.Sprintf("file %q is not the log's", name))
	}
	for _, name := range v.odd {
		rep.Notes = append(rep.Notes, fmt.Sprintf("one of two durable marks in %q is unreadable", filepath.Base(name)))
	}
	return rep, nil
}

// Dump calls fn for each entry that can be read, in order, without changing or locking the directory, and
// then returns the damage, if any. An error from fn ends it and is returned as it is.
func Dump(fs disk.FS, dir string, fn func(Entry) error) error {
	v := survey{fs: fs, dir: dir}
	v.visit = func(s *segment, f *frame, offset int64) error {
		index := f.base
		for rest := f.raw[frameHeaderSize:]; len(rest) > 0; index++ {
			kind, data, tail, err := nextEntry(rest)
			if err != nil {
				return err
			}
			rest = tail
			e := Entry{
				File: filepath.Base(s.name), Offset: offset, Epoch: f.epoch, Index: index,
				Time: time.Unix(0, f.time).UTC(), Kind: kindNames[kind], Data: data,
			}
			if err := fn(e); err != nil {
				return err
			}
		}
		return nil
	}
	defer v.close()
	return v.run(0)
}

var kindNames = [...]string{kindFull: "full", kindFirst: "first", kindMiddle: "middle", kindLast: "last"}
