package queue

import (
	"fmt"
	"testing"
)

// drainbox is an inbox that hears of drains.
type drainbox struct {
	inbox
	unused []uint32
}

// Drained implements Drainer.
func (b *drainbox) Drained(_ *Consumer, unused uint32) { b.unused = append(b.unused, unused) }

func TestCreditIsAnAbsoluteNumberThatCanBeTakenBack(t *testing.T) {
	w := newWorld(t, 1<<40)
	q, in := w.queues[0], &inbox{}
	c := NewConsumer(w, ConsumerOptions{Target: in})
	q.Subscribe(c, nil, 0, false)
	c.Allow(5)
	c.Allow(2)
	for range 4 {
		q.EnqueueTransient(w.message(false, 4, 8, 0))
	}
	if fmt.Sprint(in.tags()) != "[1 2]" {
		t.Fatalf("tags %v with credit up to 2", in.tags())
	}
	c.Allow(1) // what was delivered stays
	if c.State().Credit != 0 {
		t.Fatalf("credit %d", c.State().Credit)
	}
	c.Allow(3)
	if fmt.Sprint(in.tags()) != "[1 2 3]" {
		t.Fatalf("tags %v with credit up to 3", in.tags())
	}
}

func TestUnsettledDeliveriesAreLimitedWhateverCreditThereIs(t *testing.T) {
	w := newWorld(t, 1<<40)
	q, in := w.queues[0], &inbox{}
	c := NewConsumer(w, ConsumerOptions{Target: in, Limit: 2})
	q.Subscribe(c, nil, 0, false)
	c.Allow(100)
	for range 4 {
		q.EnqueueTransient(w.message(false, 4, 8, 0))
	}
	if fmt.Sprint(in.tags()) != "[1 2]" {
		t.Fatalf("tags %v", in.tags())
	}
	w.must(c.Settle(2, Accepted, nil, 0))
	if fmt.Sprint(in.tags()) != "[1 2 3]" {
		t.Fatalf("tags %v after one was settled", in.tags())
	}
}

func TestADrainTellsOnceWhatWasNotUsed(t *testing.T) {
	w := newWorld(t, 1<<40)
	q, in := w.queues[0], &drainbox{}
	c := NewConsumer(w, ConsumerOptions{Target: in})
	q.Subscribe(c, nil, 0, false)
	q.EnqueueTransient(w.message(false, 4, 8, 0))
	c.Drain(10)
	if fmt.Sprint(in.tags(), in.unused) != "[1] [9]" {
		t.Fatalf("tags %v, unused %v", in.tags(), in.unused)
	}
	q.EnqueueTransient(w.message(false, 4, 8, 0))
	c.checkDrained()
	if fmt.Sprint(in.tags(), in.unused) != "[1] [9]" {
		t.Fatalf("after the drain: tags %v, unused %v", in.tags(), in.unused)
	}
	c.Drain(1) // nothing is allowed
	if fmt.Sprint(in.unused) != "[9 0]" {
		t.Fatalf("unused %v", in.unused)
	}
}

// A drain that ended while messages were read from the disk said that the
// queue is empty.
func TestADrainWaitsForMessagesOnTheirWayFromTheDisk(t *testing.T) {
	for _, browse := range []bool{false, true} {
		w := newWorld(t, 1<<40)
		for range 3 {
			w.publish(w.message(true, 4, 8, 0), 0)
		}
		w.apply(3)
		w.checkpoint()
		w.restart()
		w.eager = false
		q, in := w.queues[0], &drainbox{}
		c := NewConsumer(w, ConsumerOptions{Target: in, Browse: browse})
		if browse {
			q.Browse(c, nil)
		} else {
			q.Subscribe(c, nil, 0, false)
		}
		c.Drain(10)
		if len(in.unused) != 0 || len(w.loads) == 0 {
			t.Fatalf("browse %v: drained with %v, %d loads wait", browse, in.unused, len(w.loads))
		}
		for len(w.loads) > 0 {
			f := w.loads[0]
			w.loads = w.loads[1:]
			w.must(f())
		}
		if browse {
			in.got = in.got[:len(in.got)-1] // its end
		}
		if fmt.Sprint(in.tags(), in.unused) != "[1 2 3] [7]" {
			t.Fatalf("browse %v: tags %v, unused %v", browse, in.tags(), in.unused)
		}
	}
}
