package queue

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// Entry is a message as it waits in its queue.
type Entry struct {
	Pos      uint64
	Message  *message.Message
	Attempts uint32 // deliveries from this queue that failed
	InFlight bool   // with a consumer, or on its way out
}

// Scan calls fn for the messages that wait from position from on, or from the
// first one: by falling priority, in a priority the durable ones first. fn
// runs without locks and ends the scan by returning false. more says that
// next is where to go on; a position stays good when messages come and go.
// Messages that aren't in memory are read from p and not kept.
func (q *Queue) Scan(p pages.Store, from uint64, first bool, fn func(Entry) bool) (next uint64, more bool, err error) {
	rank, seq := -1, uint64(0)
	if !first {
		rank, seq = rankOf(from), seqOf(from)
	}
	for {
		s, ok := q.snapshot(rank, seq)
		if !ok {
			return 0, false, nil
		}
		for live := s.live; live != 0; live &= live - 1 {
			slot := bits.TrailingZeros64(live)
			m, err := s.message(q, p, slot)
			if err != nil {
				return 0, false, err
			}
			pos := s.pos(slot)
			if m == nil {
				continue // consumed meanwhile
			}
			if !fn(Entry{pos, m, s.attempts[slot], s.acquired&(1<<slot) != 0}) {
				return pos + 1, true, nil
			}
		}
		rank, seq = rankOf(s.pos(0)), (s.number+1)<<pageShift
	}
}

// At returns the message at pos, false if there is none.
func (q *Queue) At(p pages.Store, pos uint64) (Entry, bool, error) {
	s, ok := q.snapshot(rankOf(pos), seqOf(pos))
	slot := int(pos & pageMask)
	if !ok || s.pos(slot) != pos || s.live&(1<<slot) == 0 {
		return Entry{}, false, nil
	}
	m, err := s.message(q, p, slot)
	if m == nil || err != nil {
		return Entry{}, false, err
	}
	return Entry{pos, m, s.attempts[slot], s.acquired&(1<<slot) != 0}, true, nil
}

// rankOf orders the lanes: by falling priority, durable ones first.
func rankOf(pos uint64) int {
	n := int(pos >> laneShift)
	return (0x7f-n&0x7f)*2 + n>>7&1
}

// snapshot is a page as it was under the lock.
type snapshot struct {
	lane           uint8
	number         uint64
	live, acquired uint64
	msgs           [pageSize]*message.Message
	packed         *packed
	attempts       [pageSize]uint32

	read    bool
	entries [pageSize][]byte // of the page's value
	refs    [pageSize]*bodyRef
}

func (s *snapshot) pos(slot int) uint64 {
	return uint64(s.lane)<<laneShift | s.number<<pageShift | uint64(slot)
}

// snapshot copies the first page with live messages from seq on in the lane
// of that rank, or from the beginning in lanes of a higher rank.
func (q *Queue) snapshot(rank int, seq uint64) (*snapshot, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, lv := range q.levels {
		for _, l := range []*lane{&lv.durable, &lv.transient} {
			at := rankOf(uint64(l.number()) << laneShift)
			if at < rank || l.live == 0 {
				continue
			}
			from := uint64(0)
			if at == rank {
				from = seq
			}
			if s := l.snapshot(from); s != nil {
				return s, true
			}
		}
	}
	return nil, false
}

func (l *lane) snapshot(from uint64) *snapshot {
	from, ok := l.firstLive(from)
	if !ok {
		return nil
	}
	p := l.page(from)
	s := &snapshot{lane: l.number(), number: p.number, live: p.live & (^uint64(0) << (from & pageMask)), acquired: p.acquired}
	if p.win != nil {
		s.msgs = p.win.msg
	}
	s.packed = l.share(p)
	if len(l.attempts) > 0 {
		for m := s.live; m != 0; m &= m - 1 {
			slot := bits.TrailingZeros64(m)
			s.attempts[slot] = l.attempts[p.number<<pageShift|uint64(slot)]
		}
	}
	return s
}

// message returns the message of a slot, nil if it was consumed meanwhile.
func (s *snapshot) message(q *Queue, p pages.Store, slot int) (*message.Message, error) {
	if m := s.msgs[slot]; m != nil {
		return m, nil
	}
	if isTransient(s.pos(slot)) {
		return s.scratched(q, slot)
	}
	raw, err := s.stored(q, p, slot)
	if err == nil && raw == nil {
		err = errPage
	}
	if err != nil {
		if q.missing(s.lane, s.number<<pageShift)&(1<<slot) == 0 {
			// It is gone, or in memory since: then it is read from there.
			return q.loaded(s.lane, s.number, slot), nil
		}
		return nil, fmt.Errorf("page %d of %s: %w", s.number, q.dest, err)
	}
	m, err := message.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("page %d of %s: message in slot %d: %w", s.number, q.dest, slot, err)
	}
	return m, nil
}

// scratched returns a transient message that was not in memory, nil if it was
// consumed meanwhile.
func (s *snapshot) scratched(q *Queue, slot int) (*message.Message, error) {
	msgs, err := q.read(nil, s.lane, s.number, ^(uint64(1) << slot))
	if err != nil || len(msgs) == 0 {
		return q.loaded(s.lane, s.number, slot), err
	}
	return msgs[0].msg, nil
}

