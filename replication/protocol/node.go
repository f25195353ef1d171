package protocol

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/election"
)

// Role is what a node is at the moment.
type Role uint8

// The roles.
const (
	Follower  Role = iota // follows a master, or waits for one
	Candidate             // has won an epoch and collects promises
	Elected               // leads, but the barrier is not committed
	Master
	Retired // led, and must begin anew
)

// String returns the role's name.
func (r Role) String() string {
	return [...]string{"follower", "candidate", "elected", "master", "retired"}[r]
}

// Node is one member of a group. One goroutine uses it. See the package comment.
type Node struct {
	o    Options
	log  Log
	disk HardStore
	rand *rand.Rand
	hard Hard
	now  time.Duration
	out  []Effect
	dead bool // Failed or Distrusted

	role   Role
	epoch  uint64 // that the node leads or wants to lead; of the master that it follows
	commit uint64

	state     election.State // of the configuration's store, as last seen
	seen      bool           // state is something
	lockGone  time.Duration  // when the lock was first seen absent
	highest   uint64         // epoch that any node was heard to have promised
	campaign  uint64         // epoch asked for, while the answer is out
	notBefore time.Duration  // no campaign
	preferred bool           // a master has handed over to this node
	statusAt  time.Duration  // when Status was last sent
	readAt    time.Duration  // when a follower without master last asked for the state
	peers     map[string]*peer

	following   // role Follower
	candidacy   // role Candidate
	leading     // roles Elected, Master
	reassigning // roles Elected, Master: a change of configuration
}

// following is what a follower knows of its master.
type following struct {
	master  string
	heard   time.Duration // when; valid if master is set
	matched uint64        // the log up to here is the master's
}

// candidacy is what a candidate has collected.
type candidacy struct {
	began   time.Duration
	fenced  []election.Member // those that promised and have no more than this node, itself included
	ahead   bool              // one that promised has more
	askedAt time.Duration
}

// peer is what was last heard of another node when there was no master.
type peer struct {
	member election.Member
	last   log.Position
	weight int
	at     time.Duration
}

// New returns a node that follows. h and l are what its disk has; h.Inc is not 0. commit is the index
// up to which its state was already applied: all of that is known to be committed.
func New(o Options, h Hard, disk HardStore, l Log, commit uint64, now time.Duration) *Node {
	o = o.withDefaults()
	return &Node{
		o: o, log: l, disk: disk, hard: h, commit: commit, now: now, notBefore: o.NotBefore,
		rand:  rand.New(rand.NewPCG(o.Seed, h.Promised)), //nolint:gosec // time-outs differ, a seed repeats a failure
		peers: make(map[string]*peer),
	}
}

// Effects returns what is to be done since it was last called.
func (n *Node) Effects() []Effect {
	out := n.out
	n.out = nil
	return out
}

// Role returns what the node is, and in which epoch.
func (n *Node) Role() (Role, uint64) { return n.role, n.epoch }

// Commit returns the index up to which records are known to be committed.
func (n *Node) Commit() uint64 { return n.commit }

// Hard returns the durable values.
func (n *Node) Hard() Hard { return n.hard }

// Master returns the node that this one takes for the master, "" if it knows none.
func (n *Node) Master() string {
	switch n.role {
	case Elected, Master:
		return n.o.Node
	case Follower:
		if n.follows() {
			return n.master
		}
	case Candidate, Retired:
	}
	return ""
}

// State returns what was last seen of the configuration's store.
func (n *Node) State() election.State { return n.state }

func (n *Node) self() election.Member { return election.Member{Node: n.o.Node, Inc: n.hard.Inc} }

func (n *Node) do(e Effect) { n.out = append(n.out, e) }

func (n *Node) send(to string, m Message) {
	m.From, m.To = n.self(), to
	n.do(Send{&m})
}

// breaks reports whether the simulation has taken rule r away.
func (n *Node) breaks(r Rule) bool { return n.o.Without == r }

// fail ends the node.
func (n *Node) fail(err error) {
	if !n.dead {
		n.dead = true
		n.do(Resign{})
		n.do(Failed{err})
	}
}

func (n *Node) distrust(reason string) {
	n.o.Logger.Error("this node's log contradicts the group's; it must be rebuilt", "reason", reason)
	n.dead = true
	n.do(Resign{})
	n.do(Distrusted{reason})
}

// promise makes sure that epoch is promised, durably, before anything else happens.
func (n *Node) promise(epoch uint64) bool {
	n.highest = max(n.highest, epoch)
	if epoch <= n.hard.Promised {
		return true
	}
	n.hard.Promised = epoch
	return n.store()
}

