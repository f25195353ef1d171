package protocol

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/election"
)

// leading is what a leader keeps of its followers and itself.
type leading struct {
	led      bool         // the barrier is written
	barrier  uint64       // its index
	written  log.Position // end of the log, as far as it is known to be written
	synced   uint64
	followed map[string]*progress
	drain    drain
	piece    piece
}

// progress is how far a follower is known to be.
type progress struct {
	member   election.Member // the identity that last answered; Inc 0: none yet
	phase    phase
	seq      uint64        // of the last probe
	next     log.Position  // frames behind it are to be sent next
	sent     []sending     // on their way
	flying   int           // bytes in sent
	mem      uint64        // acknowledged
	durable  uint64        // acknowledged
	heard    time.Duration // when it last answered
	moved    time.Duration // when sent last became shorter, or was empty
	spoken   time.Duration // when something was last sent to it
	snapshot bool          // one is on its way
	throttle throttle      // while it isn't in sync
	restored uint64        // index of the last snapshot that it got
	since    time.Duration // when it got it
}

type sending struct {
	end   uint64
	bytes int
}

type phase uint8

const (
	probing phase = iota
	streaming
	restoring // by a snapshot
)

// lead prepares for leadership: followers are asked what they have while the barrier is being written.
func (n *Node) lead() {
	n.leading = leading{followed: make(map[string]*progress), written: n.log.Last(), synced: n.log.Durable()}
	n.reassigning = reassigning{}
	n.refollow()
}

// refollow makes the followers those of the configuration.
func (n *Node) refollow() {
	c := &n.state.Config
	wanted := make(map[string]bool)
	for _, list := range [][]string{c.Voters, c.Learners} {
		for _, name := range list {
			if name == n.o.Node {
				continue
			}
			wanted[name] = true
			if n.followed[name] == nil {
				p := &progress{heard: n.now, moved: n.now, throttle: throttle{spare: n.o.CatchUp / 4}}
				n.followed[name] = p
				n.probe(name, p)
			}
		}
	}
	for name := range n.followed {
		if !wanted[name] {
			delete(n.followed, name)
		}
	}
}

// each calls fn for the followers in a fixed order.
func (n *Node) each(fn func(name string, p *progress)) {
	c := &n.state.Config
	for _, list := range [][]string{c.Voters, c.Learners} {
		for _, name := range list {
			if p := n.followed[name]; p != nil {
				fn(name, p)
			}
		}
	}
}

func (n *Node) probe(name string, p *progress) {
	p.phase, p.sent, p.flying = probing, p.sent[:0], 0
	p.seq++
	p.spoken = n.now
	n.send(name, Message{Kind: Probe, Epoch: n.epoch, Seq: p.seq})
}

// Led tells that the barrier was written; the log ends there.
func (n *Node) Led(now time.Duration, barrier log.Position) {
	if n.dead || n.role != Elected || barrier.Epoch != n.epoch {
		return
	}
	n.led, n.barrier = true, barrier.Index
	n.Written(now, barrier)
}

// Written tells a leader that its log has frames up to pos.
func (n *Node) Written(now time.Duration, pos log.Position) {
	if n.dead || !n.leads() || pos.Epoch != n.epoch || pos.Index < n.written.Index {
		return
	}
	n.now = max(n.now, now)
	n.written = pos
	n.each(n.ship)
	n.advance()
}

// Synced tells that the log is on the disk up to index.
func (n *Node) Synced(now time.Duration, index uint64) {
	if n.dead {
		return
	}
	n.now = max(n.now, now)
	switch n.role {
	case Elected, Master:
		n.synced = max(n.synced, index)
		n.advance()
	case Follower:
		if n.master != "" && n.matched > 0 {
			n.acknowledge()
		}
	case Candidate, Retired:
	}
}

func (n *Node) leads() bool { return n.role == Elected || n.role == Master }

// ship sends p's follower what it doesn't have, as far as the window allows.
func (n *Node) ship(name string, p *progress) {
	for p.phase == streaming && p.next.Index < n.written.Index && p.flying < n.o.Window && n.mayHave(p) {
		raw, end, err := n.read(p.next)
		if errors.Is(err, log.ErrReleased) {
			n.probe(name, p) // what it needs is found out again
			return
		}
		if err != nil {
			n.fail(fmt.Errorf("read the log for a follower: %w", err)) // others have it
			return
		}
		if len(p.sent) == 0 {
			p.moved = n.now
		}
		p.sent = append(p.sent, sending{end.Index, len(raw)})
		p.flying += len(raw)
		p.throttle.spare -= len(raw)
		p.spoken = n.now
		n.send(name, Message{Kind: Append, Epoch: n.epoch, Prev: p.next, End: end, Commit: n.commit, Raw: raw})
		p.next = end
	}
}

// read returns frames behind from, and where they end. What one follower got is kept for the next one.
func (n *Node) read(from log.Position) ([]byte, log.Position, error) {
	if n.piece.from == from && len(n.piece.raw) > 0 {
		return n.piece.raw, n.piece.end, nil
	}
	raw, err := n.log.ReadFrames(nil, from.Index, n.o.Chunk)
	if err != nil {
		return nil, log.Position{}, err
	}
	ends, err := log.Ends(nil, raw)
	if err != nil || len(ends) == 0 {
		return nil, log.Position{}, errLogMoved
	}
	n.piece = piece{from: from, raw: raw, end: ends[len(ends)-1]}
	return raw, n.piece.end, nil
}

// piece is a part of the log that was read to be sent.
type piece struct {
	from, end log.Position
	raw       []byte
}

