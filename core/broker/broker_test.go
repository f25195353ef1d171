package broker

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// client is a connection without a protocol: it keeps what it is given.
type client struct {
	t *testing.T
	*Session
	mu     sync.Mutex
	got    []Delivery
	ended  error
	resume int
}

func (c *client) Deliver(d Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, d)
}

func (c *client) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resume++
}

func (c *client) Closed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = err
}

func connect(t *testing.T, b *Broker, id string) *client {
	t.Helper()
	c := &client{t: t}
	s, err := b.Connect(ConnectRequest{Protocol: "test", ClientID: id, Sink: c})
	if err != nil {
		t.Fatal(err)
	}
	c.Session = s
	return c
}

// deliveries waits for n deliveries and returns them.
func (c *client) deliveries(n int) []Delivery {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%d deliveries", n), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.got) >= n
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.got) != n {
		c.t.Fatalf("got %d deliveries, want %d", len(c.got), n)
	}
	return append([]Delivery(nil), c.got...)
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 30 s", what)
		}
		time.Sleep(200 * time.Microsecond)
	}
}

func (c *client) message(d message.Destination, body string, edit ...func(*message.Envelope)) *message.Message {
	e := message.Envelope{ID: c.NewID(), Destination: d, Durable: true, Priority: message.DefaultPriority, Timestamp: 1}
	for _, f := range edit {
		f(&e)
	}
	return message.New(&e, message.EncodingSTOMP, []byte(body))
}

