package log

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// survey is what a directory holds, found out without changing anything.
type survey struct {
	fs       disk.FS
	dir      string
	writable bool                                           // open the segments for writing
	visit    func(s *segment, f *frame, offset int64) error // for every frame scanned; may be nil

	segs    []*segment // with frames, oldest first
	void    []*segment // behind an unfinished cut, to be emptied
	empty   []*segment // prepared
	litter  []string   // paths of *.tmp and *.old
	strange []string   // names of other files
	odd     []string   // durable marks that cannot be read, in words
	last    Position
	epochs  []EpochStart
	why     error // why no frame follows last, as the scanner said it
}

// run reads the directory. Segments that end at or before skip are not scanned unless an epoch begins in them.
// Damage is a *DamageError.
func (v *survey) run(skip uint64) error {
	names, err := v.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := v.load(name); err != nil {
			return err
		}
	}
	if len(names) == 0 {
		return nil
	}
	if len(v.segs) == 0 {
		return &DamageError{File: v.empty[0].name, What: "all segments are empty", Advice: adviceMissing}
	}
	v.arrange()
	return v.scan(skip)
}

// close closes every file.
func (v *survey) close() {
	for _, s := range slices.Concat(v.segs, v.void, v.empty) {
		_ = s.file.Close() // nothing was written, or it was synced
	}
}

// names returns the names of the segments, sorted, and sorts out other files.
func (v *survey) names() ([]string, error) {
	all, err := v.fs.List(v.dir)
	if err != nil {
		return nil, fmt.Errorf("list log directory: %w", err)
	}
	var names []string
	for _, name := range all {
		switch {
		case strings.HasSuffix(name, makingSuffix), strings.HasSuffix(name, retiredSuffix):
			v.litter = append(v.litter, filepath.Join(v.dir, name))
		case strings.HasSuffix(name, segmentSuffix):
			if _, ok := parseSegmentName(name); !ok {
				return nil, &DamageError{
					File: filepath.Join(v.dir, name), What: "the name is not one of a segment", Advice: adviceForeign,
				}
			}
			names = append(names, name)
		case name != disk.LockName:
			v.strange = append(v.strange, name)
		}
	}
	return names, nil
}

// load opens the next segment, reads its first block, and checks that it follows those loaded before.
func (v *survey) load(name string) error {
	s := &segment{name: filepath.Join(v.dir, name)}
	open := v.fs.OpenRead
	if v.writable {
		open = v.fs.Open
	}
	var err error
	if s.file, err = open(s.name); err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	before := v.newest()
	err = v.readBlock(s, name)
	if err == nil && before != nil {
		err = follows(before, s, v.dir)
	}
	if err != nil {
		_ = s.file.Close() // the survey does not know it
		return err
	}
	if s.state == segmentActive {
		v.segs = append(v.segs, s)
	} else {
		v.empty = append(v.empty, s)
	}
	return nil
}

func (v *survey) newest() *segment {
	for _, list := range [][]*segment{v.empty, v.segs} {
		if len(list) > 0 {
			return list[len(list)-1]
		}
	}
	return nil
}

func follows(before, s *segment, dir string) error {
	switch {
	case s.log != before.log:
		return &DamageError{File: s.name, What: "the segment belongs to another log", Advice: adviceForeign}
	case s.id != before.id+1:
		return &DamageError{
			File:   segmentName(dir, before.id+1),
			What:   fmt.Sprintf("segments between %016x and %016x are missing", before.id, s.id),
			Advice: adviceMissing,
		}
	case s.state == segmentActive && (before.state == segmentEmpty || s.prev.Index < before.prev.Index):
		return &DamageError{
			File: before.name, Index: s.base(),
			What: fmt.Sprintf("segment %016x does not continue the one before it", s.id), Advice: adviceRestore,
		}
	}
	return nil
}

