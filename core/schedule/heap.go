package schedule

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/entrepot-mq/entrepot/core/message"
)

// The heap sorts slots by due time and then by id, so that jobs of one time
// are sent in the order in which they came. Each has four children: fewer
// places of memory are visited than with two.
const arity = 4

// first returns when something is due first, the end of time if nothing is.
func (t *Table) first() int64 {
	if len(t.heap) == 0 {
		return math.MaxInt64
	}
	return t.slot(t.heap[0]).due
}

func (t *Table) less(a, b uint32) bool {
	s, u := t.slot(a), t.slot(b)
	if s.due != u.due {
		return s.due < u.due
	}
	if s.id.Hi != u.id.Hi {
		return s.id.Hi < u.id.Hi
	}
	return s.id.Lo < u.id.Lo
}

func (t *Table) place(n uint32, i int) {
	t.heap[i] = n
	t.slot(n).place = uint32(i)
}

// queueUp puts slot n where its due time belongs, in the heap or anew.
func (t *Table) queueUp(n uint32) {
	s := t.slot(n)
	if _, leaving := t.cancelled[s.id]; leaving {
		return
	}
	if s.place == noPlace {
		t.heap = append(t.heap, n)
		s.place = uint32(len(t.heap) - 1)
	}
	t.sink(t.rise(int(s.place)))
}

// unqueue takes slot n out of the heap.
func (t *Table) unqueue(n uint32) {
	s := t.slot(n)
	if s.place == noPlace {
		return
	}
	i, last := int(s.place), len(t.heap)-1
	moved := t.heap[last]
	t.heap = t.heap[:last]
	s.place = noPlace
	if i != last {
		t.place(moved, i)
		t.sink(t.rise(i))
	}
}

func (t *Table) rise(i int) int {
	n := t.heap[i]
	for i > 0 {
		parent := (i - 1) / arity
		if !t.less(n, t.heap[parent]) {
			break
		}
		t.place(t.heap[parent], i)
		i = parent
	}
	t.place(n, i)
	return i
}

func (t *Table) sink(i int) {
	n := t.heap[i]
	for {
		least, child := n, -1
		for c := arity*i + 1; c <= arity*i+arity && c < len(t.heap); c++ {
			if t.less(t.heap[c], least) {
				least, child = t.heap[c], c
			}
		}
		if child < 0 {
			break
		}
		t.place(least, i)
		i = child
	}
	t.place(n, i)
}

// within visits the jobs in the heap that are due at *until at the latest, in no
// order, as long as visit returns true. visit may bring *until forward.
func (t *Table) within(until *int64, visit func(s *slot) bool) {
	var stack []int
	if len(t.heap) > 0 {
		stack = append(stack, 0)
	}
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		s := t.slot(t.heap[i])
		if s.due > *until {
			continue
		}
		if !visit(s) {
			return
		}
		for c := arity*i + 1; c <= arity*i+arity && c < len(t.heap); c++ {
			stack = append(stack, c)
		}
	}
}

// Window returns the jobs that are due from from to to, those behind after only
// (the zero Entry is before all), sorted by due time and id, limit at most; 0
// is all. Jobs that are being sent or removed are left out.
func (t *Table) Window(from, to int64, after Entry, limit int) []Entry {
	var found []Entry
	t.mu.Lock()
	t.within(&to, func(s *slot) bool {
		if e := (Entry{s.id, s.due, s.left}); s.due >= from && compare(e, after) > 0 {
			found = append(found, e)
		}
		if limit > 0 && len(found) >= 2*limit { // what is due later than these is not asked for
			slices.SortFunc(found, compare)
			found = found[:limit]
			to = found[limit-1].Due
		}
		return true
	})
	t.mu.Unlock()
	slices.SortFunc(found, compare)
	if limit > 0 && len(found) > limit {
		found = found[:limit]
	}
	return found
}

// Between returns the jobs that are due from from to to, those too that are
// being sent, in no order.
func (t *Table) Between(from, to int64) (ids []message.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for w, word := range t.live {
		for ; word != 0; word &= word - 1 {
			if s := t.slot(uint32(w*64 + bits.TrailingZeros64(word))); s.due >= from && s.due <= to {
				ids = append(ids, s.id)
			}
		}
	}
	return ids
}

func compare(a, b Entry) int {
	return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(a.ID.Hi, b.ID.Hi), cmp.Compare(a.ID.Lo, b.ID.Lo))
}
