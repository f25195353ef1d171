package mqtt

import "sync/atomic"

// Stats is what a frontend has counted. Totals only grow.
type Stats struct {
	Connections   int    // open now, authenticated
	Subscriptions int    // of open connections
	Packets       uint64 // of all types that came
	Opened        uint64 // connections that authenticated
	Received      uint64 // PUBLISH packets carried out
	Delivered     uint64 // PUBLISH packets sent
	Dropped       uint64 // messages larger than their subscriber takes
	ReceivedBytes uint64
	SentBytes     uint64
	Errors        uint64 // connections that ended by an error of the client
	Silent        uint64 // connections that ended because the client kept silent
}

type metrics struct {
	connections   atomic.Int64
	subscriptions atomic.Int64
	packets       atomic.Uint64
	opened        atomic.Uint64
	received      atomic.Uint64
	delivered     atomic.Uint64
	dropped       atomic.Uint64
	receivedBytes atomic.Uint64
	sentBytes     atomic.Uint64
	errors        atomic.Uint64
	silent        atomic.Uint64
}

// Snapshot returns what the frontend has counted. Any goroutine may call it.
func (f *Frontend) Snapshot() Stats {
	return Stats{
		Connections:   int(f.metrics.connections.Load()),
		Subscriptions: int(f.metrics.subscriptions.Load()),
		Packets:       f.metrics.packets.Load(),
		Opened:        f.metrics.opened.Load(),
		Received:      f.metrics.received.Load(),
		Delivered:     f.metrics.delivered.Load(),
		Dropped:       f.metrics.dropped.Load(),
		ReceivedBytes: f.metrics.receivedBytes.Load(),
		SentBytes:     f.metrics.sentBytes.Load(),
		Errors:        f.metrics.errors.Load(),
		Silent:        f.metrics.silent.Load(),
	}
}