func (v *survey) readBlock(s *segment, name string) error {
	b := make([]byte, headerSize)
	n, err := s.file.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read segment header: %w", err)
	}
	damage := &DamageError{File: s.name, Advice: adviceRestore}
	h, wrong := decodeHeader(b[:n])
	id, _ := parseSegmentName(name)
	switch {
	case wrong == wrongVersion:
		damage.What, damage.Advice, damage.Newer = wrong, adviceNewer, true
		return damage
	case wrong != "":
		damage.What = wrong
		return damage
	case h.id != id:
		damage.What, damage.Advice = "the file's name and the header's identifier differ", adviceForeign
		return damage
	case n < headerSize:
		damage.What, damage.Offset = "the file is shorter than the header", int64(n)
		return damage
	}
	s.header = h
	s.rewind()
	s.seed = markSeed(h.log, h.id)
	a, okA := decodeMark(b[disk.SectorSize:], s.seed)
	c, okC := decodeMark(b[2*disk.SectorSize:], s.seed)
	switch {
	case !okA && !okC:
		damage.What, damage.Offset = "both durable marks are unreadable", disk.SectorSize
		return damage
	case !okA || !okC:
		v.odd = append(v.odd, s.name)
	}
	s.mark = a
	if !okA || okC && c.counter > a.counter {
		s.mark = c
	}
	return nil
}

// arrange puts aside what lies behind an unfinished cut.
func (v *survey) arrange() {
	for i, s := range v.segs {
		if s.mark.state == markCutting {
			v.void = slices.Concat(v.segs[i+1:], v.empty)
			v.segs, v.empty = v.segs[:i+1:i+1], nil
			return
		}
	}
}

// scan walks the frames of all segments and checks that they are one chain that reaches the durable mark.
func (v *survey) scan(skip uint64) error {
	var sc scanner
	for i, s := range v.segs {
		v.last = s.prev
		if i+1 == len(v.segs) {
			return v.scanLast(&sc, s)
		}
		next := v.segs[i+1].prev
		if next.Index <= skip && s.prev.Epoch == next.Epoch {
			v.noteEpoch(s.prev.Epoch, s.base())
			s.end, s.last, s.sealed = s.size, next, s.mark.state == markSealed
			continue
		}
		if err := v.scanFrames(&sc, s, next.Index); err != nil {
			return err
		}
		if v.last != next {
			return v.damage(s, "the segment ends before the next one begins")
		}
		s.sealed = s.mark.state == markSealed
	}
	return nil
}

// scanLast scans the segment in which the log ends.
func (v *survey) scanLast(sc *scanner, s *segment) error {
	end := uint64(1<<64 - 1)
	if s.mark.state == markCutting {
		end = s.mark.pos.Index
	}
	if err := v.scanFrames(sc, s, end); err != nil {
		return err
	}
	switch {
	case v.last.Index < s.durable().Index:
		return v.damage(s, "the log ends before its durable mark")
	case s.mark.state == markCutting && v.last != s.mark.pos:
		return v.damage(s, "the log does not reach the place where it was to be cut")
	case s.mark.state == markSealed:
		return &DamageError{
			File: segmentName(v.dir, s.id+1), Index: v.last.Index + 1,
			What: "the segment that continues the log is missing", Advice: adviceMissing,
		}
	case errors.Is(v.why, errFrameVersion):
		d := v.damage(s, "the log goes on in a format that this release does not know")
		d.Advice, d.Newer = adviceNewer, true
		return d
	}
	return nil
}

// scanFrames walks the frames of s up to the one that ends at index end, or the first that is bad.
func (v *survey) scanFrames(sc *scanner, s *segment, end uint64) error {
	sc.start(s.file, spot{pos: s.prev, offset: headerSize}, s.size)
	v.why = nil
	for sc.pos.Index < end {
		offset := sc.offset
		f, err := sc.next()
		if isBad(err) {
			v.why = err
			break
		}
		if err != nil {
			return err
		}
		v.noteEpoch(f.epoch, f.base)
		s.extend(sc.pos, int64(len(f.raw)))
		v.last = sc.pos
		if m := s.mark; m.counter > 0 && f.base <= m.pos.Index && m.pos.Index <= sc.pos.Index && m.pos != sc.pos {
			return v.damage(s, "the frames are not those that the durable mark was set for")
		}
		if v.visit != nil {
			if err := v.visit(s, &f, offset); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *survey) damage(s *segment, what string) *DamageError {
	return &DamageError{
		File: s.name, Offset: s.end, Index: v.last.Index + 1, What: what, Advice: adviceRestore, Err: v.why,
	}
}

func (v *survey) noteEpoch(epoch, index uint64) { v.epochs = noteEpoch(v.epochs, epoch, index) }

func noteEpoch(table []EpochStart, epoch, index uint64) []EpochStart {
	if n := len(table); n > 0 && table[n-1].Epoch >= epoch {
		return table
	}
	return append(table, EpochStart{Epoch: epoch, Index: index})
}
