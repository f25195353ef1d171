package broker

import (
	"fmt"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
)

func TestAVirtualTopicsQueuesAreFoundByTheirName(t *testing.T) {
	plain := policy.DefaultVirtualTopics[0]
	tail := policy.VirtualTopic{Name: "orders.*", Prefix: "app.*.for.", Postfix: ".in"}
	for _, tt := range []struct {
		topic policy.VirtualTopic
		queue string
		want  string
	}{
		{plain, "Consumer.A.VirtualTopic.x.y", "VirtualTopic.x.y"},
		{plain, "Consumer.A.VirtualTopic", "VirtualTopic"},
		{plain, "Consumer..VirtualTopic.x", ""},
		{plain, "Consumer.A.VirtualTopics.x", ""},
		{plain, "Consumer.A", ""},
		{plain, "VirtualTopic.x", ""},
		{tail, "app.A.for.orders.new.in", "orders.new"},
		{tail, "app.A.for.orders.new", ""},
		{tail, "app.A.at.orders.new.in", ""},
		{tail, "app.A.for.orders.new.old.in", ""},
		{tail, "app.A.for..in", ""},
	} {
		if got, ok := tt.topic.Source(tt.queue); got != tt.want && ok || ok != (tt.want != "") {
			t.Errorf("%s of %+v: %q %v, want %q", tt.queue, tt.topic, got, ok, tt.want)
		}
	}
	r := newRig(t)
	if _, _, ok := r.virtuals.source(message.Topic("Consumer.A.VirtualTopic.x")); ok {
		t.Error("a topic is taken for a virtual topic's queue")
	}
	if _, _, ok := r.virtuals.source(message.Queue("Consumer.A.VirtualTopic.>")); ok {
		t.Error("a pattern is taken for a virtual topic's queue")
	}
}

func TestAWrongVirtualTopicIsRefused(t *testing.T) {
	for _, v := range []policy.VirtualTopic{
		{Name: "", Prefix: "C.*."},
		{Name: "a,b", Prefix: "C.*."},
		{Name: "a", Prefix: ""},
		{Name: "a", Prefix: "C.*"},
		{Name: "a", Prefix: "C.>."},
		{Name: "a", Prefix: "C.", Postfix: "x"},
		{Name: "a", Prefix: "C.", Postfix: ".*"},
	} {
		if b, err := Open(Options{VirtualTopics: []policy.VirtualTopic{v}}); err == nil {
			_ = b.Close(t.Context())
			t.Errorf("%+v is taken", v)
		}
	}
}

func TestConfiguredVirtualTopicsHoldForQueuesThatExistAndAfterARestart(t *testing.T) {
	r := newRig(t)
	q := message.Queue("app.A.orders")
	_, err := r.CreateQueue(q.Name)
	must(t, err)
	p := connect(t, r.Broker, "")
	p.send(message.Topic("orders"), "before it is virtual")
	r.o.VirtualTopics = []policy.VirtualTopic{{Name: "orders", Prefix: "app.*."}}
	for i := range 2 {
		r.restart()
		p = connect(t, r.Broker, "")
		p.send(message.Topic("orders"), fmt.Sprint(i))
		p.send(message.Topic("VirtualTopic.x"), "not any more")
	}
	p.subscribe(Subscription{Destination: q})
	wantBodies(t, p.deliveries(2), "0", "1")
	r.o.VirtualTopics = []policy.VirtualTopic{}
	r.restart()
	p = connect(t, r.Broker, "")
	p.subscribe(Subscription{Destination: q})
	p.send(message.Topic("orders"), "2")
	p.send(q, "3")
	wantBodies(t, p.deliveries(3), "0", "1", "3")
}

func TestAVirtualTopicsMessageShowsItsQueue(t *testing.T) {
	r := newRig(t)
	q := message.Queue("Consumer.A.VirtualTopic.x")
	c, d, p := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	c.subscribe(Subscription{Destination: message.Queue("Consumer.*.VirtualTopic.>")})
	d.subscribe(Subscription{Destination: message.Topic("VirtualTopic.x")})
	_, err := r.CreateQueue(q.Name)
	must(t, err)
	p.send(message.Topic("VirtualTopic.x"), "1")
	if at := c.deliveries(1)[0].At; at == nil || *at != q {
		t.Fatalf("at %v", at)
	}
	if at := d.deliveries(1)[0].At; at != nil {
		t.Fatalf("a topic's subscriber gets it at %v", at)
	}
	p.send(q, "straight")
	if at := c.deliveries(2)[1].At; at != nil {
		t.Fatalf("what was sent to the queue is at %v", at)
	}
}

