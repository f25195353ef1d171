package broker

import (
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
)

func TestTopicsAreMadeListedAndDeleted(t *testing.T) {
	r := newRig(t)
	made, err := r.CreateTopic("t")
	if err != nil || !made {
		t.Fatal(made, err)
	}
	if made, err = r.CreateTopic("t"); err != nil || made {
		t.Fatal(made, err)
	}
	_, err = r.CreateTopic("a.*")
	wantCode(t, err, CodeInvalid, "more than one")
	r.restart()
	list := func() []TopicInfo {
		t.Helper()
		got, err := r.ListTopics(List{})
		must(t, err)
		return got.Items
	}
	if got := list(); len(got) != 1 || got[0] != (TopicInfo{Name: "t", Created: true}) {
		t.Fatalf("%+v", got)
	}
	d := message.Topic("t")
	c := connect(t, r.Broker, "me")
	k := c.subscribe(Subscription{Destination: d})
	wantCode(t, r.DeleteTopic("t", false), CodeInUse, "1 subscribers")
	k.Close()
	c.subscribe(Subscription{Destination: d, Durable: "d"}).Close()
	wantCode(t, r.DeleteTopic("t", false), CodeInUse, "1 durable subscriptions")
	w := make(waiter, 1)
	c.Publish(c.message(d, "kept", func(e *message.Envelope) { e.Retain = true }), w, 0)
	must(t, <-w)
	other := connect(t, r.Broker, "")
	other.subscribe(Subscription{Destination: d})
	must(t, r.DeleteTopic("t", true))
	wantCode(t, other.closedWith(), CodeState, "deleted topic://t")
	other.Close()
	if n, _ := r.retained.count(); n != 0 || r.Stats().Durables != 0 || len(list()) != 0 {
		t.Fatalf("left: %d retained, %d durable, %+v", n, r.Stats().Durables, list())
	}
	wantCode(t, r.DeleteTopic("t", false), CodeNotFound, "no such topic")
	r.restart()
	if n, _ := r.retained.count(); n != 0 || len(list()) != 0 {
		t.Fatal("it is back after a restart")
	}
}

func TestDestinationsThatAreNotMadeOnFirstUse(t *testing.T) {
	r := newRig(t, policyFor(message.Queue("fixed.>"), func(p *policy.Policy) { p.NoAutoCreate = true }),
		policyFor(message.Topic("fixed.>"), func(p *policy.Policy) { p.NoAutoCreate = true }),
		func(o *Options) {
			o.Destinations = []message.Destination{message.Queue("fixed.a"), message.Topic("fixed.a")}
		})
	c := connect(t, r.Broker, "me")
	for _, d := range []message.Destination{message.Queue("fixed.b"), message.Topic("fixed.b"), message.Queue("free,fixed.b")} {
		w := make(waiter, 1)
		c.Publish(c.message(d, "m"), w, 0)
		wantCode(t, <-w, CodeNotFound, "autoCreate")
		_, err := c.Subscribe(Subscription{Destination: d})
		wantCode(t, err, CodeNotFound, "autoCreate")
		wantCode(t, c.Begin().Publish(c.message(d, "m")), CodeNotFound, "autoCreate")
	}
	_, err := c.Subscribe(Subscription{Destination: message.Topic("fixed.b"), Durable: "d"})
	wantCode(t, err, CodeNotFound, "autoCreate")
	for range 2 {
		for _, d := range []message.Destination{message.Queue("fixed.a"), message.Topic("fixed.a"), message.Queue("free"), message.Topic("free")} {
			c.subscribe(Subscription{Destination: d})
			c.send(d, "m")
		}
		c.deliveries(4)
		c.Close()
		r.restart()
		c = connect(t, r.Broker, "me")
		drain := c.subscribe(Subscription{Destination: message.Queue(">")})
		eventually(t, "both queues' messages", func() bool { return c.received() == 2 })
		w := make(waiter, 1)
		must(t, drain.SettleThrough(2, Accepted, w, 0))
		must(t, <-w)
		c.Close()
		c = connect(t, r.Broker, "me")
	}
	_, err = r.CreateQueue("fixed.b")
	must(t, err)
	c.send(message.Queue("fixed.b"), "m")
}

