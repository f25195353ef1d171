package protocol

import (
	"errors"
	"fmt"

	"github.com/entrepot-mq/entrepot/core/store/log"
)

// follows reports whether a master was heard recently.
func (n *Node) follows() bool { return n.master != "" && n.now-n.heard < n.o.Silence }

func (n *Node) tickFollower() {
	if !n.follows() && n.now-n.statusAt >= n.o.Heartbeat {
		n.sendStatus(false)
	}
	if !n.follows() && n.state.Lock != nil && n.now-n.readAt >= n.o.FenceWithin {
		n.readAt = n.now // perhaps the word that the lock is gone went astray
		n.do(Read{})
	}
	n.maybeCampaign()
}

// receiveMaster takes what the master of an epoch says: Probe or Append.
func (n *Node) receiveMaster(m *Message) {
	if m.Epoch < n.hard.Promised && !n.breaks(RefuseOldEpochs) {
		n.send(m.From.Node, Message{Kind: Refused, Epoch: m.Epoch, Promised: n.hard.Promised})
		return
	}
	if n.role != Follower {
		if m.Epoch <= n.epoch {
			return // its own; nobody else can have it
		}
		led := n.role != Candidate
		if !n.promise(m.Epoch) {
			return
		}
		n.stepDown("a later master appeared", false)
		if led {
			return // the next incarnation of this Node follows
		}
	}
	if !n.promise(m.Epoch) {
		return
	}
	if n.epoch != m.Epoch || n.master != m.From.Node {
		n.o.Logger.Info("follows a master", "master", m.From.Node, "epoch", m.Epoch)
		n.epoch, n.master, n.matched = m.Epoch, m.From.Node, 0
	}
	n.heard, n.preferred = n.now, false
	if m.Kind == Probe {
		n.send(m.From.Node, Message{
			Kind: Probed, Epoch: m.Epoch, Seq: m.Seq, Last: n.log.Last(), First: n.log.First(), Commit: n.commit, Epochs: n.log.Epochs(),
		})
		return
	}
	n.receiveAppend(m)
}

// receiveAppend extends the log by m's frames, cutting off first what contradicts them.
func (n *Node) receiveAppend(m *Message) {
	last := n.log.Last()
	switch at, err := n.at(m.Prev.Index, last); {
	case errors.Is(err, log.ErrReleased):
		// Everything released was committed. The frames overlap what is still there, or the heart-beat is old.
	case errors.Is(err, log.ErrBoundary) || err == nil && at != m.Prev:
		if m.Prev.Index <= n.commit {
			n.distrust(fmt.Sprintf("the master of epoch %d has %v where this node committed %v", m.Epoch, m.Prev, at))
			return
		}
		n.send(m.From.Node, Message{Kind: Mismatch, Epoch: m.Epoch, Seq: m.Seq, Prev: m.Prev})
		return
	case err != nil:
		n.fail(err)
		return
	}
	if !n.extend(m, last) {
		return
	}
	n.matched = max(n.matched, m.End.Index)
	if c := min(m.Commit, n.matched); c > n.commit {
		n.commit = c
		n.do(Committed{c})
	}
	if n.o.Memory || len(m.Raw) == 0 || m.End.Index <= n.log.Durable() {
		n.acknowledge()
	}
}

// at returns the log's boundary at index.
func (n *Node) at(index uint64, last log.Position) (log.Position, error) {
	switch {
	case index == last.Index:
		return last, nil
	case index+1 < n.log.First():
		return log.Position{}, log.ErrReleased
	}
	return n.log.BoundaryAt(index)
}

// extend appends what of m's frames the log doesn't have. It writes; Synced tells when that is on disk.
func (n *Node) extend(m *Message, last log.Position) bool {
	raw := m.Raw
	if len(raw) == 0 {
		return true
	}
	if m.Prev != last {
		var ok bool
		if raw, ok = n.missing(m, last); !ok {
			return false
		}
	}
	if len(raw) == 0 {
		return true
	}
	err := n.log.AppendFrames(raw)
	if errors.Is(err, log.ErrMismatch) {
		n.o.Logger.Error("frames were damaged on their way", "from", m.From.Node, "error", err)
		n.send(m.From.Node, Message{Kind: Mismatch, Epoch: m.Epoch, Seq: m.Seq, Prev: m.Prev})
		return false
	}
	if err == nil {
		err = n.log.Commit(false)
	}
	if err != nil {
		n.fail(err)
		return false
	}
	return true
}

// missing returns the frames of m that the log doesn't have, and cuts off what stands in their place.
func (n *Node) missing(m *Message, last log.Position) (raw []byte, ok bool) {
	ends, err := log.Ends(nil, m.Raw)
	if err != nil {
		n.o.Logger.Error("frames were damaged on their way", "from", m.From.Node, "error", err)
		return nil, false
	}
	prev, raw := m.Prev, m.Raw
	for _, end := range ends {
		if end.Index > last.Index {
			break
		}
		at, err := n.at(end.Index, last)
		if err != nil && !errors.Is(err, log.ErrReleased) {
			n.fail(err)
			return nil, false
		}
		if err == nil && at != end {
			break
		}
		prev, raw = end, raw[log.FrameSize(raw):]
	}
	if len(raw) == 0 || prev == last {
		return raw, true
	}
	return raw, n.cut(prev, last, m)
}

// cut removes the log's end behind to, which the master does not have.
func (n *Node) cut(to, last log.Position, m *Message) bool {
	if to.Index < n.commit {
		n.distrust(fmt.Sprintf("the master of epoch %d parts from this node at %v, behind which records were committed up to %d", m.Epoch, to, n.commit))
		return false
	}
	n.o.Logger.Warn("cuts off what the master doesn't have", "from", to.Index+1, "to", last.Index, "epoch", last.Epoch)
	if err := n.log.TruncateAfter(to); err != nil {
		n.fail(fmt.Errorf("cut the log after %v: %w", to, err))
		return false
	}
	return true
}

// acknowledge tells the master how far its frames are stored here.
func (n *Node) acknowledge() {
	n.send(n.master, Message{Kind: Ack, Epoch: n.epoch, Mem: n.matched, Durable: min(n.matched, n.log.Durable()), Commit: n.commit})
}

// Unsynced reports whether a follower has written something that waits for a sync: the owner calls the log's
// Commit(true), and then Synced.
func (n *Node) Unsynced() bool {
	return n.role == Follower && !n.dead && n.log.Durable() < n.log.Last().Index
}

// MayInstall reports whether a snapshot at pos, of the master of epoch, may replace this node's log and state. It is
// asked when the snapshot is complete, and nothing happens between the answer and the replacement.
func (n *Node) MayInstall(epoch uint64, pos log.Position) bool {
	return !n.dead && n.role == Follower && n.epoch == epoch && n.hard.Promised == epoch && n.master != "" &&
		pos.Index > n.commit && pos.Index >= n.matched
}
