package log

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// entryModel is a record as the model remembers it.
type entryModel struct {
	index uint64
	data  []byte
}

// logModel is the slow, obvious log that the real one is compared with.
type logModel struct {
	t        *rapid.T
	disk     *disk.Fake
	opt      Options
	log      *Log
	written  []entryModel // given to Commit, whatever became of it
	waiting  []entryModel // appended, not given to Commit
	synced   int          // how many of written must survive
	released uint64       // index of a record; nothing is asked for before it
	cut      []entryModel // what a cut that was interrupted may have left; nil if there is none
	serial   int
}

func (m *logModel) open() {
	l, err := Open(m.opt)
	if err != nil {
		m.t.Fatalf("open: %v", err)
	}
	m.log = l
	m.adopt()
}

// adopt compares what the log has after it was opened with what it may have, and goes on from there.
func (m *logModel) adopt() {
	var got []entryModel
	err := m.log.Replay(m.released, func(index, _ uint64, rec []byte) error {
		got = append(got, entryModel{index, bytes.Clone(rec)})
		return nil
	})
	if err != nil {
		m.t.Fatalf("replay from %d: %v", m.released, err)
	}
	first := 0
	for first < len(m.written) && m.written[first].index <= m.released {
		first++
	}
	want, must := m.written[first:], m.synced-first
	if m.cut != nil && len(got) <= len(m.cut)-first && len(got) < must {
		want, must = m.cut[first:], len(m.cut)-first
	}
	if len(got) < must || len(got) > len(want) {
		m.t.Fatalf("%d records are there, %d must be, %d may be", len(got), must, len(want))
	}
	for i, g := range got {
		if g.index != want[i].index || !bytes.Equal(g.data, want[i].data) {
			m.t.Fatalf("record %d is (%d, %d bytes), want (%d, %d bytes)", i, g.index, len(g.data), want[i].index, len(want[i].data))
		}
	}
	m.written = m.written[:first+len(got)]
	m.synced, m.waiting, m.cut = len(m.written), nil, nil
	if last := m.log.Last().Index; m.log.Durable() != last {
		m.t.Fatalf("durable index is %d after open, want the last one, %d", m.log.Durable(), last)
	}
}

func (m *logModel) append(t *rapid.T) {
	m.serial++
	size := rapid.SampledFrom([]int{0, 1, 20, 150, 400, 700, 3000, 9000}).Draw(t, "size")
	data := bytes.Repeat(fmt.Appendf(nil, "%06d.", m.serial), size/7+1)
	cut := rapid.IntRange(0, len(data)).Draw(t, "part")
	index := m.log.Append(data[:cut], data[cut:])
	m.waiting = append(m.waiting, entryModel{index, data})
}

func (m *logModel) commit(t *rapid.T) {
	if m.log.Err() != nil {
		t.Skip("failed")
	}
	sync := rapid.Bool().Draw(t, "sync")
	err := m.log.Commit(sync)
	m.written = append(m.written, m.waiting...)
	m.waiting = nil
	if err == nil && sync {
		m.synced = len(m.written)
	}
	if err != nil && !errors.Is(err, disk.ErrHalted) {
		t.Fatalf("commit: %v", err)
	}
}

func (m *logModel) release(t *rapid.T) {
	if m.synced == 0 || m.log.Err() != nil {
		t.Skip("nothing to release")
	}
	i := rapid.IntRange(0, m.synced-1).Draw(t, "record")
	m.released = max(m.released, m.written[i].index)
	m.log.Release(m.released)
}

func (m *logModel) truncate(t *rapid.T) {
	pos, ok := m.somePosition(t)
	if !ok || m.log.Err() != nil {
		t.Skip("no frame to cut at")
	}
	var left []entryModel
	for _, e := range m.written {
		if e.index <= pos.Index {
			left = append(left, e)
		}
	}
	err := m.log.TruncateAfter(pos)
	switch {
	case err == nil:
		m.written, m.synced, m.waiting = left, min(m.synced, len(left)), nil
		if m.log.Durable() > pos.Index || m.log.Last() != pos {
			t.Fatalf("after the cut at %v last is %v, durable %d", pos, m.log.Last(), m.log.Durable())
		}
	case m.log.Err() == nil:
		t.Fatalf("cut at %v: %v", pos, err)
	default:
		m.cut = append([]entryModel{}, left...)
	}
}

// somePosition draws the end of a frame at or behind what was released.
func (m *logModel) somePosition(t *rapid.T) (Position, bool) {
	var all []Position
	for at := max(m.released, m.log.First()-1); at < m.log.Last().Index; {
		raw, err := m.log.ReadFrames(nil, at, 1)
		if err != nil {
			return Position{}, false // the machine halted
		}
		f := mustFrame(raw)
		if f.last() >= m.released {
			all = append(all, f.end())
		}
		at = f.last()
	}
	if len(all) == 0 {
		return Position{}, false
	}
	return rapid.SampledFrom(all).Draw(t, "position"), true
}

func mustFrame(raw []byte) frame {
	f, err := parseFrame(raw, Position{Chain: le32(raw[12:]), Index: le64(raw[32:]) - 1})
	if err != nil {
		panic(err)
	}
	return f
}

func (m *logModel) crash(t *rapid.T) {
	m.disk.HaltAfter(0)
	if m.log != nil {
		_ = m.log.Close() // nothing can be written any more
	}
	for attempt := range 4 {
		m.disk.Crash(rapid.Uint64().Draw(t, "seed"))
		if attempt < 3 && rapid.Bool().Draw(t, "crash in open") {
			m.disk.HaltAfter(rapid.IntRange(0, 25).Draw(t, "halt in open"))
		}
		l, err := Open(m.opt)
		if err == nil {
			m.log = l
			m.disk.HaltAfter(-1)
			if l.Err() == nil {
				m.adopt()
				return
			}
			_ = l.Close() // the machine halted while it prepared segments
			continue
		}
		if !errors.Is(err, disk.ErrHalted) {
			t.Fatalf("open after a crash: %v", err)
		}
	}
	t.Fatalf("the log did not open in four attempts")
}

func (m *logModel) reopen(t *rapid.T) {
	if m.log.Err() != nil {
		m.crash(t)
		return
	}
	m.waiting = nil
	err := m.log.Close()
	if err == nil {
		m.synced = len(m.written)
		m.log, err = Open(m.opt)
	}
	switch {
	case errors.Is(err, disk.ErrHalted):
		m.log = nil
		m.crash(t)
	case err != nil:
		t.Fatalf("close and open: %v", err)
	case m.log.Err() != nil:
		m.crash(t) // halted while it prepared segments
	default:
		m.disk.HaltAfter(-1) // no operation was lost; do not let the replay be
		m.adopt()
	}
}

func TestAfterAnyCrashTheLogHoldsWhatWasSyncedAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fake := disk.NewFake()
		m := &logModel{t: t, disk: fake, opt: testOptions(fake)}
		m.opt.MaxFrame = rapid.SampledFrom([]int{256, 1000, 4096}).Draw(t, "max frame")
		m.open()
		t.Repeat(map[string]func(*rapid.T){
			"append":   m.append,
			"append2":  m.append,
			"commit":   m.commit,
			"commit2":  m.commit,
			"release":  m.release,
			"truncate": m.truncate,
			"crash":    m.crash,
			"reopen":   m.reopen,
			"halt": func(t *rapid.T) {
				m.disk.HaltAfter(rapid.IntRange(0, 20).Draw(t, "operations"))
			},
		})
	})
}