func (n *Node) store() bool {
	if n.breaks(KeepPromises) {
		return true
	}
	if err := n.disk.Store(n.hard); err != nil {
		n.fail(err)
		return false
	}
	return true
}

// has reports whether c counts m as in sync.
func (n *Node) has(c *election.Configuration, m election.Member) bool {
	if n.breaks(CountIncarnations) {
		return slices.ContainsFunc(c.InSync, func(s election.Member) bool { return s.Node == m.Node })
	}
	return c.Has(m)
}

// newer reports whether a log that ends at a has something that one that ends at b may lack.
func (n *Node) newer(a, b log.Position) bool {
	if a.Epoch != b.Epoch && !n.breaks(CompareEpochs) {
		return a.Epoch > b.Epoch
	}
	return a.Index > b.Index
}

// Tick lets time pass. It is called several times in each Options.Heartbeat.
func (n *Node) Tick(now time.Duration) {
	if n.dead {
		return
	}
	n.now = max(n.now, now)
	switch n.role {
	case Follower:
		n.tickFollower()
	case Candidate:
		n.tickCandidate()
	case Elected, Master:
		n.tickMaster()
	case Retired:
	}
}

// Receive takes a message.
func (n *Node) Receive(now time.Duration, m *Message) {
	if n.dead || n.role == Retired || m.From.Node == n.o.Node {
		return
	}
	n.now = max(n.now, now)
	n.highest = max(n.highest, m.Promised, m.Epoch)
	switch m.Kind {
	case Status:
		n.receiveStatus(m)
	case Fence:
		n.receiveFence(m)
	case Fenced:
		n.receiveFenced(m)
	case Refused:
		n.receiveRefused(m)
	case Probe, Append:
		n.receiveMaster(m)
	case Probed, Mismatch, Ack:
		n.receiveFollower(m)
	case TakeOver:
		n.preferred = n.role == Follower && m.Epoch == n.epoch
		n.maybeCampaign()
	}
}

// Seen takes what the configuration's store holds, or held a moment ago.
func (n *Node) Seen(now time.Duration, s election.State) {
	if n.dead || s.ConfigRevision < n.state.ConfigRevision {
		return
	}
	n.now = max(n.now, now)
	free := s.Lock == nil && (!n.seen || n.state.Lock != nil)
	n.state, n.seen = s, true
	if free {
		n.lockGone = n.now
	}
	n.noteConfig(s.Config)
	switch n.role {
	case Follower:
		if free {
			n.sendStatus(false)
		}
		n.maybeCampaign()
	case Candidate, Elected, Master:
		n.checkLock()
	case Retired:
	}
}

// noteConfig remembers c for the case that the store that holds it is lost.
func (n *Node) noteConfig(c election.Configuration) {
	if c.Version > n.hard.Config.Version || c.Epoch > n.hard.Config.Epoch {
		n.hard.Config = c.Clone()
		n.store()
	}
}

// checkLock has the node give up if the lock is not its own any more.
func (n *Node) checkLock() {
	l := n.state.Lock
	if l != nil && l.Node == n.o.Node && l.Inc == n.hard.Inc && l.Epoch == n.epoch {
		n.reassigned()
		return
	}
	n.stepDown("another node won the election, or the lease ended", false)
}

// LeaseLost tells that the lease's deadline has passed, or that it is known to be lost.
func (n *Node) LeaseLost(now time.Duration) {
	n.now = max(n.now, now)
	n.stepDown("the lease ended", false)
}

// Stop has the node give up its lease before its owner ends.
func (n *Node) Stop() { n.stepDown("the broker is shutting down", false) }

// stepDown ends the node's candidacy or mastership. pause keeps it from campaigning for a while.
func (n *Node) stepDown(reason string, pause bool) {
	switch n.role {
	case Candidate:
		n.do(Resign{})
		n.role, n.master = Follower, ""
		n.backOff(pause)
		n.o.Logger.Info("gave up the candidacy", "epoch", n.epoch, "reason", reason)
	case Elected, Master:
		n.o.Logger.Warn("not the master any more", "epoch", n.epoch, "reason", reason)
		n.role = Retired
		n.do(Resign{})
		n.do(Retire{Reason: reason, Pause: pause})
	case Follower, Retired:
	}
}

func (n *Node) backOff(long bool) {
	d := n.o.RankDelay + time.Duration(n.rand.Int64N(int64(n.o.RankDelay)*2))
	if long {
		d += n.o.FenceWithin / 2
	}
	n.notBefore = max(n.notBefore, n.now+d)
}

var errLogMoved = errors.New("the log does not have a place that it had")