// A retry sent the message to the topic: to the queues that had consumed it,
// too.
func TestARetryOfAVirtualTopicsDeadLetterReachesItsQueueOnly(t *testing.T) {
	r := newRig(t)
	qa, qb := message.Queue("Consumer.A.VirtualTopic.x"), message.Queue("Consumer.B.VirtualTopic.x")
	ca, cb, p := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	ca.subscribe(Subscription{Destination: qa})
	cb.subscribe(Subscription{Destination: qb})
	p.send(message.Topic("VirtualTopic.x"), "m")
	cb.accept(cb.deliveries(1)[0])
	w := make(waiter, 1)
	must(t, ca.deliveries(1)[0].Consumer.Settle(1, Rejected, w, 0))
	must(t, <-w)
	got, err := r.Transfer(Transfer{From: DeadLetterQueue.Name, Action: Retry, All: true})
	must(t, err)
	if got.Done != 1 {
		t.Fatalf("%+v", got)
	}
	wantBodies(t, ca.deliveries(2), "m", "m")
	wantBodies(t, cb.deliveries(1), "m")
}

func aware(o *Options) {
	o.VirtualTopics = []policy.VirtualTopic{{Name: "VirtualTopic.>", Prefix: "Consumer.*.", SelectorAware: true}}
}

func TestASelectorAwareQueueKeepsWhatItsConsumersSelect(t *testing.T) {
	r := newRig(t, aware)
	q, top := message.Queue("Consumer.A.VirtualTopic.x"), message.Topic("VirtualTopic.x")
	c, p := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	waiting := func(want int) {
		t.Helper()
		info, err := r.Queue(q.Name)
		must(t, err)
		if info.Messages != want {
			t.Fatalf("%d messages, want %d", info.Messages, want)
		}
	}
	send := func() {
		for i := range 10 {
			w := make(waiter, 1)
			p.Publish(p.message(top, fmt.Sprint(i), func(e *message.Envelope) { e.Priority = uint8(i) }), w, 0)
			must(t, <-w)
		}
	}
	high := c.subscribe(Subscription{Destination: q, Selector: "JMSPriority > 7", Window: 1})
	send()
	waiting(2)
	low := c.subscribe(Subscription{Destination: q, Selector: "JMSPriority < 1", Window: 1})
	send()
	waiting(5)
	high.Close()
	low.Close()
	send() // those that were there last go on counting, also after a restart
	waiting(6)
	r.restart()
	p, c = connect(t, r.Broker, ""), connect(t, r.Broker, "")
	send()
	waiting(7)
	_, err := c.Subscribe(Subscription{Destination: q, Selector: "JMSXDeliveryCount > 1"})
	wantCode(t, err, CodeInvalid, "aware of selectors")
	c.subscribe(Subscription{Destination: q, Window: 1})
	send()
	waiting(17)
	must(t, r.DeleteQueue(q.Name, true))
	if n := len(r.virtuals.selectors); n != 0 {
		t.Fatalf("selectors of %d queues are left", n)
	}
}

func TestACompositeDestinationForwards(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Forwards = []policy.Forward{
			{From: message.Queue("in.>"), Only: true, To: []policy.ForwardTo{
				{Destination: message.Queue("all")},
				{Destination: message.Topic("urgent"), Selector: "JMSPriority > 7"},
				{Destination: message.Queue("kept"), Selector: "JMSPriority = 4"},
			}},
			{From: message.Topic("both"), To: []policy.ForwardTo{{Destination: message.Queue("all")}}},
		}
	})
	p, all, urgent, both := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	all.subscribe(Subscription{Destination: message.Queue("all")})
	urgent.subscribe(Subscription{Destination: message.Topic("urgent")})
	both.subscribe(Subscription{Destination: message.Topic("both")})
	p.send(message.Queue("in.a"), "1")
	p.Publish(p.message(message.Queue("in.b"), "2", func(e *message.Envelope) { e.Priority, e.Durable = 9, false }), nil, 0)
	p.send(message.Topic("both"), "3")
	tx := p.Begin()
	must(t, tx.Publish(p.message(message.Queue("in.c,in.d"), "4")))
	w := make(waiter, 1)
	tx.Commit(w, 0)
	must(t, <-w)
	must(t, r.Send(true, p.message(message.Queue("in.e"), "5")))
	ds := all.deliveries(6)
	wantBodies(t, ds, "1", "2", "3", "4", "4", "5")
	if m := ds[0].Message; m.Destination != message.Queue("all") || m.Origin != message.Queue("in.a") || !m.Durable {
		t.Fatalf("%s of %s", m.Destination, m.Origin)
	}
	wantBodies(t, urgent.deliveries(1), "2")
	wantBodies(t, both.deliveries(1), "3")
	if info, err := r.Queue("kept"); err != nil || info.Messages != 4 {
		t.Fatalf("%+v, %v", info, err)
	}
	if got, err := r.Queues(List{Filter: "in."}, AnyQueue); err != nil || got.Total != 0 {
		t.Fatalf("what only forwards has queues: %+v, %v", got, err)
	}
}

