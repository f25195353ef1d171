package stomp

import "sync/atomic"

// Stats is what a frontend has counted. Totals only grow.
type Stats struct {
	Connections   int    // open now, authenticated
	Opened        uint64 // connections that authenticated
	Received      uint64 // SEND frames carried out or put into a transaction
	Delivered     uint64 // MESSAGE frames
	ReceivedBytes uint64 // of frames and heart-beats
	SentBytes     uint64
	Errors        uint64 // ERROR frames
	HeartBeats    uint64 // connections that ended because heart-beats stayed away
}

type metrics struct {
	connections   atomic.Int64
	opened        atomic.Uint64
	received      atomic.Uint64
	delivered     atomic.Uint64
	receivedBytes atomic.Uint64
	sentBytes     atomic.Uint64
	errors        atomic.Uint64
	heartBeats    atomic.Uint64
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
		HeartBeats:    f.metrics.heartBeats.Load(),
	}
}
