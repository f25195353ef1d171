package broker

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

// silent is a connection that takes everything and says nothing.
type silent struct{}

func (silent) Deliver(Delivery) {}
func (silent) Resume()          {}
func (silent) Closed(error)     {}

func benchBroker(b *testing.B) (*Broker, *Session) {
	b.Helper()
	br, err := Open(Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = br.Close(context.Background()) })
	s, err := br.Connect(ConnectRequest{Sink: silent{}})
	if err != nil {
		b.Fatal(err)
	}
	return br, s
}

func benchSend(s *Session, d message.Destination, durable bool) {
	e := message.Envelope{ID: s.NewID(), Destination: d, Durable: durable, Priority: 4, Timestamp: 1}
	s.Publish(message.New(&e, message.EncodingSTOMP, make([]byte, 100)), nil, 0)
}

// BenchmarkCloseWith10000Unsettled is the end of a connection that had taken
// many messages and settled none.
func BenchmarkCloseWith10000Unsettled(b *testing.B) {
	for _, durable := range []bool{false, true} {
		b.Run(fmt.Sprintf("durable=%t", durable), func(b *testing.B) {
			_, p := benchBroker(b)
			sync := func() {
				w := make(waiter, 1)
				p.Sync(w, 0)
				<-w
			}
			for b.Loop() {
				b.StopTimer()
				for range unsettled {
					benchSend(p, a, durable)
				}
				sync()
				s, _ := taker(b, p.b)
				b.StartTimer()
				s.Close()
				sync()
				b.StopTimer()
				s, k := taker(b, p.b)
				if k.Unsettled() != unsettled {
					b.Fatalf("%d messages came back", k.Unsettled())
				}
				if err := k.SettleThrough(unsettled, Accepted, nil, 0); err != nil {
					b.Fatal(err)
				}
				sync()
				s.Close()
				b.StartTimer()
			}
		})
	}
}

const unsettled = 10_000

// taker takes all that is in the queue.
func taker(b *testing.B, br *Broker) (*Session, *Consumer) {
	b.Helper()
	s, err := br.Connect(ConnectRequest{Sink: silent{}})
	if err != nil {
		b.Fatal(err)
	}
	k, err := s.Subscribe(Subscription{Destination: a, Window: 2 * unsettled})
	if err != nil {
		b.Fatal(err)
	}
	return s, k
}

// BenchmarkSendTo1000ConsumersWithoutCredit is a message that nobody can take.
func BenchmarkSendTo1000ConsumersWithoutCredit(b *testing.B) {
	for _, others := range []int{0, 1000} {
		b.Run(strconv.Itoa(others), func(b *testing.B) {
			br, p := benchBroker(b)
			for range others {
				if _, err := p.Subscribe(Subscription{Destination: a}); err != nil {
					b.Fatal(err)
				}
			}
			n := 0
			for b.Loop() {
				if n++; n%50_000 == 0 {
					b.StopTimer()
					br.queues.get(a).PurgeTransient()
					b.StartTimer()
				}
				benchSend(p, a, false)
			}
		})
	}
}

// BenchmarkOneConsumerOf1000HasCredit is a message that one of many can take.
func BenchmarkOneConsumerOf1000HasCredit(b *testing.B) {
	_, p := benchBroker(b)
	for range 999 {
		if _, err := p.Subscribe(Subscription{Destination: a}); err != nil {
			b.Fatal(err)
		}
	}
	k, err := p.Subscribe(Subscription{Destination: a, Window: 1})
	if err != nil {
		b.Fatal(err)
	}
	for tag := uint64(1); b.Loop(); tag++ {
		benchSend(p, a, false)
		if err := k.Settle(tag, Accepted, nil, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDispatchOverQueues is a message to each queue in turn, taken and
// accepted by its only consumer: what many queues add is the cache's misses.
func BenchmarkDispatchOverQueues(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			_, p := benchBroker(b)
			queues, consumers := make([]message.Destination, n), make([]*Consumer, n)
			for i := range n {
				queues[i] = message.Queue(fmt.Sprint("bench.queue.", i))
				k, err := p.Subscribe(Subscription{Destination: queues[i], Window: 10})
				if err != nil {
					b.Fatal(err)
				}
				consumers[i] = k
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				benchSend(p, queues[i%n], false)
				if err := consumers[i%n].Settle(uint64(i/n+1), Accepted, nil, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMemoryOf10000Queues reports what a queue with a consumer takes,
// idle and after a message has passed through.
func BenchmarkMemoryOf10000Queues(b *testing.B) {
	const n = 10_000
	for b.Loop() {
		_, p := benchBroker(b)
		heap := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := heap()
		consumers := make([]*Consumer, n)
		for i := range n {
			k, err := p.Subscribe(Subscription{Destination: message.Queue(fmt.Sprint("bench.queue.", i)), Window: 10})
			if err != nil {
				b.Fatal(err)
			}
			consumers[i] = k
		}
		w := make(waiter, 1)
		p.Sync(w, 0)
		<-w
		idle := heap()
		for i, k := range consumers {
			benchSend(p, message.Queue(fmt.Sprint("bench.queue.", i)), false)
			if err := k.Settle(1, Accepted, nil, 0); err != nil {
				b.Fatal(err)
			}
		}
		used := heap()
		b.ReportMetric(float64(idle-before)/n, "B/idle-queue")
		b.ReportMetric(float64(used-before)/n, "B/used-queue")
		runtime.KeepAlive(consumers)
	}
}
