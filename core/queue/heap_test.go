package queue

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestSeqHeapSorts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h seqHeap
		var model []uint64
		for range rapid.IntRange(0, 200).Draw(t, "n") {
			switch rapid.IntRange(0, 9).Draw(t, "action") {
			case 0, 1, 2:
				if len(h) > 0 {
					h.pop()
					model = model[1:]
				}
			case 3:
				h.prune(func(seq uint64) bool { return seq%3 != 0 })
				model = slices.DeleteFunc(slices.Compact(model), func(seq uint64) bool { return seq%3 == 0 })
			default:
				seq := rapid.Uint64Range(0, 50).Draw(t, "seq")
				h.push(seq)
				at, _ := slices.BinarySearch(model, seq)
				model = slices.Insert(model, at, seq)
			}
			if len(h) != len(model) || len(h) > 0 && h[0] != model[0] {
				t.Fatalf("heap %v, want %v", h, model)
			}
		}
	})
}

// Other consumers may take a message and give it back for ever while nobody
// serves this cursor: its heap must not grow.
func TestHeapOfACursorThatIsNotServedStaysSmall(t *testing.T) {
	w := newWorld(t, 1<<40)
	for range 100 {
		w.publish(w.message(true, 4, 8, 0), 0)
	}
	w.apply(len(w.log))
	q := w.queues[0]
	slow := &cursor{at: make([]levelCursor, 1), slot: -1}
	slow.at[0].durable.seq = 100
	q.mu.Lock()
	q.cursors = append(q.cursors, slow)
	for i := range uint64(100_000) {
		pos := 4<<laneShift | i%100
		l, _ := q.lane(pos)
		l.page(seqOf(pos)).acquired |= 1 << (pos & pageMask)
		q.free.Add(-1)
		q.giveBack(pos)
	}
	q.mu.Unlock()
	if n := len(slow.at[0].durable.returned); n > 2*minPruned {
		t.Fatalf("%d seqs in the heap for 100 messages", n)
	}
}
