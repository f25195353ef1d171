package broker

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
)

func TestSendsOfAdministratorsKeepToLimits(t *testing.T) {
	for _, test := range []struct {
		overflow policy.Overflow
		want     Code
		left     []string
	}{
		{policy.Reject, CodeFull, []string{"1", "2"}},
		{policy.Block, CodeFull, []string{"1", "2"}}, // nobody waits for an administrator
		{policy.DropOldest, 0, []string{"2", "3"}},
	} {
		r := withPolicy(t, limited(2, test.overflow))
		c := connect(t, r.Broker, "")
		admin := func(bodies ...string) error {
			msgs := make([]*message.Message, len(bodies))
			for i, body := range bodies {
				msgs[i] = c.message(a, body)
			}
			return r.Send(true, msgs...)
		}
		if err := admin("1", "2"); err != nil {
			t.Fatal(err)
		}
		if err := admin("3"); CodeOf(err) != test.want || (err == nil) != (test.want == 0) {
			t.Errorf("overflow %d: %v", test.overflow, err)
		}
		if diff := cmp.Diff(test.left, r.texts(a.Name, 10)); diff != "" {
			t.Errorf("overflow %d: %s", test.overflow, diff)
		}
		if n := len(r.limits.coming); n != 0 {
			t.Errorf("overflow %d: %d queues wait for messages", test.overflow, n)
		}
	}
}

func TestSendsOfAdministratorsAreScheduled(t *testing.T) {
	r := withPolicy(t, limited(1, policy.Reject))
	c := connect(t, r.Broker, "")
	if err := r.Send(true, c.message(a, "now")); err != nil {
		t.Fatal(err)
	}
	later := func(cron string) *message.Message {
		return c.message(a, "later", func(e *message.Envelope) {
			e.Annotations = []message.Annotation{{Name: "AMQ_SCHEDULED_CRON", Value: cron}}
		})
	}
	if err := r.Send(false, later("0 0 1 1 *")); err != nil {
		t.Errorf("a full queue refused what comes later: %v", err)
	}
	if err := r.Send(false, later("0 0 32 1 *")); CodeOf(err) != CodeInvalid {
		t.Errorf("a wrong schedule: %v", err)
	}
	got, err := r.Schedules(ScheduleFilter{})
	if err != nil || got.Total != 1 || got.Items[0].Due <= time.Now().UnixMilli() {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAdministratorsDoNotTellOfEvents(t *testing.T) {
	r := newRig(t)
	c := connect(t, r.Broker, "")
	for _, name := range []string{"ActiveMQ.Advisory.Connection", "$SYS.broker.uptime"} {
		if err := r.Send(true, c.message(message.Topic(name), "x")); CodeOf(err) != CodeForbidden {
			t.Errorf("%s: %v", name, err)
		}
	}
}
