package protocol

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/entrepot-mq/entrepot/election"
)

// reassigning is a change of the configuration that the master has begun: from the moment it is proposed until
// its outcome is known, both the old and the new rule hold.
type reassigning struct {
	proposed *election.Configuration
	since    time.Duration
	why      string
	asked    bool          // the transaction was sent, once at least
	waiting  bool          // its answer is out
	askAgain time.Duration // after an unknown outcome
}

// tickReassigning looks for a change that should be made, or goes on with the one that was begun.
func (n *Node) tickReassigning() {
	if n.proposed == nil {
		if next, why := n.wanted(); next != nil {
			n.propose(*next, why)
		}
		return
	}
	switch {
	case !n.asked && n.now-n.since >= n.o.CoverWithin:
		n.o.Logger.Warn("a change of the in-sync set was dropped: the new set is too slow", "change", n.why)
		n.reassigning = reassigning{}
		n.advance()
	case !n.asked || !n.waiting && n.now >= n.askAgain:
		n.tryChange()
	}
}

// propose begins a change to c, whose version is set here.
func (n *Node) propose(c election.Configuration, why string) {
	c.Version = n.state.Config.Version + 1
	n.reassigning = reassigning{proposed: &c, since: n.now, why: why}
	n.o.Logger.Info("changes the configuration", "change", why, "in_sync", c.InSync, "quorum", c.Quorum, "epoch", n.epoch)
	n.tryChange()
}

// tryChange sends the transaction if the new rule covers everything that may be committed.
func (n *Node) tryChange() {
	if !n.led {
		return
	}
	cover := max(n.commit, n.barrier)
	if n.breaks(CoverBarrier) {
		cover = n.commit
	}
	if !n.asked && n.covered(n.proposed) < cover && !n.breaks(JointChange) {
		return
	}
	n.asked, n.waiting = true, true
	n.do(Change{Lock: n.state.LockRevision, At: n.state.ConfigRevision, Config: n.proposed.Clone()})
}

// Changed tells what became of a Change.
func (n *Node) Changed(now time.Duration, s election.State, err error) {
	if n.dead || !n.leads() || n.proposed == nil || !n.waiting {
		return
	}
	n.now = max(n.now, now)
	n.waiting = false
	switch {
	case err == nil:
		n.Seen(now, s)
	case errors.Is(err, election.ErrConflict):
		n.askAgain = n.now + n.o.Heartbeat
		n.do(Read{}) // it may be this very change, made by an attempt whose answer was lost
	default:
		n.askAgain = n.now + n.o.Heartbeat // the outcome is unknown: both rules hold on
	}
}

// reassigned adopts a configuration of this master's own epoch that the store has.
func (n *Node) reassigned() {
	if n.proposed != nil && n.state.Config.Version >= n.proposed.Version {
		n.reassigning = reassigning{}
		n.refollow()
		n.advance()
	}
}

// wanted returns the change that the present state of the followers calls for.
func (n *Node) wanted() (*election.Configuration, string) {
	c := &n.state.Config
	for _, name := range slices.Concat(c.Voters, c.Learners) {
		p := n.followed[name]
		if p == nil || p.member.Inc == 0 || p.phase != streaming || c.Has(p.member) || !n.caughtUp(p) {
			continue
		}
		next := c.Clone()
		if i, found := slices.BinarySearch(next.Learners, name); found {
			next.Learners = slices.Delete(next.Learners, i, i+1)
			next.Voters = append(next.Voters, name)
			slices.Sort(next.Voters)
			next.Quorum = election.Majority(len(next.Voters))
		}
		next.InSync = with(without(next.InSync, name), p.member)
		return &next, name + " is in sync"
	}
	for _, m := range c.InSync {
		p := n.followed[m.Node]
		if p == nil || n.now-p.heard < n.o.ShrinkAfter || len(c.InSync) <= c.Quorum {
			continue
		}
		next := c.Clone()
		next.InSync = without(next.InSync, m.Node)
		return &next, m.Node + " is silent"
	}
	return nil, ""
}

// caughtUp reports whether everything that p's follower lacks is on its way.
func (n *Node) caughtUp(p *progress) bool {
	return p.next.Index == n.written.Index && n.now-p.heard < n.o.Silence && (p.durable >= n.barrier || !n.led)
}

func without(s []election.Member, node string) []election.Member {
	return slices.DeleteFunc(slices.Clone(s), func(m election.Member) bool { return m.Node == node })
}

func with(s []election.Member, m election.Member) []election.Member {
	s = append(slices.Clone(s), m)
	slices.SortFunc(s, func(a, b election.Member) int {
		if a.Node < b.Node {
			return -1
		}
		return 1
	})
	return s
}

// Errors of the operator's requests.
var (
	ErrNotMaster = errors.New("only the master can do this")
	ErrBusy      = errors.New("another change of the group is under way")
)

// AddNode makes name a learner; it becomes a voter when it has caught up.
func (n *Node) AddNode(now time.Duration, name string) error {
	c := &n.state.Config
	switch {
	case n.role != Master || n.dead:
		return ErrNotMaster
	case n.proposed != nil:
		return ErrBusy
	case slices.Contains(c.Voters, name) || slices.Contains(c.Learners, name):
		return fmt.Errorf("node %q is a member of the group already", name)
	}
	n.now = max(n.now, now)
	next := c.Clone()
	next.Learners = append(next.Learners, name)
	slices.Sort(next.Learners)
	n.propose(next, name+" joins")
	return nil
}

// RemoveNode takes name out of the group. The master removes itself by handing over first.
func (n *Node) RemoveNode(now time.Duration, name string) error {
	c := &n.state.Config
	switch {
	case n.role != Master || n.dead:
		return ErrNotMaster
	case n.proposed != nil:
		return ErrBusy
	case name == n.o.Node:
		return errors.New("the master can't be removed: hand over first")
	}
	next := c.Clone()
	out := func(s string) bool { return s == name }
	next.Voters, next.Learners = slices.DeleteFunc(next.Voters, out), slices.DeleteFunc(next.Learners, out)
	if len(next.Voters) == len(c.Voters) && len(next.Learners) == len(c.Learners) {
		return fmt.Errorf("node %q is not a member of the group", name)
	}
	next.InSync = without(next.InSync, name)
	if len(next.Voters) < len(c.Voters) {
		next.Quorum = election.Majority(len(next.Voters))
	}
	if len(next.InSync) < next.Quorum {
		return fmt.Errorf("without %q only %d nodes are in sync, and %d are needed", name, len(next.InSync), next.Quorum)
	}
	n.now = max(n.now, now)
	n.propose(next, name+" leaves")
	return nil
}
