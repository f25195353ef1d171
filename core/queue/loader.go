package queue

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// loadBytes is how much of large bodies one load brings into memory: at
// least one message, then no more once this is exceeded.
const loadBytes = 1 << 20

// ErrLost is wrapped by LoadPage's error when transient messages could not be
// read from the scratch area. They are gone; the queue goes on without them.
var ErrLost = errors.New("transient messages are lost")

// LoadPage reads the messages of seq's page that are not in memory, from seq
// on, and has them delivered. If a cursor waits there for which the summaries
// say that it finds nothing before another page, it is that page. With an error that isn't ErrLost the page store
// is damaged.
func (q *Queue) LoadPage(p pages.Store, laneNumber uint8, seq uint64) error {
	seq, err := q.seek(p, laneNumber, seq)
	if err != nil {
		return err
	}
	before := uint64(1)<<(seq&pageMask) - 1
	msgs, err := q.read(p, laneNumber, seq>>pageShift, before)
	q.arrived(laneNumber, seq, msgs)
	return err
}

// read returns the messages of a page that are not in memory, by slot, but
// for those to skip, and of large ones only some. There are none if they were
// consumed meanwhile. Transient ones that can't be read are removed.
func (q *Queue) read(p pages.Store, laneNumber uint8, number, skip uint64) (msgs []slotMessage, err error) {
	seq := number << pageShift
	if want := q.missing(laneNumber, seq) &^ skip; want == 0 {
		return nil, nil
	} else if isTransient(uint64(laneNumber) << laneShift) {
		msgs, err = q.readScratch(laneNumber, number, want)
	} else {
		msgs, err = q.readPage(p, laneNumber, number, want)
	}
	if err == nil && len(msgs) == 0 {
		err = errPage
	}
	if err == nil {
		return msgs, nil
	}
	if q.missing(laneNumber, seq)&^skip == 0 {
		return nil, nil
	}
	if isTransient(uint64(laneNumber) << laneShift) {
		return nil, fmt.Errorf("%w: %d of %s: %w", ErrLost, q.lose(laneNumber, number), q.dest, err)
	}
	return nil, fmt.Errorf("page %d of %s: %w", number, q.dest, err)
}

// readPage reads messages that are packed, or in the page store.
func (q *Queue) readPage(p pages.Store, laneNumber uint8, number, want uint64) ([]slotMessage, error) {
	value, err := q.pageValue(p, laneNumber, number)
	if err != nil {
		return nil, err
	}
	msgs := make([]slotMessage, 0, bits.OnesCount64(want))
	var room []message.Message
	size := 0
	err = eachEntry(value, func(slot uint8, entry []byte, ref *bodyRef) error {
		if want&(1<<slot) == 0 || size > loadBytes {
			return nil
		}
		raw := inlineRaw(entry, ref)
		if ref != nil {
			if raw, err = getBody(p, ref); err != nil {
				if q.missing(laneNumber, number<<pageShift)&(1<<slot) == 0 {
					return nil // it was consumed meanwhile
				}
				return err
			}
		}
		if len(room) == 0 {
			room = make([]message.Message, min(cap(msgs)-len(msgs), decodedTogether))
		}
		m := &room[0]
		room = room[1:]
		if err := m.Decode(raw); err != nil {
			return fmt.Errorf("message in slot %d: %w", slot, err)
		}
		size += len(raw)
		msgs = append(msgs, slotMessage{slot: slot, msg: m})
		return nil
	})
	return msgs, err
}

// decodedTogether is how many messages of a page share an allocation, and with
// it their end.
const decodedTogether = 16

// pageValue returns a page's value from where it is: packed, or else stored.
func (q *Queue) pageValue(p pages.Store, laneNumber uint8, number uint64) ([]byte, error) {
	if k := q.packedPage(laneNumber, number); k != nil {
		return k.value, nil
	}
	return p.Get(nil, store.PageKey(nil, q.ID(), laneNumber, number))
}

// inlineRaw returns the raw bytes at the end of an inline entry.
func inlineRaw(entry []byte, ref *bodyRef) []byte {
	if ref != nil {
		return nil
	}
	f := fields{b: entry[2:]}
	return f.bytes()
}

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
	return p.missing(seq & pageMask)
}

// lose removes the messages of a page that are not in memory, and says how
// many.
func (q *Queue) lose(laneNumber uint8, number uint64) (lost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, _ := q.lane(uint64(laneNumber) << laneShift)
	if l == nil {
		return 0
	}
	if p := l.page(number << pageShift); p != nil {
		base := uint64(laneNumber)<<laneShift | number<<pageShift
		for m := p.missing(0); m != 0; m &= m - 1 {
			q.remove(base | uint64(bits.TrailingZeros64(m)))
			lost++
		}
	}
	return lost
}
