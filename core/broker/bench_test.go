package broker

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

// window is a producer that keeps n sends unconfirmed.
type window struct{ slots chan struct{} }

// Complete implements Done.
func (w *window) Complete(uint64, error) { w.slots <- struct{}{} }

// acceptor is a connection that accepts what it gets, in batches.
type acceptor struct {
	mu   sync.Mutex
	last Delivery
	left *atomic.Int64 // deliveries that are still to come, of all consumers
	all  chan struct{}
	wake chan struct{}
}

func (a *acceptor) Deliver(d Delivery) {
	a.mu.Lock()
	a.last = d
	a.mu.Unlock()
	if a.left.Add(-1) == 0 {
		close(a.all)
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}
func (a *acceptor) Resume()      {}
func (a *acceptor) Closed(error) {}

func (a *acceptor) run(done chan struct{}) {
	for {
		select {
		case <-a.wake:
			a.mu.Lock()
			d := a.last
			a.mu.Unlock()
			_ = d.Consumer.SettleThrough(d.Tag, Accepted, nil, 0)
		case <-done:
			return
		}
	}
}

func benchmarkQueue(b *testing.B, pairs, size int, durable bool) {
	b.Helper()
	br, err := Open(Options{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = br.Close(context.Background()) }()
	done := make(chan struct{})
	var loops sync.WaitGroup
	var left atomic.Int64
	each := max(1, b.N/pairs)
	left.Store(int64(each * pairs))
	all := make(chan struct{})
	sinks := make([]*acceptor, pairs)
	for i := range sinks {
		sinks[i] = &acceptor{left: &left, all: all, wake: make(chan struct{}, 1)}
		s, err := br.Connect(ConnectRequest{Sink: sinks[i]})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Subscribe(Subscription{Destination: message.Queue("bench"), Window: 1000}); err != nil {
			b.Fatal(err)
		}
		loops.Go(func() { sinks[i].run(done) })
	}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	b.ResetTimer()
	var producers sync.WaitGroup
	body := make([]byte, size)
	for range pairs {
		producers.Go(func() {
			s, _ := br.Connect(ConnectRequest{Sink: &acceptor{}})
			w := &window{slots: make(chan struct{}, 100)}
			for range 100 {
				w.slots <- struct{}{}
			}
			for range each {
				<-w.slots
				e := message.Envelope{ID: s.NewID(), Destination: message.Queue("bench"), Durable: durable, Priority: 4, Timestamp: 1}
				s.Publish(message.New(&e, message.EncodingSTOMP, body), w, 0)
			}
		})
	}
	producers.Wait()
	<-all
	b.StopTimer()
	close(done)
	loops.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

func BenchmarkQueuePersistent1K(b *testing.B)      { benchmarkQueue(b, 1, 1024, true) }
func BenchmarkQueuePersistent1K10x10(b *testing.B) { benchmarkQueue(b, 10, 1024, true) }
func BenchmarkQueueTransient16(b *testing.B)       { benchmarkQueue(b, 1, 16, false) }