func (n *Node) heartbeat(name string, p *progress) {
	if p.phase != streaming {
		return
	}
	p.spoken = n.now
	n.send(name, Message{Kind: Append, Epoch: n.epoch, Prev: p.next, End: p.next, Commit: n.commit})
}

func (n *Node) tickMaster() {
	n.each(func(name string, p *progress) {
		n.refill(name, p)
		switch {
		case p.phase == streaming && p.flying > 0 && n.now-p.moved >= n.o.Stuck:
			n.probe(name, p) // something was lost on the way, and heart-beats too
		case n.now-p.spoken < n.o.Heartbeat:
		case p.phase == probing:
			n.probe(name, p)
		default:
			n.heartbeat(name, p)
		}
	})
	n.tickDrain()
	n.tickReassigning()
	if n.inContact() < n.state.Config.Quorum {
		n.stepDown("lost contact with a quorum of the in-sync set", true)
	}
}

// inContact counts the members of the in-sync set that were heard recently, itself included.
func (n *Node) inContact() int {
	count := 0
	for _, m := range n.state.Config.InSync {
		if p := n.followed[m.Node]; m.Node == n.o.Node || p != nil && n.now-p.heard < n.o.Contact {
			count++
		}
	}
	return count
}

// receiveFollower takes an answer to Probe or Append.
func (n *Node) receiveFollower(m *Message) {
	p := n.followed[m.From.Node]
	if !n.leads() || m.Epoch != n.epoch || p == nil || m.From.Inc < p.member.Inc {
		return
	}
	if m.From != p.member {
		p.member, p.mem, p.durable = m.From, 0, 0 // what its earlier self had, it may have forgotten
		if m.Kind != Probed {
			n.probe(m.From.Node, p)
		}
	}
	p.heard = n.now
	switch m.Kind {
	case Probed:
		if p.phase == probing && m.Seq == p.seq {
			n.resume(m, p)
		}
	case Mismatch:
		if p.phase == streaming {
			n.probe(m.From.Node, p)
		}
	case Ack:
		n.acked(m, p)
	case Status, Fence, Fenced, Refused, Probe, Append, TakeOver: // not from a follower
	}
}

// resume begins to stream at the place where the follower's log parts from this one.
func (n *Node) resume(m *Message, p *progress) {
	at := max(part(n.log.Epochs(), n.log.Last(), m.Epochs, m.Last), m.First-min(1, m.First))
	pos, err := n.log.BoundaryAt(at)
	if err != nil && !errors.Is(err, log.ErrReleased) && !errors.Is(err, log.ErrBoundary) {
		n.fail(fmt.Errorf("look for a follower's place in the log: %w", err))
		return
	}
	if err != nil {
		p.phase = restoring
		if !p.snapshot {
			p.snapshot = true
			n.o.Logger.Info("a follower needs a snapshot", "node", m.From.Node, "has", m.Last.String(), "log_first", n.log.First())
			n.do(Snapshot{m.From})
		}
		return
	}
	p.phase, p.next = streaming, pos
	n.heartbeat(m.From.Node, p)
	n.ship(m.From.Node, p)
}

// SnapshotEnded tells that a Snapshot of the state at index at was sent, or came to nothing: 0.
func (n *Node) SnapshotEnded(now time.Duration, to election.Member, at uint64) {
	n.now = max(n.now, now)
	if p := n.followed[to.Node]; n.leads() && p != nil && p.snapshot {
		p.snapshot = false
		p.restored, p.since = at, n.now
		n.probe(to.Node, p)
	}
}

func (n *Node) acked(m *Message, p *progress) {
	p.mem, p.durable = max(p.mem, m.Mem), max(p.durable, m.Durable)
	gone := 0
	for gone < len(p.sent) && p.sent[gone].end <= m.Mem {
		p.flying -= p.sent[gone].bytes
		gone++
	}
	if gone > 0 {
		p.sent = append(p.sent[:0], p.sent[gone:]...)
		p.moved = n.now
	}
	n.advance()
	n.ship(m.From.Node, p)
}

// Needed returns the index behind which some follower still needs the log: one that was heard not long ago, or that is
// about to go on behind a snapshot; math.MaxUint64 if none does.
func (n *Node) Needed() uint64 {
	need := uint64(math.MaxUint64)
	if !n.leads() {
		return need
	}
	n.each(func(_ string, p *progress) {
		if p.restored > 0 && p.mem <= p.restored && n.now-p.since < n.o.RestoreWithin {
			need = min(need, p.restored)
		} else if p.mem > 0 && n.now-p.heard < n.o.HoldFor {
			need = min(need, p.mem)
		}
	})
	return need
}

// FollowerStatus is what a master knows of another node.
type FollowerStatus struct {
	Member  election.Member
	InSync  bool
	Phase   string // probing, streaming, or restoring by a snapshot
	Mem     uint64 // acknowledged, in memory and on disk
	Durable uint64
	Behind  int64         // bytes of log that it doesn't have on its disk, roughly; who owns the log fills it in
	Flying  int           // bytes on their way
	Silent  time.Duration // since it last answered
}

// Followers returns what a leader knows of the others, in a fixed order.
func (n *Node) Followers() []FollowerStatus {
	if !n.leads() {
		return nil
	}
	var out []FollowerStatus
	n.each(func(name string, p *progress) {
		m := election.Member{Node: name, Inc: p.member.Inc}
		out = append(out, FollowerStatus{
			Member: m, InSync: n.state.Config.Has(m), Phase: [...]string{"probing", "streaming", "restoring"}[p.phase],
			Mem: p.mem, Durable: p.durable, Flying: p.flying, Silent: n.now - p.heard,
		})
	})
	return out
}
