package broker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/schedule"
)

// scheduled gives a message a schedule, in pairs of property and value.
func scheduled(pairs ...string) func(*message.Envelope) {
	return func(e *message.Envelope) {
		for i := 0; i < len(pairs); i += 2 {
			e.Annotations = append(e.Annotations, message.Annotation{Name: pairs[i], Value: pairs[i+1]})
		}
	}
}

// schedule publishes a message and waits until it is safe.
func (c *client) schedule(body string, edit ...func(*message.Envelope)) *message.Message {
	c.t.Helper()
	m := c.message(a, body, edit...)
	if err := c.publish(m); err != nil {
		c.t.Fatal(err)
	}
	return m
}

func (c *client) publish(m *message.Message) error {
	w := make(waiter, 1)
	c.Publish(m, w, 0)
	return <-w
}

// arrivals accepts everything and says when each delivery came.
type arrivals struct {
	client
	began time.Time
	log   []string
}

func (c *arrivals) Deliver(d Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, d)
	c.log = append(c.log, fmt.Sprintf("%v %s", time.Since(c.began).Round(time.Millisecond), d.Message.Payload()))
}

func (c *arrivals) take() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	log := c.log
	c.log = nil
	return log
}

// bubble runs a test with a broker in virtual time.
func bubble(t *testing.T, test func(r *rig, producer *client, consumer *arrivals), edit ...func(*Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, append([]func(*Options){func(o *Options) { o.Schedule.Zone = time.UTC }}, edit...)...)
		c := &arrivals{client: client{t: t}, began: time.Now()}
		s, err := r.Connect(ConnectRequest{Protocol: "test", Sink: c})
		if err != nil {
			t.Fatal(err)
		}
		c.Session = s
		c.subscribe(Subscription{Destination: a, Window: 10_000})
		test(r, connect(t, r.Broker, ""), c)
	})
}

func wantLog(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
}

// synctest's time begins at midnight UTC 2000-01-01, a Saturday.
func TestMessagesAreSentWhenTheirScheduleSays(t *testing.T) {
	for name, test := range map[string]struct {
		schedule []string
		run      time.Duration
		want     string
	}{
		"delay":                   {[]string{schedule.Delay, "1500"}, time.Minute, "1.5s"},
		"period only":             {[]string{schedule.Period, "2000"}, time.Minute, "2s"},
		"repeat without a period": {[]string{schedule.Delay, "1000", schedule.Repeat, "2"}, time.Minute, "1s 1s 1s"},
		"delay, period, repeat":   {[]string{schedule.Delay, "500", schedule.Period, "1000", schedule.Repeat, "3"}, time.Minute, "500ms 1.5s 2.5s 3.5s"},
		"period, repeat":          {[]string{schedule.Period, "1000", schedule.Repeat, "1"}, time.Minute, "1s 2s"},
		"cron":                    {[]string{schedule.Pattern, "* * * * *"}, 3*time.Minute + time.Second, "1m0s 2m0s 3m0s"},
		"cron wins over delay":    {[]string{schedule.Pattern, "*/2 * * * *", schedule.Delay, "500"}, 5 * time.Minute, "2m0s 4m0s"},
		"cron, delay, period, burst": {
			[]string{schedule.Pattern, "* * * * *", schedule.Delay, "1000", schedule.Period, "2000", schedule.Repeat, "2"},
			2*time.Minute + 10*time.Second,
			"1m1s 1m3s 1m5s 2m1s 2m3s 2m5s",
		},
		"cron in a time zone": {[]string{schedule.Pattern, "30 1 * * *", schedule.Zone, "Europe/Berlin"}, time.Hour, "30m0s"},
		"at once":             {[]string{schedule.Delay, "0"}, time.Minute, "0s"},
		"scheduled before":    {[]string{schedule.Delay, "5000", schedule.JobID, "x"}, time.Minute, "0s"},
		"repeat alone":        {[]string{schedule.Repeat, "3"}, time.Minute, "0s"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig, p *client, c *arrivals) {
				t := r.t
				p.schedule("x", scheduled(test.schedule...))
				time.Sleep(test.run)
				want := strings.ReplaceAll(test.want, " ", " x ") + " x"
				if got := strings.Join(c.take(), " "); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			})
		})
	}
}

