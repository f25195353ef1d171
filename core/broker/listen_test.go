package broker

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
)

// policyFor adds an entry of destinationPolicy.
func policyFor(d message.Destination, apply func(*policy.Policy)) func(*Options) {
	return func(o *Options) { o.Policies = append(o.Policies, policy.Entry{Pattern: d, Apply: apply}) }
}

var everyTopic = message.Topic(">")

// flood publishes numbered messages to news.
func (c *client) flood(n int) {
	for i := range n {
		c.Publish(c.message(news, fmt.Sprint(i), func(e *message.Envelope) { e.Durable = false }), nil, 0)
	}
}

func TestTheLimitOfWaitingMessagesIsThePolicys(t *testing.T) {
	for _, tt := range []struct {
		name    string
		pending policy.Pending
		limit   int // the consumer's own
		want    string
	}{
		{"constant", policy.Pending{Limit: 5}, 0, "95"},
		{"none waits", policy.Pending{Limit: 0}, 0, "100"},
		{"part of the prefetch", policy.Pending{Multiplier: 2.5}, 0, "95"},
		{"unbounded", policy.Pending{Limit: policy.Unbounded}, 0, "2"},
		{"the consumer's own", policy.Pending{Limit: 5}, 10, "90"},
	} {
		r := newRig(t, policyFor(everyTopic, func(p *policy.Policy) { p.Pending = tt.pending }))
		c, p := connect(t, r.Broker, ""), connect(t, r.Broker, "")
		k := c.subscribe(Subscription{Destination: news, Window: 2, PendingLimit: tt.limit})
		p.flood(100)
		c.deliveries(2)
		must(t, k.Settle(1, Accepted, nil, 0))
		if tt.want == "100" {
			p.send(news, "100")
		}
		wantBodies(t, c.deliveries(3), "0", "1", tt.want)
	}
}

func TestASlowConsumerOfSharesAndPricesGetsTheLatest(t *testing.T) {
	r := newRig(t, policyFor(everyTopic, func(p *policy.Policy) {
		p.Pending = policy.Pending{Limit: 2, Evict: policy.EvictSame, Property: "symbol"}
	}))
	c, p := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	k := c.subscribe(Subscription{Destination: news, Window: 1})
	for i := range 10 {
		p.sendWith(news, false, fmt.Sprint(i), message.Property{Name: "symbol", Value: message.StringValue([]string{"A", "B"}[i%2])})
	}
	c.deliveries(1)
	must(t, k.Settle(1, Accepted, nil, 0))
	must(t, c.deliveries(2)[1].Consumer.Settle(2, Accepted, nil, 0))
	ds := c.deliveries(3)
	for i, want := range []string{"8", "9"} {
		v, err := ds[i+1].Message.View(r.o.Converters)
		must(t, err)
		if v.Body.Text() != want {
			t.Fatalf("got %q, want %q", v.Body.Text(), want)
		}
	}
}

func TestARetroactiveConsumerGetsWhatItsTopicKeeps(t *testing.T) {
	for _, tt := range []struct {
		name     string
		recovery policy.Recovery
		want     []string
	}{
		{"nothing", policy.Recovery{}, nil},
		{"lastImage", policy.Recovery{Keep: policy.KeepLast}, []string{"4"}},
		{"fixedCount", policy.Recovery{Keep: policy.KeepCount, Messages: 3}, []string{"2", "3", "4"}},
		{"fixedSized", policy.Recovery{Keep: policy.KeepSize, Bytes: 1 << 20}, []string{"0", "1", "2", "3", "4"}},
		{"timed", policy.Recovery{Keep: policy.KeepTime, Duration: time.Hour}, []string{"0", "1", "2", "3", "4"}},
		{"always", policy.Recovery{Keep: policy.KeepLast, Always: true}, []string{"4"}},
	} {
		r := newRig(t, policyFor(everyTopic, func(p *policy.Policy) { p.Recovery = tt.recovery }))
		c, p := connect(t, r.Broker, ""), connect(t, r.Broker, "")
		for i := range 5 {
			p.Publish(p.message(news, fmt.Sprint(i), func(e *message.Envelope) { e.Durable = i%2 == 0 }), nil, 0)
		}
		p.send(message.Topic("olds"), "other")
		if !tt.recovery.Always {
			c.subscribe(Subscription{Destination: news})
			c.deliveries(0)
		}
		c.subscribe(Subscription{Destination: news, Retroactive: !tt.recovery.Always})
		wantBodies(t, c.deliveries(len(tt.want)), tt.want...)
	}
}

