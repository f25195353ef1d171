package store

import (
	"time"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// roomPeriod is how often the disk is asked for its free space. roomMargin is for
// what is written meanwhile, and for what a checkpoint that a crash cut short has
// left behind.
const (
	roomPeriod = 20 * time.Millisecond
	roomMargin = 64 << 20
	holdMargin = 1 << 30 // what has to be free beyond that before log is kept for followers
)

// roomLoop keeps the messages out that would take the space of the checkpoints
// to come. Only a checkpoint gives space back, so one that found no room would
// be waited for in vain, even after everything has been consumed.
func (s *Store) roomLoop() {
	tick := time.NewTicker(roomPeriod)
	defer tick.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case <-tick.C:
			if free, err := (disk.OS{}).Free(s.o.Dir); err == nil { // or else the next write tells
				s.look(free)
			}
		}
	}
}

// look compares the free space with what has to be left: the page store's
// reserve, one more segment of the log, what of the log no checkpoint holds yet,
// and a margin.
func (s *Store) look(free int64) {
	need := s.reserve + roomMargin + s.o.SegmentSize + s.logged() - s.cp.completed.Load()
	s.tight.Store(free < need+s.o.Retain+holdMargin)
	if cramped := free < need; s.cramped.Swap(cramped) != cramped && cramped {
		s.o.Logger.Warn("the disk is almost full: messages that have to be stored are refused until consumers have made room",
			"free", free, "needed", need)
	}
}
