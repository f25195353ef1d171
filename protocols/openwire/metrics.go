package openwire

import "sync/atomic"

// Stats is what a frontend has counted. Totals only grow.
type Stats struct {
	Connections int    // open now, authenticated
	Received    uint64 // messages carried out or put into a transaction
	Delivered   uint64 // messages dispatched to consumers
}

type metrics struct {
	connections atomic.Int64
	received    atomic.Uint64
	delivered   atomic.Uint64
}

// Snapshot returns what the frontend has counted. Any goroutine may call it.
func (f *Frontend) Snapshot() Stats {
	return Stats{
		Connections: int(f.metrics.connections.Load()),
		Received:    f.metrics.received.Load(),
		Delivered:   f.metrics.delivered.Load(),
	}
}
