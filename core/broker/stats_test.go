package broker

import (
	"strconv"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
)

func TestOneOf16FirstDeliveriesIsMeasured(t *testing.T) {
	at := time.UnixMilli(1_000_000)
	r := newRig(t, func(o *Options) { o.Now = func() time.Time { return at } })
	c := connect(t, r.Broker, "c")
	aged := func(d message.Destination, durable bool, n int) {
		for i := range n {
			m := c.message(d, strconv.Itoa(i), func(e *message.Envelope) {
				e.Durable, e.Timestamp = durable, at.Add(-20*time.Millisecond).UnixMilli()
			})
			if err := c.try(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	aged(a, true, 20)
	queued := c.subscribe(Subscription{Destination: a})
	c.deliveries(20)
	c.subscribe(Subscription{Destination: message.Topic("t")})
	aged(message.Topic("t"), false, 1)
	c.deliveries(21)
	queued.Close() // what comes again, and what is only browsed, doesn't count
	eventually(t, "messages that came back", func() bool { return r.Stats().InFlight == 0 })
	c.subscribe(Subscription{Destination: a, Browse: true})
	c.subscribe(Subscription{Destination: a})
	c.deliveries(21 + 20 + 1 + 20)
	if s := r.Stats().Delivering; s.Total() != 3 || s.Sum != 60*time.Millisecond {
		t.Errorf("%d deliveries were measured, %s together", s.Total(), s.Sum)
	}
}

func TestAClockThatIsAheadCountsAsNoWaiting(t *testing.T) {
	r := newRig(t)
	c := connect(t, r.Broker, "c")
	c.subscribe(Subscription{Destination: a})
	for _, timestamp := range []int64{0, time.Now().Add(time.Hour).UnixMilli()} {
		if err := c.try(c.message(a, "x", func(e *message.Envelope) { e.Timestamp = timestamp })); err != nil {
			t.Fatal(err)
		}
		c.subscribe(Subscription{Destination: message.Queue("other")}) // a consumer's first delivery is measured
	}
	c.deliveries(2)
	if s := r.Stats().Delivering; s.Sum != 0 {
		t.Errorf("%s", s.Sum)
	}
}
