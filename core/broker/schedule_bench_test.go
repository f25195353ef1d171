package broker

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
)

// punctual measures how late deliveries come, and accepts them.
type punctual struct {
	acceptor
	mu   sync.Mutex
	late []time.Duration
}

func (p *punctual) Deliver(d Delivery) {
	due := time.UnixMilli(d.Message.Timestamp)
	p.mu.Lock()
	p.late = append(p.late, time.Since(due))
	p.mu.Unlock()
	p.acceptor.Deliver(d)
}

// BenchmarkAMillionSchedules restarts a broker with a million scheduled
// messages on disk, of which 100,000 are due at 10,000 a second soon after it.
// Run it with -benchtime 1x.
func BenchmarkAMillionSchedules(b *testing.B) {
	const jobs, soon, rate = 1_000_000, 100_000, 10_000
	for range b.N {
		dir := b.TempDir()
		prepare(b, dir, jobs-soon, soon, rate)
		before, began := heap(), time.Now()
		br, err := Open(Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/start")
		b.ReportMetric(float64(heap()-before)/jobs, "B/job")
		fireAll(b, br, soon)
		if n := br.ScheduleStats().Jobs; n != jobs-soon {
			b.Fatalf("%d jobs are left", n)
		}
		if err := br.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// prepare schedules far messages within a year, and soon ones in 20 seconds.
func prepare(b *testing.B, dir string, far, soon int, rate int64) {
	b.Helper()
	br, err := Open(Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	add(b, br, far, func(int) int64 { return began.UnixMilli() + 3_600_000 + rand.Int64N(365*86_400_000) })
	b.ReportMetric(float64(far)/time.Since(began).Seconds(), "adds/s")
	first := time.Now().Add(20 * time.Second).UnixMilli()
	add(b, br, soon, func(i int) int64 { return first + int64(i)*1000/rate })
	if err := br.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// add schedules n messages of 100 bytes.
func add(b *testing.B, br *Broker, n int, due func(i int) int64) {
	b.Helper()
	s, err := br.Connect(ConnectRequest{Sink: &acceptor{}})
	if err != nil {
		b.Fatal(err)
	}
	w := &window{slots: make(chan struct{}, 1000)}
	for range cap(w.slots) {
		w.slots <- struct{}{}
	}
	body := make([]byte, 100)
	for i := range n {
		<-w.slots
		at := due(i)
		e := message.Envelope{
			ID: s.NewID(), Destination: message.Queue("bench"), Durable: true, Priority: 4, Timestamp: at, DeliverAt: at,
		}
		s.Publish(message.New(&e, message.EncodingSTOMP, body), w, 0)
	}
	for range cap(w.slots) {
		<-w.slots
	}
	s.Close()
}

// fireAll consumes n deliveries and reports how late they were.
func fireAll(b *testing.B, br *Broker, n int) {
	b.Helper()
	p := &punctual{}
	p.left, p.all, p.wake = new(atomic.Int64), make(chan struct{}), make(chan struct{}, 1)
	p.left.Store(int64(n))
	done := make(chan struct{})
	var loop sync.WaitGroup
	loop.Go(func() { p.run(done) })
	s, err := br.Connect(ConnectRequest{Sink: p})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Subscribe(Subscription{Destination: message.Queue("bench"), Window: 10_000}); err != nil {
		b.Fatal(err)
	}
	<-p.all
	close(done)
	loop.Wait()
	slices.Sort(p.late)
	for _, q := range []struct {
		name string
		at   float64
	}{{"ms-p50", 0.5}, {"ms-p99", 0.99}, {"ms-max", 1}} {
		b.ReportMetric(float64(p.late[int(q.at*float64(n-1))].Microseconds())/1000, q.name)
	}
}
