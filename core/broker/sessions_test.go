package broker

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

func TestAClientIDIsHadOnce(t *testing.T) {
	r := newRig(t)
	first := connect(t, r.Broker, "me")
	_, err := r.Connect(ConnectRequest{ClientID: "me", Sink: first})
	wantCode(t, err, CodeExists, `"me" is connected already`)
	first.Close()
	connect(t, r.Broker, "me").Close()
	if st := r.Stats(); st.Sessions != 0 || len(r.clients) != 0 {
		t.Fatalf("%d sessions, %d client ids are left", st.Sessions, len(r.clients))
	}
}

func TestTakeOverEndsTheOlderSessionFirst(t *testing.T) {
	r := newRig(t)
	old := connect(t, r.Broker, "me")
	topic := message.Topic("t")
	old.subscribe(Subscription{Destination: topic, Durable: "d"})
	tx := old.Begin()
	must(t, tx.Publish(old.message(a, "never")))
	p := connect(t, r.Broker, "")
	p.send(topic, "1")
	must(t, tx.Settle(old.deliveries(1)[0].Consumer, 1, Accepted))

	c := &client{t: t}
	s, err := r.Connect(ConnectRequest{ClientID: "me", TakeOver: true, Sink: c})
	must(t, err)
	c.Session = s
	wantCode(t, old.ended, CodeInUse, "connected from")
	c.subscribe(Subscription{Destination: topic, Durable: "d"}) // not in use any more
	if d := c.deliveries(1)[0]; !d.Redelivered {
		t.Fatal("what the older session had settled in its transaction is not redelivered")
	}
	wantCode(t, tx.Publish(old.message(a, "late")), CodeState, "already")
	old.Close()
	if _, err := r.Connect(ConnectRequest{ClientID: "me", Sink: c}); CodeOf(err) != CodeExists {
		t.Fatalf("the older session's end freed the id: %v", err)
	}
}

// Ending a session from outside raced with its reader's use of a transaction.
func TestASessionIsEndedWhileItsReaderUsesATransaction(t *testing.T) {
	r := newRig(t)
	p := connect(t, r.Broker, "")
	for range 30 {
		old := connect(t, r.Broker, "me")
		k := old.subscribe(Subscription{Destination: a, Window: 20})
		p.send(a, "1", "2", "3")
		old.deliveries(3)
		var both sync.WaitGroup
		both.Go(func() {
			tx := old.Begin()
			for tag := range uint64(3) {
				_ = tx.Settle(k, tag+1, Accepted)
				_ = tx.Publish(old.message(a, "x"))
			}
			tx.Commit(nil, 0)
			_, _ = old.CreateTemp(message.KindTempQueue)
			_, _ = old.Subscribe(Subscription{Destination: a, Window: 1})
		})
		both.Go(old.Close)
		both.Wait()
		drain := connect(t, r.Broker, "")
		drain.subscribe(Subscription{Destination: a, Window: 100})
		ds := drain.deliveries(3)
		w := make(waiter, 1)
		must(t, ds[0].Consumer.SettleThrough(3, Accepted, w, 0))
		must(t, <-w)
		drain.Close()
	}
	if st := r.Stats(); st.Messages != 0 || st.Consumers != 0 || st.Queues != 1 {
		t.Fatalf("left: %+v", st)
	}
}

func TestADurableSubscriptionIsServedToOneConsumer(t *testing.T) {
	r := newRig(t)
	s := connect(t, r.Broker, "me")
	sub := Subscription{Destination: message.Topic("t"), Durable: "d", Window: 1}
	k := s.subscribe(sub)
	_, err := s.Subscribe(sub)
	wantCode(t, err, CodeInUse, "active consumer")
	other := sub
	other.Destination = message.Topic("u")
	_, err = s.Subscribe(other)
	wantCode(t, err, CodeInUse, "in use with another topic")
	wantCode(t, s.DeleteDurable("d"), CodeInUse, "active consumer")
	wantCode(t, s.DeleteDurable("e"), CodeNotFound, "none of that name")
	k.Close()
	s.subscribe(other).Close()
	if b := r.topics.Routes("t").Bindings; len(b) != 0 {
		t.Fatal("it is still bound to the topic that it had before")
	}
	must(t, s.DeleteDurable("d"))
	if st := r.Stats(); st.Durables != 0 {
		t.Fatalf("%d durable subscriptions", st.Durables)
	}
}

