package bench

import (
	"sync"
	"testing"
	"time"
)

func TestTrackerCountsWhatIsMissing(t *testing.T) {
	for _, tt := range []struct {
		name    string
		seqs    []uint32
		n       uint32
		missing uint64
	}{
		{"nothing expected", nil, 0, 0},
		{"nothing came", nil, 100, 100},
		{"all came", []uint32{0, 1, 2}, 3, 0},
		{"a hole", []uint32{0, 2}, 3, 1},
		{"what lies beyond is not counted", []uint32{0, 5, 64, 200}, 3, 2},
		{"across words, chunks and branches", []uint32{0, 63, 64, chunkBits - 1, chunkBits, chunkBits * branchSize}, chunkBits*branchSize + 1, chunkBits*branchSize - 5},
		{"the last of all", []uint32{maxSequence - 1}, maxSequence, maxSequence - 1},
	} {
		var k tracker
		for _, s := range tt.seqs {
			if !k.add(s) {
				t.Errorf("%s: %d is no news", tt.name, s)
			}
		}
		for _, s := range tt.seqs {
			if k.add(s) {
				t.Errorf("%s: %d is news again", tt.name, s)
			}
		}
		if got := k.missing(tt.n); got != tt.missing {
			t.Errorf("%s: %d missing, want %d", tt.name, got, tt.missing)
		}
	}
}

func TestConsumersOfOneQueueShareATracker(t *testing.T) {
	var k tracker
	var wg sync.WaitGroup
	var news [4]int
	for i := range news {
		wg.Go(func() {
			for seq := range uint32(3 * chunkBits) {
				if k.add(seq) {
					news[i]++
				}
			}
		})
	}
	wg.Wait()
	if sum := news[0] + news[1] + news[2] + news[3]; sum != 3*chunkBits {
		t.Errorf("%d messages were new to somebody, want %d", sum, 3*chunkBits)
	}
	if m := k.missing(3 * chunkBits); m != 0 {
		t.Errorf("%d missing", m)
	}
}

func TestLatenciesAreMicroseconds(t *testing.T) {
	l, other := newLatencies(), newLatencies()
	for range 99 {
		l.record(toTicks(150 * time.Microsecond))
	}
	other.record(toTicks(20 * time.Millisecond))
	q := merge([]*latencies{l, other})
	if q.Count != 100 || q.P50 != 150 || q.P90 != 150 || q.P99 != 150 || q.P999 != 20_015 || q.Max != 20_015 {
		t.Errorf("%+v", q)
	}
	if q := merge([]*latencies{newLatencies()}); q != nil {
		t.Errorf("nothing recorded is %+v", q)
	}
	l = newLatencies()
	l.record(-5)
	l.record(toTicks(time.Hour))
	if q := merge([]*latencies{l}); q.Count != 2 || q.P50 != 1 || q.Max < maxLatencyMicros {
		t.Errorf("out of range: %+v", q)
	}
}

func TestATimetableKeepsItsRate(t *testing.T) {
	for _, tt := range []struct {
		rate  float64
		burst int64
		every time.Duration
	}{
		{1, 1, time.Second},
		{200, 1, 5 * time.Millisecond},
		{1000, 1, time.Millisecond},
		{100_000, 25, 250 * time.Microsecond},
		{1_000_000, 250, 250 * time.Microsecond},
	} {
		p := newPace(1000, tt.rate)
		if p.burst != tt.burst || toDuration(p.every) != tt.every {
			t.Errorf("%g a second: bursts of %d every %s, want %d every %s", tt.rate, p.burst, toDuration(p.every), tt.burst, tt.every)
		}
		if n := p.until(999); n != 0 {
			t.Errorf("%g a second: %d due before the start", tt.rate, n)
		}
		for n := range 3 * tt.burst {
			at := p.due(n)
			if p.until(at) <= n || p.until(at-1) > n {
				t.Errorf("%g a second: message %d is due at %d, but %d and %d are due around it", tt.rate, n, at, p.until(at-1), p.until(at))
			}
		}
	}
}

func TestSleepersWakeOnTime(t *testing.T) {
	release := holdThread()
	defer release()
	c := newClock()
	for _, d := range []time.Duration{0, 10 * time.Microsecond, 2 * time.Millisecond} {
		at := c.ticks() + toTicks(d)
		c.sleepUntil(at)
		if now := c.ticks(); now < at {
			t.Errorf("woke %s early", toDuration(at-now))
		}
	}
}

// A broker that stalls must show in the latency of every message that was due
// meanwhile, not only in that of the one that it held up.
func TestAStallIsNotOmitted(t *testing.T) {
	const stall = 100 * time.Millisecond
	b := startFake(t, func(b *fakeBroker) {
		b.onSend = func([]byte) {
			if b.sent == 50 {
				preciseSleep(stall)
			}
		}
	})
	r, err := benchRun(t, b, "--messages", "300", "--rate", "1000", "--window", "1")
	if err != nil {
		t.Fatal(err)
	}
	if r.Latency.P90 < (stall / 4).Microseconds() {
		t.Errorf("p90 is %d us: the messages that waited behind the stall are missing", r.Latency.P90)
	}
}

func TestSharesAddUp(t *testing.T) {
	for _, total := range []int64{0, 1, 7, 100} {
		var sum int64
		for i := range 7 {
			sum += share(total, i, 7)
		}
		if sum != total {
			t.Errorf("shares of %d add up to %d", total, sum)
		}
	}
}
