package stomp

import (
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/protocols"
)

func rigWithPolicy(t *testing.T, values protocols.Values, apply func(*policy.Policy)) *rig {
	t.Helper()
	return newRigWith(t, values, broker.Options{Policies: []policy.Entry{{Pattern: message.Queue(">"), Apply: apply}}})
}

func TestNackWithARedeliveryPolicyEndsInADeadLetterThatSaysWhy(t *testing.T) {
	r := rigWithPolicy(t, map[string]string{optNack: "redeliver"}, func(p *policy.Policy) {
		p.Redelivery.Maximum, p.Redelivery.Initial = 1, 20*time.Millisecond
		p.DeadLetter.Strategy = policy.Individual
	})
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a", "ack:client-individual")
	c.do("SEND", "destination:/queue/a", "persistent:true", "expires:99999999999999", "\nbad")
	c.do("NACK", ackHeaders(v12, c.message("bad"))...)
	f := c.message("bad")
	if f.get("redelivered") != "true" || f.get("JMSXDeliveryCount") != "2" {
		t.Error(f)
	}
	c.do("NACK", ackHeaders(v12, f)...)
	c.do("SUBSCRIBE", "id:dlq", "destination:/queue/ActiveMQ.DLQ.Queue.a")
	f = c.message("bad")
	for name, want := range map[string]string{
		"original-destination": "/queue/a", "dlqOriginalDestination": "queue://a", "dlqDeliveryCount": "2",
		"dlqDeliveryFailureCause": "delivered too often without success", "originalExpiration": "99999999999999", "expires": "0",
	} {
		if got := f.get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if f.get("dlqTime") == "" {
		t.Error(f)
	}
}

func TestNackWithAReason(t *testing.T) {
	r := newRigWith(t, map[string]string{optNack: "redeliver"}, broker.Options{})
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a", "ack:client-individual")
	c.do("SUBSCRIBE", "id:dlq", "destination:/queue/ActiveMQ.DLQ")
	for reason, want := range map[string]string{"no\\csuch order": "no:such order", "expired": "rejected by the consumer: expired"} {
		c.do("SEND", "destination:/queue/a", "persistent:true", "\nbad")
		f := c.message("bad")
		for _, other := range []string{"delay:5", "transaction:t", "requeue:true"} {
			c.send("NACK", append(ackHeaders(v12, f), "dlq-reason:"+reason, other)...)
			c.error("NACK has the header dlq-reason and one of delay, transaction and requeue:true")
		}
		c.send("NACK", append(ackHeaders(v12, f), "dlq-reason:"+strings.Repeat("x", 1025))...)
		c.error("header dlq-reason has 1025 bytes")
		c.do("NACK", append(ackHeaders(v12, f), "dlq-reason:"+reason)...)
		if f = c.message("bad"); f.get("dlqDeliveryFailureCause") != want {
			t.Error(f)
		}
	}
}

func TestNackWithADelay(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a", "ack:client-individual")
	c.do("SEND", "destination:/queue/a", "persistent:true", "\n1")
	f := c.message("1")
	for _, bad := range []string{"-1", "x", "99999999999999"} {
		c.send("NACK", append(ackHeaders(v12, f), "delay:"+bad)...)
		c.error(`header delay is "` + bad + `"`)
	}
	c.send("NACK", append(ackHeaders(v12, f), "delay:1", "requeue:true")...)
	c.error("NACK has the headers delay and requeue")
	c.send("NACK", append(ackHeaders(v12, f), "delay:1", "transaction:t")...)
	c.error("NACK has the headers delay and transaction")
	began := time.Now()
	c.do("NACK", append(ackHeaders(v12, f), "delay:60")...)
	if f = c.message("1"); f.get("redelivered") != "true" || time.Since(began) < 55*time.Millisecond {
		t.Errorf("after %v: %v", time.Since(began), f)
	}
}

func TestASendToAFullQueueIsAnError(t *testing.T) {
	r := rigWithPolicy(t, nil, func(p *policy.Policy) { p.Limit = policy.Limit{Messages: 1, Overflow: policy.Reject} })
	c := r.connect(v12)
	c.do("SEND", "destination:/queue/a", "\n1")
	c.send("SEND", "destination:/queue/a", "receipt:r", "\n2")
	if f := c.error("send to queue://a: it holds 1 messages, which is its limit (maxMessages)"); f.get("receipt-id") != "r" {
		t.Error(f)
	}
	c.do("BEGIN", "transaction:t")
	c.do("SEND", "destination:/queue/b", "transaction:t", "\n1")
	c.do("SEND", "destination:/queue/b", "transaction:t", "\n2")
	c.send("COMMIT", "transaction:t", "receipt:c")
	c.error("send to queue://b: it holds 1 messages, which is its limit (maxMessages)")
	if n := r.broker.Stats().Messages; n != 1 {
		t.Errorf("%d messages are there", n)
	}
}

func TestPrefetchComesFromThePolicy(t *testing.T) {
	r := rigWithPolicy(t, nil, func(p *policy.Policy) { p.Prefetch.Queue = 1 })
	c := r.connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a", "ack:client-individual")
	c.do("SEND", "destination:/queue/a", "\n1")
	c.do("SEND", "destination:/queue/a", "\n2")
	f := c.message("1")
	c.quiet()
	c.do("ACK", ackHeaders(v12, f)...)
	c.message("2")
}
