package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/entrepot-mq/entrepot/election/etcd/embedded"
	"github.com/entrepot-mq/entrepot/integration/harness"
)

// replicas starts three nodes of a replicated group, with the etcd inside them.
func replicas(t *testing.T, sets ...string) map[string]*node {
	t.Helper()
	names := []string{"a", "b", "c"}
	free := freeAddresses(t, 3*len(names))
	var nodes, members []string
	for i, n := range names {
		nodes = append(nodes, n+"="+free[3*i])
		members = append(members, n+"="+free[3*i+1])
	}
	out := map[string]*node{}
	var mu sync.Mutex
	var starts sync.WaitGroup
	root := t.TempDir()
	for i, name := range names {
		all := append([]string{
			"brokerName=orders", "cluster.mode=replicated", "cluster.node=" + name, "cluster.nodes=" + strings.Join(nodes, " "),
			"cluster.etcd.members=" + strings.Join(members, " "), "cluster.etcd.client=" + free[3*i+2],
			"console.address=127.0.0.1:0", "cluster.lease=3s", "dataDir=" + filepath.Join(root, name), "store.segmentSize=8MiB",
		}, sets...)
		cfg := loadForTest(t, all...)
		log := quiet(t)
		if os.Getenv("ENTREPOT_TEST_LOG") != "" {
			var err error
			if log, err = newLogging(os.Stderr, "text", "info"); err != nil {
				t.Fatal(err)
			}
		}
		starts.Go(func() {
			n, err := startNode(t.Context(), cfg, log, &guardedLines{})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			out[name] = n
		})
	}
	starts.Wait()
	t.Cleanup(func() {
		var stops sync.WaitGroup
		for _, n := range out {
			stops.Go(func() { stopNow(t, n) })
		}
		stops.Wait()
	})
	if t.Failed() {
		t.FailNow()
	}
	return out
}

func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	out, err := harness.FreeAddresses(n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// masterAmong waits for one master that all nodes agree on.
func masterAmong(t *testing.T, nodes map[string]*node) (name string) {
	t.Helper()
	until(t, "all nodes know one master", func() bool {
		name = ""
		for n := range nodes {
			if nodes[n].stopping.Load() {
				continue
			}
			s := nodes[n].group.status()
			if nodes[n].group.ready() != nil || s.Master == "" || name != "" && name != s.Master {
				return false
			}
			name = s.Master
		}
		return nodes[name] != nil && nodes[name].role() == roleMaster
	})
	return name
}

// others are the nodes but one.
func others(nodes map[string]*node, but string) (out []*node) {
	for name, n := range nodes {
		if name != but && !n.stopping.Load() {
			out = append(out, n)
		}
	}
	return out
}

// etcdLeadsElsewhere waits until etcd's own lead is off the master's node.
func etcdLeadsElsewhere(t *testing.T, master *node) {
	t.Helper()
	until(t, "etcd's lead is off the master's node", func() bool {
		m := master.group.kind.(*replicated).store.member
		return !m.Leads() && slices.ContainsFunc(m.Members(), func(m embedded.Member) bool { return m.Leader })
	})
}

func TestThreeReplicasServeFromAnyNodeAndSurviveTheMastersEnd(t *testing.T) {
	nodes := replicas(t)
	first := masterAmong(t, nodes)
	standby := others(nodes, first)[0]
	c := stompAt(t, standby)
	send(t, c, "/queue/q", "1")
	send(t, c, "/queue/q", "2")
	receive(t, stompAt(t, nodes[first]), "/queue/q", "1")
	until(t, "the status shows all copies in sync", func() bool {
		s := nodes[first].group.status()
		n := 0
		for _, m := range s.Members {
			if m.InSync {
				n++
			}
		}
		return n == 3 && s.Copy != nil && s.Copy.Committed > 0 && s.Lease != nil && *s.Lease > 0
	})
	run := func(args ...string) result {
		return runWith(t.Context(), "", []string{"ENTREPOT_CONSOLE_ADDRESS=" + standby.console.Addr().String()}, append([]string{"cluster"}, args...)...)
	}
	if r := run("members"); r.code != exitOK || strings.Count(r.out, "true") != 4 { // three in sync, one the master
		t.Errorf("members: %d %s%s", r.code, r.out, r.err)
	}
	if r := run("add", "a"); r.code != exitConflict {
		t.Errorf("adding who is there: %d %s%s", r.code, r.out, r.err)
	}
	if r := run("remove", first, "--yes"); r.code != exitConflict {
		t.Errorf("removing the master: %d %s%s", r.code, r.out, r.err)
	}
	etcdLeadsElsewhere(t, nodes[first])
	if _, body := ask(t, nodes[first], "/metrics"); !strings.Contains(body, "entrepot_replica_quorum 2") ||
		strings.Count(body, "entrepot_replica_lag_bytes{") != 2 || !strings.Contains(body, "entrepot_replica_rebuilds_total 0") {
		t.Errorf("the master's metrics: %s", body)
	}
	stopNow(t, nodes[first])
	second := masterAmong(t, nodes)
	if second == first {
		t.Fatal("a node that has ended is the master")
	}
	etcdLeadsElsewhere(t, nodes[second])
	receive(t, stompAt(t, others(nodes, second)[0]), "/queue/q", "2")
}

func TestAReplicatedMasterHandsOver(t *testing.T) {
	nodes := replicas(t)
	first := masterAmong(t, nodes)
	send(t, stompAt(t, nodes[first]), "/queue/q", "1")
	ask := others(nodes, first)[0].console.Addr().String()
	r := runWith(t.Context(), "", []string{"ENTREPOT_CONSOLE_ADDRESS=" + ask}, "cluster", "step-down", "--yes")
	if r.code != exitOK || !strings.Contains(r.out, "is the master, epoch") {
		t.Fatalf("step-down: %d %s%s", r.code, r.out, r.err)
	}
	second := masterAmong(t, nodes)
	if second == first {
		t.Error("the master is the same")
	}
	receive(t, stompAt(t, nodes[first]), "/queue/q", "1") // which is a standby now
	if err := others(nodes, second)[0].group.kind.stepDown(context.Background()); err == nil {
		t.Error("a standby stepped down")
	}
}
