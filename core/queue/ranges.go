package queue

import (
	"cmp"
	"slices"

	"github.com/entrepot-mq/entrepot/core/message"
)

// rangeIndex finds the cursors whose filters demand a number in a range that
// holds a certain one. Beside each range stands the highest end of it and of
// those before it: so a search ends where none can hold the number any more.
type rangeIndex struct{ all []cursorRange } // by low

type cursorRange struct {
	low, high float64
	highest   float64 // of this range and those before it
	c         *cursor
}

func (x *rangeIndex) add(low, high float64, c *cursor) {
	at, _ := slices.BinarySearchFunc(x.all, low, func(r cursorRange, low float64) int { return cmp.Compare(r.low, low) })
	x.all = slices.Insert(x.all, at, cursorRange{low: low, high: high, c: c})
	x.count(at)
}

func (x *rangeIndex) remove(c *cursor) {
	at := slices.IndexFunc(x.all, func(r cursorRange) bool { return r.c == c })
	x.all = slices.Delete(x.all, at, at+1)
	x.count(at)
}

// count sets highest from a place on.
func (x *rangeIndex) count(at int) {
	for ; at < len(x.all); at++ {
		r := &x.all[at]
		r.highest = r.high
		if at > 0 {
			r.highest = max(r.high, x.all[at-1].highest)
		}
	}
}

// offerToRanges shows a message to the cursors that demand a range which holds
// n.
func (q *Queue) offerToRanges(x *rangeIndex, n float64, l *lane, level int, seq uint64, m *message.Message) {
	end, _ := slices.BinarySearchFunc(x.all, n, func(r cursorRange, n float64) int {
		if r.low <= n {
			return -1
		}
		return 1
	})
	for i := end - 1; i >= 0 && x.all[i].highest >= n; i-- {
		if r := &x.all[i]; r.high >= n && r.c.indexed && l.selects(r.c.filter, seq, m) {
			q.hand(r.c, l, level, seq)
		}
	}
}
