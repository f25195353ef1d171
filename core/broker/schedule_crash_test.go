package broker

import (
	"strconv"
	"testing"

	"github.com/entrepot-mq/entrepot/core/schedule"
)

// A firing and what it sends are one record: however often power is lost, each
// due time of a job sends one message, no more and no less.
func TestEachDueTimeSendsOneMessageHoweverOftenPowerIsLost(t *testing.T) {
	const jobs, repeats = 40, 24
	for seed := range uint64(6) {
		r := newRig(t, func(o *Options) { o.Store.CheckpointBytes = 4 << 10 })
		c := connect(t, r.Broker, "")
		for i := range jobs {
			c.schedule(strconv.Itoa(i), scheduled(schedule.Delay, "1", schedule.Period, "1", schedule.Repeat, strconv.Itoa(repeats)))
		}
		for life := uint64(0); r.ScheduleStats().Jobs > 0; life++ {
			eventually(t, "firing", func() bool { s := r.ScheduleStats(); return s.Fired >= 30*(seed+1) || s.Jobs == 0 })
			if life%3 == 2 {
				r.restart()
			} else {
				r.kill(seed*100 + life)
			}
		}
		c = connect(t, r.Broker, "")
		c.subscribe(Subscription{Destination: a, Window: 10_000})
		counts := make(map[string]int)
		for _, d := range c.deliveries(jobs * (repeats + 1)) {
			counts[string(d.Message.Payload())]++
		}
		for i := range jobs {
			if n := counts[strconv.Itoa(i)]; n != repeats+1 {
				t.Errorf("seed %d: job %d sent %d messages, want %d", seed, i, n, repeats+1)
			}
		}
	}
}
