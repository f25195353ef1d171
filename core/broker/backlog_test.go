package broker

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
)

// BenchmarkBacklog measures a broker with a deep queue on the real disk:
//
//	go test -run - -bench Backlog -benchtime 1x ./core/broker
//
// ENTREPOT_BENCH_BACKLOG=10000000x100 asks for another depth and size.
func BenchmarkBacklog(b *testing.B) {
	count, size := 1_000_000, 1024
	if s := os.Getenv("ENTREPOT_BENCH_BACKLOG"); s != "" {
		n, bytes, _ := strings.Cut(s, "x")
		var err1, err2 error
		count, err1 = strconv.Atoi(n)
		size, err2 = strconv.Atoi(bytes)
		if err1 != nil || err2 != nil {
			b.Fatalf("ENTREPOT_BENCH_BACKLOG is %q", s)
		}
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(200 << 20))
	for range b.N {
		d := depth{b: b, dir: b.TempDir(), count: count, size: size}
		d.run()
	}
}

// depth is one backlog, filled and drained.
type depth struct {
	b           *testing.B
	dir         string
	count, size int
	*Broker
}

func (d *depth) run() {
	d.open()
	d.b.ReportMetric(d.turnover(200_000), "empty-msg/s")

	began := time.Now()
	d.publish(d.count)
	d.b.ReportMetric(float64(d.count)/time.Since(began).Seconds(), "fill-msg/s")
	d.b.ReportMetric(rssMiB(d.b), "fill-anon-MiB")

	d.kill()
	d.b.ReportMetric(d.open(), "kill-open-ms")
	d.b.ReportMetric(heapMiB(), "kill-heap-MiB")
	d.stop()
	d.b.ReportMetric(d.open(), "stop-open-ms")
	d.b.ReportMetric(heapMiB(), "stop-heap-MiB")

	d.b.ReportMetric(d.turnover(200_000), "deep-msg/s")
	d.b.ReportMetric(rssMiB(d.b), "deep-anon-MiB")

	d.kill()
	began = time.Now()
	d.open()
	first := d.consume(d.Stats().Messages)
	d.b.ReportMetric(float64(first.Sub(began).Milliseconds()), "first-ms")
	d.b.ReportMetric(float64(time.Since(began).Milliseconds()), "all-ms")
	d.b.ReportMetric(rssMiB(d.b), "drained-anon-MiB")
	d.stop()
}

// open opens the broker and returns how many milliseconds that took.
func (d *depth) open() (ms float64) {
	runtime.GC()
	debug.FreeOSMemory()
	began := time.Now()
	br, err := Open(Options{Dir: d.dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		d.b.Fatal(err)
	}
	d.Broker = br
	return float64(time.Since(began).Microseconds()) / 1000
}

func (d *depth) stop() {
	if err := d.Close(d.b.Context()); err != nil {
		d.b.Fatal(err)
	}
	d.Broker = nil
}

// kill ends the broker without a checkpoint.
func (d *depth) kill() {
	gone, cancel := context.WithCancel(d.b.Context())
	cancel()
	if err := d.Close(gone); err != nil {
		d.b.Fatal(err)
	}
	d.Broker = nil
}

// producer is a connection that keeps 1000 sends unconfirmed, and waits when
// it is told to.
type producer struct {
	window
	resume chan struct{}
}

func (p *producer) Deliver(Delivery) {}
func (p *producer) Closed(error)     {}
func (p *producer) Resume()          { p.resume <- struct{}{} }

func (d *depth) publish(n int) {
	p := &producer{window: window{make(chan struct{}, 1000)}, resume: make(chan struct{}, 1)}
	s, err := d.Connect(ConnectRequest{Sink: p})
	if err != nil {
		d.b.Error(err)
		return
	}
	defer s.Close()
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	body := make([]byte, d.size)
	for range n {
		<-p.slots
		e := message.Envelope{ID: s.NewID(), Destination: message.Queue("deep"), Durable: true, Priority: 4, Timestamp: 1}
		if s.Publish(message.New(&e, message.EncodingSTOMP, body), p, 0) {
			<-p.resume
		}
	}
	for range cap(p.slots) {
		<-p.slots
	}
}

// consume takes n messages and returns when the first one came.
func (d *depth) consume(n int) (first time.Time) {
	var left atomic.Int64
	left.Store(int64(n))
	a := &acceptor{left: &left, all: make(chan struct{}), wake: make(chan struct{}, 1)}
	c := &firstSeen{acceptor: a}
	s, err := d.Connect(ConnectRequest{Sink: c})
	if err != nil {
		d.b.Error(err)
		return time.Now()
	}
	if _, err := s.Subscribe(Subscription{Destination: message.Queue("deep"), Window: 1000}); err != nil {
		d.b.Error(err)
	}
	done := make(chan struct{})
	var loop sync.WaitGroup
	loop.Go(func() { a.run(done) })
	<-a.all
	close(done)
	loop.Wait()
	s.Close()
	return c.at
}

// firstSeen notes when its first delivery came.
type firstSeen struct {
	*acceptor
	once sync.Once
	at   time.Time
}

func (f *firstSeen) Deliver(d Delivery) {
	f.once.Do(func() { f.at = time.Now() })
	if f.left.Load() > 0 { // what comes after the last one is given back
		f.acceptor.Deliver(d)
	}
}

// turnover publishes and consumes n messages at the same time and returns the
// rate. With a backlog, what is consumed is older than what is published.
func (d *depth) turnover(n int) (rate float64) {
	began := time.Now()
	var consumer sync.WaitGroup
	consumer.Go(func() { d.consume(n) })
	d.publish(n)
	consumer.Wait()
	return float64(n) / time.Since(began).Seconds()
}

// rssMiB is the memory of the process that the system can't take back, where
// the system says it: without mapped files, which is how Badger reads tables.
func rssMiB(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err != nil {
				b.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	return 0
}

func heapMiB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}
