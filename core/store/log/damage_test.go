package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// damagedLog makes a log of two segments and some records, as a process that was killed leaves it.
func damagedLog(t *testing.T) (Options, []string) {
	t.Helper()
	o := testOptions(disk.NewFake())
	o.SegmentSize, o.MaxFrame = 8192, 1024
	l := mustOpen(t, o)
	recs := numbered("r", 20, 300)
	appendEach(t, l, recs...)
	if n := len(l.segs); n != 2 {
		t.Fatalf("%d segments, want 2", n)
	}
	o.FS = o.FS.(*disk.Fake).Copy()
	return o, recs
}

// checkDamaged opens a damaged copy: either everything is there or the damage is reported.
func checkDamaged(t *testing.T, o Options, what string, recs []string) (damaged bool) {
	t.Helper()
	l, err := Open(o)
	var d *DamageError
	switch {
	case errors.As(err, &d):
		if d.File == "" || d.Advice == "" {
			t.Fatalf("%s: damage without place or advice: %v", what, d)
		}
		return true
	case err != nil:
		t.Fatalf("%s: %v", what, err)
	}
	got := replayed(t, l, 0)
	mustClose(t, l)
	if fmt.Sprint(got) != fmt.Sprint(recs) {
		t.Fatalf("%s: %d records after a silent open, %d were synced", what, len(got), len(recs))
	}
	return false
}

func TestNoDamageOfSyncedBytesIsSilent(t *testing.T) {
	base, recs := damagedLog(t)
	clean := base.FS.(*disk.Fake)
	used := []int{0, 0}
	for i := range used { // up to where there are frames
		b := clean.Bytes(segmentName("wal", uint64(i+1)))
		used[i] = len(bytes.TrimRight(b, "\x00"))
	}
	damages := []struct {
		name string
		do   func(b []byte, at int) []byte
	}{
		{"flip", func(b []byte, at int) []byte { b[at] ^= 0x10; return b }},
		{"cut", func(b []byte, at int) []byte { return b[:at] }},
		{"zero 1", func(b []byte, at int) []byte { b[at] = 0; return b }},
		{"zero a sector", func(b []byte, at int) []byte { clear(b[at:min(at+512, len(b))]); return b }},
		{"zero the rest", func(b []byte, at int) []byte { clear(b[at:]); return b }},
		{"duplicate", func(b []byte, at int) []byte { copy(b[at:], bytes.Clone(b[max(0, at-349):at])); return b }},
	}
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			reported := 0
			for i := range used {
				name := segmentName("wal", uint64(i+1))
				for at := 0; at < used[i]; at += 3 {
					o := base
					fake := clean.Copy()
					fake.Put(name, d.do(fake.Bytes(name), at))
					o.FS = fake
					if checkDamaged(t, o, fmt.Sprintf("%s at %d of %s", d.name, at, name), recs) {
						reported++
					}
				}
			}
			if reported == 0 {
				t.Error("no damage was reported at all")
			}
		})
	}
}

func TestMissingAndForeignFilesAreDamage(t *testing.T) {
	base, recs := damagedLog(t)
	clean := base.FS.(*disk.Fake)
	other, _ := damagedLog(t)
	seg := func(id uint64) string { return segmentName("wal", id) }
	cases := []struct {
		name   string
		damage func(f *disk.Fake)
		file   string
	}{
		{"the last segment with frames is missing", func(f *disk.Fake) { mustRemove(t, f, seg(2)) }, seg(2)},
		{"all later segments are missing", func(f *disk.Fake) {
			mustRemove(t, f, seg(2))
			mustRemove(t, f, seg(3))
			mustRemove(t, f, seg(4))
		}, seg(2)},
		{"a segment of another log", func(f *disk.Fake) { f.Put(seg(2), other.FS.(*disk.Fake).Bytes(seg(2))) }, seg(2)},
		{"a segment under another name", func(f *disk.Fake) { f.Put(seg(2), f.Bytes(seg(1))) }, seg(2)},
		{"a segment with a bad name", func(f *disk.Fake) { f.Put("wal/hello.seg", nil) }, "wal/hello.seg"},
		{"an empty file", func(f *disk.Fake) { f.Put(seg(1), nil) }, seg(1)},
		{"a text file", func(f *disk.Fake) { f.Put(seg(2), bytes.Repeat([]byte("text "), 2000)) }, seg(2)},
		{"only empty segments", func(f *disk.Fake) { mustRemove(t, f, seg(1)); mustRemove(t, f, seg(2)) }, seg(3)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := base
			fake := clean.Copy()
			c.damage(fake)
			o.FS = fake
			_, err := Open(o)
			if d := wantDamage(t, err); d.File != c.file {
				t.Errorf("damage is in %q, want %q", d.File, c.file)
			}
			rep, err := Check(fake, "wal")
			if err != nil || rep.Damage == nil {
				t.Errorf("check reports %v, %v", rep.Damage, err)
			}
		})
	}
	t.Run("a file that is not a segment is left alone", func(t *testing.T) {
		o := base
		fake := clean.Copy()
		fake.Put("wal/notes.txt", []byte("hello"))
		o.FS = fake
		checkDamaged(t, o, "notes", recs)
		if string(fake.Bytes("wal/notes.txt")) != "hello" {
			t.Error("the file was changed")
		}
	})
	t.Run("the beginning is missing", func(t *testing.T) {
		o := base
		fake := clean.Copy()
		mustRemove(t, fake, seg(1))
		o.FS = fake
		l := mustOpen(t, o)
		if err := l.Replay(0, nil); !errors.Is(err, ErrReleased) {
			t.Errorf("replay from 0: %v, want ErrReleased", err)
		}
	})
}

