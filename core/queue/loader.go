package queue

import (
	"fmt"
	"math/bits"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// loadBytes is how much of large bodies one load brings into memory: at
// least one message, then no more once this is exceeded.
const loadBytes = 1 << 20

// LoadPage reads the messages of a page from the page store, from seq on, and
// gives them to the queue.
func (q *Queue) LoadPage(p pages.Store, laneNumber uint8, seq uint64) error {
	value, err := p.Get(nil, store.PageKey(nil, q.ID(), laneNumber, seq>>pageShift))
	if err != nil {
		if !q.wants(laneNumber, seq) {
			q.Loaded(laneNumber, seq, nil)
			return nil // it was consumed meanwhile
		}
		return fmt.Errorf("page %d of %s: %w", seq>>pageShift, q.dest, err)
	}
	want := q.missing(laneNumber, seq)
	msgs := make([]SlotMessage, 0, bits.OnesCount64(want))
	size := 0
	err = eachEntry(value, func(slot uint8, entry []byte, ref *bodyRef) error {
		if want&(1<<slot) == 0 || size > loadBytes {
			return nil
		}
		raw := inlineRaw(entry, ref)
		if ref != nil {
			body, err := getBody(p, ref)
			if err != nil {
				if want &= q.missing(laneNumber, seq); want&(1<<slot) == 0 {
					return nil
				}
				return err
			}
			raw = body
		}
		m, err := message.Decode(raw)
		if err != nil {
			return fmt.Errorf("message in slot %d: %w", slot, err)
		}
		size += len(raw)
		msgs = append(msgs, SlotMessage{slot, m})
		return nil
	})
	if err != nil {
		return fmt.Errorf("page %d of %s: %w", seq>>pageShift, q.dest, err)
	}
	if len(msgs) == 0 && want&q.missing(laneNumber, seq) != 0 {
		return fmt.Errorf("page %d of %s: %w: messages are missing", seq>>pageShift, q.dest, errPage)
	}
	q.Loaded(laneNumber, seq, msgs)
	return nil
}

// inlineRaw returns the raw bytes at the end of an inline entry.
func inlineRaw(entry []byte, ref *bodyRef) []byte {
	if ref != nil {
		return nil
	}
	f := fields{b: entry[2:]}
	return f.bytes()
}

// wants reports whether the page of seq still has live messages.
func (q *Queue) wants(laneNumber uint8, seq uint64) bool { return q.missing(laneNumber, seq) != 0 }

// missing returns the live messages of seq's page, from seq on, that are not
// in memory.
func (q *Queue) missing(laneNumber uint8, seq uint64) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, _ := q.lane(uint64(laneNumber) << laneShift)
	if l == nil {
		return 0
	}
	p := l.page(seq)
	if p == nil {
		return 0
	}
	m := p.live & (^uint64(0) << (seq & pageMask))
	if p.win != nil {
		for k := m; k != 0; k &= k - 1 {
			if slot := bits.TrailingZeros64(k); p.win.msg[slot] != nil {
				m &^= 1 << slot
			}
		}
	}
	return m
}
