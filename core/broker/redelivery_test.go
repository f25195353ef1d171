package broker

import (
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/queue"
)

// withPolicy makes a rig with one entry for all queues and one for all topics.
func withPolicy(t *testing.T, apply func(*policy.Policy), edit ...func(*Options)) *rig {
	t.Helper()
	return newRig(t, append(edit, func(o *Options) {
		o.Policies = []policy.Entry{{Pattern: message.Queue(">"), Apply: apply}, {Pattern: message.Topic(">"), Apply: apply}}
	})...)
}

// settle settles and waits until the broker has confirmed.
func (c *client) settle(d Delivery, o Outcome) {
	c.t.Helper()
	w := make(waiter, 1)
	if err := d.Consumer.Settle(d.Tag, o, w, 0); err != nil {
		c.t.Fatal(err)
	}
	if err := <-w; err != nil {
		c.t.Fatal(err)
	}
}

// clock is a time that tests move.
func clock(ms int64) func() time.Time { return func() time.Time { return time.UnixMilli(ms) } }

func property(m *message.Message, name string) string {
	for _, a := range m.Annotations {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

func TestAMessageThatFailsTooOftenBecomesADeadLetter(t *testing.T) {
	for _, durable := range []bool{true, false} {
		r := withPolicy(t, func(p *policy.Policy) { p.Redelivery.Maximum, p.DeadLetter.NonPersistent = 2, true })
		c := connect(t, r.Broker, "")
		c.subscribe(Subscription{Destination: a})
		w := make(waiter, 1)
		c.Publish(c.message(a, "bad", func(e *message.Envelope) { e.Durable = durable }), w, 0)
		if err := <-w; err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			d := c.deliveries(i + 1)[i]
			if d.Redeliveries != uint32(i) || d.Redelivered != (i > 0) {
				t.Fatalf("delivery %d: %d redeliveries, %t", i, d.Redeliveries, d.Redelivered)
			}
			c.settle(d, Modified)
		}
		dlq := connect(t, r.Broker, "")
		dlq.subscribe(Subscription{Destination: DeadLetterQueue})
		m := dlq.deliveries(1)[0].Message
		if !m.Durable || m.Origin != a || property(m, DeadLetterCause) != queue.TooManyRedeliveries || property(m, DeadLetterCount) != "3" ||
			property(m, DeadLetterOrigin) != "queue://a" || property(m, DeadLetterTime) == "" {
			t.Errorf("dead letter: %+v", m.Envelope)
		}
		if got := property(m, DeadLetterDeliveryMode); (got == "NON_PERSISTENT") == durable {
			t.Errorf("delivery mode %q", got)
		}
	}
}

func TestAConsumerThatGoesAwayMakesNoDeadLetters(t *testing.T) {
	r := withPolicy(t, func(p *policy.Policy) { p.Redelivery.Maximum, p.Redelivery.Initial = 0, time.Hour })
	p := connect(t, r.Broker, "")
	p.send(a, "1")
	for i := range 3 {
		c := connect(t, r.Broker, "")
		c.subscribe(Subscription{Destination: a})
		if d := c.deliveries(1)[0]; d.Redeliveries != uint32(i) {
			t.Fatalf("%d redeliveries, want %d", d.Redeliveries, i)
		}
		c.Close()
	}
}

func TestADelayedMessageLetsOthersPass(t *testing.T) {
	for _, durable := range []bool{true, false} {
		r := withPolicy(t, func(p *policy.Policy) { p.Redelivery.Initial = 500 * time.Millisecond })
		c := connect(t, r.Broker, "")
		c.subscribe(Subscription{Destination: a, Window: 1})
		w := make(waiter, 3)
		for _, body := range []string{"1", "2", "3"} {
			c.Publish(c.message(a, body, func(e *message.Envelope) { e.Durable = durable }), w, 0)
			<-w
		}
		began := time.Now()
		c.settle(c.deliveries(1)[0], Modified)
		c.settle(c.deliveries(2)[1], Accepted)
		c.settle(c.deliveries(3)[2], Accepted)
		ds := c.deliveries(4)
		wantBodies(t, ds, "1", "2", "3", "1")
		if since := time.Since(began); since < 490*time.Millisecond {
			t.Errorf("it came back after %v", since)
		}
		if !ds[3].Redelivered || ds[3].Redeliveries != 1 {
			t.Errorf("%d redeliveries", ds[3].Redeliveries)
		}
	}
}

func TestADelayOutlivesTheBroker(t *testing.T) {
	for name, again := range map[string]func(*rig){
		"restart":      func(r *rig) { r.restart() },
		"two restarts": func(r *rig) { r.restart(); r.restart() },
		"kill":         func(r *rig) { r.kill(1) },
	} {
		t.Run(name, func(t *testing.T) {
			const start = 1_000_000
			r := withPolicy(t, func(p *policy.Policy) { p.Redelivery.Initial = time.Hour }, func(o *Options) { o.Now = clock(start) })
			c := connect(t, r.Broker, "")
			c.subscribe(Subscription{Destination: a})
			c.send(a, "1", "2")
			c.settle(c.deliveries(2)[0], Modified)
			c.Close()
			again(r)
			c = connect(t, r.Broker, "")
			c.subscribe(Subscription{Destination: a})
			wantBodies(t, c.deliveries(1), "2")
			if n := r.delays.waiting(); n != 1 {
				t.Fatalf("%d messages wait for their time", n)
			}
			c.Close()
			r.o.Now = clock(start + 3_600_000)
			again(r)
			c = connect(t, r.Broker, "")
			c.subscribe(Subscription{Destination: a})
			eventually(t, "both messages", func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				return len(c.got) == 2
			})
			for _, d := range c.deliveries(2) {
				if string(d.Message.Payload()) == "1" && d.Redeliveries == 0 {
					t.Error("the delayed message has lost its count")
				}
				c.accept(d)
			}
			again(r)
			eventually(t, "end of the delays", func() bool { return r.delays.waiting() == 0 })
			if s := r.Stats(); s.Messages != 0 || len(r.delays.stored) != 0 {
				t.Errorf("left: %d messages, %d delays", s.Messages, len(r.delays.stored))
			}
		})
	}
}

func TestAConsumerChoosesItsOwnDelay(t *testing.T) {
	r := withPolicy(t, func(p *policy.Policy) { p.Redelivery.Initial = time.Hour })
	c := connect(t, r.Broker, "")
	k := c.subscribe(Subscription{Destination: a})
	c.send(a, "1")
	for i, delay := range []int64{0, 5} {
		if err := k.Retry(c.deliveries(i + 1)[i].Tag, delay, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	c.deliveries(3)
	if err := k.Retry(99, 1, nil, 0); CodeOf(err) != CodeNotFound {
		t.Errorf("unknown delivery: %v", err)
	}
}

func TestFailuresInTransactionsFollowThePolicy(t *testing.T) {
	r := withPolicy(t, func(p *policy.Policy) { p.Redelivery.Maximum = 1 })
	c := connect(t, r.Broker, "")
	k := c.subscribe(Subscription{Destination: a})
	c.send(a, "1")
	for i := range 2 {
		d := c.deliveries(i + 1)[i]
		tx := c.Begin()
		if err := tx.Settle(k, d.Tag, Modified); err != nil {
			t.Fatal(err)
		}
		w := make(waiter, 1)
		tx.Commit(w, 0)
		if err := <-w; err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "dead letter", func() bool { return r.Stats().DeadLettered == 1 })
	same(t, r.texts(DeadLetterQueue.Name, 10), []string{"1"})
	same(t, r.texts("a", 10), nil)
}