// send publishes and waits until the broker has confirmed.
func (c *client) send(d message.Destination, bodies ...string) {
	c.t.Helper()
	w := make(waiter, len(bodies))
	for _, body := range bodies {
		c.Publish(c.message(d, body), w, 0)
	}
	for range bodies {
		if err := <-w; err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *client) subscribe(s Subscription) *Consumer {
	c.t.Helper()
	if s.Window == 0 {
		s.Window = 100
	}
	k, err := c.Subscribe(s)
	if err != nil {
		c.t.Fatal(err)
	}
	return k
}

// accept settles and waits until the broker has confirmed.
func (c *client) accept(d Delivery) {
	c.t.Helper()
	w := make(waiter, 1)
	if err := d.Consumer.Settle(d.Tag, Accepted, w, 0); err != nil {
		c.t.Fatal(err)
	}
	if err := <-w; err != nil {
		c.t.Fatal(err)
	}
}

func bodies(ds []Delivery) (out []string) {
	for _, d := range ds {
		out = append(out, string(d.Message.Payload()))
	}
	return out
}

func wantBodies(t *testing.T, ds []Delivery, want ...string) {
	t.Helper()
	if got := bodies(ds); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

// rig is a broker whose disk survives it.
type rig struct {
	t     *testing.T
	fs    *disk.Fake
	pages *pages.Memory
	o     Options
	*Broker
}

func newRig(t *testing.T, edit ...func(*Options)) *rig {
	t.Helper()
	r := newClosedRig(t)
	for _, f := range edit {
		f(&r.o)
	}
	r.open()
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return r
}

// newClosedRig returns a rig whose broker the test opens and closes.
func newClosedRig(t *testing.T) *rig {
	t.Helper()
	return &rig{t: t, fs: disk.NewFake(), pages: pages.NewMemory(), o: Options{Name: "test", Logger: slog.New(slog.DiscardHandler)}}
}

func (r *rig) open() {
	r.t.Helper()
	o := r.o
	o.Store.FS, o.Store.Pages = r.fs, r.pages
	b, err := Open(o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Broker = b
}

// restart closes the broker in order and opens it again.
func (r *rig) restart() {
	r.t.Helper()
	if err := r.Close(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	r.pages.Crash()
	r.open()
}

// kill loses what was not synced, and opens the broker again on the rest.
func (r *rig) kill(seed uint64) {
	r.t.Helper()
	// The disk stands still while the old broker's goroutines end: power fails
	// only when nobody writes any more.
	r.fs.HaltAfter(0)
	r.pages.Crash()
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.Close(gone)
	r.fs.Crash(seed)
	r.pages.Crash()
	r.open()
}

var a = message.Queue("a")

func TestQueueGivesEachMessageToOneConsumerInOrder(t *testing.T) {
	r := newRig(t)
	p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	c.subscribe(Subscription{Destination: a})
	p.send(a, "1", "2", "3")
	ds := c.deliveries(3)
	wantBodies(t, ds, "1", "2", "3")
	for _, d := range ds {
		c.accept(d)
	}
	eventually(t, "empty queue", func() bool { return r.Stats().Messages == 0 })
}

func TestPersistentMessagesSurviveARestart(t *testing.T) {
	for _, ending := range []string{"in order", "kill"} {
		t.Run(ending, func(t *testing.T) {
			r := newRig(t)
			p := connect(t, r.Broker, "")
			var want []string
			for i := range 500 {
				want = append(want, fmt.Sprintf("message %d", i))
			}
			p.send(a, want...)
			c := connect(t, r.Broker, "")
			c.subscribe(Subscription{Destination: a, Window: 1000})
			for _, d := range c.deliveries(500)[:137] {
				c.accept(d)
			}
			if ending == "kill" {
				r.kill(1)
			} else {
				r.restart()
			}
			c = connect(t, r.Broker, "")
			c.subscribe(Subscription{Destination: a, Window: 1000})
			wantBodies(t, c.deliveries(500-137), want[137:]...)
		})
	}
}

func TestUnsettledMessagesGoToAnotherConsumerMarkedAsRedelivered(t *testing.T) {
	r := newRig(t)
	p, c1, c2 := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	c1.subscribe(Subscription{Destination: a})
	p.send(a, "1", "2")
	c1.accept(c1.deliveries(2)[0])
	c1.Close()
	c2.subscribe(Subscription{Destination: a})
	d := c2.deliveries(1)[0]
	if string(d.Message.Payload()) != "2" || !d.Redelivered || d.Redeliveries != 1 {
		t.Fatalf("got %q redelivered %v %d", d.Message.Payload(), d.Redelivered, d.Redeliveries)
	}
}

func TestHigherPriorityGoesFirstAndDurableAndTransientKeepTheirOrder(t *testing.T) {
	r := newRig(t)
	p := connect(t, r.Broker, "")
	w := make(waiter, 10)
	for i, m := range []struct {
		priority uint8
		durable  bool
	}{{4, true}, {4, false}, {9, false}, {4, true}, {0, true}, {4, false}, {9, true}} {
		p.Publish(p.message(a, strconv.Itoa(i), func(e *message.Envelope) { e.Priority, e.Durable = m.priority, m.durable }), w, 0)
	}
	for range 7 {
		<-w
	}
	c := connect(t, r.Broker, "")
	c.subscribe(Subscription{Destination: a})
	wantBodies(t, c.deliveries(7), "2", "6", "0", "1", "3", "5", "4")
}

func TestRejectedPersistentMessageBecomesADeadLetter(t *testing.T) {
	r := newRig(t)
	p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	c.subscribe(Subscription{Destination: a})
	p.send(a, "bad")
	w := make(waiter, 1)
	if err := c.deliveries(1)[0].Consumer.Settle(1, Rejected, w, 0); err != nil {
		t.Fatal(err)
	}
	if err := <-w; err != nil {
		t.Fatal(err)
	}
	dlq := connect(t, r.Broker, "")
	dlq.subscribe(Subscription{Destination: DeadLetterQueue})
	m := dlq.deliveries(1)[0].Message
	if m.Origin != a || len(m.Annotations) != 4 || m.Annotations[0].Name != DeadLetterCause {
		t.Fatalf("dead letter: %+v", m.Envelope)
	}
	if s := r.Stats(); s.Messages != 1 || s.DeadLettered != 1 {
		t.Fatalf("stats: %+v", s)
	}
}

func TestExpiredMessageIsNotDelivered(t *testing.T) {
	r := newRig(t)
	p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	w := make(waiter, 2)
	p.Publish(p.message(a, "old", func(e *message.Envelope) { e.Expiry = r.NowMs() - 1 }), w, 0)
	p.Publish(p.message(a, "new"), w, 0)
	<-w
	<-w
	c.subscribe(Subscription{Destination: a})
	wantBodies(t, c.deliveries(1), "new")
	eventually(t, "expired message in the dead-letter queue", func() bool { return r.Stats().DeadLettered == 1 })
}

func TestDurableSubscriptionKeepsWhatCameWhileItsConsumerWasAway(t *testing.T) {
	r := newRig(t)
	topic := message.Topic("news.sport")
	c := connect(t, r.Broker, "me")
	sub := Subscription{Destination: message.Topic("news.>"), Durable: "d"}
	c.subscribe(sub)
	c.Close()
	p := connect(t, r.Broker, "")
	p.send(topic, "1", "2")
	r.restart()
	p = connect(t, r.Broker, "")
	p.send(topic, "3")
	c = connect(t, r.Broker, "me")
	k := c.subscribe(sub)
	wantBodies(t, c.deliveries(3), "1", "2", "3")
	if err := c.DeleteDurable("d"); CodeOf(err) != CodeInUse {
		t.Fatalf("delete while in use: %v", err)
	}
	k.Close()
	if err := c.DeleteDurable("d"); err != nil {
		t.Fatal(err)
	}
	if s := r.Stats(); s.Durables != 0 || s.Messages != 0 {
		t.Fatalf("after delete: %+v", s)
	}
}

func TestTransactionIsAllOrNothing(t *testing.T) {
	r := newRig(t)
	p := connect(t, r.Broker, "")
	c := connect(t, r.Broker, "")
	b := message.Queue("b")
	p.send(a, "in")
	k := c.subscribe(Subscription{Destination: a, Window: 1})
	c.deliveries(1)

	tx := c.Begin()
	if err := tx.Publish(c.message(b, "never")); err != nil {
		t.Fatal(err)
	}
	if err := tx.Settle(k, 1, Accepted); err != nil {
		t.Fatal(err)
	}
	tx.Rollback()

	tx = c.Begin()
	if err := tx.Publish(c.message(b, "out")); err != nil {
		t.Fatal(err)
	}
	if err := tx.SettleThrough(k, 1, Accepted); err != nil {
		t.Fatal(err)
	}
	w := make(waiter, 1)
	tx.Commit(w, 0)
	if err := <-w; err != nil {
		t.Fatal(err)
	}
	r.restart()
	c = connect(t, r.Broker, "")
	c.subscribe(Subscription{Destination: message.Queue(">")})
	wantBodies(t, c.deliveries(1), "out")
}

func TestBrowsingChangesNothing(t *testing.T) {
	r := newRig(t)
	p, br, c := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	p.send(a, "1", "2", "3")
	br.subscribe(Subscription{Destination: a, Browse: true, Window: 2})
	ds := br.deliveries(2)
	if err := ds[0].Consumer.SettleThrough(2, Accepted, nil, 0); err != nil {
		t.Fatal(err)
	}
	ds = br.deliveries(4)
	if !ds[3].BrowseEnd {
		t.Fatal("no end of browsing")
	}
	c.subscribe(Subscription{Destination: a})
	got := c.deliveries(3)
	wantBodies(t, got, "1", "2", "3")
	if got[0].Redelivered {
		t.Fatal("browsed messages are marked as redelivered")
	}
}

func TestTopicReachesEverySubscriberAndDropsForOneThatIsStuck(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Limits.Pending, o.Limits.Unsettled = 10, 16<<20 })
	p, c1, c2 := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	c1.subscribe(Subscription{Destination: message.Topic("t.*"), Window: 5000})
	k := c2.subscribe(Subscription{Destination: message.Topic("t.x"), Window: 1})
	waits := 0
	for i := range 2000 {
		m := p.message(message.Topic("t.x"), strconv.Itoa(i), func(e *message.Envelope) { e.Durable = false })
		if p.Publish(m, nil, 0) {
			waits++
		}
	}
	c1.deliveries(2000)
	if waits == 0 {
		t.Fatal("the producer was never asked to wait")
	}
	if err := k.Settle(1, Accepted, nil, 0); err != nil {
		t.Fatal(err)
	}
	ds := c2.deliveries(2)
	wantBodies(t, ds, "0", "1990")
	eventually(t, "resume", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.resume > 0 })
}

func TestSendIsConfirmedOnlyAfterTheSync(t *testing.T) {
	r := newRig(t)
	r.o.Durability = store.Synced
	p := connect(t, r.Broker, "")
	p.send(a, "x")
	if s := r.Stats().Store; s.Syncs == 0 {
		t.Fatalf("confirmed without a sync: %+v", s)
	}
}
