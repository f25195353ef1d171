package queue

import (
	"encoding/binary"
	"errors"
	"math/bits"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/selector"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// Beside the pages stands what their messages have in their properties: a
// selector.Summary of each page, those of a chunk in one value, made when a page
// is written, in the background. A cursor with a key that has turned down many
// messages asks them where to go on. For pages that are in memory see Summarize.
//
// The value of a chunk's summaries: version, then for each page that has one
// its number in the chunk (one byte), uvarint length, and the summary.
const summariesVersion = 1

// summaries are those of a chunk, by a page's number in it; nil: unknown.
type summaries [1 << chunkShift][]byte

const inChunk = 1<<chunkShift - 1

func parseSummaries(value []byte) (s summaries, ok bool) {
	f := fields{b: value}
	if f.byte() != summariesVersion {
		return s, false
	}
	for len(f.b) > 0 {
		n := f.byte()
		s[n] = f.bytes()
	}
	if f.failed {
		return summaries{}, false
	}
	return s, true
}

func (s *summaries) append(b []byte) []byte {
	b = append(b, summariesVersion)
	for n, sum := range s {
		if sum != nil {
			b = binary.AppendUvarint(append(b, byte(n)), uint64(len(sum)))
			b = append(b, sum...)
		}
	}
	return b
}

// readSummaries returns those of a chunk; they stand in value, which is buf if
// it has room.
func readSummaries(p pages.Store, id uint64, lane uint8, chunk uint64, buf []byte) (s summaries, value []byte, err error) {
	value, err = p.Get(buf[:0], store.SummariesKey(nil, id, lane, chunk))
	if errors.Is(err, pages.ErrNotFound) {
		return s, buf, nil
	}
	if err == nil {
		s, _ = parseSummaries(value) // without them every page is looked at
	}
	return s, value, err
}

// writeSummaries writes those of the pages that are written.
func (f *Frozen) writeSummaries(p pages.Store, w pages.Writer, id uint64, made map[laneNumber][]byte) error {
	chunks := make(map[laneNumber]summaries)
	for page, sum := range made {
		at := laneNumber{page.lane, page.number >> chunkShift}
		s, ok := chunks[at]
		if !ok {
			var err error
			if s, _, err = readSummaries(p, id, at.lane, at.number, nil); err != nil {
				return err
			}
		}
		s[page.number&inChunk] = sum
		chunks[at] = s
	}
	for at, s := range chunks {
		if err := w.Put(store.SummariesKey(nil, id, at.lane, at.number), s.append(nil)); err != nil {
			return err
		}
	}
	return nil
}

// summarize returns the page's summary, nil if it can't be had cheaply. old is
// the page's older value, if the page takes something over from it.
func (fp *frozenPage) summarize(s *selector.Summary, old []byte, c message.Converters) []byte {
	if fp.summary != nil {
		return fp.summary
	}
	s.Reset()
	for m := fp.live; m != 0; m &= m - 1 {
		if msg := fp.msgs[bits.TrailingZeros64(m)]; msg != nil && s.Add(msg, c) != nil {
			return nil
		}
	}
	err := eachEntry(old, func(slot uint8, entry []byte, ref *bodyRef) error {
		if fp.live&(1<<slot) == 0 || fp.msgs[slot] != nil {
			return nil
		}
		if ref != nil {
			return errPage // its body is elsewhere
		}
		msg, err := message.Decode(inlineRaw(entry, nil))
		if err != nil {
			return err
		}
		return s.Add(msg, c)
	})
	if err != nil {
		return nil
	}
	return s.Append(nil)
}

// fruitless is how many messages a filter turns down in a row before the
// summaries are asked.
const fruitless = pageSize

// fetch has the message brought that a cursor comes to and that isn't in
// memory; or has it go on behind pages in which its filter finds nothing.
func (q *Queue) fetch(after *afterwards, c *cursor, k *candidate) {
	skips := c.keyed && c.vain >= fruitless
	if skips && !k.back && !k.lane.transient && c.sought != k.seq>>pageShift+1 {
		if !c.seeking {
			c.seeking, c.from = true, position(k.lane, k.seq)
			after.loads = append(after.loads, load{k.lane.number(), k.seq})
		}
		return
	}
	q.load(after, k.lane, k.seq)
	if !skips {
		q.prefetch(after, k.lane, k.seq)
	}
}

// seek moves the cursor that asked for it from seq to the first page in which
// its filter may find something, and returns where that begins. If nobody asks
// any more it returns seq.
func (q *Queue) seek(p pages.Store, laneNumber uint8, seq uint64) (uint64, error) {
	c := q.seeker(uint64(laneNumber)<<laneShift | seq)
	if c == nil {
		return seq, nil
	}
	to := seq
	var buf []byte
	for done := false; !done; {
		written := q.checkpointed() // before the summaries are read: they are no older
		s, value, err := readSummaries(p, q.ID(), laneNumber, to>>(pageShift+chunkShift), buf)
		buf = value
		if err != nil {
			q.sought(c, laneNumber, seq, seq)
			return seq, err
		}
		to, done = q.skip(laneNumber, to, &s, &c.key, written)
	}
	q.sought(c, laneNumber, seq, to)
	return to, nil
}

// seeker returns the cursor that asked to be moved from pos.
func (q *Queue) seeker(pos uint64) *cursor {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range q.cursors {
		if c.seeking && c.from == pos {
			return c
		}
	}
	return nil
}

func (q *Queue) checkpointed() (gen uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.written
}

// skip passes the pages of seq's chunk, from seq on, that s rules out: those
// that are stored as s knows them. done says that it came to one that has to be
// looked at, or to the end of the lane.
func (q *Queue) skip(laneNumber uint8, seq uint64, s *summaries, key *selector.Key, written uint32) (to uint64, done bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, _ := q.lane(uint64(laneNumber) << laneShift)
	if l == nil {
		return seq, true
	}
	at, _ := l.find(seq >> pageShift)
	for chunk := seq >> (pageShift + chunkShift); at < len(l.pages); at++ {
		p := &l.pages[at]
		if p.number>>chunkShift != chunk {
			return p.number << pageShift, false
		}
		sum := s[p.number&inChunk]
		if !l.readable(p, written) || sum == nil {
			sum = l.summary(p)
		}
		if p.free() != 0 && (sum == nil || key.MayMatch(sum)) {
			return max(seq, p.number<<pageShift), true
		}
	}
	return max(seq, l.next), true
}

// sought ends a cursor's search. It moves, unless it has moved meanwhile.
func (q *Queue) sought(c *cursor, laneNumber uint8, from, to uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c.seeking, c.sought = false, to>>pageShift+1
	if l, level := q.lane(uint64(laneNumber) << laneShift); l != nil && !c.indexed {
		if at := c.lane(l, level); at.seq == from {
			at.seq = to
		}
	}
}
