package broker

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

// benchmarkSelectors is one producer and many consumers of one queue, each of
// which asks for what text says of its number.
func benchmarkSelectors(b *testing.B, consumers int, durable bool, text func(i int) string) {
	b.Helper()
	br, err := Open(Options{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler), Converters: message.Converters{message.EncodingHub: message.Hub{}}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = br.Close(context.Background()) }()
	done, all := make(chan struct{}), make(chan struct{})
	var loops sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	for i := range consumers {
		sink := &acceptor{left: &left, all: all, wake: make(chan struct{}, 1)}
		s, err := br.Connect(ConnectRequest{Sink: sink})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Subscribe(Subscription{Destination: message.Queue("bench"), Window: 1000, Selector: text(i)}); err != nil {
			b.Fatal(err)
		}
		loops.Go(func() { sink.run(done) })
	}
	s, _ := br.Connect(ConnectRequest{Sink: &acceptor{}})
	w := &window{slots: make(chan struct{}, 100)}
	for range cap(w.slots) {
		w.slots <- struct{}{}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		<-w.slots
		e := message.Envelope{ID: s.NewID(), Destination: message.Queue("bench"), Durable: durable, Priority: 4, Timestamp: 1}
		n := i * 7919 % consumers
		s.Publish(message.NewView(&e, &message.View{
			Properties: []message.Property{countText("id", n), number("n", int64(n))}, Body: message.TextBody("0123456789abcdef"),
		}), w, 0)
	}
	<-all
	b.StopTimer()
	close(done)
	loops.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

func countText(name string, n int) message.Property { return text(name, strconv.Itoa(n)) }

func BenchmarkThousandConsumers(b *testing.B) {
	for _, c := range []struct {
		name string
		text func(i int) string
	}{
		{"NoSelector", func(int) string { return "" }},
		{"OneSelector", func(int) string { return "n >= 0" }},
		{"EqualSelectors", func(i int) string { return fmt.Sprintf("id = '%d'", i) }},
		{"RangeSelectors", func(i int) string { return fmt.Sprintf("n BETWEEN %d AND %d", i, i) }},
	} {
		for _, durable := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/durable=%v", c.name, durable), func(b *testing.B) { benchmarkSelectors(b, 1000, durable, c.text) })
		}
	}
}

// benchmarkOnlyMatch is the time from subscribing with a selector that the
// queue has not seen to the delivery of its only match behind a million others.
func benchmarkOnlyMatch(b *testing.B, o Options, durable bool, text string) {
	b.Helper()
	o.Converters = message.Converters{message.EncodingHub: message.Hub{}}
	br, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = br.Close(context.Background()) }()
	s, _ := br.Connect(ConnectRequest{Sink: &acceptor{}})
	w := &window{slots: make(chan struct{}, 5000)}
	for range cap(w.slots) {
		w.slots <- struct{}{}
	}
	publish := func(colour string, n int64) {
		<-w.slots
		e := message.Envelope{ID: s.NewID(), Destination: a, Priority: 4, Timestamp: 1, Durable: durable}
		s.Publish(message.NewView(&e, &message.View{Properties: []message.Property{number("n", n), colourOf(colour)}}), w, 0)
	}
	for i := range int64(1_000_000) {
		publish("blue", i)
	}
	publish("red", 1<<40)
	for range cap(w.slots) {
		<-w.slots
	}
	for q := br.queues.get(a); q.Summarize(); { // as happens in the background
	}
	for i := 0; b.Loop(); i++ {
		sink := &first{got: make(chan struct{})}
		c, _ := br.Connect(ConnectRequest{Sink: sink})
		if _, err := c.Subscribe(Subscription{Destination: a, Window: 1, Selector: fmt.Sprintf(text, 1<<41+i)}); err != nil { // one that nobody had before
			b.Fatal(err)
		}
		<-sink.got
		c.Close()
	}
}

func BenchmarkOnlyMatchBehindAMillion(b *testing.B) {
	for _, c := range []struct{ name, text string }{{"Equal", "colour = 'red' AND n < %d"}, {"Range", "n > 1000000 AND n < %d"}} {
		b.Run(c.name+"/InMemory", func(b *testing.B) { benchmarkOnlyMatch(b, Options{Memory: 4 << 30}, false, c.text) })
		b.Run(c.name+"/OnDisk", func(b *testing.B) { benchmarkOnlyMatch(b, Options{Dir: b.TempDir()}, true, c.text) })
	}
}

func colourOf(colour string) message.Property { return text("colour", colour) }

// first waits for one delivery.
type first struct{ got chan struct{} }

func (f *first) Deliver(Delivery) { close(f.got) }
func (f *first) Resume()          {}
func (f *first) Closed(error)     {}
