package latency

import (
	"sync/atomic"
	"time"
)

// Bounds are the upper ends of the buckets; one more bucket holds what took
// longer than the last. A sync of a good disk takes some hundred
// microseconds, a message may wait for minutes.
var Bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, time.Minute, 10 * time.Minute, time.Hour,
}

// Histogram counts durations. Its zero value is ready, and safe for concurrent
// use; it must not be copied.
type Histogram struct {
	counts [len(Bounds) + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

// Observe counts d; what is negative, because somebody else's clock is ahead,
// counts as 0.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(d)].Add(1)
	h.sum.Add(int64(d))
}

// bucket finds the first bound that d does not exceed.
func bucket(d time.Duration) int {
	low, high := 0, len(Bounds)
	for low < high {
		if middle := (low + high) / 2; d <= Bounds[middle] {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low
}

// Snapshot is what a histogram has counted.
type Snapshot struct {
	// Counts are those of each bucket alone, in the order of Bounds.
	Counts [len(Bounds) + 1]uint64
	Sum    time.Duration
}

// Total returns how many durations were counted.
func (s *Snapshot) Total() (n uint64) {
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Snapshot returns what was counted until now.
func (h *Histogram) Snapshot() (s Snapshot) {
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
	}
	s.Sum = time.Duration(h.sum.Load())
	return s
}
