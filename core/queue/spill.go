package queue

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/selector"
	"github.com/entrepot-mq/entrepot/core/store"
)

// Relieve lets go of bodies while the budget is tight: of those that can be
// read again, and then of transient ones, which it writes to the scratch area
// first, if there is one. It returns what prevented that. The broker calls it
// after Broker.Pressed, in the background, one call at a time. What consumers
// will want next stays, unless all is asked for: that is for the case that
// nothing else was enough.
func (q *Queue) Relieve(scratch *store.Scratch, all bool) error {
	if !q.budget.Tight() {
		return nil
	}
	q.mu.Lock()
	for i, lv := range q.levels {
		for _, l := range []*lane{&lv.durable, &lv.transient} {
			l.evict(func(n uint64) bool { return !all && q.near(l, i, n) }, q.written, q.budget)
		}
	}
	q.mu.Unlock()
	var sum selector.Summary
	for scratch != nil && q.budget.Tight() {
		batch := q.spillable(all)
		for _, s := range batch {
			place, err := scratch.Write(s.size(), s.write)
			if err != nil {
				return err
			}
			if s.summary == nil {
				s.summary = q.summarize(&sum, s.live, &s.msg)
			}
			q.spilled(s, place)
		}
		if len(batch) < spillBatch {
			return nil
		}
	}
	return nil
}

// spillBatch is how many pages are looked for at a time.
const spillBatch = 32

// spill is a page of transient messages on its way to the scratch area, as it
// was when it was chosen.
type spill struct {
	laneNumber
	live    uint64
	msg     [pageSize]*message.Message
	after   [pageSize]uint64
	summary []byte
}

// spillable chooses pages of transient messages, of each lane the last ones
// first, that are full and wholly in memory, and that, unless all are asked
// for, no cursor is near.
func (q *Queue) spillable(all bool) (batch []*spill) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for at, lv := range q.levels {
		l := &lv.transient
		for i := len(l.pages) - 1; i >= 0 && len(batch) < spillBatch; i-- {
			p := &l.pages[i]
			if p.win == nil || p.live == 0 || p.acquired != 0 || p.number == l.next>>pageShift ||
				l.readable(p, 0) || !all && q.near(l, at, p.number) {
				continue
			}
			s := &spill{laneNumber: laneNumber{l.number(), p.number}, live: p.live, msg: p.win.msg, summary: p.win.summary}
			copy(s.after[:], p.win.after)
			batch = append(batch, s)
		}
	}
	return batch
}

// spilled lets go of what was written to place.
func (q *Queue) spilled(s *spill, place store.Place) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, _ := q.lane(uint64(s.lane) << laneShift)
	p := l.page(s.number << pageShift)
	if p == nil || p.live == 0 {
		place.Free() // it was consumed meanwhile
		return
	}
	if l.spilled == nil {
		l.spilled = make(map[uint64]spilledPage)
	}
	l.spilled[s.number] = spilledPage{place, s.summary}
	q.budget.Add(-l.letGo(p))
}

// In the scratch, a page is: how many messages, for each its slot, the durable
// seq that it stands before (8 bytes) and its length (4 bytes), then their raw
// bytes.
const (
	spillEntry = 1 + 8 + 4
	spillHead  = 1 + pageSize*spillEntry // at most
)

func (s *spill) size() int64 {
	n := int64(1)
	for m := s.live; m != 0; m &= m - 1 {
		n += spillEntry + int64(len(s.msg[bits.TrailingZeros64(m)].Raw()))
	}
	return n
}

func (s *spill) write(w io.Writer) error {
	head := make([]byte, 0, spillHead)
	head = append(head, byte(bits.OnesCount64(s.live)))
	for m := s.live; m != 0; m &= m - 1 {
		slot := bits.TrailingZeros64(m)
		head = binary.BigEndian.AppendUint64(append(head, byte(slot)), s.after[slot])
		head = binary.BigEndian.AppendUint32(head, uint32(len(s.msg[slot].Raw())))
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	for m := s.live; m != 0; m &= m - 1 {
		if _, err := w.Write(s.msg[bits.TrailingZeros64(m)].Raw()); err != nil {
			return err
		}
	}
	return nil
}

// readScratch reads messages that were spilled, of large ones only some.
func (q *Queue) readScratch(laneNumber uint8, number, want uint64) ([]slotMessage, error) {
	place, ok := q.place(laneNumber, number)
	if !ok {
		return nil, errPage
	}
	head := make([]byte, min(spillHead, place.Size()))
	if err := place.ReadAt(head, 0); err != nil {
		return nil, err
	}
	if len(head) < 1+int(head[0])*spillEntry {
		return nil, errPage
	}
	head = head[:1+int(head[0])*spillEntry]
	off, size := int64(len(head)), 0
	var msgs []slotMessage
	for e := head[1:]; len(e) > 0 && size <= loadBytes; e = e[spillEntry:] {
		slot, n := e[0]&pageMask, int64(binary.BigEndian.Uint32(e[9:]))
		if want&(1<<slot) != 0 {
			m, err := readSpilled(place, off, n)
			if err != nil {
				return nil, fmt.Errorf("message in slot %d: %w", slot, err)
			}
			msgs = append(msgs, slotMessage{slot, m, binary.BigEndian.Uint64(e[1:])})
			size += int(n)
		}
		off += n
	}
	return msgs, nil
}

func readSpilled(place store.Place, off, n int64) (*message.Message, error) {
	if off+n > place.Size() {
		return nil, errPage
	}
	raw := make([]byte, n)
	if err := place.ReadAt(raw, off); err != nil {
		return nil, err
	}
	return message.Decode(raw)
}

func (q *Queue) place(laneNumber uint8, number uint64) (store.Place, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, _ := q.lane(uint64(laneNumber) << laneShift)
	if l == nil {
		return store.Place{}, false
	}
	s, ok := l.spilled[number]
	return s.place, ok
}