func mustRemove(t *testing.T, f *disk.Fake, name string) {
	t.Helper()
	if err := f.Remove(name); err != nil {
		t.Fatal(err)
	}
}

func TestTornBatchIsCutWhicheverSectorsSurvived(t *testing.T) {
	for seed := range uint64(300) {
		o := testOptions(disk.NewFake())
		fake := o.FS.(*disk.Fake)
		l := mustOpen(t, o)
		synced := numbered("synced", 5, 700)
		appendEach(t, l, synced...)
		for _, r := range numbered("torn", 20, 900) {
			l.Append([]byte(r))
		}
		mustCommit(t, l, false)
		fake.Crash(seed)
		l = mustOpen(t, o)
		got := replayed(t, l, 0)
		if len(got) < len(synced) {
			t.Fatalf("seed %d: %d records", seed, len(got))
		}
		wantRecords(t, got, append(synced, numbered("torn", 20, 900)...)[:len(got)])
		appendEach(t, l, "after")
		fake.Crash(seed)
		l = mustOpen(t, o)
		wantRecords(t, replayed(t, l, 0), append(got, "after"))
	}
}

func TestTornTailIsNotResurrectedByTheSameFrame(t *testing.T) {
	o := testOptions(disk.NewFake())
	fake := o.FS.(*disk.Fake)
	l := mustOpen(t, o)
	appendEach(t, l, "one", "two", "three")
	second, err := l.ReadFrames(nil, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	name := segmentName("wal", 1)
	b := fake.Bytes(name)
	at := headerSize + frameHeaderSize + entryHeaderSize + 3
	b[at+50] ^= 1 // the second frame is torn, the third is whole
	m := mark{counter: 100}
	h, _ := decodeHeader(b)
	m.encode(b[disk.SectorSize:], markSeed(h.log, h.id)) // and nothing was durable
	fake.Put(name, b)

	l = mustOpen(t, o)
	wantRecords(t, replayed(t, l, 0), []string{"one"})
	if err := l.AppendFrames(second); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, l, true)
	fake.Crash(1)
	l = mustOpen(t, o)
	wantRecords(t, replayed(t, l, 0), []string{"one", "two"})
}

func TestReadErrorAtOpenIsNotTakenForATornTail(t *testing.T) {
	base, recs := damagedLog(t)
	fake := base.FS.(*disk.Fake)
	boom := errors.New("boom")
	for n := range 20 {
		o := base
		o.FS = fake.Copy()
		o.FS.(*disk.Fake).Inject(disk.Fault{Op: disk.OpRead, After: n, Err: boom})
		if l, err := Open(o); err == nil {
			mustClose(t, l) // Open reads less often than n times
		} else if !errors.Is(err, boom) {
			t.Errorf("read %d fails: %v", n, err)
		}
		o.FS.(*disk.Fake).Crash(0)
		checkDamaged(t, o, "after a read error", recs)
	}
}

func FuzzOpen(f *testing.F) {
	seed := func() []byte {
		o := testOptions(disk.NewFake())
		o.SegmentSize, o.MaxFrame = 8192, 1024
		l, err := Open(o)
		if err != nil {
			f.Fatal(err)
		}
		l.Append([]byte("hello"))
		if err := l.Commit(true); err != nil {
			f.Fatal(err)
		}
		return o.FS.(*disk.Fake).Bytes(segmentName("wal", 1))[:headerSize+200]
	}()
	f.Add(seed, false)
	f.Add(seed, true)
	f.Add(seed[:headerSize], true)
	f.Add([]byte(nil), false)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		b = bytes.Clone(b)
		if fix {
			fixChecksums(b)
		}
		if h, wrong := decodeHeader(b); wrong == "" && h.size > 1<<20 {
			return // a file of that size would be made
		}
		fake := disk.NewFake()
		o := testOptions(fake)
		o.SegmentSize, o.MaxFrame = 8192, 1024
		if err := fake.MkdirAll("wal"); err != nil {
			t.Fatal(err)
		}
		fake.Put(segmentName("wal", 1), b)
		l, err := Open(o)
		if err != nil {
			wantDamage(t, err)
			return
		}
		before := replayedWhole(t, l)
		l.Append([]byte("next"))
		mustCommit(t, l, true)
		mustClose(t, l)
		l = mustOpen(t, o)
		wantRecords(t, replayedWhole(t, l), append(before, "next"))
	})
}

// fixChecksums lets the fuzzer past the checksums of the header, the marks and the first frame.
func fixChecksums(b []byte) {
	if len(b) < headerSize {
		return
	}
	binary.LittleEndian.PutUint32(b[headerLen-4:], crc32.Checksum(b[:headerLen-4], castagnoli))
	h, _ := decodeHeader(b)
	for _, at := range []int{disk.SectorSize, 2 * disk.SectorSize} {
		crc := crc32.Update(markSeed(h.log, h.id), castagnoli, b[at:at+markLen-4])
		binary.LittleEndian.PutUint32(b[at+markLen-4:], crc)
	}
	raw := b[headerSize:]
	if len(raw) < frameHeaderSize {
		return
	}
	if n, err := frameLength(raw); err == nil && n <= len(raw) {
		binary.LittleEndian.PutUint32(raw[8:], frameCRC(raw[:n], le32(raw[12:])))
	}
}

// replayedWhole replays from the first place where a record begins.
func replayedWhole(t *testing.T, l *Log) []string {
	t.Helper()
	for from := l.First() - 1; ; from++ {
		var got []string
		err := l.Replay(from, func(_, _ uint64, rec []byte) error {
			got = append(got, string(rec))
			return nil
		})
		if err == nil {
			return got
		}
		if !errors.Is(err, ErrBoundary) {
			t.Fatal(err)
		}
	}
}
