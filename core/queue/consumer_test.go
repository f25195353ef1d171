package queue

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/entrepot-mq/entrepot/core/store"
)

// inbox is a Target that keeps what it gets.
type inbox struct {
	mu  sync.Mutex
	got []Delivery
}

// Deliver implements Target.
func (b *inbox) Deliver(d Delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, d)
}

func (b *inbox) tags() (tags []uint64) {
	for _, d := range b.got {
		tags = append(tags, d.Tag)
	}
	return tags
}

// A subscription to a queue and a topic at once mixed up their tags.
func TestDeliveriesOfQueuesAndTopicsShareTheirTags(t *testing.T) {
	w := newWorld(t, 1<<40)
	in := &inbox{}
	c := NewConsumer(w, ConsumerOptions{Window: 4, Target: in})
	w.queues[0].Subscribe(c, nil, 0, false)
	for range 2 {
		w.queues[0].EnqueueTransient(w.message(false, 4, 8, 0))
		if !c.Offer(w.message(false, 4, 8, 0), 1<<20) {
			t.Fatal("no credit")
		}
	}
	if fmt.Sprint(in.tags()) != "[1 2 3 4]" {
		t.Fatalf("tags %v", in.tags())
	}
	for _, tag := range []uint64{2, 1} {
		w.must(c.Settle(tag, Accepted, nil, 0))
	}
	if st := w.queues[0].Stats(); st.Messages != 1 || c.Unsettled() != 2 {
		t.Fatalf("%d messages, %d unsettled", st.Messages, c.Unsettled())
	}
	w.must(c.SettleThrough(4, Accepted, nil, 0))
	if st := w.queues[0].Stats(); st.Messages != 0 || c.Unsettled() != 0 || c.loose != 0 {
		t.Fatalf("%d messages, %d unsettled, %d bytes", st.Messages, c.Unsettled(), c.loose)
	}
}

// Settling one delivery of a topic in a transaction settled all before it.
func TestATransactionSettlesTheDeliveryOfATopicThatItNames(t *testing.T) {
	w := newWorld(t, 1<<40)
	c := NewConsumer(w, ConsumerOptions{Window: 10, Target: &inbox{}})
	for range 3 {
		c.Offer(w.message(false, 4, 8, 0), 1<<20)
	}
	in, ok := c.Enlist(2, Accepted, false)
	if !ok || c.Unsettled() != 2 {
		t.Fatalf("enlisted: %v, %d unsettled", ok, c.Unsettled())
	}
	if _, ok := c.Enlist(2, Accepted, false); ok {
		t.Fatal("enlisted twice")
	}
	in[0].Rollback()
	if in, ok = c.Enlist(2, Accepted, false); !ok {
		t.Fatal("not open after the rollback")
	}
	Commit(in)
	for _, tag := range []uint64{1, 3} {
		w.must(c.Settle(tag, Accepted, nil, 0))
	}
	if err := c.Settle(2, Accepted, nil, 0); !errors.Is(err, ErrNoDelivery) {
		t.Fatalf("settled after the commit: %v", err)
	}
}

func TestUnsettledBytesOfATopicAreBounded(t *testing.T) {
	w := newWorld(t, 1<<40)
	c := NewConsumer(w, ConsumerOptions{Window: 1000, Target: &inbox{}})
	m := w.message(false, 4, 1000, 0)
	n := 0
	for c.Offer(m, 10*m.Size()) {
		n++
	}
	if n != 11 {
		t.Fatalf("%d deliveries of a tenth of the limit each", n)
	}
	w.must(c.SettleThrough(2, Accepted, nil, 0))
	if !c.Offer(m, 10*m.Size()) {
		t.Fatal("nothing came after settling")
	}
}

func TestBrowsingSeveralQueuesEndsOnceAndNotBeforeStart(t *testing.T) {
	w := newWorld(t, 1<<40)
	w.publish(w.message(false, 4, 8, 0), 0)
	w.publish(w.message(false, 4, 8, w.now), 0) // expired
	in := &inbox{}
	c := NewConsumer(w, ConsumerOptions{Window: 10, Target: in, Browse: true, Paused: true})
	for _, q := range w.queues {
		q.Browse(c, nil)
	}
	if len(in.got) != 0 {
		t.Fatalf("%d deliveries before the start", len(in.got))
	}
	c.Start()
	c.Start()
	if len(in.got) != 2 || in.got[0].BrowseEnd || !in.got[1].BrowseEnd {
		t.Fatalf("got %+v", in.got)
	}
}

func TestAnEndedConsumerOrQueueIsNotAttached(t *testing.T) {
	w := newWorld(t, 1<<40)
	q := w.queues[0]
	c := NewConsumer(w, ConsumerOptions{Window: 10, Target: &inbox{}})
	c.Close()
	if q.Subscribe(c, nil, 0, false) || q.Browse(c, nil) || q.Consumers() != 0 {
		t.Fatal("a closed consumer was attached")
	}
	c = NewConsumer(w, ConsumerOptions{Window: 10, Target: &inbox{}})
	q.ApplyDelete()
	if q.Subscribe(c, nil, 0, false) || q.Browse(c, nil) || q.Consumers() != 0 {
		t.Fatal("a consumer was attached to a deleted queue")
	}
}

func TestDeletingAQueueEndsItsBrowsersAndGivesMemoryBack(t *testing.T) {
	w := newWorld(t, 1)
	for range 20 * pageSize {
		w.publish(w.message(false, 4, 8, 0), 0)
		w.publish(w.message(true, 4, 9000, 0), 0)
	}
	w.apply(len(w.log))
	w.checkpoint()
	w.must(w.queues[0].Relieve(w.scratch, false))
	in := &inbox{}
	c := NewConsumer(w, ConsumerOptions{Window: 1, Target: in, Browse: true})
	w.queues[0].Browse(c, nil)
	w.queues[0].ApplyDelete()
	if n := len(in.got); n != 2 || !in.got[1].BrowseEnd {
		t.Fatalf("the browser got %+v", in.got)
	}
	if w.budget.Used() != 0 || w.scratch.Used() != 0 {
		t.Fatalf("%d bytes of memory and %d of scratch are left", w.budget.Used(), w.scratch.Used())
	}
	w.done = append(w.done, store.Op{})
	w.checkpoint()
	for kind := byte(0x03); kind <= 0x06; kind++ {
		if n, _ := w.keys(kind); n != 0 {
			t.Fatalf("%d keys of kind %d are left", n, kind)
		}
	}
}

// Credit that came between a dispatch that found no consumer ready and a
// message could be missed: the message waited for the next event.
func TestCreditAndMessagesNeverMissEachOther(t *testing.T) {
	w := newWorld(t, 1<<40)
	q := w.queues[0]
	in := &inbox{}
	c := NewConsumer(w, ConsumerOptions{Target: in})
	q.Subscribe(c, nil, 0, false)
	for i := range 3000 {
		var both sync.WaitGroup
		m := w.message(false, 4, 8, 0)
		both.Go(func() { c.Grant(1) })
		both.Go(func() { q.EnqueueTransient(m) })
		both.Wait()
		if n := len(in.got); n != i+1 {
			t.Fatalf("%d deliveries after %d messages and as much credit", n, i+1)
		}
	}
}

func TestCreditDoesNotOverflow(t *testing.T) {
	c := NewConsumer(newWorld(t, 1), ConsumerOptions{Target: &inbox{}})
	c.Grant(1<<32 - 1)
	c.Grant(10)
	if !c.Ready() || c.State().Credit != 1<<32-1 {
		t.Fatalf("credit %d", c.State().Credit)
	}
}
