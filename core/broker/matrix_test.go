package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

// The matrix: every way to reach a message or to change something, with the
// permission that it needs and without. Without, nothing arrives and nothing
// changes, whatever else the user may do.

const secretBody = "secret"

// readWay is a way to receive.
type readWay struct {
	name   string
	grants string // lines that allow it
	sub    Subscription
	// silent says that a pattern is allowed in part: nothing of the rest
	// arrives, and no error says so.
	silent bool
}

func readWays() []readWay {
	q, t := message.Queue("secret.q"), message.Topic("secret.t")
	composite := func(name string) message.Destination { return message.Queue(name) }
	return []readWay{
		{name: "queue", grants: "queue://secret.q read guest", sub: Subscription{Destination: q}},
		{name: "queue by group", grants: "queue://secret.* read @guests", sub: Subscription{Destination: q}},
		{name: "browse", grants: "queue://secret.q read guest", sub: Subscription{Destination: q, Browse: true}},
		{name: "exclusive", grants: "queue://secret.q read guest", sub: Subscription{Destination: q, Exclusive: true}},
		{name: "topic", grants: "topic://secret.t read guest", sub: Subscription{Destination: t}},
		{name: "retained", grants: "topic://secret.t read guest", sub: Subscription{Destination: t, Retroactive: true}},
		{name: "retained by a pattern", grants: "topic://secret.t read guest", sub: Subscription{Destination: message.Topic("secret.>"), Retroactive: true}},
		{name: "retained by every pattern", grants: "topic://secret.t read guest", sub: Subscription{Destination: message.Topic(">"), Retroactive: true}, silent: true},
		{name: "durable", grants: "topic://secret.t read guest", sub: Subscription{Destination: t, Durable: "d"}},
		{name: "shared durable", grants: "topic://secret.t read guest", sub: Subscription{Destination: t, Durable: "d", Shared: true}},
		{name: "durable to a pattern", grants: "topic://secret.> read guest", sub: Subscription{Destination: message.Topic("secret.>"), Durable: "d"}},
		{name: "topics by a pattern", grants: "topic://secret.t read guest", sub: Subscription{Destination: message.Topic("secret.*")}},
		{name: "every topic", grants: "topic://secret.t read guest", sub: Subscription{Destination: message.Topic(">")}, silent: true},
		{name: "queues by a pattern", grants: "queue://secret.q read guest", sub: Subscription{Destination: message.Queue("secret.*")}},
		{name: "browse by a pattern", grants: "queue://secret.q read guest", sub: Subscription{Destination: message.Queue("*.q"), Browse: true}, silent: true},
		{name: "every queue", grants: "queue://secret.q read guest", sub: Subscription{Destination: message.Queue(">")}, silent: true},
		{name: "composite of queues", grants: "queue://secret.q read guest", sub: Subscription{Destination: composite("open.x,secret.q")}},
		{name: "composite of kinds", grants: "topic://secret.t read guest", sub: Subscription{Destination: composite("open.x,topic://secret.t")}},
		{name: "composite with a pattern", grants: "queue://secret.q read guest", sub: Subscription{Destination: composite("open.x,secret.>")}},
		{name: "dead letters", grants: "queue://ActiveMQ.DLQ read guest", sub: Subscription{Destination: DeadLetterQueue}},
		{name: "virtual topic's queue", grants: "queue://Consumer.g.VirtualTopic.s read guest", sub: Subscription{Destination: message.Queue("Consumer.g.VirtualTopic.s")}},
	}
}

// fill makes every kind of secret there is, before or after somebody
// subscribed.
func (f *fence) fill(o *client) {
	f.t.Helper()
	for _, durable := range []bool{true, false} {
		for _, d := range []message.Destination{
			message.Queue("secret.q"), message.Topic("secret.t"), message.Topic("VirtualTopic.s"), message.Queue("secret.q,topic://secret.t"),
		} {
			if err := o.try(o.message(d, secretBody, func(e *message.Envelope) { e.Durable = durable })); err != nil {
				f.t.Fatal(err)
			}
		}
	}
	if err := o.try(o.message(message.Topic("secret.t"), secretBody, func(e *message.Envelope) { e.Retain = true })); err != nil {
		f.t.Fatal(err)
	}
	f.deadLetter(o)
}

