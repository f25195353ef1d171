package broker

import (
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

func retain(e *message.Envelope) { e.Retain = true }

// recovered returns what a new retroactive subscriber gets at once.
func (r *rig) recovered(pattern string, n int) []Delivery {
	r.t.Helper()
	c := connect(r.t, r.Broker, "")
	defer c.Close()
	c.subscribe(Subscription{Destination: message.Topic(pattern), Retroactive: true, Window: 5000})
	return c.deliveries(n)
}

func TestTopicRemembersItsLastRetainedMessage(t *testing.T) {
	for _, durable := range []bool{true, false} {
		r := newRig(t)
		p := connect(t, r.Broker, "")
		w := make(waiter, 10)
		publish := func(topic, body string, edit ...func(*message.Envelope)) {
			t.Helper()
			edit = append(edit, func(e *message.Envelope) { e.Durable = durable })
			p.Publish(p.message(message.Topic(topic), body, edit...), w, 0)
			if err := <-w; err != nil {
				t.Fatal(err)
			}
		}
		big := strings.Repeat("x", 3*retainedPart)
		publish("a.1", "old", retain)
		publish("a.1", "new", retain)
		publish("a.1", "passing")
		publish("a.2", big, retain)
		publish("b", "gone", retain)
		publish("b", "", retain)
		check := func() {
			t.Helper()
			ds := r.recovered("a.>", 2)
			total := len(ds[0].Message.Payload()) + len(ds[1].Message.Payload())
			if total != len("new")+len(big) {
				t.Fatalf("recovered %d bytes", total)
			}
			if as := ds[0].Message.Annotations; len(as) != 1 || as[0].Name != RetainedProperty {
				t.Fatalf("not marked as retained: %v", as)
			}
			r.recovered("b", 0)
			wantBodies(t, r.recovered("a.1", 1), "new")
		}
		check()
		r.restart() // through a checkpoint
		check()
		r.kill(1) // and once more, with nothing in the log
		check()
		p = connect(t, r.Broker, "")
		publish("a.2", "small", retain)
		r.restart()
		r.kill(2)
		wantBodies(t, r.recovered("a.2", 1), "small")
	}
}

func TestRetainedMessagesBeyondTheLimitAreRefused(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Retained.Messages = 1 })
	p := connect(t, r.Broker, "")
	p.Publish(p.message(message.Topic("a"), "1", retain), nil, 0)
	w := make(waiter, 1)
	p.Publish(p.message(message.Topic("a"), "2", retain), w, 0)
	if err := <-w; err != nil {
		t.Fatal(err)
	}
	p.Publish(p.message(message.Topic("b"), "3", retain), w, 0)
	if err := <-w; CodeOf(err) != CodeLimit {
		t.Fatalf("got %v", err)
	}
	wantBodies(t, r.recovered(">", 1), "2")
}

func TestMoreRetainedMessagesThanASlowSubscriberMayKeepAllArrive(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits.Pending, o.Limits.Unsettled = 5, 1<<20 })
	p := connect(t, r.Broker, "")
	for i := range 100 {
		p.Publish(p.message(message.Topic("t."+string(rune('a'+i%26))+string(rune('a'+i/26))), "x", retain), nil, 0)
	}
	w := make(waiter, 1)
	p.Sync(w, 0)
	<-w
	c := connect(t, r.Broker, "")
	k := c.subscribe(Subscription{Destination: message.Topic("t.*"), Retroactive: true, Window: 10})
	for n := 10; n <= 100; n += 10 {
		c.deliveries(n)
		if err := k.SettleThrough(uint64(n), Accepted, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestVirtualTopicGivesEachConsumersQueueACopy(t *testing.T) {
	for _, durable := range []bool{true, false} {
		r := newRig(t)
		qa, qb := message.Queue("Consumer.A.VirtualTopic.orders"), message.Queue("Consumer.B.VirtualTopic.orders")
		a1, a2, b1 := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
		a1.subscribe(Subscription{Destination: qa})
		a2.subscribe(Subscription{Destination: qa})
		b1.subscribe(Subscription{Destination: qb})
		p := connect(t, r.Broker, "")
		w := make(waiter, 4)
		for _, body := range []string{"1", "2", "3", "4"} {
			p.Publish(p.message(message.Topic("VirtualTopic.orders"), body, func(e *message.Envelope) { e.Durable = durable }), w, 0)
			<-w
		}
		wantBodies(t, a1.deliveries(2), "1", "3")
		wantBodies(t, a2.deliveries(2), "2", "4")
		wantBodies(t, b1.deliveries(4), "1", "2", "3", "4")
		if !durable {
			continue
		}
		r.restart() // the queues stay bound
		p = connect(t, r.Broker, "")
		p.send(message.Topic("VirtualTopic.orders"), "5")
		b1 = connect(t, r.Broker, "")
		b1.subscribe(Subscription{Destination: qb})
		wantBodies(t, b1.deliveries(5), "1", "2", "3", "4", "5")
	}
}