// loaded returns a message that is in memory, nil if it isn't.
func (q *Queue) loaded(laneNumber uint8, number uint64, slot int) *message.Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, _ := q.lane(uint64(laneNumber) << laneShift)
	if l == nil {
		return nil
	}
	if p := l.page(number << pageShift); p != nil && p.live&(1<<slot) != 0 {
		return p.message(uint64(slot))
	}
	return nil
}

// stored returns the raw message of a slot of the stored page, nil if the
// page doesn't have it.
func (s *snapshot) stored(q *Queue, p pages.Store, slot int) ([]byte, error) {
	if !s.read {
		value, err := s.value(q, p)
		if errors.Is(err, pages.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		err = eachEntry(value, func(slot uint8, entry []byte, ref *bodyRef) error {
			s.entries[slot], s.refs[slot] = entry, ref
			return nil
		})
		if err != nil {
			return nil, err
		}
		s.read = true
	}
	if ref := s.refs[slot]; ref != nil {
		return getBody(p, ref)
	}
	if s.entries[slot] == nil {
		return nil, nil
	}
	return inlineRaw(s.entries[slot], nil), nil
}

// value returns what is kept of the page beside the messages in memory.
func (s *snapshot) value(q *Queue, p pages.Store) ([]byte, error) {
	if s.packed != nil {
		return s.packed.value, nil
	}
	return p.Get(nil, store.PageKey(nil, q.ID(), s.lane, s.number))
}

// Hold takes the message at pos out of circulation, so that it can be ended;
// not if it is gone or with a consumer. Whoever holds it ends it by
// acknowledging (a transient one by EndTransient), or gives it back.
func (q *Queue) Hold(pos uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, _ := q.lane(pos)
	if l == nil || q.deleted {
		return false
	}
	p, bit := l.page(seqOf(pos)), uint64(1)<<(pos&pageMask)
	if p == nil || p.live&bit == 0 || p.acquired&bit != 0 {
		return false
	}
	p.acquired |= bit
	q.free.Add(-1)
	return true
}

// GiveBack returns held messages to circulation.
func (q *Queue) GiveBack(held []uint64) {
	q.mu.Lock()
	for _, pos := range held {
		q.giveBack(pos)
	}
	q.starved = false
	after := q.dispatch()
	q.mu.Unlock()
	q.carryOut(after)
}

// AppendAcks adds the ops that end the durable ones among held messages.
func (q *Queue) AppendAcks(ops []store.Op, held []uint64) []store.Op {
	for _, pos := range held {
		if !isTransient(pos) {
			ops = appendAck(ops, q.ID(), pos)
		}
	}
	return ops
}

// EndTransient ends the transient ones among held messages.
func (q *Queue) EndTransient(held []uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, pos := range held {
		if isTransient(pos) {
			q.remove(pos)
		}
	}
}

// PurgeOps returns the ops that remove the durable messages that wait now,
// those in memory and those on disk, but not those with consumers: one for
// each run of messages, however long. n is how many messages that are.
func (q *Queue) PurgeOps() (ops []store.Op, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, lv := range q.levels {
		l := &lv.durable
		ops = l.purgeOps(ops, q.ID())
		for i := range l.pages {
			n += bits.OnesCount64(l.pages[i].live &^ l.pages[i].acquired)
		}
	}
	return ops, n
}

// purgeOps appends the runs between acquired messages.
func (l *lane) purgeOps(ops []store.Op, queue uint64) []store.Op {
	const most = 1<<32 - 1 // what an op can count behind its position
	base := uint64(l.number()) << laneShift
	add := func(from, to uint64) {
		for from < to {
			n := min(to-from-1, most)
			ops = append(ops, store.Op{Kind: store.OpAck, Queue: queue, Pos: base | from, N: uint32(n)})
			from += n + 1
		}
	}
	run, open := uint64(0), false
	for i := range l.pages {
		p := &l.pages[i]
		first := p.number << pageShift
		if p.acquired == 0 {
			if p.live != 0 && !open {
				run, open = first, true
			}
			continue
		}
		for slot := range uint64(pageSize) {
			switch bit := uint64(1) << slot; {
			case p.acquired&bit != 0:
				if open {
					add(run, first+slot)
				}
				open = false
			case p.live&bit != 0 && !open:
				run, open = first+slot, true
			}
		}
	}
	if open {
		add(run, l.next)
	}
	return ops
}

// PurgeTransient removes the transient messages that wait now, but not those
// with consumers, and returns how many there were.
func (q *Queue) PurgeTransient() (removed int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, lv := range q.levels {
		l := &lv.transient
		base := uint64(l.number()) << laneShift
		for seq, ok := l.firstFree(0); ok; seq, ok = l.firstFree(seq + 1) {
			if q.remove(base | seq) {
				removed++
			}
		}
	}
	return removed
}

// Waiting returns how many messages there are, and how many of those are with
// consumers: what lists are sorted by.
func (q *Queue) Waiting() (messages, inFlight int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, lv := range q.levels {
		messages += int(lv.durable.live + lv.transient.live)
	}
	return messages, messages - int(q.free.Load())
}

// ConsumerState is what a consumer has and may get.
type ConsumerState struct {
	Delivered uint64 // since it began
	Unsettled int
	Window    uint32 // 0: credit is granted
	Credit    uint32 // without window
}

// State returns the consumer's figures.
func (c *Consumer) State() ConsumerState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ConsumerState{Delivered: c.last, Unsettled: int(c.unsettled), Window: c.window, Credit: c.credit}
}
