package broker

import (
	"fmt"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

var news = message.Topic("news")

// join subscribes to news as one of those who share a name.
func (c *client) join(name string, edit ...func(*Subscription)) *Consumer {
	c.t.Helper()
	s := Subscription{Destination: news, SharedName: name, Global: true}
	for _, e := range edit {
		e(&s)
	}
	return c.subscribe(s)
}

func TestConsumersOfASharedSubscriptionCompete(t *testing.T) {
	for _, persistent := range []bool{true, false} {
		r := newRig(t)
		c1, c2, alone, p := connect(t, r.Broker, "c1"), connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
		c1.join("workers")
		c2.join("workers")
		alone.join("others")
		if l := r.Stats(); l.Shared != 2 || l.Queues != 0 || l.Durables != 0 {
			t.Fatalf("%d shared, %d queues, %d durable", l.Shared, l.Queues, l.Durables)
		}
		for i := range 10 {
			p.Publish(p.message(news, fmt.Sprint(i), func(e *message.Envelope) { e.Durable = persistent }), nil, 0)
		}
		alone.deliveries(10)
		wantBodies(t, c1.deliveries(5), "0", "2", "4", "6", "8")
		wantBodies(t, c2.deliveries(5), "1", "3", "5", "7", "9")
	}
}

func TestASharedSubscriptionGivesToOthersWhatOneDidNotSettle(t *testing.T) {
	r := newRig(t)
	c1, c2, p := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	c1.join("g")
	p.send(news, "1", "2")
	c1.deliveries(2)
	c2.join("g")
	c1.Close()
	ds := c2.deliveries(2)
	wantBodies(t, ds, "1", "2")
	if !ds[0].Redelivered || !ds[1].Redelivered {
		t.Fatal("not marked as redelivered")
	}
}

func TestASharedSubscriptionEndsWithItsLastConsumer(t *testing.T) {
	r := newRig(t)
	c1, c2, p := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	k1 := c1.join("g", func(s *Subscription) { s.Window = 1 })
	k2 := c2.join("g", func(s *Subscription) { s.Window = 1 })
	k1.Close()
	p.send(news, "1", "2")
	c2.deliveries(1)
	k2.Close()
	if n := r.Stats(); n.Shared != 0 || n.Messages != 0 || n.MemoryUsed != 0 || len(r.topics.Routes("news").Subscribers) != 0 {
		t.Fatalf("left: %+v", n)
	}
	p.send(news, "missed")
	c1.join("g")
	p.send(news, "3")
	wantBodies(t, c1.deliveries(1), "3")
}

func TestASharedSubscriptionIsBounded(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits.Pending, o.Limits.Unsettled = 10, 1<<20 })
	c, p := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	k := c.join("g", func(s *Subscription) { s.Window = 1 })
	waits := 0
	for i := range 100 {
		if p.Publish(p.message(news, fmt.Sprint(i), func(e *message.Envelope) { e.Durable = false }), nil, 0) {
			waits++
		}
	}
	if waits == 0 {
		t.Fatal("the producer was never asked to wait")
	}
	c.deliveries(1)
	must(t, k.Settle(1, Accepted, nil, 0))
	wantBodies(t, c.deliveries(2), "0", "90")
	if sh := r.shares.all()[0]; sh.group.Dropped() != 89 {
		t.Fatalf("%d dropped", sh.group.Dropped())
	}
}

func TestASharedSubscriptionHasOneTopicAndSelector(t *testing.T) {
	r := newRig(t)
	c := connect(t, r.Broker, "me")
	c.join("g", func(s *Subscription) { s.Selector = "JMSPriority > 3" })
	for _, other := range []Subscription{
		{Destination: news, SharedName: "g", Global: true},
		{Destination: message.Topic("olds"), SharedName: "g", Global: true, Selector: "JMSPriority > 3"},
	} {
		_, err := c.Subscribe(other)
		wantCode(t, err, CodeInUse, "with another topic or selector")
	}
	// A client id's own one of that name is another subscription.
	c.subscribe(Subscription{Destination: message.Topic("olds"), SharedName: "g"})
}

