//go:build integration

package cluster

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// missed is how many messages pass while a follower is away: CATCHUP_MESSAGES in place of a million.
func missed(t *testing.T) int64 {
	t.Helper()
	text := os.Getenv("CATCHUP_MESSAGES")
	if text == "" {
		return 1_000_000
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// rate is how many messages a second the group gets besides: CATCHUP_RATE in place of 5,000; 0 is as many as it takes, which on
// a machine that all nodes share shows what of its processors and disk the catching up takes.
func rate(t *testing.T) int {
	t.Helper()
	text := os.Getenv("CATCHUP_RATE")
	if text == "" {
		return 5_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A follower that was away while a million messages of 1 KiB came, which still wait, catches up while the group serves. The test
// reports the master's rate before, meanwhile and afterwards: figures depend on the machine, so it asserts none.
func TestAFollowerThatMissedAMillionMessagesCatchesUp(t *testing.T) {
	g, err := New(Shape{Program: program, Dir: t.TempDir(), Lease: 4 * time.Second, Settings: []string{"store.segmentSize=64MiB"}, Direct: true})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, Group: g, epochs: map[uint64]string{}}
	t.Cleanup(func() {
		for _, n := range g.Nodes {
			if b := n.Broker(); b != nil && (t.Failed() || testing.Verbose()) {
				t.Logf("%s wrote:\n%s", n.Name, lastLines(b.Log(), 30))
			}
		}
		g.Close()
	})
	r.ok(g.Start(t.Context()))
	m := r.master()
	r.ok(g.Whole(t.Context(), time.Minute))
	flow, err := StartFlow(m.Stomp, "measured", 1024, 100, rate(t))
	r.ok(err)
	drained, err := Drain(m.Stomp, "measured")
	r.ok(err)
	defer drained.Stop()
	const moment = 10 * time.Second
	before := flow.Rate(moment)

	away := g.Nodes[0]
	if away == m {
		away = g.Nodes[1]
	}
	r.ok(away.Kill())
	began := time.Now()
	bulk, err := StartFlow(m.Stomp, "missed", 1024, 2000, 0)
	r.ok(err)
	n := missed(t)
	r.ok(harness.Until(t.Context(), 20*time.Minute, "messages pass", func() bool { return bulk.Confirmed() >= n || bulk.Err() != nil }))
	r.ok(bulk.Err())
	got := bulk.Stop()
	t.Logf("%d messages of 1 KiB in %v while %s is away", got, time.Since(began).Round(time.Millisecond), away.Name)
	r.ok(harness.Until(t.Context(), 2*time.Minute, "it is given up", func() bool { return !inSync(t.Context(), m, away.Name) }))
	alone := flow.Rate(moment)

	mark, began := flow.Confirmed(), time.Now()
	r.ok(away.Start(t.Context()))
	r.ok(harness.Until(t.Context(), 10*time.Minute, "it is in sync again", func() bool { return inSync(t.Context(), m, away.Name) || flow.Err() != nil }))
	r.ok(flow.Err())
	took := time.Since(began)
	during := float64(flow.Confirmed()-mark) / took.Seconds()
	after := flow.Rate(moment)
	flow.Stop()
	r.ok(flow.Err())
	t.Logf("in sync again after %v; the master's rate: whole %.0f/s, with two nodes %.0f/s, during catch-up %.0f/s (%.0f %% of whole), whole again %.0f/s",
		took.Round(time.Millisecond), before, alone, during, 100*during/((before+after)/2), after)
}

// inSync reports whether the master counts a node as in sync.
func inSync(ctx context.Context, m *Node, name string) bool {
	s, err := m.Status(ctx)
	if err != nil {
		return false
	}
	for _, c := range s.Members {
		if c.Node == name {
			return c.InSync
		}
	}
	return false
}
