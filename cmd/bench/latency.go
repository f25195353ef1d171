package bench

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are kept in microseconds up to ten minutes, to three digits.
const maxLatencyMicros = 10 * 60 * 1e6

// latencies is one goroutine's histogram. Messages that were stamped together
// and read together have the same latency: they are counted and recorded in
// one go, so a batch costs the histogram little more than a message.
type latencies struct {
	hist    *hdrhistogram.Histogram
	micros  int64
	pending int64
}

func newLatencies() *latencies {
	return &latencies{hist: hdrhistogram.New(1, maxLatencyMicros, 3)}
}

// record notes that something took ticks.
func (l *latencies) record(ticks int64) {
	micros := ticks * tickNanos / int64(time.Microsecond)
	if micros != l.micros {
		l.settle()
		l.micros = micros
	}
	l.pending++
}

// settle moves what is pending to the histogram.
func (l *latencies) settle() {
	if l.pending == 0 {
		return
	}
	v := min(max(l.micros, 1), maxLatencyMicros)
	// The only error is a value out of range, which the line above rules out.
	_ = l.hist.RecordValues(v, l.pending)
	l.pending = 0
}

// quantiles is a latency distribution in microseconds.
type quantiles struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   int64   `json:"p50"`
	P90   int64   `json:"p90"`
	P99   int64   `json:"p99"`
	P999  int64   `json:"p999"`
	Max   int64   `json:"max"`
}

// merge returns the distribution of all, or nil when nothing was recorded.
// Call it when nothing records any more.
func merge(all []*latencies) *quantiles {
	sum := hdrhistogram.New(1, maxLatencyMicros, 3)
	for _, l := range all {
		l.settle()
		sum.Merge(l.hist)
	}
	if sum.TotalCount() == 0 {
		return nil
	}
	return &quantiles{
		Count: sum.TotalCount(),
		Mean:  round(sum.Mean(), 1),
		P50:   sum.ValueAtQuantile(50),
		P90:   sum.ValueAtQuantile(90),
		P99:   sum.ValueAtQuantile(99),
		P999:  sum.ValueAtQuantile(99.9),
		Max:   sum.Max(),
	}
}

// round keeps digits decimals, so that results are readable.
func round(v float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(v*p) / p
}
