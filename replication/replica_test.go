package replication_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/replication"
)

var q = message.Queue("orders")

func TestWhatAMasterConfirmedIsServedByTheNextOne(t *testing.T) {
	g := newGroup(t, 3)
	m, b := g.master()
	c := connect(t, b, "p")
	for i := range 20 {
		if err := c.send(q, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	m.halt()
	_, b = g.masterAfter(m)
	got := connect(t, b, "c").receive(q, 20)
	for i, body := range got {
		if body != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, body)
		}
	}
	m.start()
	g.inSync(3)
}

func TestAMasterThatIsCutOffConfirmsNothingThatIsLost(t *testing.T) {
	g := newGroup(t, 3)
	m, b := g.master()
	c := connect(t, b, "p")
	if err := c.send(q, "before"); err != nil {
		t.Fatal(err)
	}
	g.isolate(m, true)
	if err := c.send(q, "cut off"); !errors.Is(err, store.ErrNotLeader) || !errors.Is(err, store.ErrUncertain) {
		t.Fatalf("a message that no other node has was answered with %v", err)
	}
	_, b = g.masterAfter(m)
	c = connect(t, b, "p")
	if err := c.send(q, "after"); err != nil {
		t.Fatal(err)
	}
	g.isolate(m, false)
	g.inSync(3)
	if got := strings.Join(connect(t, b, "c").receive(q, 2), ","); got != "before,after" {
		t.Fatalf("got %s", got)
	}
}

func TestAFollowerServesNobody(t *testing.T) {
	g := newGroup(t, 3)
	m, _ := g.master()
	for _, o := range g.nodes {
		if o == m {
			continue
		}
		eventually(t, "follower", func() error {
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.broker == nil {
				return errors.New("not open")
			}
			if o.broker.Leads() {
				t.Fatal("a second master")
			}
			return nil
		})
	}
}

func TestHandOverLosesNothing(t *testing.T) {
	g := newGroup(t, 3)
	m, b := g.master()
	g.inSync(3)
	c := connect(t, b, "p")
	sent := 0
	for ; sent < 10; sent++ {
		if err := c.send(q, fmt.Sprint(sent)); err != nil {
			t.Fatal(err)
		}
	}
	to := g.nodes[0]
	if to == m {
		to = g.nodes[1]
	}
	began := time.Now()
	eventually(t, "hand-over", func() error { return m.replica.HandOver(context.Background(), to.name) })
	eventually(t, "new master", func() error {
		to.mu.Lock()
		defer to.mu.Unlock()
		if !to.leads {
			return errors.New("does not lead")
		}
		return nil
	})
	t.Logf("handed over within %v", time.Since(began))
	_, b = g.master()
	if got := len(connect(t, b, "c").receive(q, sent)); got != sent {
		t.Fatalf("%d of %d messages", got, sent)
	}
	g.inSync(3)
}

func TestWithoutTheConfigurationsStoreTheMasterStopsAndComesBack(t *testing.T) {
	g := newGroup(t, 3)
	m, b := g.master()
	c := connect(t, b, "p")
	if err := c.send(q, "1"); err != nil {
		t.Fatal(err)
	}
	g.reg.stop(true)
	eventually(t, "end of the leadership", func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.leads {
			return errors.New("still leads")
		}
		return nil
	})
	if err := c.send(q, "2"); err == nil {
		t.Fatal("a message was confirmed without a lease")
	}
	g.reg.stop(false)
	_, b = g.master()
	if got := connect(t, b, "c").receive(q, 1); got[0] != "1" {
		t.Fatalf("got %v", got)
	}
}

func TestAnEmptyNodeIsBroughtASnapshotAndTheRestOfTheLog(t *testing.T) {
	g := newGroup(t, 3, func(g *group) {
		g.edit = smallSegments
	})
	m, b := g.master()
	var away *member
	for _, o := range g.nodes {
		if o != m {
			away = o
		}
	}
	away.halt()
	n := 100
	body := g.fill(n)
	for ; b.Store().Log().First() == 1; n += 50 {
		g.fill(50)
	}
	away.dir = t.TempDir() // a new disk
	away.start()
	eventually(t, "return of the node", func() error {
		master, _ := m.status()
		if s, ok := away.status(); !ok || !master.State.Config.Has(s.Node) {
			return errors.New("not in sync")
		}
		return nil
	})
	g.inSync(3)
	if away.opens < 3 {
		t.Errorf("the node was opened %d times: no snapshot was installed", away.opens)
	}
	m.halt()
	for _, o := range g.nodes {
		if o != m && o != away {
			g.isolate(o, true) // so that its log doesn't go first
			g.isolate(o, false)
		}
	}
	_, b = g.master()
	if got := connect(t, b, "c").receive(q, n); len(got) != n || got[0] != body {
		t.Fatalf("%d messages", len(got))
	}
}

func TestANodeJoinsAndAnotherLeavesWhileTheGroupServes(t *testing.T) {
	g := newGroup(t, 4) // the fourth is no voter
	m, b := g.master()
	c := connect(t, b, "p")
	for i := range 10 {
		if err := c.send(q, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	ctx := context.Background()
	g.inSync(3)
	if err := m.replica.AddNode(ctx, "n4"); err != nil {
		t.Fatal(err)
	}
	g.inSync(4)
	leaver := g.nodes[0]
	if leaver == m {
		leaver = g.nodes[1]
	}
	eventually(t, "removal", func() error { return m.replica.RemoveNode(ctx, leaver.name) })
	g.inSync(3)
	s, _ := m.status()
	if s.State.Config.Quorum != 2 || len(s.State.Config.Voters) != 3 {
		t.Errorf("configuration: %+v", s.State.Config)
	}
	if err := c.send(q, "last"); err != nil {
		t.Fatal(err)
	}
}

func TestEverySyncLevelServes(t *testing.T) {
	for _, l := range []replication.Level{replication.QuorumDisk, replication.QuorumMem, replication.LocalDisk, replication.LocalMem} {
		t.Run(l.String(), func(t *testing.T) {
			g := newGroup(t, 3, func(g *group) { g.level = l })
			_, b := g.master()
			c := connect(t, b, "p")
			for i := range 50 {
				if err := c.send(q, fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
			if got := connect(t, b, "c").receive(q, 50); len(got) != 50 {
				t.Fatalf("%d messages", len(got))
			}
			g.inSync(3)
		})
	}
}
