package replication_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/replication"
)

// counter is told of confirmations, and lets as many follow.
type counter struct {
	free   chan struct{}
	failed atomic.Int64
}

func (c *counter) Complete(_ uint64, err error) {
	if err != nil {
		c.failed.Add(1)
	}
	c.free <- struct{}{}
}

// Persistent messages of 1 KiB to three nodes on one disk, in one process, from one producer that has window messages on
// their way.
func BenchmarkPublishToThreeNodes(b *testing.B) {
	for _, level := range []replication.Level{replication.QuorumDisk, replication.QuorumMem} {
		for _, window := range []int{1, 100, 1000} {
			b.Run(fmt.Sprintf("%v/window-%d", level, window), func(b *testing.B) {
				g := newGroup(b, 3, func(g *group) { g.level = level })
				_, br := g.master()
				g.inSync(3)
				c := connect(b, br, "p")
				body := make([]byte, 1024)
				done := &counter{free: make(chan struct{}, window)}
				for range window {
					done.free <- struct{}{}
				}
				b.SetBytes(1024)
				b.ResetTimer()
				began := time.Now()
				for i := range b.N {
					<-done.free
					e := message.Envelope{ID: c.NewID(), Destination: q, Durable: true, Priority: message.DefaultPriority, Timestamp: int64(i)}
					c.Publish(message.New(&e, message.EncodingSTOMP, body), done, 0)
				}
				for range window {
					<-done.free
				}
				b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "messages/s")
				if done.failed.Load() > 0 {
					b.Fatalf("%d messages were refused", done.failed.Load())
				}
			})
		}
	}
}
