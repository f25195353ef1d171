package election

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Errors of a Coordinator's writes. They come wrapped.
var (
	// ErrConflict: a guard did not hold. Nothing was written and, as the guards only ever move forward,
	// this write never will be.
	ErrConflict = errors.New("the group's configuration was changed by somebody else")
	// ErrUnknown: there was no answer. The write may have happened, or may happen later. Read tells, or
	// the same write again: its guards keep it from happening twice.
	ErrUnknown = errors.New("no answer from the group's configuration store")
	// ErrUnavailable: the store can't be reached. Nothing was written.
	ErrUnavailable = errors.New("the group's configuration store can't be reached")
	// ErrNoConfiguration: the group does not exist yet; Create makes it.
	ErrNoConfiguration = errors.New("the group has no configuration")
	// ErrRewound: the store went back in time: restored from a copy, or another one. It must not be
	// believed before an operator has put the newest configuration back.
	ErrRewound = errors.New("the group's configuration store went back in time")
	// ErrLeaseLost: the lease that a write should be bound to has ended. Nothing was written.
	ErrLeaseLost = errors.New("the lease has ended")
)

// Member is a node's identity as far as promises go. Inc, the incarnation, grows
// whenever the node may have forgotten something that it acknowledged, so that
// nobody counts on what an earlier incarnation had.
type Member struct {
	Node string `json:"node"`
	Inc  uint64 `json:"inc"`
}

// Configuration is the group's configuration: small, and changed as a whole. A
// Configuration that was handed out is not changed any more; Clone it.
type Configuration struct {
	GroupID string `json:"groupId"` // made at bootstrap; also in every data directory
	Format  uint32 `json:"format"`  // of records that masters may write
	Version uint64 `json:"version"` // one more with each change
	Epoch   uint64 `json:"epoch"`   // of the last election; at most one master an epoch
	Master  string `json:"master"`  // node that won it
	// InSync is the set S: every committed record is on at least Quorum of these identities.
	// Sorted by node.
	InSync []Member `json:"inSync"`
	Quorum int      `json:"quorum"` // q: how many of InSync must have a record before it is committed
	// Voters are the nodes that count for the size of the group; InSync is among them. Sorted.
	Voters []string `json:"voters"`
	// Learners get a copy and count for nothing yet. Sorted.
	Learners []string `json:"learners,omitempty"`
	// Unclean counts elections in which an operator accepted a loss (Recover).
	Unclean uint64 `json:"unclean,omitempty"`
}

// Clone returns a copy that shares nothing with c.
func (c Configuration) Clone() Configuration {
	c.InSync, c.Voters, c.Learners = slices.Clone(c.InSync), slices.Clone(c.Voters), slices.Clone(c.Learners)
	return c
}

// Has reports whether exactly this identity is in sync.
func (c *Configuration) Has(m Member) bool { return slices.Contains(c.InSync, m) }

// Equal reports whether c and o are the same in everything.
func (c *Configuration) Equal(o *Configuration) bool {
	return c.GroupID == o.GroupID && c.Format == o.Format && c.Version == o.Version && c.Epoch == o.Epoch &&
		c.Master == o.Master && c.Quorum == o.Quorum && c.Unclean == o.Unclean && slices.Equal(c.InSync, o.InSync) &&
		slices.Equal(c.Voters, o.Voters) && slices.Equal(c.Learners, o.Learners)
}

// Majority is the default Quorum of a group with n voters.
func Majority(n int) int { return n/2 + 1 }

// Lock says who is master now, or about to be. It exists as long as its lease.
type Lock struct {
	Node  string `json:"node"`
	Inc   uint64 `json:"inc"`
	Epoch uint64 `json:"epoch"`
	Lease int64  `json:"lease"` // LeaseID of the holder's lease, so that a guardian process can revoke it
	// Replication, and Client by listener name or scheme, are addresses at which the holder is reached.
	Replication string            `json:"replication,omitempty"`
	Client      map[string]string `json:"client,omitempty"`
}

// Revision is a place in the store's history: 0 for what does not exist, and
// larger with each write of the key.
type Revision int64