func TestADeliveryHasTheJobsIdAndNoScheduleAndItsTimeToLiveBegins(t *testing.T) {
	bubble(t, func(r *rig, p *client, c *arrivals) {
		t := r.t
		now := time.Now().UnixMilli()
		once := p.schedule("once", scheduled(schedule.Delay, "10000", "other", "kept"), func(e *message.Envelope) {
			e.Timestamp, e.Expiry = now, now+5000
		})
		again := p.schedule("again", scheduled(schedule.Delay, "20000", schedule.Period, "1000", schedule.Repeat, "1"), func(e *message.Envelope) {
			e.MessageID, e.Timestamp = "mine", now
		})
		time.Sleep(time.Minute)
		wantLog(t, c.take(), "10s once", "20s again", "21s again")
		m := c.got[0].Message
		if m.ID != once.ID || m.Timestamp != now+10_000 || m.Expiry != now+15_000 {
			t.Errorf("id %v, timestamp +%d, expiry +%d", m.ID, m.Timestamp-now, m.Expiry-now)
		}
		if want := []message.Annotation{{Name: "other", Value: "kept"}, {Name: schedule.JobID, Value: once.ID.String()}}; fmt.Sprint(m.Annotations) != fmt.Sprint(want) {
			t.Errorf("annotations %v, want %v", m.Annotations, want)
		}
		first, second := c.got[1].Message, c.got[2].Message
		if first.ID == second.ID || first.ID == again.ID || first.MessageID != "" || first.Timestamp != now {
			t.Errorf("ids %v and %v, client's id %q, timestamp +%d", first.ID, second.ID, first.MessageID, first.Timestamp-now)
		}
	})
}

func TestATransactionSchedulesWhenItIsCommitted(t *testing.T) {
	bubble(t, func(r *rig, p *client, c *arrivals) {
		t := r.t
		tx := p.Begin()
		if err := tx.Publish(p.message(a, "x", scheduled(schedule.Delay, "1000"))); err != nil {
			t.Fatal(err)
		}
		rolled := p.Begin()
		if err := rolled.Publish(p.message(a, "never", scheduled(schedule.Delay, "1000"))); err != nil {
			t.Fatal(err)
		}
		rolled.Rollback()
		time.Sleep(5 * time.Second)
		w := make(waiter, 1)
		tx.Commit(w, 0)
		if err := <-w; err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		wantLog(t, c.take(), "6s x")
	})
}

func TestSchedulesThatMakeNoSenseAreRefused(t *testing.T) {
	r := newRig(t)
	c := connect(t, r.Broker, "")
	for _, test := range []struct {
		schedule []string
		want     string
	}{
		{[]string{schedule.Delay, "-1"}, `schedule for queue://a: AMQ_SCHEDULED_DELAY is "-1": want a whole number from 0 to 3162240000000`},
		{[]string{schedule.Period, "x"}, `schedule for queue://a: AMQ_SCHEDULED_PERIOD is "x": want a whole number from 0 to 3162240000000`},
		{[]string{schedule.Delay, "1", schedule.Repeat, "1001"}, `schedule for queue://a: AMQ_SCHEDULED_REPEAT is 1001, the limit is 1000 (schedule.maxSchedulerRepeatAllowed)`},
		{[]string{schedule.Pattern, "0 25 * * *"}, `schedule for queue://a: cron "0 25 * * *", character 3: hour: 25 is not within 0 to 23`},
		{[]string{schedule.Pattern, "0 0 30 2 *"}, `schedule for queue://a: cron "0 0 30 2 *" has no time within the next nine years`},
		{[]string{schedule.Pattern, "* * * * *", schedule.Zone, "Mars/Base"}, `schedule for queue://a: time zone "Mars/Base" is unknown: write a name such as Europe/Berlin or UTC`},
	} {
		err := c.publish(c.message(a, "x", scheduled(test.schedule...)))
		if err == nil || err.Error() != test.want || CodeOf(err) != CodeInvalid {
			t.Errorf("%q: %v, want %s", test.schedule, err, test.want)
		}
	}
	if n := r.ScheduleStats().Jobs; n != 0 {
		t.Errorf("%d jobs", n)
	}
}

