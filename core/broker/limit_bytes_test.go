package broker

import (
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
)

// kilo makes a message of nearly n KiB.
func (c *client) kilo(n int, edit ...func(*message.Envelope)) *message.Message {
	return c.message(a, strings.Repeat("x", n<<10-100), edit...)
}

func bytesLimit(n int64, o policy.Overflow) func(*policy.Policy) {
	return func(p *policy.Policy) { p.Limit = policy.Limit{Bytes: n, Overflow: o} }
}

func (c *client) sendOne(m *message.Message) error {
	w := make(waiter, 1)
	c.Publish(m, w, 0)
	return <-w
}

func TestAQueueFullOfBytesRejects(t *testing.T) {
	for _, edit := range []func(*message.Envelope){func(*message.Envelope) {}, nonPersistent} {
		r := withPolicy(t, bytesLimit(10<<10, policy.Reject))
		p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
		for range 3 {
			if err := p.sendOne(p.kilo(3, edit)); err != nil {
				t.Fatal(err)
			}
		}
		wantCode(t, p.sendOne(p.kilo(3, edit)), CodeFull, "send to queue://a: with this message it would hold more than 10240 bytes, which is its limit (maxBytes)")
		if err := p.sendOne(p.kilo(1, edit)); err != nil {
			t.Error(err)
		}
		c.subscribe(Subscription{Destination: a})
		c.settle(c.deliveries(4)[0], Accepted)
		if err := p.sendOne(p.kilo(3, edit)); err != nil {
			t.Error(err)
		}
	}
}

func TestAQueueFullOfBytesDropsAsManyAsItTakes(t *testing.T) {
	r := withPolicy(t, bytesLimit(10<<10, policy.DropOldest))
	p := connect(t, r.Broker, "")
	for _, n := range []int{3, 3, 3, 5} {
		if err := p.sendOne(p.kilo(n)); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.queues.get(a).Load(); n.Messages != 2 || n.Bytes > 10<<10 || len(r.limits.coming) != 0 {
		t.Errorf("%+v", n)
	}
	if err := p.sendOne(p.kilo(20)); err != nil { // nothing is left to make room
		t.Fatal(err)
	}
	if n := r.queues.get(a).Load(); n.Messages != 1 {
		t.Errorf("%+v", n)
	}
}

func TestAQueueFullOfBytesMakesItsProducersWait(t *testing.T) {
	r := withPolicy(t, bytesLimit(10<<10, policy.Block))
	p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	waits := false
	for range 4 {
		waits = p.Publish(p.kilo(3), nil, 0)
	}
	if !waits {
		t.Fatal("the producer may go on")
	}
	c.subscribe(Subscription{Destination: a})
	for _, d := range c.deliveries(4) {
		c.settle(d, Accepted)
	}
	eventually(t, "the producer is resumed", func() bool { return r.flow.waitingProducers() == 0 })
}

func TestTheBytesOfAQueueAreKnownAfterARestart(t *testing.T) {
	r := newRig(t)
	p := connect(t, r.Broker, "")
	for range 100 {
		if err := p.sendOne(p.kilo(2)); err != nil {
			t.Fatal(err)
		}
	}
	want := r.queues.get(a).Load()
	r.restart()
	if got := r.queues.get(a).Load(); got != want || want.Bytes < 190<<10 {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestPoliciesAreReplacedWhileTheBrokerRuns(t *testing.T) {
	r := newRig(t)
	p := connect(t, r.Broker, "")
	entry := func(pattern string, apply func(*policy.Policy)) []policy.Entry {
		return []policy.Entry{{Pattern: message.Queue(pattern), Apply: apply}}
	}
	if err := r.SetPolicies(entry(">", limited(1, policy.Reject))); err != nil {
		t.Fatal(err)
	}
	if err := p.sendOne(p.message(a, "1")); err != nil {
		t.Fatal(err)
	}
	wantCode(t, p.sendOne(p.message(a, "2")), CodeFull, "send to queue://a: it holds 1 messages")
	if err := r.SetPolicies(entry("a,b", limited(5, policy.Reject))); err == nil {
		t.Error("a composite is a pattern")
	}
	wantCode(t, p.sendOne(p.message(a, "2")), CodeFull, "send to queue://a: it holds 1 messages") // the old ones stay
	if err := r.SetPolicies(nil); err != nil {
		t.Fatal(err)
	}
	if err := p.sendOne(p.message(a, "2")); err != nil {
		t.Error(err)
	}
}
