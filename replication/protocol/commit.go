package protocol

import (
	"slices"

	"github.com/entrepot-mq/entrepot/election"
)

// stored returns the index up to which m is known to have this master's log, at the level that counts.
func (n *Node) stored(m election.Member) uint64 {
	if m.Node == n.o.Node {
		if n.o.Memory {
			return n.written.Index
		}
		return n.synced
	}
	p := n.followed[m.Node]
	switch {
	case p == nil || p.member != m && !n.breaks(CountIncarnations):
		return 0
	case n.o.Memory:
		return p.mem
	}
	return p.durable
}

// covered returns the index up to which a quorum of c's in-sync set has the log.
func (n *Node) covered(c *election.Configuration) uint64 {
	have := make([]uint64, 0, 8)
	for _, m := range c.InSync {
		have = append(have, n.stored(m))
	}
	if len(have) < c.Quorum {
		return 0
	}
	slices.Sort(have)
	return have[len(have)-c.Quorum]
}

// advance raises the commit index as far as the rules allow.
func (n *Node) advance() {
	if !n.leads() || !n.led {
		return
	}
	to := n.covered(&n.state.Config)
	if n.proposed != nil && !n.breaks(JointChange) {
		to = min(to, n.covered(n.proposed))
	}
	if n.breaks(AwaitQuorum) {
		to = n.written.Index
	}
	if to < n.barrier && !n.breaks(CommitOwnEpoch) || to <= n.commit {
		return
	}
	n.commit = to
	n.do(Committed{to})
	if n.role == Elected && to >= n.barrier {
		n.role = Master
		n.o.Logger.Info("master", "epoch", n.epoch, "barrier", n.barrier)
		n.do(Serve{n.epoch, n.barrier})
	}
	n.tickDrain()
}