func collecting(o *Options) {
	policyFor(message.Queue(">"), func(p *policy.Policy) { p.Collect, p.CollectAfter = true, time.Minute })(o)
	o.Collect.Period = time.Hour
	o.Destinations = []message.Destination{message.Queue("listed")}
}

func TestIdleQueuesAreCollected(t *testing.T) {
	r := newRig(t, collecting)
	c := connect(t, r.Broker, "")
	names := func() (out []string) {
		got, err := r.Queues(List{}, AnyQueue)
		must(t, err)
		for _, q := range got.Items {
			out = append(out, q.Destination.Name)
		}
		return out
	}
	for _, name := range []string{"idle", "full", "served", "paused", "used", "Consumer.A.VirtualTopic.x"} {
		_, err := r.CreateQueue(name)
		must(t, err)
	}
	must(t, r.SetPaused("paused", true))
	c.send(message.Queue("full"), "m")
	c.subscribe(Subscription{Destination: message.Queue("served")})
	now := time.Now()
	r.collector.round(now)
	c.send(message.Queue("used"), "m")
	u := connect(t, r.Broker, "")
	k := u.subscribe(Subscription{Destination: message.Queue("used")})
	u.accept(u.deliveries(1)[0])
	k.Close()
	r.collector.round(now.Add(59 * time.Second))
	wantNames(t, names(), "Consumer.A.VirtualTopic.x", "full", "idle", "listed", "paused", "served", "used")
	r.collector.round(now.Add(61 * time.Second))
	wantNames(t, names(), "Consumer.A.VirtualTopic.x", "full", "listed", "paused", "served", "used")
	r.collector.round(now.Add(2 * time.Minute))
	left := []string{"Consumer.A.VirtualTopic.x", "full", "listed", "paused", "served"}
	wantNames(t, names(), left...)
	r.restart()
	wantNames(t, names(), left...)
	c = connect(t, r.Broker, "")
	c.send(message.Queue("idle"), "again")
	c.subscribe(Subscription{Destination: message.Queue("idle")})
	wantBodies(t, c.deliveries(1), "again")
}

func wantNames(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func TestWhatComesToAQueueWhileItIsCollectedIsNotLost(t *testing.T) {
	r := newRig(t)
	_, err := r.CreateQueue(a.Name)
	must(t, err)
	c, w, p := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	p.Publish(p.message(a, "transient", func(e *message.Envelope) { e.Durable = false }), nil, 0)
	c.subscribe(Subscription{Destination: a, Window: 1, Selector: "JMSPriority = 9"})
	w.subscribe(Subscription{Destination: message.Queue("*"), Window: 100, Selector: "JMSPriority = 4"})
	w.deliveries(1)
	must(t, r.commitOps("collect", r.catalog.op(catalogCollect, a.Name)))
	high := func(e *message.Envelope) { e.Priority = 9 }
	p.Publish(p.message(a, "high", high), nil, 0)
	wantBodies(t, c.deliveries(1), "high")
	p.send(a, "low")
	wantBodies(t, w.deliveries(2), "transient", "low")
	p.Publish(p.message(a, "waits", func(e *message.Envelope) { e.Priority, e.Durable = 1, false }), nil, 0)
	must(t, c.deliveries(1)[0].Consumer.Settle(1, Accepted, nil, 0))
	must(t, r.commitOps("collect", r.catalog.op(catalogCollect, a.Name)))
	d := connect(t, r.Broker, "")
	d.subscribe(Subscription{Destination: a})
	wantBodies(t, d.deliveries(1), "waits")
	p.Publish(p.message(a, "durable", func(e *message.Envelope) { e.Priority = 1 }), nil, 0)
	d.deliveries(2)
	must(t, r.commitOps("collect", r.catalog.op(catalogCollect, a.Name))) // not: something durable is in it
	d.accept(d.deliveries(2)[1])
}
