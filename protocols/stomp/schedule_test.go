package stomp

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

func newScheduleRig(t *testing.T) *rig {
	t.Helper()
	return newRigWith(t, nil, broker.Options{
		Converters: message.Converters{message.EncodingSTOMP: Converter{}, message.EncodingHub: message.Hub{}},
	})
}

// withoutTimes leaves out of a MESSAGE's headers what differs from run to run.
func withoutTimes(f serverFrame) string {
	var kept []string
	for _, h := range f.headers {
		switch name, _, _ := strings.Cut(h, ":"); name {
		case "message-id", "timestamp", "scheduledJobId":
		default:
			kept = append(kept, h)
		}
	}
	return strings.Join(kept, "|")
}

func TestADelayedMessageComesWhenItIsDue(t *testing.T) {
	c := newScheduleRig(t).connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a")
	began := time.Now()
	c.do("SEND", "destination:/queue/a", "persistent:true", "k:v", "AMQ_SCHEDULED_DELAY:50", "AMQ_SCHEDULED_PERIOD:20", "AMQ_SCHEDULED_REPEAT:2", "\nx")
	ids, jobs := map[string]bool{}, map[string]bool{}
	for i := range 3 {
		f := c.message("x")
		if took, want := time.Since(began), time.Duration(50+20*i)*time.Millisecond; took < want-time.Millisecond {
			t.Errorf("delivery %d came after %v", i, took)
		}
		if got, want := withoutTimes(f), "subscription:s|destination:/queue/a|expires:0|priority:4|persistent:true|k:v"; got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		ids[f.get("message-id")], jobs[f.get("scheduledJobId")] = true, true
	}
	if len(ids) != 3 || len(jobs) != 1 || jobs[""] {
		t.Errorf("ids %v, jobs %v", ids, jobs)
	}
	c.quiet()
}

func TestSchedulesAreManagedByMessages(t *testing.T) {
	r := newScheduleRig(t)
	for _, destination := range []string{"/topic/ActiveMQ.Scheduler.Management", "/queue/ActiveMQ.Scheduler.Management"} {
		c := r.connect(v12)
		c.do("SUBSCRIBE", "id:s", "destination:/temp-queue/answers")
		for i := range 4 {
			c.do("SEND", "destination:/queue/a", "n:"+strconv.Itoa(i), fmt.Sprintf("AMQ_SCHEDULED_DELAY:%d", (i+1)*1_000_000), "\nx")
		}
		c.do("SEND", "destination:/queue/b", "n:4", "AMQ_SCHEDULED_CRON:0 0 1 1 *", "AMQ_SCHEDULED_TZ:UTC", "\nx")
		manage := func(headers ...string) {
			c.do("SEND", append([]string{"destination:" + destination, "reply-to:/temp-queue/answers"}, headers...)...)
		}
		jobs := map[string]string{}
		browse := func(n int, headers ...string) string {
			manage(append(headers, "AMQ_SCHEDULER_ACTION:BROWSE")...)
			var found []string
			for range n {
				f := c.message("x")
				jobs[f.get("n")] = f.get("scheduledJobId")
				found = append(found, f.get("n"))
			}
			c.quiet()
			sort.Strings(found)
			return strings.Join(found, "")
		}
		now := time.Now().UnixMilli()
		window := func(from, to int) []string {
			return []string{fmt.Sprintf("ACTION_START_TIME:%d", now+int64(from)*1000), fmt.Sprintf("ACTION_END_TIME:%d", now+int64(to)*1000)}
		}
		if got := browse(5); got != "01234" {
			t.Errorf("all: %s", got)
		}
		if got := browse(2, window(1500, 3500)...); got != "12" {
			t.Errorf("a window: %s", got)
		}
		manage("AMQ_SCHEDULER_ACTION:REMOVE", "scheduledJobId:"+jobs["0"])
		if got := browse(4); got != "1234" {
			t.Errorf("after REMOVE: %s", got)
		}
		manage(append(window(2500, 4500), "AMQ_SCHEDULER_ACTION:REMOVEALL")...)
		if got := browse(2); got != "14" {
			t.Errorf("after REMOVEALL of a window: %s", got)
		}
		manage("AMQ_SCHEDULER_ACTION:REMOVEALL")
		if got := browse(0); got != "" {
			t.Errorf("after REMOVEALL: %s", got)
		}
	}
}

func TestABrowsedScheduleSaysWhatItIs(t *testing.T) {
	c := newScheduleRig(t).connect(v12)
	c.do("SUBSCRIBE", "id:s", "destination:/queue/answers")
	c.do("SEND", "destination:/queue/b", "AMQ_SCHEDULED_CRON:0 0 1 1 *", "AMQ_SCHEDULED_TZ:UTC", "AMQ_SCHEDULED_PERIOD:5", "AMQ_SCHEDULED_REPEAT:2", "\nx")
	c.do("SEND", "destination:/topic/ActiveMQ.Scheduler.Management", "reply-to:/queue/answers", "AMQ_SCHEDULER_ACTION:BROWSE")
	want := "subscription:s|destination:/queue/answers|expires:0|priority:4|type:Advisory|original-destination:/queue/b|" +
		"AMQ_SCHEDULED_CRON:0 0 1 1 *|AMQ_SCHEDULED_TZ:UTC|AMQ_SCHEDULED_PERIOD:5|AMQ_SCHEDULED_REPEAT:2"
	if got := withoutTimes(c.message("x")); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRequestsToTheSchedulerAreRefused(t *testing.T) {
	r := newScheduleRig(t)
	c := r.connect(v12)
	for _, test := range []struct{ headers, want string }{
		{"", `manage schedules: AMQ_SCHEDULER_ACTION is "": want BROWSE, REMOVE or REMOVEALL`},
		{"AMQ_SCHEDULER_ACTION:BROWSE", "browse schedules: there is no reply-to to send them to"},
		{"AMQ_SCHEDULER_ACTION:BROWSE\nreply-to:/queue/a.>", "browse schedules: the reply-to queue://a.> is not one destination"},
		{"AMQ_SCHEDULER_ACTION:REMOVE", "remove a schedule: scheduledJobId is missing: it says which"},
		{"AMQ_SCHEDULER_ACTION:REMOVE\nscheduledJobId:x", `remove a schedule: there is no "x": it was sent or removed`},
		{"AMQ_SCHEDULER_ACTION:REMOVEALL\nACTION_START_TIME:soon", `manage schedules: ACTION_START_TIME is "soon": want milliseconds since 1970`},
	} {
		headers := []string{"destination:/topic/ActiveMQ.Scheduler.Management", "receipt:r"}
		if test.headers != "" {
			headers = append(headers, strings.Split(test.headers, "\n")...)
		}
		c.send("SEND", headers...)
		if f := c.read(); f.command != "ERROR" || f.get("message") != test.want {
			t.Errorf("%q: %s %s\nwant %s", test.headers, f.command, f.get("message"), test.want)
		}
	}
}
