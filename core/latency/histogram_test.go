package latency

import (
	"sync"
	"testing"
	"time"
)

func TestADurationIsCountedInTheFirstBucketThatHoldsIt(t *testing.T) {
	for _, test := range []struct {
		d    time.Duration
		want int
	}{
		{-time.Second, 0},
		{0, 0},
		{100 * time.Microsecond, 0},
		{100*time.Microsecond + 1, 1},
		{time.Millisecond, 3},
		{time.Hour, len(Bounds) - 1},
		{time.Hour + 1, len(Bounds)},
		{1 << 62, len(Bounds)},
	} {
		var h Histogram
		h.Observe(test.d)
		if s := h.Snapshot(); s.Counts[test.want] != 1 || s.Total() != 1 || s.Sum != max(test.d, 0) {
			t.Errorf("%s: %v, sum %s, want bucket %d", test.d, s.Counts, s.Sum, test.want)
		}
	}
}

func TestBoundsRise(t *testing.T) {
	for i := 1; i < len(Bounds); i++ {
		if Bounds[i] <= Bounds[i-1] {
			t.Errorf("%s comes after %s", Bounds[i], Bounds[i-1])
		}
	}
}

func TestNothingIsLostWhenManyCount(t *testing.T) {
	var h Histogram
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 1000 {
				h.Observe(time.Duration(i) * time.Millisecond)
			}
		})
	}
	all.Wait()
	if s := h.Snapshot(); s.Total() != 4000 || s.Sum != 6*time.Second {
		t.Errorf("%d durations of %s together", s.Total(), s.Sum)
	}
}

func BenchmarkObserve(b *testing.B) {
	var h Histogram
	b.ReportAllocs()
	for b.Loop() {
		h.Observe(3 * time.Millisecond)
	}
}
