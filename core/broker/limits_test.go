package broker

import (
	"strconv"
	"sync"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
)

func limited(n int, o policy.Overflow) func(*policy.Policy) {
	return func(p *policy.Policy) { p.Limit = policy.Limit{Messages: n, Overflow: o} }
}

func TestAFullQueueRejects(t *testing.T) {
	for _, durable := range []bool{true, false} {
		r := withPolicy(t, limited(2, policy.Reject))
		p := connect(t, r.Broker, "")
		send := func(body string) error {
			w := make(waiter, 1)
			p.Publish(p.message(a, body, func(e *message.Envelope) { e.Durable = durable }), w, 0)
			return <-w
		}
		for _, body := range []string{"1", "2"} {
			if err := send(body); err != nil {
				t.Fatal(err)
			}
		}
		wantCode(t, send("3"), CodeFull, "send to queue://a: it holds 2 messages")
		c := connect(t, r.Broker, "")
		c.subscribe(Subscription{Destination: a})
		c.settle(c.deliveries(2)[0], Accepted)
		if err := send("4"); err != nil {
			t.Fatal(err)
		}
		wantBodies(t, c.deliveries(3), "1", "2", "4")
	}
}

func TestProducersDoNotPassALimitTogether(t *testing.T) {
	r := withPolicy(t, limited(50, policy.Reject))
	w := make(waiter, 400)
	var all sync.WaitGroup
	for range 4 {
		p := connect(t, r.Broker, "")
		all.Go(func() {
			for i := range 100 {
				p.Publish(p.message(a, strconv.Itoa(i)), w, 0)
			}
		})
	}
	all.Wait()
	taken := 0
	for range 400 {
		if <-w == nil {
			taken++
		}
	}
	if s := r.Stats(); taken != 50 || s.Messages != 50 || len(r.limits.coming) != 0 {
		t.Errorf("%d taken, %d there", taken, s.Messages)
	}
}

func TestAFullQueueDropsItsOldest(t *testing.T) {
	for _, durable := range []bool{true, false} {
		r := withPolicy(t, limited(2, policy.DropOldest))
		p := connect(t, r.Broker, "")
		w := make(waiter, 1)
		for i, priority := range []uint8{4, 9, 4, 4} {
			p.Publish(p.message(a, strconv.Itoa(i), func(e *message.Envelope) { e.Durable, e.Priority = durable, priority }), w, 0)
			if err := <-w; err != nil {
				t.Fatal(err)
			}
		}
		if s := r.Stats(); s.Messages != 2 || s.Discarded != 2 {
			t.Fatalf("%d messages, %d discarded", s.Messages, s.Discarded)
		}
		c := connect(t, r.Broker, "")
		c.subscribe(Subscription{Destination: a})
		wantBodies(t, c.deliveries(2), "1", "3")
		p.send(a, "4") // consumers have them all
		wantBodies(t, c.deliveries(3), "1", "3", "4")
	}
}

func TestAFullQueueHoldsItsProducer(t *testing.T) {
	r := withPolicy(t, limited(2, policy.Block))
	p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	w := make(waiter, 3)
	for i, want := range []bool{false, true} {
		if got := p.Publish(p.message(a, strconv.Itoa(i)), w, 0); got != want {
			t.Fatalf("message %d: wait %t", i, got)
		}
		if err := <-w; err != nil {
			t.Fatal(err)
		}
	}
	resumed := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.resume > 0
	}
	if r.flow.waitingProducers() != 1 || resumed() {
		t.Fatal("the producer does not wait")
	}
	c.subscribe(Subscription{Destination: a})
	c.settle(c.deliveries(2)[0], Accepted)
	eventually(t, "resumed producer", resumed)
}

func TestALimitConcernsATransactionAsAWhole(t *testing.T) {
	r := withPolicy(t, limited(2, policy.Reject))
	c := connect(t, r.Broker, "")
	b := message.Queue("b")
	k := c.subscribe(Subscription{Destination: b})
	c.send(b, "in")
	d := c.deliveries(1)[0]
	commit := func(n int) error {
		tx := c.Begin()
		if err := tx.Settle(k, d.Tag, Accepted); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if err := tx.Publish(c.message(a, strconv.Itoa(i))); err != nil {
				t.Fatal(err)
			}
		}
		w := make(waiter, 1)
		tx.Commit(w, 0)
		return <-w
	}
	wantCode(t, commit(3), CodeFull, "send to queue://a")
	if s := r.Stats(); s.Messages != 1 || s.InFlight != 1 || len(r.limits.coming) != 0 {
		t.Fatalf("after the refusal: %+v", s)
	}
	if err := commit(2); err != nil {
		t.Fatal(err)
	}
	same(t, r.texts("a", 10), []string{"0", "1"})
	w := make(waiter, 1)
	c.Publish(c.message(message.Queue("x,a"), "all or none"), w, 0)
	wantCode(t, <-w, CodeFull, "send to queue://a")
	same(t, r.texts("x", 10), nil)
}