// State is what the store held at one moment.
type State struct {
	Config         Configuration
	ConfigRevision Revision // 0: the group does not exist
	Lock           *Lock    // nil: nobody holds it; not to be changed
	LockRevision   Revision // of the last write of the lock while it is held, 0 while it isn't
	Hints          []Hint   // sorted by node; those of nodes that are gone may be missing
}

// Hint is what a node says about itself for people and for the order of
// campaigns. Nothing that must be safe rests on it.
type Hint struct {
	Node        string            `json:"node"`
	Inc         uint64            `json:"inc"`
	Role        string            `json:"role"`
	Epoch       uint64            `json:"epoch"` // of the last record, with Index
	Index       uint64            `json:"index"`
	Commit      uint64            `json:"commit"`
	Weight      int               `json:"weight"` // the higher goes first among equals
	Fit         bool              `json:"fit"`    // it may campaign
	Replication string            `json:"replication,omitempty"`
	Client      map[string]string `json:"client,omitempty"`
	Console     string            `json:"console,omitempty"`
	Version     string            `json:"version,omitempty"` // of the program
	FormatMin   uint32            `json:"formatMin,omitempty"`
	FormatMax   uint32            `json:"formatMax,omitempty"`
}

// Floor is what a node was known to have promised and stored. A node whose disk
// holds less has gone back in time and takes a new incarnation. It has no
// lease: it outlives the node.
type Floor struct {
	Inc      uint64 `json:"inc"`
	Promised uint64 `json:"promised"`
	Epoch    uint64 `json:"epoch"` // of the last durable record, with Index
	Index    uint64 `json:"index"`
}

// Lease is a claim that ends by itself unless it is kept alive, which its
// Coordinator does in the background from Grant on until it is lost or revoked.
type Lease interface {
	// ID names the lease; never 0.
	ID() int64
	// Deadline is the reading of Now until which the claim surely holds: taken before the
	// last renewal was sent, and earlier than the store's own end of it by a margin. Cheap
	// enough for every message. It never moves back, except to 0 when the lease is
	// known to be lost.
	Deadline() time.Duration
	// Lost is closed when the lease is known to be lost, or Deadline has passed (a moment late, perhaps).
	Lost() <-chan struct{}
	// Revoke ends the lease, and with it a lock that is bound to it. From its call on Deadline is 0.
	Revoke(ctx context.Context) error
}

// Coordinator is the store of one group's configuration. All methods are safe for
// concurrent use. Reads are linearizable: they see every write that was answered
// before. Writes answer with the State they made, or an error from the list above.
type Coordinator interface {
	// Read returns the present state; without a group, a State with ConfigRevision 0.
	Read(ctx context.Context) (State, error)
	// Watch delivers the state now and after changes, until ctx ends; then it closes the channel.
	// A slow reader misses states, never the last one. While the store can't be reached
	// nothing comes, and the watch goes on by itself afterwards.
	Watch(ctx context.Context) <-chan State
	// Create stores a group's first configuration. ErrConflict, with the present State, if there is one.
	Create(ctx context.Context, c Configuration) (State, error)
	// Grant makes a lease of the Coordinator's TTL and keeps it.
	Grant(ctx context.Context) (Lease, error)
	// Campaign is one transaction: if there is no lock, and the configuration's revision is at, it stores
	// lock, bound to lease, and c. lock.Lease is set by the Coordinator.
	Campaign(ctx context.Context, lease Lease, at Revision, lock Lock, c Configuration) (State, error)
	// Change is one transaction: if the lock's revision is lock, and the configuration's is at, it stores c.
	Change(ctx context.Context, lock, at Revision, c Configuration) (State, error)
	// Recover is one transaction: if there is no lock, and the configuration's revision is at, it stores c.
	// It is what an operator does who accepts a loss; nothing else calls it.
	Recover(ctx context.Context, at Revision, c Configuration) (State, error)
	// SetHint stores h, for as long as this process lives (by a lease of its own).
	SetHint(ctx context.Context, h Hint) error
	// Floor returns what node's floor is; ok is false if there is none.
	Floor(ctx context.Context, node string) (f Floor, ok bool, err error)
	// SetFloor stores node's floor.
	SetFloor(ctx context.Context, node string, f Floor) error
	// Close ends watches and leases.
	Close() error
}