// deadLetter makes a dead letter.
func (f *fence) deadLetter(o *client) {
	f.t.Helper()
	d := message.Queue("owner.rejects")
	o.send(d, secretBody)
	n := o.count()
	k := o.subscribe(Subscription{Destination: d})
	w := make(waiter, 1)
	if err := k.Settle(o.deliveries(n + 1)[n].Tag, Rejected, w, 0); err != nil {
		f.t.Fatal(err)
	}
	if err := <-w; err != nil {
		f.t.Fatal(err)
	}
	k.Close()
}

func TestMatrixOfReading(t *testing.T) {
	for _, way := range readWays() {
		for _, allowed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, allowed %v", way.name, allowed), func(t *testing.T) {
				f := newFence(t, "queue://secret.> write guest\ntopic://secret.> write,create guest\nqueue://ActiveMQ.DLQ write guest\n"+
					"queue://Consumer.> write guest\nqueue://unrelated.> all guest\ntopic://unrelated.> all guest")
				if allowed {
					f.sendGrants(way.grants)
				}
				o := f.as("owner", "")
				o.subscribe(Subscription{Destination: message.Queue("Consumer.g.VirtualTopic.s"), Window: 1}).Close()
				f.fill(o)
				g := f.as("guest", "g")
				before := f.Stats()
				sub := way.sub
				sub.Window = 100
				_, err := g.Subscribe(sub)
				if want := allowed || way.silent; (err == nil) != want {
					t.Fatalf("subscribe: %v", err)
				}
				if err != nil {
					wantRefusal(t, "subscribe", err, CodeForbidden)
					after := f.Stats()
					if after.Queues != before.Queues || after.Durables != before.Durables || after.Consumers != before.Consumers {
						t.Errorf("a refused subscription changed the broker: %+v, then %+v", before, after)
					}
				}
				f.fill(o)
				if allowed {
					eventually(t, "a secret", func() bool { return g.secrets() > 0 })
					return
				}
				f.marker(o, g)
				if n := g.secrets(); n != 0 {
					t.Errorf("%d secrets arrived", n)
				}
			})
		}
	}
}

// sendGrants adds lines to what guest may do.
func (f *fence) sendGrants(lines string) { f.grant(lines + "\nqueue://secret.> write guest") }

func (c *client) secrets() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.got {
		if d.Message != nil && strings.HasPrefix(string(d.Message.Payload()), secretBody) {
			n++
		}
	}
	return n
}

// marker has something pass that g may see, after everything else.
func (f *fence) marker(o, g *client) {
	f.t.Helper()
	d := message.Queue("open.marker")
	g.subscribe(Subscription{Destination: d})
	f.settled(o)
	o.send(d, "marker")
	eventually(f.t, "the marker", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, d := range g.got {
			if d.Message != nil && string(d.Message.Payload()) == "marker" {
				return true
			}
		}
		return false
	})
}

func TestTemporaryDestinationsAreReadByTheirConnectionOnly(t *testing.T) {
	for _, secured := range []bool{true, false} {
		for _, kind := range []message.Kind{message.KindTempQueue, message.KindTempTopic} {
			t.Run(fmt.Sprintf("%s, security %v", kind, secured), func(t *testing.T) {
				// All there is to grant does not open another's.
				f := newFence(t, "temp://> all guest\nqueue://> all guest\ntopic://> all guest")
				if !secured {
					f.rig = newRig(t)
				}
				o, g := f.as("owner", ""), f.as("guest", "")
				d, err := o.CreateTemp(kind)
				if err != nil {
					t.Fatal(err)
				}
				o.subscribe(Subscription{Destination: d})
				plain := message.Queue
				if kind.IsTopic() {
					plain = message.Topic
				}
				for _, sub := range []Subscription{
					{Destination: d},
					{Destination: message.Queue("open.x," + d.String())},
					{Destination: message.Destination{Kind: kind, Name: d.Name + ",open.x"}},
				} {
					_, err := g.Subscribe(sub)
					wantRefusal(t, sub.Destination.String(), err, CodeForbidden)
				}
				if kind.IsQueue() {
					_, err := g.Subscribe(Subscription{Destination: d, Browse: true})
					wantRefusal(t, "browse", err, CodeForbidden)
				}
				for _, name := range []string{">", "*", d.Name} {
					g.subscribe(Subscription{Destination: plain(name)})
				}
				if err := g.try(g.message(plain(d.Name), "to the plain name")); err != nil {
					t.Fatal(err)
				}
				if err := g.try(g.message(d, secretBody)); err != nil {
					t.Fatal(err)
				}
				wantBodies(t, o.deliveries(1), secretBody)
				f.marker(o, g)
				if n := g.secrets(); n != 0 {
					t.Errorf("%d secrets arrived", n)
				}
				if g.DeleteTemp(d) == nil {
					t.Error("another connection deleted it")
				}
			})
		}
	}
}

