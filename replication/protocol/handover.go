package protocol

import (
	"fmt"
	"time"
)

// drain is a hand-over that was begun: new records are held back until the target has all there are.
type drain struct {
	to    string // "": none
	until time.Duration
}

// HandOver has to become the master, or the best of the others if to is "". The node retires when the target has
// everything, and goes on, with Resume, if that takes too long.
func (n *Node) HandOver(now time.Duration, to string) error {
	if n.role != Master || n.dead {
		return ErrNotMaster
	}
	n.now = max(n.now, now)
	if to == "" {
		to = n.heir()
	}
	p := n.followed[to]
	switch {
	case p == nil || !n.has(&n.state.Config, p.member):
		return fmt.Errorf("node %q is not in sync", to)
	case n.drain.to != "":
		return ErrBusy
	case n.proposed != nil && n.asked:
		return ErrBusy
	}
	n.o.Logger.Info("hands over", "to", to, "epoch", n.epoch)
	n.drain = drain{to: to, until: n.now + n.o.DrainWithin}
	n.do(Drain{})
	n.tickDrain()
	return nil
}

// heir is the member of the in-sync set that lacks least.
func (n *Node) heir() string {
	best := ""
	for _, m := range n.state.Config.InSync {
		p := n.followed[m.Node]
		if p == nil || p.member != m || n.now-p.heard >= n.o.Silence {
			continue
		}
		if best == "" || p.durable > n.followed[best].durable {
			best = m.Node
		}
	}
	return best
}

func (n *Node) tickDrain() {
	to := n.drain.to
	if to == "" || n.role != Master {
		return
	}
	last := n.log.Last()
	p := n.followed[to]
	switch {
	case p != nil && n.written == last && n.commit == last.Index && p.durable == last.Index:
		n.o.Logger.Info("handed over", "to", to, "epoch", n.epoch)
		n.drain = drain{}
		n.do(Resign{})
		n.send(to, Message{Kind: TakeOver, Epoch: n.epoch})
		n.stepDown("handed over to "+to, true)
	case p == nil || n.now >= n.drain.until:
		n.o.Logger.Warn("the hand-over was dropped: its target isn't ready", "to", to)
		n.drain = drain{}
		n.do(Resume{})
	}
}
