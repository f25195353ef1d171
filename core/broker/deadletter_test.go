package broker

import (
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
)

// bury has a consumer reject one message of d and returns it from where dead
// letters go.
func bury(t *testing.T, r *rig, sub Subscription, d, to message.Destination) *message.Message {
	t.Helper()
	c := connect(t, r.Broker, "me")
	defer c.Close()
	c.subscribe(sub)
	c.send(d, "bad")
	c.settle(c.deliveries(1)[0], Rejected)
	dlq := connect(t, r.Broker, "")
	defer dlq.Close()
	dlq.subscribe(Subscription{Destination: to})
	return dlq.deliveries(1)[0].Message
}

func TestDeadLettersGoWhereThePolicySays(t *testing.T) {
	topic := message.Topic("t.x")
	individual := func(p *policy.Policy) { p.DeadLetter.Strategy = policy.Individual }
	for _, test := range []struct {
		name  string
		apply func(*policy.Policy)
		sub   Subscription
		from  message.Destination
		want  message.Destination
	}{
		{"shared", func(*policy.Policy) {}, Subscription{Destination: a}, a, DeadLetterQueue},
		{"another shared one", func(p *policy.Policy) { p.DeadLetter.Queue = "graves" }, Subscription{Destination: a}, a, message.Queue("graves")},
		{"of a queue", individual, Subscription{Destination: a}, a, message.Queue("ActiveMQ.DLQ.Queue.a")},
		{"of a topic", individual, Subscription{Destination: message.Topic("t.>"), Durable: "s"}, topic, message.Queue("ActiveMQ.DLQ.Topic.t.x")},
		{"of a subscription", func(p *policy.Policy) {
			individual(p)
			p.DeadLetter.PerDurableSubscription = true
		}, Subscription{Destination: topic, Durable: "s,*"}, topic, message.Queue("ActiveMQ.DLQ.Topic.t.x.me.s__")},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := withPolicy(t, test.apply)
			m := bury(t, r, test.sub, test.from, test.want)
			if m.Destination != test.want || m.Origin != test.from || property(m, DeadLetterOrigin) != test.from.String() {
				t.Errorf("dead letter: %+v", m.Envelope)
			}
			if got := property(m, DeadLetterSubscription); (got != "") != (test.sub.Durable != "") {
				t.Errorf("subscription %q", got)
			}
		})
	}
}

func TestDeadLettersHaveNoGraveOfTheirOwn(t *testing.T) {
	for name, apply := range map[string]func(*policy.Policy){
		"shared":     func(*policy.Policy) {},
		"individual": func(p *policy.Policy) { p.DeadLetter.Strategy = policy.Individual },
	} {
		t.Run(name, func(t *testing.T) {
			r := withPolicy(t, apply)
			to, _ := r.Policy(a).DeadLetter.Target(a, "")
			bury(t, r, Subscription{Destination: a}, a, to)
			c := connect(t, r.Broker, "")
			c.subscribe(Subscription{Destination: to})
			c.settle(c.deliveries(1)[0], Rejected)
			if s := r.Stats(); s.Messages != 0 || s.Discarded != 1 {
				t.Errorf("%d messages are left, %d discarded", s.Messages, s.Discarded)
			}
		})
	}
}

func TestWhatIsNoDeadLetterIsDropped(t *testing.T) {
	for _, test := range []struct {
		name    string
		apply   func(*policy.Policy)
		durable bool
		expiry  int64
		want    int
	}{
		{"discarding", func(p *policy.Policy) { p.DeadLetter.Strategy = policy.Discard }, true, 0, 0},
		{"non-persistent", func(*policy.Policy) {}, false, 0, 0},
		{"expired", func(p *policy.Policy) { p.DeadLetter.Expired = false }, true, 1, 0},
		{"expired, by default", func(*policy.Policy) {}, true, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := withPolicy(t, test.apply)
			c := connect(t, r.Broker, "")
			c.subscribe(Subscription{Destination: a})
			w := make(waiter, 1)
			c.Publish(c.message(a, "x", func(e *message.Envelope) { e.Durable, e.Expiry = test.durable, test.expiry }), w, 0)
			<-w
			if test.expiry == 0 {
				c.settle(c.deliveries(1)[0], Rejected)
			}
			eventually(t, "end of the message", func() bool { s := r.Stats(); return int(s.Discarded) == 1-test.want && s.Messages == test.want })
			if test.want == 1 {
				dlq := connect(t, r.Broker, "")
				dlq.subscribe(Subscription{Destination: DeadLetterQueue})
				m := dlq.deliveries(1)[0].Message
				if m.Expiry != 0 || property(m, DeadLetterExpiration) != "1" || property(m, DeadLetterCount) != "0" {
					t.Errorf("dead letter: %+v", m.Envelope)
				}
			}
		})
	}
}

func TestDeadLettersMayExpire(t *testing.T) {
	r := withPolicy(t, func(p *policy.Policy) { p.DeadLetter.Expiration = time.Hour })
	m := bury(t, r, Subscription{Destination: a}, a, DeadLetterQueue)
	if left := m.Expiry - r.NowMs(); left < 3_500_000 || left > 3_600_000 {
		t.Errorf("it expires in %d ms", left)
	}
}

func TestRetryTakesThePropertiesOfADeadLetterAway(t *testing.T) {
	r := newRig(t)
	bury(t, r, Subscription{Destination: a}, a, DeadLetterQueue)
	eventually(t, "retry", func() bool { // the dead letter has to come back from the consumer that saw it
		got, err := r.Transfer(Transfer{Action: Retry, From: DeadLetterQueue.Name, All: true})
		return err == nil && got.Done == 1
	})
	c := connect(t, r.Broker, "")
	c.subscribe(Subscription{Destination: a})
	if m := c.deliveries(1)[0].Message; len(m.Annotations) != 0 || !m.Origin.IsZero() {
		t.Errorf("sent back: %+v", m.Envelope)
	}
}

func TestDefaultsOfPrefetchComeFromThePolicy(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Policies = []policy.Entry{{Pattern: message.Queue("a"), Apply: func(p *policy.Policy) { p.Prefetch.Queue, p.Prefetch.Browser = 7, 8 }}}
	})
	for _, test := range []struct {
		d               message.Destination
		durable, browse bool
		want            uint32
	}{
		{message.Queue("a"), false, false, 7},
		{message.Queue("a"), false, true, 8},
		{message.Queue("a,b"), false, false, 7},
		{message.Queue("b"), false, false, 1000},
		{message.Queue("b"), false, true, 500},
		{message.Topic("b"), false, false, 32767},
		{message.Topic("b"), true, false, 100},
	} {
		if got := r.Prefetch(test.d, test.durable, test.browse); got != test.want {
			t.Errorf("%s durable=%t browse=%t: %d, want %d", test.d, test.durable, test.browse, got, test.want)
		}
	}
}

func TestABadPolicyIsAnErrorAtStart(t *testing.T) {
	_, err := Open(Options{Policies: []policy.Entry{{Pattern: message.Queue("a,b")}}})
	if err == nil || err.Error() != "policy for queue://a,b: one pattern for each entry, without commas" {
		t.Errorf("%v", err)
	}
}