// writeWay is a way to change something.
type writeWay struct {
	name   string
	grants string
	do     func(f *fence, g *client) error
}

func writeWays() []writeWay {
	send := func(d message.Destination, edit ...func(*message.Envelope)) func(*fence, *client) error {
		return func(_ *fence, g *client) error { return g.try(g.message(d, "w", edit...)) }
	}
	subscribe := func(sub Subscription) func(*fence, *client) error {
		return func(_ *fence, g *client) error {
			sub.Window = 1
			_, err := g.Subscribe(sub)
			return err
		}
	}
	transient := func(e *message.Envelope) { e.Durable = false }
	retain := func(e *message.Envelope) { e.Retain = true }
	inTransaction := func(d message.Destination) func(*fence, *client) error {
		return func(_ *fence, g *client) error {
			tx := g.Begin()
			defer tx.Rollback()
			if err := tx.Publish(g.message(message.Queue("open.x"), "w")); err != nil {
				return err
			}
			if err := tx.Publish(g.message(d, "w")); err != nil {
				return err
			}
			w := make(waiter, 1)
			tx.Commit(w, 0)
			return <-w
		}
	}
	q, t, fresh := message.Queue("there.q"), message.Topic("there.t"), message.Queue("fresh.q")
	return []writeWay{
		{"send", "queue://there.q write guest", send(q)},
		{"send transient", "queue://there.q write guest", send(q, transient)},
		{"send to a topic", "topic://there.t write guest", send(t)},
		{"send transient to a topic", "topic://there.t write guest", send(t, transient)},
		{"retain", "topic://there.t write guest", send(t, retain)},
		{"send to a composite", "queue://there.q write guest", send(message.Queue("open.x,there.q"))},
		{"send to a composite of kinds", "topic://there.t write guest", send(message.Queue("open.x,topic://there.t"))},
		{"send in a transaction", "queue://there.q write guest", inTransaction(q)},
		{"send to a composite in a transaction", "topic://there.t write guest", inTransaction(message.Queue("open.x,topic://there.t"))},
		{"create by sending", "queue://fresh.q write,create guest", send(fresh)},
		{"create by sending transient", "queue://fresh.q write,admin guest", send(fresh, transient)},
		{"create by sending in a transaction", "queue://fresh.q write,create guest", inTransaction(fresh)},
		{"create by subscribing", "queue://fresh.q read,create guest", subscribe(Subscription{Destination: fresh})},
		{"create by browsing", "queue://fresh.q read,create guest", subscribe(Subscription{Destination: fresh, Browse: true})},
		{"create by a composite", "queue://fresh.q read,create guest", subscribe(Subscription{Destination: message.Queue("fresh.z,fresh.q,fresh.y")})},
		{"create a durable subscription", "topic://there.t read guest", subscribe(Subscription{Destination: t, Durable: "new"})},
		{"send to the dead letters", "queue://ActiveMQ.DLQ write,create guest", send(DeadLetterQueue)},
		{"make a temporary queue", "temp://> create guest", func(_ *fence, g *client) error { _, err := g.CreateTemp(message.KindTempQueue); return err }},
		{"make a temporary topic", "temp://> create guest", func(_ *fence, g *client) error { _, err := g.CreateTemp(message.KindTempTopic); return err }},
		{"answer to another's temporary queue", "temp://> write guest", func(f *fence, g *client) error {
			return g.try(g.message(f.reply, "w"))
		}},
	}
}