func TestWhatNoFilterSelectsIsConfirmedAndGone(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Forwards = []policy.Forward{{From: a, Only: true, To: []policy.ForwardTo{{Destination: message.Queue("b"), Selector: "no = 1"}}}}
	})
	p := connect(t, r.Broker, "")
	p.send(a, "1")
	if n := r.Stats().Messages; n != 0 {
		t.Fatalf("%d messages", n)
	}
}

func TestForwardsHaveNoLoops(t *testing.T) {
	to := func(name string) []policy.ForwardTo { return []policy.ForwardTo{{Destination: message.Queue(name)}} }
	r := newRig(t, func(o *Options) {
		o.Forwards = []policy.Forward{
			{From: message.Queue("1"), To: to("2")},
			{From: message.Queue("2"), To: to("3")},
			{From: message.Queue("3"), To: to("1")},
			{From: message.Queue("grow.>"), To: []policy.ForwardTo{{Destination: message.Queue("grow."), Wrap: true}}},
		}
	})
	c, p := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	c.subscribe(Subscription{Destination: message.Queue("*")})
	p.send(message.Queue("2"), "m")
	wantBodies(t, c.deliveries(3), "m", "m", "m")
	p.send(message.Queue("grow.x"), "m")
	if n := r.Stats().Queues; n > maxForwards+5 {
		t.Fatalf("%d queues", n)
	}
}

func TestMirroredQueues(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Forwards = []policy.Forward{{From: message.Queue("orders.>"), To: []policy.ForwardTo{
			{Destination: message.Topic("VirtualTopic.Mirror."), Wrap: true, Suffix: ".copy"},
		}}}
	})
	c, w, v, p := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	c.subscribe(Subscription{Destination: message.Queue("orders.new")})
	w.subscribe(Subscription{Destination: message.Topic("VirtualTopic.Mirror.orders.new.copy")})
	v.subscribe(Subscription{Destination: message.Queue("Consumer.A.VirtualTopic.Mirror.orders.new.copy")})
	p.send(message.Queue("orders.new"), "1")
	for _, x := range []*client{c, w, v} {
		wantBodies(t, x.deliveries(1), "1")
	}
}

func TestForwardsHonourLimits(t *testing.T) {
	r := newRig(t, policyFor(message.Queue("b"), func(p *policy.Policy) { p.Limit = policy.Limit{Messages: 1, Overflow: policy.Reject} }),
		func(o *Options) {
			o.Forwards = []policy.Forward{{From: a, To: []policy.ForwardTo{{Destination: message.Queue("b")}}}}
		})
	p := connect(t, r.Broker, "")
	p.send(a, "1")
	w := make(waiter, 1)
	p.Publish(p.message(a, "2"), w, 0)
	wantCode(t, <-w, CodeFull, "maxMessages")
	if n := r.Stats().Messages; n != 2 {
		t.Fatalf("%d messages: one part of what was refused is there", n)
	}
}

func TestAWrongForwardIsRefused(t *testing.T) {
	to := []policy.ForwardTo{{Destination: message.Queue("b")}}
	for _, f := range []policy.Forward{
		{To: to},
		{From: message.Queue("a,b"), To: to},
		{From: a},
		{From: a, To: []policy.ForwardTo{{}}},
		{From: a, To: []policy.ForwardTo{{Destination: message.Queue("b.*")}}},
		{From: a, To: []policy.ForwardTo{{Destination: message.Queue("b"), Selector: "x ="}}},
	} {
		if b, err := Open(Options{Forwards: []policy.Forward{f}}); err == nil {
			_ = b.Close(t.Context())
			t.Errorf("%+v is taken", f)
		}
	}
}