func TestASharedDurableSubscriptionIsServedToSeveral(t *testing.T) {
	r := newRig(t)
	s := connect(t, r.Broker, "me")
	sub := Subscription{Destination: message.Topic("t"), Durable: "d", Shared: true, Window: 1}
	k1, k2 := s.subscribe(sub), s.subscribe(sub)
	connect(t, r.Broker, "").send(message.Topic("t"), "1", "2")
	s.deliveries(2)
	if k1.Unsettled() != 1 || k2.Unsettled() != 1 {
		t.Fatalf("%d and %d", k1.Unsettled(), k2.Unsettled())
	}
}

// The publisher was noted only while a consumer that wants none of its own
// messages was there.
func TestADurableSubscriptionLeavesOutItsOwnersMessagesWhileItIsAway(t *testing.T) {
	r := newRig(t)
	s := connect(t, r.Broker, "me")
	sub := Subscription{Destination: message.Topic("t"), Durable: "d", NoLocal: true}
	s.subscribe(sub).Close()
	for _, restart := range []bool{false, true} {
		if restart {
			r.restart()
			s = connect(t, r.Broker, "me")
		}
		w := make(waiter, 1)
		s.Publish(s.message(sub.Destination, "mine", func(e *message.Envelope) { e.Publisher = s.Publisher() }), w, 0)
		must(t, <-w)
	}
	connect(t, r.Broker, "").send(sub.Destination, "theirs")
	s.subscribe(sub)
	wantBodies(t, s.deliveries(1), "theirs")
}

func TestClosingASessionRollsItsTransactionsBack(t *testing.T) {
	r := newRig(t)
	p, c, other := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	k := c.subscribe(Subscription{Destination: a})
	p.send(a, "1", "2")
	c.deliveries(2)
	tx := c.Begin()
	must(t, tx.Settle(k, 2, Accepted))
	must(t, tx.Publish(c.message(a, "never")))
	c.Close()
	other.subscribe(Subscription{Destination: a})
	ds := other.deliveries(2)
	wantBodies(t, ds, "1", "2")
	if !ds[0].Redelivered || !ds[1].Redelivered || len(c.open) != 0 {
		t.Fatal("not marked as redelivered")
	}
}

func TestATransactionOfPersistentAndTransientMessages(t *testing.T) {
	r := newRig(t)
	p, c, out := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	transient := func(e *message.Envelope) { e.Durable = false }
	k := c.subscribe(Subscription{Destination: a})
	for i := range 6 {
		p.Publish(p.message(a, strconv.Itoa(i), func(e *message.Envelope) { e.Durable = i%2 == 0 }), nil, 0)
	}
	c.deliveries(6)
	outcomes := []Outcome{Accepted, Accepted, Released, Released, Modified, Modified}
	run := func(finish func(*Transaction)) {
		tx := c.Begin()
		for i, o := range outcomes {
			must(t, tx.Settle(k, uint64(i+1), o))
		}
		must(t, tx.Publish(c.message(message.Queue("out"), "persistent")))
		must(t, tx.Publish(c.message(message.Queue("out"), "transient", transient)))
		finish(tx)
	}
	run(func(tx *Transaction) { tx.Rollback() })
	if st := r.Stats(); st.Messages != 6 || st.InFlight != 6 {
		t.Fatalf("after the rollback: %+v", st)
	}
	run(func(tx *Transaction) {
		w := make(waiter, 1)
		tx.Commit(w, 0)
		must(t, <-w)
	})
	again := bodies(c.deliveries(10)[6:])
	if strings.Join(again, "") != "2345" {
		t.Fatalf("came again: %v", again)
	}
	for _, d := range c.deliveries(10)[6:] {
		if want := string(d.Message.Payload()) >= "4"; d.Redelivered != want {
			t.Fatalf("%s redelivered: %v", d.Message.Payload(), d.Redelivered)
		}
	}
	out.subscribe(Subscription{Destination: message.Queue("out")})
	wantBodies(t, out.deliveries(2), "persistent", "transient")
}

func TestSessionsThatJoinHaveTheirClientIDTogether(t *testing.T) {
	r := newRig(t)
	joins := func(joins bool) (*Session, error) {
		return r.Connect(ConnectRequest{ClientID: "c", Joins: joins, Sink: &client{t: t}})
	}
	connected := func(j bool) *Session {
		t.Helper()
		s, err := joins(j)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	refused := func(j bool) {
		t.Helper()
		if _, err := joins(j); CodeOf(err) != CodeExists {
			t.Fatalf("got %v", err)
		}
	}
	a, b, c := connected(true), connected(true), connected(true)
	refused(false)
	a.Close()
	refused(false)
	c.Close()
	refused(false)
	d := connected(true)
	b.Close()
	refused(false)
	d.Close()
	if n := len(r.joined); n != 0 {
		t.Errorf("%d client ids are still had together", n)
	}
	e := connected(false)
	refused(true)
	e.Close()
	connected(true).Close()
}
