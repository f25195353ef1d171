package protocol

import (
	"errors"
	"slices"
	"time"

	"github.com/entrepot-mq/entrepot/election"
)

// sendStatus tells the others how far this node is: the order of campaigns depends on it.
func (n *Node) sendStatus(reply bool) {
	n.statusAt = n.now
	for _, name := range n.state.Config.Voters {
		if name != n.o.Node {
			n.sendStatusTo(name, reply)
		}
	}
}

func (n *Node) sendStatusTo(name string, reply bool) {
	n.send(name, Message{
		Kind: Status, Reply: reply, Epoch: n.epoch, Promised: n.hard.Promised, Last: n.log.Last(), Commit: n.commit, Weight: n.o.Weight,
	})
}

func (n *Node) receiveStatus(m *Message) {
	n.peers[m.From.Node] = &peer{member: m.From, last: m.Last, weight: m.Weight, at: n.now}
	if n.role == Follower && !m.Reply {
		n.sendStatusTo(m.From.Node, true)
	}
	n.maybeCampaign()
}

// fenceQuorum is how many members of c's in-sync set must promise a candidate its epoch: a set that meets every
// quorum.
func (n *Node) fenceQuorum(c *election.Configuration) int {
	need := len(c.InSync) - c.Quorum + 1
	if n.breaks(FenceQuorum) {
		need--
	}
	return need
}

// maybeCampaign asks for an epoch if nobody leads and this node is the one to try first.
func (n *Node) maybeCampaign() {
	c := &n.state.Config
	switch {
	case n.role != Follower || n.dead || !n.seen || n.state.ConfigRevision == 0 || n.state.Lock != nil || n.campaign != 0:
		return
	case n.now < n.notBefore && !n.preferred: // the master's own word goes before an earlier reason to wait
		return
	case !n.has(c, n.self()) && !n.breaks(CampaignInSync):
		return
	case !n.preferred && n.now-n.lockGone < n.patience(c):
		return
	case n.alive(c) < n.fenceQuorum(c):
		return
	}
	n.preferred = false
	n.campaign = max(c.Epoch, n.hard.Promised, n.highest) + 1
	next := c.Clone()
	next.Epoch, next.Master = n.campaign, n.o.Node
	next.Version++
	n.o.Logger.Info("campaigns", "epoch", n.campaign, "last", n.log.Last().String())
	n.do(Campaign{At: n.state.ConfigRevision, Epoch: n.campaign, Config: next})
}

// alive counts the members of the in-sync set that were heard recently, this node included: fewer than have to
// promise could not be fenced.
func (n *Node) alive(c *election.Configuration) int {
	count := 0
	for _, m := range c.InSync {
		p := n.peers[m.Node]
		if m.Node == n.o.Node || p != nil && (p.member == m || n.breaks(CountIncarnations)) && n.now-p.at < n.o.Silence {
			count++
		}
	}
	return count
}

// patience is how long this node lets others go first: those with a longer log a good while, for one of them has
// to win, those that are merely preferred a moment.
func (n *Node) patience(c *election.Configuration) time.Duration {
	last := n.log.Last()
	d := n.o.RankDelay / 3 // the others' words come
	for _, m := range c.InSync {
		p := n.peers[m.Node]
		if m.Node == n.o.Node || p == nil || p.member != m || n.now-p.at >= n.o.Silence {
			continue
		}
		switch {
		case n.newer(p.last, last):
			d += n.o.RankDelay + n.o.Silence
		case n.newer(last, p.last):
		case p.weight > n.o.Weight || p.weight == n.o.Weight && m.Node < n.o.Node:
			d += n.o.RankDelay
		}
	}
	return d
}

// Campaigned tells what became of a Campaign: nil, with the state that it made, or an error of package election,
// with what was read afterwards if that was possible.
func (n *Node) Campaigned(now time.Duration, s election.State, err error) {
	epoch := n.campaign
	n.campaign = 0
	if n.dead || epoch == 0 {
		return
	}
	n.now = max(n.now, now)
	if s.ConfigRevision > n.state.ConfigRevision {
		n.state, n.seen = s, true
		n.noteConfig(s.Config)
	}
	l := s.Lock
	won := err == nil && l != nil && l.Node == n.o.Node && l.Inc == n.hard.Inc && l.Epoch == epoch
	if !won || n.role != Follower || epoch <= n.hard.Promised {
		n.do(Resign{})
		n.backOff(errors.Is(err, election.ErrUnavailable) || errors.Is(err, election.ErrUnknown))
		return
	}
	n.role, n.epoch, n.master = Candidate, epoch, ""
	n.candidacy = candidacy{began: n.now, fenced: []election.Member{n.self()}}
	if !n.promise(epoch) {
		return
	}
	n.askPromises()
	n.countPromises()
}

func (n *Node) askPromises() {
	n.askedAt = n.now
	for _, m := range n.state.Config.InSync {
		if m.Node != n.o.Node && !slices.Contains(n.fenced, m) {
			n.send(m.Node, Message{Kind: Fence, Epoch: n.epoch})
		}
	}
}

func (n *Node) tickCandidate() {
	switch {
	case n.now-n.began >= n.o.FenceWithin:
		n.stepDown("too few members of the in-sync set answered", true)
	case n.ahead && n.now-n.askedAt >= n.o.RankDelay:
		n.notBefore = n.now + n.o.FenceWithin // one that has more goes first
		n.stepDown("another node has more", false)
	case n.now-n.askedAt >= n.o.Heartbeat:
		n.askPromises()
	}
}

// receiveFence promises a candidate its epoch, and nothing less from then on.
func (n *Node) receiveFence(m *Message) {
	if m.Epoch < n.hard.Promised && !n.breaks(RefuseOldEpochs) {
		n.send(m.From.Node, Message{Kind: Refused, Epoch: m.Epoch, Promised: n.hard.Promised})
		return
	}
	if m.Epoch == n.epoch && (n.role != Follower || n.master != "") {
		return // of an election that is over
	}
	if !n.promise(m.Epoch) {
		return
	}
	n.send(m.From.Node, Message{Kind: Fenced, Epoch: m.Epoch, Last: n.log.Last()})
	n.stepDown("another node was elected", false)
	n.master = ""
}

func (n *Node) receiveFenced(m *Message) {
	if n.role != Candidate || m.Epoch != n.epoch || !n.has(&n.state.Config, m.From) || slices.Contains(n.fenced, m.From) {
		return
	}
	if n.newer(m.Last, n.log.Last()) {
		n.ahead = true // it counts for nothing; perhaps enough others have no more than this node
		return
	}
	n.fenced = append(n.fenced, m.From)
	n.countPromises()
}

// countPromises makes the candidate the epoch's leader if it has enough.
func (n *Node) countPromises() {
	if len(n.fenced) < n.fenceQuorum(&n.state.Config) {
		return
	}
	n.o.Logger.Info("elected", "epoch", n.epoch, "inherits", n.log.Last().String())
	n.role = Elected
	n.lead()
	n.do(Lead{n.epoch})
}

func (n *Node) receiveRefused(m *Message) {
	if n.role != Follower && m.Epoch == n.epoch && m.Promised > n.epoch {
		n.stepDown("a node has promised a later epoch", false)
	}
}
