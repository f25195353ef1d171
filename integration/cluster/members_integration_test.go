//go:build integration

package cluster

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// loseDisk ends a node and removes all that it had.
func (r *rig) loseDisk(n *Node) {
	r.t.Helper()
	r.ok(n.Kill())
	r.ok(os.RemoveAll(n.options.Dir))
}

// joining has the node join the etcd of others at its next start without data.
func (n *Node) joining(others ...*Node) {
	var at []string
	for _, o := range others {
		at = append(at, o.Etcd)
	}
	n.options.Settings = append(n.options.Settings, "cluster.etcd.join="+strings.Join(at, " "))
}

// complete waits until all copies are in sync and all nodes vote in etcd.
func (r *rig) complete() {
	r.t.Helper()
	r.ok(r.Whole(r.t.Context(), 2*time.Minute))
	r.ok(harness.Until(r.t.Context(), time.Minute, "all nodes vote in etcd", func() bool {
		m, _, err := r.Group.Master(r.t.Context(), time.Second)
		if err != nil {
			return false
		}
		s, err := m.Status(r.t.Context())
		return err == nil && len(s.Members) == len(r.Nodes) && !slices.ContainsFunc(s.Members, func(c Copy) bool { return c.Etcd != "voter" })
	}))
}

// survives waits until the group is served without n, and brings n back.
func (r *rig) survives(n *Node) {
	r.t.Helper()
	r.load.ForgetGaps()
	r.ok(n.Kill())
	r.confirmations(r.Lease + time.Second) // a master that could not renew its lease would be none by then
	r.goesOn("the end of " + n.Name)
	r.ok(r.Start(r.t.Context()))
	r.complete()
}

// command runs a command of entrepot until it succeeds: some can't be done at once.
func (r *rig) command(ask *Node, args ...string) {
	r.t.Helper()
	var said string
	err := harness.Until(r.t.Context(), time.Minute, strings.Join(args, " ")+" is done", func() bool {
		var err error
		said, err = ask.run(r.t.Context(), args...)
		return err == nil
	})
	if err != nil {
		r.t.Fatalf("%v; at last it said %s", err, said)
	}
}

// The etcd inside the nodes follows the group: a node that lost its disk, and
// one that left and comes back, are members of it again, whose votes count.
func TestANodeIsReplacedWithTheEtcdInsideIt(t *testing.T) {
	r := newRig(t)
	a, b, c := r.Nodes[0], r.Nodes[1], r.Nodes[2]
	a.joining(b, c)
	c.joining(a, b)

	r.loseDisk(c)
	r.ok(r.Start(t.Context()))
	r.complete()
	r.survives(b) // a majority of etcd is a and c now

	if r.master() == a {
		r.command(b, "cluster", "step-down", "--yes")
	}
	r.loseDisk(a)
	r.command(b, "cluster", "remove", "a", "--yes")
	r.ok(r.Start(t.Context()))
	r.command(b, "cluster", "add", "a")
	r.complete()
	r.survives(c)
	r.finish()
}

func TestTheNodeOfTheGreatestWeightTakesOverWhenItIsInSync(t *testing.T) {
	r := newRigOf(t, Shape{Settings: []string{"cluster.preferAfter=1s"}, Own: map[string][]string{"c": {"cluster.weight=5"}}})
	preferred := r.Nodes[2]
	leads := func() bool {
		m, _, err := r.Group.Master(t.Context(), time.Second)
		return err == nil && m == preferred
	}
	r.ok(harness.Until(t.Context(), time.Minute, "the preferred node leads", leads))
	r.ok(preferred.Kill())
	r.goesOn("its end")
	r.ok(r.Start(t.Context()))
	r.ok(harness.Until(t.Context(), time.Minute, "it leads again", leads))
	r.ok(r.Whole(t.Context(), time.Minute))
	r.finish()
}
