package cluster

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// rig is a group under load.
type rig struct {
	t *testing.T
	*Group
	load   *Load
	epochs map[uint64]string // who was the master in it
	gaps   map[string][]time.Duration
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigOf(t, Shape{})
}

func newRigOf(t *testing.T, shape Shape) *rig {
	t.Helper()
	return newRigWith(t, shape, StartLoad)
}

func newRigWith(t *testing.T, shape Shape, start func(context.Context, *Group) *Load) *rig {
	t.Helper()
	shape.Program, shape.Dir, shape.Lease = program, t.TempDir(), 2*time.Second
	g, err := New(shape)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range g.Nodes {
				if b := n.Broker(); b != nil {
					t.Logf("%s wrote:\n%s", n.Name, lastLines(b.Log(), 60))
				}
			}
		}
		g.Close()
	})
	r := &rig{t: t, Group: g, epochs: map[uint64]string{}, gaps: map[string][]time.Duration{}}
	r.ok(g.Start(t.Context()))
	r.master()
	r.ok(g.Whole(t.Context(), time.Minute))
	r.load = start(t.Context(), g)
	if r.load.producers > 0 {
		r.goesOn("start")
	}
	return r
}

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// master waits for the master; an epoch has one only.
func (r *rig) master() *Node {
	r.t.Helper()
	n, epoch, err := r.Group.Master(r.t.Context(), time.Minute)
	r.ok(err)
	if before, ok := r.epochs[epoch]; ok && before != n.Name {
		r.t.Fatalf("%s and %s are masters of epoch %d", before, n.Name, epoch)
	}
	r.epochs[epoch] = n.Name
	return n
}

// goesOn waits until sends are confirmed again, and notes how long that took.
func (r *rig) goesOn(after string) {
	r.t.Helper()
	took, err := r.load.Resumed(r.t.Context(), time.Minute)
	r.ok(err)
	r.gaps[after] = append(r.gaps[after], took)
}

// finish checks what the clients saw.
func (r *rig) finish() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	verdict, err := r.load.Stop(ctx)
	if verdict != nil {
		r.t.Log(verdict)
		r.t.Logf("%d lost, %d unexpected, %d after their acknowledgement's receipt, %d out of order", len(verdict.Lost), len(verdict.Unexpected), len(verdict.AfterReceipt), len(verdict.Reordered))
	}
	r.oneMasterAnEpoch()
	for after, gaps := range r.gaps {
		slices.Sort(gaps)
		r.t.Logf("no confirmations around %s: median %v, longest %v, of %d", after, gaps[len(gaps)/2].Round(time.Millisecond), gaps[len(gaps)-1].Round(time.Millisecond), len(gaps))
	}
	r.ok(err)
}

// oneMasterAnEpoch holds what all nodes said in all their lives against that.
func (r *rig) oneMasterAnEpoch() {
	r.t.Helper()
	masters, err := r.Group.Masters()
	r.ok(err)
	for epoch, nodes := range masters {
		if len(nodes) != 1 {
			r.t.Errorf("epoch %d had the masters %v", epoch, nodes)
		}
	}
	for epoch, name := range r.epochs {
		if !slices.Contains(masters[epoch], name) {
			r.t.Errorf("%s was seen as the master of epoch %d, and the nodes say %v", name, epoch, masters[epoch])
		}
	}
	r.t.Logf("%d epochs had a master, each had one", len(masters))
}

// breakOnce does one thing to the master and mends it.
func (r *rig) breakOnce(what string) {
	r.t.Helper()
	m, before := r.master(), r.load.Confirmed()
	const enough = 50 // sends between two faults, so that there is something to lose
	r.ok(harness.Until(r.t.Context(), time.Minute, "sends are confirmed", func() bool { return r.load.Confirmed() >= before+enough }))
	r.load.ForgetGaps()
	switch what {
	case "kill -9 of the broker":
		r.ok(m.KillBroker())
	case "the death of the node":
		r.ok(m.Kill())
	case "a pause longer than the lease":
		r.ok(m.Pause())
	case "a master that is not heard":
		r.Cut(m.Name, true, false)
	case "a master that hears nobody":
		r.Cut(m.Name, false, true)
	case "a master without the others":
		r.Cut(m.Name, true, true)
	case "kill -9 of all":
		for _, n := range r.Nodes {
			r.ok(n.Kill())
		}
		r.ok(r.Start(r.t.Context()))
	default:
		r.t.Fatal("unknown fault ", what)
	}
	if strings.HasPrefix(what, "a master ") { // its clients may go on until it gives up
		r.ok(harness.Until(r.t.Context(), time.Minute, "another master", func() bool {
			now, _, err := r.Group.Master(r.t.Context(), time.Second)
			return err == nil && now != m
		}))
	}
	r.goesOn(what)
	r.Mend()
	if what == "a pause longer than the lease" {
		r.ok(m.Resume())
	}
	r.ok(r.Start(r.t.Context()))
	r.ok(r.Whole(r.t.Context(), time.Minute))
	r.scriptsGoOn()
}

// scriptsGoOn waits until each application gets receipts again.
func (r *rig) scriptsGoOn() {
	r.t.Helper()
	for _, s := range r.load.scripts {
		before := s.Events.Load()
		r.ok(harness.Until(r.t.Context(), time.Minute, "an application gets on", func() bool { return s.Events.Load() > before }))
	}
}

func TestNothingConfirmedIsLostWhenMastersEnd(t *testing.T) {
	r := newRig(t)
	for _, what := range []string{"kill -9 of the broker", "the death of the node", "a pause longer than the lease", "kill -9 of all"} {
		began := time.Now()
		r.breakOnce(what)
		t.Logf("%s: %v until the group is whole again", what, time.Since(began).Round(time.Millisecond))
	}
	r.finish()
}
