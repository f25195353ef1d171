package protocol

import (
	"log/slog"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/election"
)

// Log is the node's log; a *log.Log is one. The Node reads it in every role and writes it only as a follower: until it
// asks to Lead it is the log's committer.
type Log interface {
	First() uint64
	Last() log.Position
	Durable() uint64
	Epochs() []log.EpochStart
	BoundaryAt(index uint64) (log.Position, error)
	ReadFrames(dst []byte, from uint64, limit int) ([]byte, error)
	AppendFrames(raw []byte) error
	Commit(sync bool) error
	TruncateAfter(pos log.Position) error
}

// Hard is what a node must not forget. It is small and stored as a whole.
type Hard struct {
	Promised uint64                 `json:"promised"` // the highest epoch promised to
	Inc      uint64                 `json:"inc"`
	Config   election.Configuration `json:"config"` // the last one seen: for people who have lost the store of configurations
}

// HardStore keeps Hard. Store returns when it is on the disk; a later Store replaces it.
type HardStore interface{ Store(h Hard) error }

// Options configure a Node. Zero values stand for the defaults in brackets.
type Options struct {
	Node   string
	Weight int  // among nodes that are equally far the highest goes first
	Memory bool // commit when a quorum has it in memory, not on disk
	// NotBefore is the time before which the node doesn't campaign: it gave up for a reason.
	NotBefore time.Duration

	Heartbeat   time.Duration // [250 ms]
	Silence     time.Duration // without a master's word for so long, there is none [1 s]
	RankDelay   time.Duration // that a node gives each better one to campaign first [150 ms]
	FenceWithin time.Duration // a candidate gives up after it [2 s]
	Contact     time.Duration // a master that has heard of no quorum for so long gives up [5 s]
	// Stuck is how long nothing is acknowledged before it is sent again. A heart-beat behind what was lost tells sooner; a
	// follower that is slow must not get everything twice.
	Stuck       time.Duration // [10 s]
	ShrinkAfter time.Duration // a member that is silent for so long leaves the in-sync set [30 s]
	CoverWithin time.Duration // a change of configuration that isn't covered by then is dropped [10 s]
	HoldFor     time.Duration // the log is kept for so long for a follower that is silent [1 min]
	// RestoreWithin is how long the log behind a snapshot is kept for the follower that got it [5 min].
	RestoreWithin time.Duration
	DrainWithin   time.Duration // a hand-over is dropped if its target isn't ready by then [500 ms]
	Window        int           // bytes on their way to a follower [32 MiB]
	CatchUp       int           // bytes a second for a follower that is not in sync; more if it does not gain [32 MiB]
	Chunk         int           // bytes of frames in a message, at least one frame [1 MiB]

	Seed    uint64 // of the jitter of campaigns
	Without Rule   // a rule to break: simulation only
	Logger  *slog.Logger
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&o.Heartbeat, 250*time.Millisecond)
	set(&o.Silence, time.Second)
	set(&o.RankDelay, 150*time.Millisecond)
	set(&o.FenceWithin, 2*time.Second)
	set(&o.Contact, 5*time.Second)
	set(&o.ShrinkAfter, 30*time.Second)
	set(&o.CoverWithin, 10*time.Second)
	set(&o.DrainWithin, 500*time.Millisecond)
	set(&o.HoldFor, time.Minute)
	set(&o.Stuck, 10*time.Second)
	set(&o.RestoreWithin, 5*time.Minute)
	if o.Window == 0 {
		o.Window = 32 << 20
	}
	if o.CatchUp == 0 {
		o.CatchUp = 32 << 20
	}
	if o.Chunk == 0 {
		o.Chunk = 1 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
