package broker

import (
	"slices"
	"sort"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

func TestAWildcardConsumerGetsQueuesThatAreMadeLater(t *testing.T) {
	r := newRig(t)
	p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	p.send(message.Queue("x.1"), "before")
	k := c.subscribe(Subscription{Destination: message.Queue("x.*")})
	p.send(message.Queue("x.2"), "persistent")
	c.deliveries(2) // a send is confirmed before it is delivered
	p.Publish(p.message(message.Queue("x.3"), "transient", func(e *message.Envelope) { e.Durable = false }), nil, 0)
	p.send(message.Queue("y"), "not this")
	p.send(message.Queue("x.4.5"), "nor this")
	wantBodies(t, c.deliveries(3), "before", "persistent", "transient")
	k.Close()
	p.send(message.Queue("x.6"), "after")
	if n := len(c.deliveries(3)); n != 3 || len(r.queues.patterns) != 0 {
		t.Fatalf("%d deliveries; %d patterns are left", n, len(r.queues.patterns))
	}
}

func TestACompositeSendReachesAllOrNone(t *testing.T) {
	r := newRig(t)
	p, q, s := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	q.subscribe(Subscription{Destination: message.Queue("c1")})
	s.subscribe(Subscription{Destination: message.Topic("c2")})
	p.send(message.Queue("c1,topic://c2,c3"), "to all")
	wantBodies(t, q.deliveries(1), "to all")
	wantBodies(t, s.deliveries(1), "to all")
	if ids := q.deliveries(1)[0].Message.ID; ids == s.deliveries(1)[0].Message.ID {
		t.Fatal("copies share their id")
	}
	w := make(waiter, 1)
	p.Publish(p.message(message.Queue("c1,c3,c.*"), "to none"), w, 0)
	if err := <-w; CodeOf(err) != CodeInvalid {
		t.Fatalf("sent: %v", err)
	}
	if st := r.Stats(); st.Messages != 2 {
		t.Fatalf("%d messages, want 2", st.Messages)
	}
}

func TestACompositeSubscriptionOfQueuesAndTopics(t *testing.T) {
	r := newRig(t)
	p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	k := c.subscribe(Subscription{Destination: message.Queue("c1,topic://c2,c3")})
	for i, d := range []message.Destination{message.Queue("c1"), message.Topic("c2"), message.Queue("c3"), message.Queue("c1")} {
		p.send(d, string(rune('1'+i)))
		c.deliveries(i + 1)
	}
	wantBodies(t, c.deliveries(4), "1", "2", "3", "4")
	w := make(waiter, 2)
	if err := k.Settle(3, Accepted, w, 0); err != nil {
		t.Fatal(err)
	}
	if err := k.SettleThrough(4, Accepted, w, 0); err != nil {
		t.Fatal(err)
	}
	<-w
	<-w
	if st := r.Stats(); st.Messages != 0 || k.Unsettled() != 0 {
		t.Fatalf("%d messages, %d unsettled", st.Messages, k.Unsettled())
	}
	k.Close()
	if n := len(r.topics.Routes("c2").Subscribers); n != 0 {
		t.Fatalf("%d subscribers are left", n)
	}
}

func TestBrowsingAPatternShowsItsQueuesAndEndsOnce(t *testing.T) {
	r := newRig(t)
	p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	p.send(message.Queue("x.1"), "1")
	p.send(message.Queue("x.2"), "2")
	c.subscribe(Subscription{Destination: message.Queue("x.*"), Browse: true})
	ds := c.deliveries(3)
	if got := bodiesOf(ds[:2]); !slices.Equal(got, []string{"1", "2"}) || !ds[2].BrowseEnd {
		t.Fatalf("got %v, end %v", got, ds[2].BrowseEnd)
	}
	p.send(message.Queue("x.3"), "3")
	none := connect(t, r.Broker, "")
	none.subscribe(Subscription{Destination: message.Queue("nothing.>"), Browse: true})
	if !none.deliveries(1)[0].BrowseEnd || len(c.deliveries(3)) != 3 {
		t.Fatal("browsing nothing does not end, or browsing goes on")
	}
}

func bodiesOf(ds []Delivery) []string {
	got := bodies(ds)
	sort.Strings(got)
	return got
}

func TestTemporaryDestinationsEndWithTheirSession(t *testing.T) {
	for _, kind := range []message.Kind{message.KindTempQueue, message.KindTempTopic} {
		for ending, end := range map[string]func(*client, message.Destination){
			"close":  func(c *client, _ message.Destination) { c.Close() },
			"delete": func(c *client, d message.Destination) { must(t, c.DeleteTemp(d)) },
		} {
			t.Run(kindName(kind)+" "+ending, func(t *testing.T) {
				r := newRig(t)
				p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
				d, err := c.CreateTemp(kind)
				must(t, err)
				c.subscribe(Subscription{Destination: d})
				p.send(d, "reply")
				wantBodies(t, c.deliveries(1), "reply")
				wantCode(t, p.DeleteTemp(d), CodeNotFound, "not a temporary destination of this connection")
				end(c, d)
				w := make(waiter, 1)
				p.Publish(p.message(d, "late"), w, 0)
				wantCode(t, <-w, CodeNotFound, "does not exist any more")
				_, err = p.Subscribe(Subscription{Destination: d})
				wantCode(t, err, CodeNotFound, "does not exist")
				if st := r.Stats(); st.Queues != 0 || st.MemoryUsed != 0 {
					t.Fatalf("left: %d queues, %d bytes", st.Queues, st.MemoryUsed)
				}
			})
		}
	}
}

func kindName(k message.Kind) string {
	if k.IsQueue() {
		return "queue"
	}
	return "topic"
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
