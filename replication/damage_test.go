package replication_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/core/store/pages"
	"github.com/entrepot-mq/entrepot/replication"
)

// flip changes one byte of the file, or the first of the files, that pattern names below dir.
func flip(t *testing.T, dir, pattern string, at int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no file %s: %v", pattern, err)
	}
	f, err := os.OpenFile(files[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// fill stores n messages of 32 KiB.
func (g *group) fill(n int) (body string) {
	g.t.Helper()
	_, b := g.master()
	c := connect(g.t, b, "filler")
	defer c.Close()
	body = strings.Repeat("x", 32<<10)
	w := make(waiter, n)
	for range n {
		e := message.Envelope{ID: c.NewID(), Destination: q, Durable: true, Priority: message.DefaultPriority, Timestamp: 1}
		c.Publish(message.New(&e, message.EncodingSTOMP, []byte(body)), w, 0)
	}
	for range n {
		if err := <-w; err != nil {
			g.t.Fatal(err)
		}
	}
	return body
}

// follower is a node that doesn't lead.
func (g *group) follower() *member {
	m, _ := g.master()
	for _, o := range g.nodes {
		if o != m {
			return o
		}
	}
	return nil
}

// checkpointed is the index of the node's last checkpoint.
func (m *member) checkpointed() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broker == nil {
		return 0
	}
	return m.broker.Store().Pages().Mark().Index
}

// rebuilt waits until a node has set its store aside and is in sync again.
func (g *group) rebuilt(m *member) {
	g.t.Helper()
	eventually(g.t, "store that was set aside", func() error {
		if !m.wasRebuilt() {
			return errors.New("none")
		}
		return nil
	})
	g.returned(m)
}

// wasRebuilt reports whether the node has set a store aside.
func (m *member) wasRebuilt() bool {
	aside, err := filepath.Glob(filepath.Join(m.dir, "quarantine-*", "log"))
	return err == nil && len(aside) > 0
}

// returned waits until a node is in sync as what it is now.
func (g *group) returned(m *member) {
	g.t.Helper()
	eventually(g.t, "return of the node", func() error {
		master, _ := g.master()
		s, ok := master.status()
		if own, open := m.status(); !ok || !open || !s.State.Config.Has(own.Node) {
			return errors.New("not in sync")
		}
		return nil
	})
}

func TestANodeWhoseFilesAreDamagedStartsWithAPeersCopy(t *testing.T) {
	for _, file := range []struct {
		name, pattern string
		at            int64
		aside         bool
		edit          func(*broker.Options)
	}{
		{"log", "log/0000000000000001.seg", 5000, true, nil},
		{"mark of the checkpoint", "pages/CHECKPOINT", 12, true, smallSegments},
		{"list of tables", "pages/MANIFEST", 10, true, smallSegments},
		{"promises", "node", 30, false, nil},
	} {
		t.Run(strings.ReplaceAll(file.name, " ", "_"), func(t *testing.T) {
			g := newGroup(t, 3, func(g *group) { g.edit = file.edit })
			g.fill(3)
			m := g.follower()
			for file.edit != nil && m.checkpointed() == 0 {
				g.fill(20)
			}
			g.inSync(3)
			before, _ := m.status()
			m.halt()
			flip(t, m.dir, file.pattern, file.at)
			m.start()
			if file.aside {
				g.rebuilt(m)
			}
			g.returned(m)
			if after, ok := m.status(); !ok || after.Node.Inc <= before.Node.Inc {
				t.Errorf("the node was %v and is %v", before.Node, after.Node)
			}
			g.inSync(3)
		})
	}
}

// A body that a consumer needs can't be read: the master lets another node lead, and gets that node's copy.
func TestAMasterThatCannotReadABodyIsRebuilt(t *testing.T) {
	g := newGroup(t, 3, func(g *group) { g.edit = smallSegments })
	n := 100
	body := g.fill(n)
	m := g.follower()
	for ; m.checkpointed() < 50; n += 20 {
		g.fill(20)
	}
	g.inSync(3)
	m.halt() // it has no body in memory when it comes back
	flip(t, m.dir, "pages/0000000000000001.val", 100_000)
	m.start()
	g.inSync(3)
	ctx := context.Background()
	var asked *broker.Broker
	eventually(t, "damaged master", func() error { // it may notice by itself
		if m.wasRebuilt() {
			return nil
		}
		m.mu.Lock()
		b, leads := m.broker, m.leads
		m.mu.Unlock()
		if leads && b != asked {
			asked = b
			if s, err := b.Connect(broker.ConnectRequest{Protocol: "test", ClientID: "c", Sink: &client{t: t}}); err == nil {
				_, _ = s.Subscribe(broker.Subscription{Destination: q, Window: 1000})
			}
		}
		master, _ := g.master()
		master.mu.Lock()
		r := master.replica
		master.mu.Unlock()
		if master != m && r != nil {
			_ = r.HandOver(ctx, m.name)
		}
		return errors.New("it serves")
	})
	g.rebuilt(m)
	g.inSync(3)
	_, b := g.master()
	if got := connect(t, b, "d").receive(q, n); len(got) != n || got[0] != body {
		t.Fatalf("%d messages", len(got))
	}
}

// What a master can't read it can't send either.
func TestAMasterThatCannotReadASnapshotIsRebuilt(t *testing.T) {
	g := newGroup(t, 3, func(g *group) { g.edit = smallSegments })
	n := 100
	body := g.fill(n)
	m, b := g.master()
	for ; b.Store().Log().First() == 1; n += 20 {
		g.fill(20)
	}
	g.inSync(3)
	flip(t, m.dir, "pages/0000000000000001.val", 100_000)
	away, ctx := g.follower(), context.Background()
	eventually(t, "removal", func() error { return m.replica.RemoveNode(ctx, away.name) })
	g.inSync(2)
	away.halt()
	away.dir = t.TempDir()
	away.start()
	eventually(t, "joining", func() error { return m.replica.AddNode(ctx, away.name) })
	g.rebuilt(m)
	g.inSync(3)
	_, b = g.master()
	if got := connect(t, b, "c").receive(q, n); len(got) != n || got[0] != body {
		t.Fatalf("%d messages", len(got))
	}
}

func TestWhatANewerReleaseWroteIsNotDamaged(t *testing.T) {
	for err, want := range map[error]bool{
		&log.DamageError{What: "x"}:              true,
		&log.DamageError{What: "x", Newer: true}: false,
		&pages.DamageError{What: "x"}:            true,
		errors.New("x"):                          false,
	} {
		if got := replication.Damaged(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}
