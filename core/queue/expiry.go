package queue

import (
	"cmp"
	"errors"
	"math/bits"
	"slices"

	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// Sweep ends expired messages that nobody asks for, those on disk included:
// p is where they are. It looks only at pages whose earliest expiry has come.
// Errors are those of LoadPage. more is asked before each page: it may wait,
// and ends the sweep by returning false.
func (q *Queue) Sweep(p pages.Store, more func() bool) error {
	now := q.broker.NowMs()
	var lost error
	for _, n := range q.overdue(now) {
		if !more() {
			break
		}
		switch err := q.sweepPage(p, n, now); {
		case errors.Is(err, ErrLost):
			lost = err
		case err != nil:
			return err
		}
	}
	return lost
}

// overdue returns the pages that may hold expired messages.
func (q *Queue) overdue(now int64) (all []laneNumber) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, lv := range q.levels {
		for _, l := range []*lane{&lv.durable, &lv.transient} {
			for i := range l.pages {
				if p := &l.pages[i]; p.minExpiry != 0 && p.minExpiry <= now {
					all = append(all, laneNumber{l.number(), p.number})
				}
			}
		}
	}
	return all
}

// sweep is the look at one page: what was seen of it, and the earliest expiry
// of what stays.
type sweep struct {
	laneNumber
	now      int64
	seen     uint64
	held     uint64 // of those: expired, and with a consumer
	earliest int64
	expired  []Held
}

func (q *Queue) sweepPage(p pages.Store, n laneNumber, now int64) error {
	s := &sweep{laneNumber: n, now: now}
	q.sweepMemory(s)
	for {
		msgs, err := q.read(p, n.lane, n.number, s.seen)
		if err != nil {
			return err
		}
		if len(msgs) == 0 {
			break
		}
		q.sweepRead(s, msgs)
	}
	q.swept(s)
	// Those in memory were seen first; dead letters come in the queue's order.
	slices.SortFunc(s.expired, func(a, b Held) int { return cmp.Compare(a.Pos, b.Pos) })
	q.carryOut(afterwards{expired: s.expired})
	return nil
}

func (q *Queue) sweepMemory(s *sweep) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, p := q.pageOf(s.laneNumber)
	if p == nil || p.win == nil {
		return
	}
	for m := p.live &^ p.missing(0); m != 0; m &= m - 1 {
		slot := uint8(bits.TrailingZeros64(m))
		s.seen |= 1 << slot
		if expiry := p.win.msg[slot].Expiry; p.acquired&(1<<slot) != 0 && expiry != 0 && expiry <= s.now {
			s.held |= 1 << slot // giveBack notes it again
			continue
		}
		q.sweepOne(s, l, p, slotMessage{slot: slot, msg: p.win.msg[slot]})
	}
}

func (q *Queue) sweepRead(s *sweep, msgs []slotMessage) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, p := q.pageOf(s.laneNumber)
	for _, m := range msgs {
		s.seen |= 1 << m.slot
		if p != nil && p.live&(1<<m.slot) != 0 && q.sweepOne(s, l, p, m) {
			// Until it is removed a checkpoint has to know of its expiry.
			q.take(l.fill(p, []slotMessage{m}))
		}
	}
}

// sweepOne takes m out of circulation if it has expired and can be had.
func (q *Queue) sweepOne(s *sweep, l *lane, p *page, m slotMessage) (ended bool) {
	bit := uint64(1) << m.slot
	switch {
	case m.msg.Expiry == 0:
	case m.msg.Expired(s.now) && p.acquired&bit == 0:
		p.acquired |= bit
		q.free.Add(-1)
		q.counters.Expired++
		s.expired = append(s.expired, Held{position(l, p.number<<pageShift|uint64(m.slot)), m.msg})
		return true
	case s.earliest == 0 || m.msg.Expiry < s.earliest:
		s.earliest = m.msg.Expiry
	}
	return false
}

// swept notes when the page has to be looked at again. What came or came back
// meanwhile, or left memory unseen, is left to the next sweep.
func (q *Queue) swept(s *sweep) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, p := q.pageOf(s.laneNumber); p != nil && p.live&^s.seen == 0 && p.live&s.held&^p.acquired == 0 {
		p.minExpiry = s.earliest
	}
}

func (q *Queue) pageOf(n laneNumber) (*lane, *page) {
	l, _ := q.lane(uint64(n.lane) << laneShift)
	if l == nil {
		return nil, nil
	}
	return l, l.page(n.number << pageShift)
}
