package bench

import "time"

// clock counts ticks of tickNanos since it was made, by the monotonic clock.
type clock struct{ base time.Time }

func newClock() clock { return clock{base: time.Now()} }

func (c clock) ticks() int64 { return int64(time.Since(c.base)) / tickNanos }

func toTicks(d time.Duration) int64 { return int64(d) / tickNanos }

func toDuration(ticks int64) time.Duration { return time.Duration(ticks * tickNanos) }

// burstInterval is the shortest pause between two sends of a paced publisher.
// A timer cannot be hit much closer than its wake-up takes, so higher rates
// are sent as bursts that are due together.
const burstInterval = 250 * time.Microsecond

// pace is a publisher's timetable: message n is due at start + n/burst*every.
type pace struct {
	start int64 // ticks
	every int64 // ticks between bursts
	burst int64 // messages due together
}

// newPace spreads rate messages a second.
func newPace(start int64, rate float64) pace {
	burst := max(int64(rate*burstInterval.Seconds()), 1)
	return pace{start: start, every: int64(float64(burst) * float64(time.Second) / rate / tickNanos), burst: burst}
}

// due returns when message n is due.
func (p pace) due(n int64) int64 { return p.start + n/p.burst*p.every }

// until returns how many messages are due up to now.
func (p pace) until(now int64) int64 {
	if now < p.start {
		return 0
	}
	return ((now-p.start)/p.every + 1) * p.burst
}

// spinAhead is how long before its time a sleeper wakes and watches the clock
// instead: about what a wake-up takes, and at 1,000 a second a few percent of
// one core.
const spinAhead = 25 * time.Microsecond

// sleepUntil returns when c has reached ticks.
func (c clock) sleepUntil(ticks int64) {
	if d := toDuration(ticks - c.ticks()); d > spinAhead {
		preciseSleep(d - spinAhead)
	}
	for c.ticks() < ticks {
	}
}
