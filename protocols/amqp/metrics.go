package amqp

import "sync/atomic"

// Stats is what a frontend has counted. Totals only grow.
type Stats struct {
	Connections   int    // open now, authenticated
	Opened        uint64 // connections that were opened
	Received      uint64 // deliveries carried out or put into a transaction
	Delivered     uint64 // deliveries sent
	ReceivedBytes uint64
	SentBytes     uint64
	Errors        uint64 // detach, end and close frames with an error, rejected deliveries
	IdleTimeouts  uint64 // connections that ended because nothing came
}

type metrics struct {
	connections   atomic.Int64
	opened        atomic.Uint64
	received      atomic.Uint64
	delivered     atomic.Uint64
	receivedBytes atomic.Uint64
	sentBytes     atomic.Uint64
	errors        atomic.Uint64
	idle          atomic.Uint64
}

// Snapshot returns what the frontend has counted. Any goroutine may call it.
func (f *Frontend) Snapshot() Stats {
	return Stats{
		Connections:   int(f.metrics.connections.Load()),
		Opened:        f.metrics.opened.Load(),
		Received:      f.metrics.received.Load(),
		Delivered:     f.metrics.delivered.Load(),
		ReceivedBytes: f.metrics.receivedBytes.Load(),
		SentBytes:     f.metrics.sentBytes.Load(),
		Errors:        f.metrics.errors.Load(),
		IdleTimeouts:  f.metrics.idle.Load(),
	}
}