func TestAWrongSharedSubscriptionIsRefused(t *testing.T) {
	r := newRig(t)
	c := connect(t, r.Broker, "me")
	for _, tt := range []struct {
		sub  Subscription
		code Code
		want string
	}{
		{Subscription{Destination: news, Shared: true}, CodeInvalid, "needs a name"},
		{Subscription{Destination: news, Global: true}, CodeInvalid, "needs a name"},
		{Subscription{Destination: news, Durable: "d", Global: true}, CodeInvalid, "independent of the client id"},
		{Subscription{Destination: news, Durable: "d", SharedName: "d"}, CodeInvalid, "it has one name"},
		{Subscription{Destination: a, SharedName: "s"}, CodeInvalid, "only a topic"},
		{Subscription{Destination: message.Topic("a,b"), SharedName: "s"}, CodeNotSupported, "several topics"},
		{Subscription{Destination: news, SharedName: "s", Global: true, NoLocal: true}, CodeNotSupported, "noLocal"},
	} {
		_, err := c.Subscribe(tt.sub)
		wantCode(t, err, tt.code, tt.want)
	}
	if n := r.Stats(); n.Shared != 0 || n.Durables != 0 {
		t.Fatalf("made all the same: %+v", n)
	}
}

func TestADurableSharedSubscriptionIsIndependentOfClientIDs(t *testing.T) {
	r := newRig(t)
	sub := Subscription{Destination: news, Durable: "d", Shared: true, Global: true, Window: 1}
	c1, c2 := connect(t, r.Broker, ""), connect(t, r.Broker, "two")
	c1.subscribe(sub)
	c2.subscribe(sub)
	p := connect(t, r.Broker, "")
	p.send(news, "1", "2", "3")
	c1.accept(c1.deliveries(1)[0])
	c2.accept(c2.deliveries(1)[0])
	r.restart()
	p, c1 = connect(t, r.Broker, ""), connect(t, r.Broker, "three")
	p.send(news, "4")
	c1.subscribe(Subscription{Destination: news, Durable: "d", Shared: true, Global: true})
	wantBodies(t, c1.deliveries(2), "3", "4")
	wantCode(t, p.DeleteShared("d"), CodeInUse, "active consumer")
	c1.Close()
	wantCode(t, p.DeleteDurable("d"), CodeNotFound, "none of that name")
	must(t, p.DeleteShared("d"))
	wantCode(t, p.DeleteShared("d"), CodeNotFound, "no shared one of that name")
}

func TestWhoMayReadATopicMayJoinASharedSubscriptionAndOnlyItsMakerRemovesIt(t *testing.T) {
	f := newFence(t, "topic://news read,write guest\ntopic://more.x read guest\n")
	sub := Subscription{Destination: news, Durable: "d", Shared: true, Global: true}
	guest, owner, other := f.as("guest", ""), f.as("owner", ""), f.as("other", "")
	owner.subscribe(sub).Close()
	guest.subscribe(sub).Close()
	_, err := other.Subscribe(sub)
	wantRefusal(t, "join without the right to read", err, CodeForbidden)
	changed := sub
	changed.Selector = "a = 1"
	_, err = guest.Subscribe(changed)
	wantRefusal(t, "change what another user made", err, CodeForbidden)
	wantRefusal(t, "remove what another user made", guest.DeleteShared("d"), CodeForbidden)
	_, err = guest.Subscribe(Subscription{Destination: message.Topic("more.*"), SharedName: "s", Global: true})
	wantRefusal(t, "share a pattern that is readable in part", err, CodeForbidden)
	must(t, owner.DeleteShared("d"))
	guest.subscribe(sub).Close()
	must(t, owner.DeleteShared("d")) // it has all rights to the topic
}

func TestRejectedMessagesOfASharedSubscriptionBecomeDeadLetters(t *testing.T) {
	r := newRig(t)
	c, p := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	c.join("g")
	p.send(news, "bad")
	w := make(waiter, 1)
	must(t, c.deliveries(1)[0].Consumer.Settle(1, Rejected, w, 0))
	must(t, <-w)
	c.subscribe(Subscription{Destination: DeadLetterQueue})
	wantBodies(t, c.deliveries(2), "bad", "bad")
}

func TestSharedSubscriptionsAreListed(t *testing.T) {
	r := newRig(t)
	c := connect(t, r.Broker, "me")
	c.join("g")
	connect(t, r.Broker, "").join("g")
	got, err := r.Subscriptions(List{}, false)
	must(t, err)
	if len(got.Items) != 1 || got.Items[0].Name != "g" || !got.Items[0].Shared || got.Items[0].Durable || got.Items[0].Consumers != 2 {
		t.Fatalf("%+v", got.Items)
	}
}