func TestWithoutSchedulerMessagesAreSentAtOnce(t *testing.T) {
	bubble(t, func(r *rig, p *client, c *arrivals) {
		t := r.t
		p.schedule("x", scheduled(schedule.Delay, "1000"))
		wantLog(t, c.take(), "0s x")
		if err := r.RunSchedule("x"); CodeOf(err) != CodeNotSupported {
			t.Errorf("run: %v", err)
		}
	}, func(o *Options) { o.Schedule.Off = true })
}

func TestSchedulesSurviveARestartAndAKill(t *testing.T) {
	const minute = 60_000
	for _, durable := range []bool{true, false} {
		for name, again := range map[string]func(*rig){
			"restart":      (*rig).restart,
			"kill":         func(r *rig) { r.kill(1) },
			"two restarts": func(r *rig) { r.restart(); r.restart() },
		} {
			t.Run(fmt.Sprintf("durable %v, %s", durable, name), func(t *testing.T) {
				clock := newTestClock()
				r := newRig(t, func(o *Options) { o.Now = clock.now; o.Schedule.MaxJump = 1000 * time.Hour })
				c := connect(t, r.Broker, "")
				transient := func(e *message.Envelope) { e.Durable = durable }
				large := strings.Repeat("x", 1<<20)
				c.schedule("once", transient, scheduled(schedule.Delay, "60000"))
				c.schedule("thrice", transient, scheduled(schedule.Delay, "60000", schedule.Period, "60000", schedule.Repeat, "2"))
				c.schedule(large, transient, scheduled(schedule.Delay, "120000"))
				gone := c.schedule("gone", transient, scheduled(schedule.Delay, "60000"))
				if err := r.RemoveSchedule(gone.ID.String()); err != nil {
					t.Fatal(err)
				}
				for i, want := range [][]string{{"once", "thrice"}, {large, "thrice"}, {"thrice"}, nil} {
					again(r)
					clock.add(minute)
					c := connect(t, r.Broker, "")
					c.subscribe(Subscription{Destination: a})
					for _, d := range c.deliveries(len(want)) {
						c.accept(d)
					}
					if got := bodies(c.got); strings.Join(sorted(got), " ") != strings.Join(sorted(want), " ") {
						t.Fatalf("minute %d: got %d of %d", i+1, len(got), len(want))
					}
					c.Close()
				}
				again(r)
				if s := r.ScheduleStats(); s.Jobs != 0 || s.Bytes != 0 {
					t.Errorf("left: %+v", s)
				}
			})
		}
	}
}

func TestARemovedScheduleIsNotSent(t *testing.T) {
	bubble(t, func(r *rig, p *client, c *arrivals) {
		t := r.t
		one := p.schedule("one", scheduled(schedule.Delay, "1000"))
		p.schedule("two", scheduled(schedule.Delay, "2000"))
		p.schedule("three", scheduled(schedule.Pattern, "* * * * *"))
		p.schedule("four", scheduled(schedule.Delay, "90000"))
		if err := r.RemoveSchedule(one.ID.String()); err != nil {
			t.Fatal(err)
		}
		if err := r.RemoveSchedule(one.ID.String()); CodeOf(err) != CodeNotFound {
			t.Errorf("removed twice: %v", err)
		}
		time.Sleep(70 * time.Second)
		wantLog(t, c.take(), "2s two", "1m0s three")
		n, err := r.RemoveSchedules(ScheduleFilter{From: time.Now().UnixMilli() + 30_000})
		if n != 1 || err != nil {
			t.Errorf("removed %d: %v", n, err)
		}
		if n, err = r.RemoveSchedules(ScheduleFilter{}); n != 1 || err != nil {
			t.Errorf("removed %d: %v", n, err)
		}
		time.Sleep(time.Hour)
		wantLog(t, c.take())
	})
}

