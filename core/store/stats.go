package store

import (
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/core/latency"
)

// counters for metrics.
type counters struct {
	syncs, records, bytes, checkpoints atomic.Uint64
	lastCheckpoint                     atomic.Int64      // nanoseconds it took
	lastSync                           atomic.Int64      // nanoseconds
	syncing                            latency.Histogram // each sync of the log
	confirming                         latency.Histogram // the request that waited longest, of each batch
}

// synced counts a sync of the log that took so long.
func (c *counters) synced(took time.Duration) {
	c.syncs.Add(1)
	c.lastSync.Store(int64(took))
	c.syncing.Observe(took)
}

// confirmed counts how long the first of b's producers waited.
func (c *counters) confirmed(b *batch) {
	if !b.asked.IsZero() {
		c.confirming.Observe(time.Since(b.asked))
		b.asked = time.Time{}
	}
}

// logged is a count of log bytes behind the checkpoint that Open found; it only
// rises.
func (s *Store) logged() int64 { return s.replayed + int64(s.counts.bytes.Load()) }

// Written is how many bytes were written to the log since the store was opened; it only rises.
func (s *Store) Written() uint64 { return s.counts.bytes.Load() }

// Stats are counters since the start and present sizes.
type Stats struct {
	Syncs, Records, Bytes, Checkpoints uint64
	LastCheckpoint, LastSync           time.Duration
	WaitingBytes                       int64
	LogBytes, PagesBytes               int64
	Failed                             bool
	// Syncing is how long the syncs of the log took. Confirming is how long what somebody
	// waits for took until it was safe and applied, in a group at a majority: of each batch
	// the request that came first, which waited longest.
	Syncing, Confirming latency.Snapshot
}

// Stats returns the store's figures.
func (s *Store) Stats() Stats {
	_, onDisk := s.pages.Size()
	return Stats{
		Syncs: s.counts.syncs.Load(), Records: s.counts.records.Load(), Bytes: s.counts.bytes.Load(),
		Checkpoints:    s.counts.checkpoints.Load(),
		LastCheckpoint: time.Duration(s.counts.lastCheckpoint.Load()),
		LastSync:       time.Duration(s.counts.lastSync.Load()),
		WaitingBytes:   s.waiting.Load(), LogBytes: s.log.Size(), PagesBytes: onDisk, Failed: s.Failed() != nil,
		Syncing: s.counts.syncing.Snapshot(), Confirming: s.counts.confirming.Snapshot(),
	}
}