func TestMatrixOfWriting(t *testing.T) {
	// Rights that don't help: to read where writing is asked for, to write
	// without creating, and the other way round.
	almost := []string{"", "queue://> read guest\ntopic://> write,create other", "queue://fresh.> read,write guest", "queue://fresh.> create guest"}
	for _, way := range writeWays() {
		t.Run(way.name+", allowed", func(t *testing.T) {
			f, o, g := wall(t, way.grants+"\nqueue://fresh.> read,create guest")
			before := f.state()
			if err := way.do(f, g); err != nil {
				t.Fatal(err)
			}
			f.settled(g)
			if strings.Contains(way.name, "send") && f.state() == before && o.count() == 0 {
				t.Error("nothing has changed")
			}
		})
		for i, grants := range almost {
			t.Run(fmt.Sprintf("%s, denied %d", way.name, i), func(t *testing.T) {
				f, o, g := wall(t, grants)
				before := f.state()
				wantRefusal(t, way.name, way.do(f, g), CodeForbidden)
				f.settled(g)
				if after := f.state(); after != before || o.count() != 0 {
					t.Errorf("%s, then %s; %d deliveries", before, after, o.count())
				}
			})
		}
	}
}

// wall is a broker where there.q and there.t exist, with an owner that
// listens and a guest.
func wall(t *testing.T, grants string) (f *fence, o, g *client) {
	t.Helper()
	f = newFence(t, grants)
	o, g = f.as("owner", "o"), f.as("guest", "g")
	for _, d := range []message.Destination{message.Queue("there.q"), message.Topic("there.t")} {
		o.subscribe(Subscription{Destination: d})
	}
	var err error
	if f.reply, err = o.CreateTemp(message.KindTempQueue); err != nil {
		t.Fatal(err)
	}
	o.send(message.Queue("open.x"))
	f.ensure(message.Queue("open.x"))
	f.settled(o)
	return f, o, g
}

// state is what a refused operation must not change.
func (f *fence) state() string {
	s := f.Stats()
	messages, bytes := f.retained.count()
	return fmt.Sprintf("%d queues, %d durables, %d consumers, %d messages, %d enqueued, %d retained with %d bytes, temp %d",
		s.Queues, s.Durables, s.Consumers, s.Messages, s.Enqueued, messages, bytes, f.temps())
}

func (f *fence) temps() (n int) {
	f.queues.mu.RLock()
	defer f.queues.mu.RUnlock()
	for d := range f.queues.byName {
		if d.Kind.IsTemp() {
			n++
		}
	}
	return n
}

func TestDenialsAreCountedAndKnowWhoAndWhat(t *testing.T) {
	f := newFence(t, "")
	g := f.as("guest", "")
	err := g.try(g.message(message.Queue("secret"), "x"))
	want := `send to queue://secret: user "guest" has no write permission for queue://secret`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if s := f.Stats(); s.Denied != 1 {
		t.Errorf("%d denials were counted", s.Denied)
	}
}

// What a session remembers of its rights is bounded: clients make up names.
func TestDecisionsDoNotFillTheMemory(t *testing.T) {
	f := newFence(t, "queue://q.> read guest")
	g := f.as("guest", "")
	for i := range 3 * maxDecisions {
		_ = g.try(g.message(message.Queue(fmt.Sprintf("q.%d", i)), "x"))
	}
	g.rights.mu.RLock()
	defer g.rights.mu.RUnlock()
	if n := len(g.rights.known); n > maxDecisions {
		t.Errorf("%d decisions, the limit is %d", n, maxDecisions)
	}
}

func TestDurableSubscriptionsOfTheFirstFormatHaveNoOwner(t *testing.T) {
	spec := durableSpec{ClientID: "c", Name: "n", Pattern: "p", Selector: "s", Shared: true}
	b := spec.encode()
	b = b[:len(b)-1] // the owner's length
	b[0] = 1
	if got, err := parseDurable(b); err != nil || got != spec {
		t.Errorf("got %+v, %v", got, err)
	}
	spec.Owner = "alice"
	if got, err := parseDurable(spec.encode()); err != nil || got != spec {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, v := range []byte{0, specVersion + 1} {
		b[0] = v
		if _, err := parseDurable(b); err == nil {
			t.Errorf("version %d was taken", v)
		}
	}
}
