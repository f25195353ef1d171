package queue

import (
	"testing"

	"github.com/entrepot-mq/entrepot/core/store"
)

// backlog publishes n durable messages of 100 bytes to the first queue.
func (w *world) backlog(n int) {
	for range n {
		w.publish(w.message(true, 4, 100, 0), 0)
	}
	w.apply(len(w.log))
}

// packedPages returns how many pages of the first queue are packed.
func (w *world) packedPages() (n int) {
	q := w.queues[0]
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, lv := range q.levels {
		n += len(lv.durable.packed)
	}
	return n
}

func TestWhatWaitsFarBehindIsPackedAndDeliveredAsItWas(t *testing.T) {
	w := newWorld(t, 1<<40)
	const behind, waiting = 3, 8 // of which the last one is full, too
	w.packing = behind
	w.fresh()
	w.backlog(waiting * pageSize)
	if n := w.packedPages(); n != waiting-behind-1 {
		t.Fatalf("%d of %d pages are packed, want those that lie more than %d pages behind the first", n, waiting, behind)
	}
	w.subscribe(waiting * pageSize) // the model knows what it has to get
	w.check()
	if n := w.packedPages(); n != 0 {
		t.Errorf("%d pages that were delivered are still packed", n)
	}
}

func TestPackedPagesTakeLessMemoryAndLeaveItOnceStored(t *testing.T) {
	w := newWorld(t, 1)
	w.packing = 0
	w.fresh()
	w.backlog(4*pageSize + 1)
	if n := w.packedPages(); n != 3 {
		t.Fatalf("%d pages are packed, want all full ones but the first", n)
	}
	last := int64(w.message(true, 4, 100, 0).Size())
	if most := (pageSize+1)*last + 3*pageSize*(last-200); w.budget.Used() > most {
		t.Errorf("%d bytes are counted, want %d at most", w.budget.Used(), most)
	}
	w.checkpoint()
	w.must(w.queues[0].Relieve(nil, true))
	if n := w.packedPages(); n != 0 || w.budget.Used() != 0 {
		t.Errorf("%d pages are packed and %d bytes used when all is stored", n, w.budget.Used())
	}
	w.restart()
	w.subscribe(4*pageSize + 1)
	w.check()
}

// Some of a packed page was acknowledged before the checkpoint: it must not come back with it.
func TestACheckpointOfAPackedPageHasWhatIsLeft(t *testing.T) {
	w := newWorld(t, 1<<40)
	w.packing = 0
	w.fresh()
	w.backlog(3 * pageSize)
	for _, x := range w.queues[0].model.all[pageSize : pageSize+10] {
		x.state = ending
		w.Commit(store.Request{Op: store.Op{Kind: store.OpAck, Queue: 1, Pos: x.pos}})
	}
	w.apply(len(w.log))
	if n := w.packedPages(); n != 2 {
		t.Fatalf("%d pages are packed, want 2", n)
	}
	w.checkpoint()
	w.restart()
	w.subscribe(3 * pageSize)
	w.check()
}
