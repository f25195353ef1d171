package queue

import "slices"

// Load is how many messages there are, and how many bytes they have: nearly,
// where some were removed that weren't in memory.
type Load struct{ Messages, Bytes int64 }

// Load returns what is in the queue, messages with consumers included.
func (q *Queue) Load() (sum Load) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, lv := range q.levels {
		sum.Messages += int64(lv.durable.live + lv.transient.live)
		sum.Bytes += int64(lv.durable.bytes + lv.transient.bytes)
	}
	return sum
}

// HoldOldest takes the oldest message of the lowest priority that no consumer
// has out of circulation, as Hold does. ok is false if there is none.
func (q *Queue) HoldOldest() (pos uint64, size int64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.deleted {
		return 0, 0, false
	}
	for _, lv := range slices.Backward(q.levels) {
		l, seq, ok := lv.oldest()
		if !ok {
			continue
		}
		p := l.page(seq)
		p.acquired |= 1 << (seq & pageMask)
		q.free.Add(-1)
		return position(l, seq), int64(p.size(seq)), true
	}
	return 0, 0, false
}

// oldest returns the first message of a priority that can be delivered.
func (lv *level) oldest() (l *lane, seq uint64, ok bool) {
	d, okD := lv.durable.firstFree(0)
	t, okT := lv.transient.firstFree(0)
	switch {
	case okT && okD:
		// Where a transient message isn't in memory, its place isn't either.
		if p := lv.transient.page(t); p.win == nil || p.win.msg[t&pageMask] == nil || p.win.after[t&pageMask] <= d {
			return &lv.transient, t, true
		}
		return &lv.durable, d, true
	case okT:
		return &lv.transient, t, true
	}
	return &lv.durable, d, okD
}