func TestAScheduleCanBeRunNow(t *testing.T) {
	bubble(t, func(r *rig, p *client, c *arrivals) {
		t := r.t
		once := p.schedule("once", scheduled(schedule.Delay, "10000")).ID.String()
		often := p.schedule("often", scheduled(schedule.Pattern, "* * * * *")).ID.String()
		time.Sleep(time.Second)
		for _, id := range []string{once, often} {
			if err := r.RunSchedule(id); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.RunSchedule(once); CodeOf(err) != CodeNotFound {
			t.Errorf("sent twice: %v", err)
		}
		time.Sleep(61 * time.Second)
		wantLog(t, c.take(), "1s once", "1s often", "1m0s often")
	})
}

func TestSchedulesAreListedInPages(t *testing.T) {
	bubble(t, func(r *rig, p *client, c *arrivals) {
		t := r.t
		now := time.Now().UnixMilli()
		for i := range 10 {
			d := message.Queue(fmt.Sprintf("q.%d", i%2))
			if err := p.publish(p.message(d, strconv.Itoa(i), scheduled(schedule.Delay, strconv.Itoa((10-i)*1000)))); err != nil {
				t.Fatal(err)
			}
		}
		list := func(f ScheduleFilter) string {
			t.Helper()
			var out []string
			for {
				page, err := r.Schedules(f)
				if err != nil || page.Total != 10 {
					t.Fatal(page.Total, err)
				}
				for _, s := range page.Items {
					out = append(out, fmt.Sprintf("%s@%d", s.Message.Payload(), s.Due-now))
				}
				if f.After = page.Next; f.After == "" {
					return strings.Join(out, " ")
				}
				out = append(out, "|")
			}
		}
		for _, test := range []struct {
			filter ScheduleFilter
			want   string
		}{
			{ScheduleFilter{Limit: 4}, "9@1000 8@2000 7@3000 6@4000 | 5@5000 4@6000 3@7000 2@8000 | 1@9000 0@10000"},
			{ScheduleFilter{From: now + 3000, To: now + 5000}, "7@3000 6@4000 5@5000"},
			{ScheduleFilter{Destination: message.Queue("q.1"), Limit: 3}, "9@1000 7@3000 5@5000 | 3@7000 1@9000"},
			{ScheduleFilter{Destination: message.Topic("q.>")}, ""},
		} {
			if got := list(test.filter); got != test.want {
				t.Errorf("%+v: %s, want %s", test.filter, got, test.want)
			}
		}
		if _, err := r.Schedules(ScheduleFilter{After: "x"}); CodeOf(err) != CodeInvalid {
			t.Errorf("after x: %v", err)
		}
	})
}

func TestAFullDiskDelaysSchedulesAndLosesNone(t *testing.T) {
	clock := newTestClock()
	r := newRig(t, func(o *Options) { o.Now = clock.now; o.Schedule.MaxJump = 1000 * time.Hour })
	c := connect(t, r.Broker, "")
	for i := range 20 {
		c.schedule(strconv.Itoa(i), scheduled(schedule.Delay, "1000"))
	}
	r.schedules.order.Lock() // nothing is sent until it can be seen to fail
	clock.add(2000)
	failing := errors.New("no")
	held := r.schedules.table.TakeDue(make([]schedule.Entry, 0, 20), clock.now().UnixMilli())
	f := &firing{s: r.schedules, taken: held}
	r.schedules.sending.Add(int64(len(held)))
	f.Complete(0, failing)
	r.schedules.order.Unlock()
	c.subscribe(Subscription{Destination: a})
	c.deliveries(20)
	if s := r.ScheduleStats(); s.Jobs != 0 || s.Fired != 20 {
		t.Errorf("left: %+v", s)
	}
}

func TestTheBrokerClosesWhileSchedulesAreSent(t *testing.T) {
	r := newRig(t)
	c := connect(t, r.Broker, "")
	for i := range 100 {
		c.Publish(c.message(a, strconv.Itoa(i), scheduled(schedule.Delay, "1", schedule.Period, "1", schedule.Repeat, "1000")), nil, 0)
	}
	c.subscribe(Subscription{Destination: a, Window: 100_000})
	eventually(t, "a delivery", func() bool { return r.ScheduleStats().Fired > 1000 })
	r.restart()
	if s := r.ScheduleStats(); s.Jobs != 100 {
		t.Errorf("%d jobs go on", s.Jobs)
	}
}
