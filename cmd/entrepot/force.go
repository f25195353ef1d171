package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entrepot-mq/entrepot/console/api"
	"github.com/entrepot-mq/entrepot/election"
)

// force makes this node the master although too few members of the in-sync set
// can be reached for an election: an operator has decided that they won't come
// back, or that service is worth what only they had. The node becomes a group of
// its own; the others, when they come, learn from it, and what contradicts it
// is set aside.
func (x *replicated) force(ctx context.Context, node string) error {
	self := x.advertise.Node
	if node != self {
		return fmt.Errorf("this is node %q: ask %q itself (--console)", self, node)
	}
	r := x.current()
	if r == nil {
		return errors.New("this node's store is not open")
	}
	s, err := x.store.coordinator.Read(ctx)
	if err != nil {
		return err
	}
	me := r.Status().Node
	next, err := forced(&s, me)
	if err != nil {
		return err
	}
	x.g.n.log.Error("an operator forces this node to be the master: what only others had is lost",
		"in_sync", s.Config.InSync, "forced", me, "epoch", next.Epoch)
	_, err = x.store.coordinator.Recover(ctx, s.ConfigRevision, next)
	return err
}

// forced is the configuration with which me leads alone, or why it must not.
func forced(s *election.State, me election.Member) (election.Configuration, error) {
	c := &s.Config
	if s.Lock != nil {
		return *c, fmt.Errorf("there is a master: %s, or its lease has not run out yet", s.Lock.Node)
	}
	here, best := 0, election.Hint{}
	for _, h := range s.Hints {
		if c.Has(election.Member{Node: h.Node, Inc: h.Inc}) {
			here++
		}
		if h.Epoch > best.Epoch || h.Epoch == best.Epoch && h.Index > best.Index {
			best = h
		}
	}
	if need := len(c.InSync) - c.Quorum + 1; here >= need {
		return *c, fmt.Errorf("%d of %d nodes that were in sync are here, which is enough for an election: wait for it", here, len(c.InSync))
	}
	i := slices.IndexFunc(s.Hints, func(h election.Hint) bool { return h.Node == me.Node && h.Inc == me.Inc })
	switch {
	case i < 0:
		return *c, errors.New("the node has not reported how far it is yet: try again in some seconds")
	case best.Node != me.Node && (best.Epoch > s.Hints[i].Epoch || best.Index > s.Hints[i].Index):
		return *c, fmt.Errorf("%s has more (up to record %d of epoch %d): force that one", best.Node, best.Index, best.Epoch)
	}
	next := c.Clone()
	next.Version++
	next.Epoch++
	next.Unclean++
	next.InSync, next.Quorum, next.Voters = []election.Member{me}, 1, []string{me.Node}
	next.Learners = nil
	for _, n := range slices.Sorted(slices.Values(slices.Concat(c.Voters, c.Learners))) {
		if n != me.Node {
			next.Learners = append(next.Learners, n)
		}
	}
	return next, nil
}

func (p *program) clusterForceLeaderCommand() *cobra.Command {
	return p.managed(&cobra.Command{
		Use:   "force-leader NODE",
		Short: "Make a node the master although too many others are missing",
		Long: `Makes a node the master of a replicated group that can't elect one, because too many
of the nodes that were in sync are lost for good. What only they had IS LOST:
messages that were confirmed, and acknowledgements, so that messages may come again.
If they can be brought back, bring them back instead.

Ask the node itself (--console). It refuses while there is a master, while enough
nodes for an election are there, and if another node that is there has more. Nodes
that come back later get a new copy; what contradicts it is set aside in their data
directories. The audit log keeps who did it.`,
		Example:     "  entrepot cluster force-leader c --console broker-c:8161",
		Annotations: destructive,
	}, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		var before api.ClusterStatus
		if err := m.api.call(ctx, http.MethodGet, "/cluster", nil, nil, &before); err != nil {
			return err
		}
		question := []string{"Make " + args[0] + " the master and LOSE what only the missing nodes have"}
		if c := before.Copy; c != nil {
			question = append(question, fmt.Sprintf("(it ends with record %d of epoch %d)", c.Index, c.Epoch))
		}
		if err := m.confirm(strings.Join(question, " ")); err != nil {
			return err
		}
		body := object{"node": args[0], "acceptLoss": true}
		if err := m.api.call(ctx, http.MethodPost, "/cluster/force-leader", nil, body, nil); err != nil {
			return err
		}
		return m.awaitMaster(ctx, before)
	})
}
