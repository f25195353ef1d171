package main

import (
	"context"
	"time"

	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/replication"
)

// yieldPeriod is how often a master looks for a node that is preferred to it.
const yieldPeriod = time.Second

// yield hands over to a node of a greater weight once that has been in sync for
// cluster.preferAfter without a break, until ctx ends: a node that comes and goes
// doesn't take the clients with it.
func (x *replicated) yield(ctx context.Context, r *replication.Replica) {
	patience := x.g.n.cfg.Cluster.PreferAfter
	if patience == 0 {
		return
	}
	var since time.Time
	for who := ""; ctx.Err() == nil; pauseFor(ctx, yieldPeriod) {
		best := preferred(r.Status())
		if best == "" || best != who {
			who, since = best, time.Now()
			continue
		}
		if time.Since(since) < patience {
			continue
		}
		x.g.n.log.Info("a node that is preferred takes over", "node", who)
		if err := r.HandOver(ctx, who); err != nil {
			x.g.n.log.Info("the preferred node does not take over yet", "node", who, "reason", err)
		}
		who = "" // from the beginning, if it came to nothing
	}
}

// preferred is the node with the greatest weight above this one's of those that
// have everything, "" if there is none.
func preferred(s replication.Status) (best string) {
	weights := map[election.Member]int{}
	for _, h := range s.State.Hints {
		weights[election.Member{Node: h.Node, Inc: h.Inc}] = h.Weight
	}
	most := weights[s.Node]
	for _, f := range s.Followers {
		const silence, behind = 2 * time.Second, 10_000 // records that a hand-over waits for
		if !f.InSync || f.Silent > silence || f.Durable+behind < s.Commit {
			continue
		}
		if w, known := weights[f.Member]; known && w > most {
			best, most = f.Member.Node, w
		}
	}
	return best
}