func TestRecoveryHonoursSelectorsAndExpiry(t *testing.T) {
	start := time.Now()
	var later atomic.Int64
	r := newRig(t, policyFor(everyTopic, func(p *policy.Policy) { p.Recovery = policy.Recovery{Keep: policy.KeepCount, Messages: 10} }),
		func(o *Options) { o.Now = func() time.Time { return start.Add(time.Duration(later.Load())) } })
	c, p := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	for i := range 6 {
		p.Publish(p.message(news, fmt.Sprint(i), func(e *message.Envelope) {
			e.Durable, e.Priority = false, uint8(i)
			if i == 5 {
				e.Expiry = start.UnixMilli() + 10
			}
		}), nil, 0)
	}
	later.Store(int64(time.Second))
	c.subscribe(Subscription{Destination: message.Topic("*"), Retroactive: true, Selector: "JMSPriority > 2"})
	wantBodies(t, c.deliveries(2), "3", "4")
}

func TestASlowConsumerIsEndedAfterATime(t *testing.T) {
	slow := policy.Slow{Abort: policy.AbortSlow, Check: time.Hour, Duration: time.Minute}
	r := newRig(t,
		policyFor(everyTopic, func(p *policy.Policy) { p.Slow = slow }),
		policyFor(message.Queue(">"), func(p *policy.Policy) { p.Slow = slow; p.Slow.Connection = true }))
	p := connect(t, r.Broker, "")
	stuck, brisk, busy, idle := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
	stuck.subscribe(Subscription{Destination: news, Window: 1})
	k := brisk.subscribe(Subscription{Destination: news, Window: 1000})
	for i := range 20 {
		p.send(a, fmt.Sprint(i))
	}
	q := busy.subscribe(Subscription{Destination: a, Window: 1})
	idle.subscribe(Subscription{Destination: message.Queue("empty"), Window: 1})
	start := time.Now()
	for minute := range 3 {
		p.flood(600)
		brisk.deliveries(600 * (minute + 1))
		must(t, k.SettleThrough(uint64(600*(minute+1)), Accepted, nil, 0))
		busy.deliveries(minute + 1)
		must(t, q.Settle(uint64(minute+1), Accepted, nil, 0))
		busy.deliveries(minute + 2)
		r.slowness.check(start.Add(time.Duration(minute) * time.Minute))
	}
	wantCode(t, stuck.closedWith(), CodeLimit, "the consumer of topic://news is too slow: it has been slow for 1m0s")
	for _, c := range []*client{brisk, busy, idle} {
		if err := c.closedWith(); err != nil {
			t.Fatalf("ended: %v", err)
		}
	}
	// Now the queue's consumer does nothing any more.
	r.slowness.check(start.Add(4 * time.Minute))
	r.slowness.check(start.Add(5 * time.Minute))
	wantCode(t, busy.closedWith(), CodeLimit, "is too slow")
	if n := r.Stats().Aborted; n != 2 || len(r.slowness.known) != 2 {
		t.Fatalf("%d aborted, %d known", n, len(r.slowness.known))
	}
}

func TestAConsumerIsEndedThatBecomesSlowTooOften(t *testing.T) {
	r := newRig(t, policyFor(message.Queue(">"), func(p *policy.Policy) {
		p.Slow = policy.Slow{Abort: policy.AbortSlow, Check: time.Hour, Count: 2}
	}))
	c, p := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	k := c.subscribe(Subscription{Destination: a, Window: 1})
	p.send(a, "0", "1", "2", "3", "4", "5", "6")
	now := time.Now()
	check := func() {
		now = now.Add(time.Second)
		r.slowness.check(now)
	}
	for tag := range uint64(3) {
		if c.closedWith() != nil {
			t.Fatalf("ended after being slow %d times", tag)
		}
		check() // it did something, or is new
		check() // slow
		c.deliveries(int(tag) + 1)
		_ = k.Settle(tag+1, Accepted, nil, 0)
	}
	wantCode(t, c.closedWith(), CodeLimit, "became slow too often")
}

func TestAConsumerIsEndedThatAcknowledgesNothing(t *testing.T) {
	for _, idle := range []bool{false, true} {
		r := newRig(t, policyFor(message.Queue(">"), func(p *policy.Policy) {
			p.Slow = policy.Slow{Abort: policy.AbortSilent, Check: time.Millisecond, Silence: 20 * time.Millisecond, Idle: idle}
		}))
		silent, waiting, p := connect(t, r.Broker, ""), connect(t, r.Broker, ""), connect(t, r.Broker, "")
		waiting.subscribe(Subscription{Destination: message.Queue("empty")})
		silent.subscribe(Subscription{Destination: a})
		p.send(a, "1")
		eventually(t, "end", func() bool { return silent.closedWith() != nil })
		wantCode(t, silent.closedWith(), CodeLimit, "it has acknowledged nothing for")
		if idle {
			eventually(t, "end", func() bool { return waiting.closedWith() != nil })
		} else if waiting.closedWith() != nil {
			t.Fatal("an idle consumer was ended")
		}
	}
}
