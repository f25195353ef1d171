package store

import (
	"sync/atomic"
	"time"
)

// counters for metrics.
type counters struct {
	syncs, records, bytes, checkpoints atomic.Uint64
	lastCheckpoint                     atomic.Int64 // nanoseconds it took
	lastSync                           atomic.Int64 // nanoseconds
}

// logged is a count of log bytes behind the checkpoint that Open found; it only
// rises.
func (s *Store) logged() int64 { return s.replayed + int64(s.counts.bytes.Load()) }

// Stats are counters since the start and present sizes.
type Stats struct {
	Syncs, Records, Bytes, Checkpoints uint64
	LastCheckpoint, LastSync           time.Duration
	WaitingBytes                       int64
	LogBytes, PagesBytes               int64
	Failed                             bool
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
	}
}
