package embedded

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// within returns a context that ends long after whatever should happen.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// freePorts returns addresses of this machine that nobody uses.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	out, err := harness.FreeAddresses(n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func optionsOf(t *testing.T, nodes ...string) map[string]Options {
	t.Helper()
	ports := freePorts(t, 2*len(nodes))
	members := map[string]string{}
	for i, n := range nodes {
		members[n] = ports[2*i]
	}
	out := map[string]Options{}
	for i, n := range nodes {
		out[n] = Options{
			Node: n, Group: "test", Dir: filepath.Join(t.TempDir(), n), Members: members,
			ListenPeer: ports[2*i], ListenClient: ports[2*i+1], ClientAddress: ports[2*i+1],
			Heartbeat: 30 * time.Millisecond, Election: 300 * time.Millisecond,
		}
	}
	return out
}

// startAll starts members side by side and waits until each is ready.
func startAll(t *testing.T, all map[string]Options) map[string]*Server {
	t.Helper()
	out := map[string]*Server{}
	for node, o := range all {
		s, err := Start(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		out[node] = s
	}
	for node, s := range out {
		select {
		case <-s.Ready():
		case <-within(t).Done():
			t.Fatalf("%s did not get ready", node)
		}
	}
	return out
}

// until asks again until f holds.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for ctx := within(t); !f(); {
		select {
		case <-ctx.Done():
			t.Fatal("in vain: ", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestThreeMembersServeWhileOneIsAwayAndItComesBack(t *testing.T) {
	all := optionsOf(t, "a", "b", "c")
	group := startAll(t, all)
	if _, err := group["a"].Client().Put(within(t), "k", "1"); err != nil {
		t.Fatal(err)
	}
	group["c"].Close()
	if _, err := group["b"].Client().Put(within(t), "k", "2"); err != nil {
		t.Fatal("a majority is there, and writing failed: ", err)
	}
	again := startAll(t, map[string]Options{"c": all["c"]})
	got, err := again["c"].Client().Get(within(t), "k")
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "2" {
		t.Fatalf("the member that came back reads %v, %v", got, err)
	}
	if err := again["c"].Health(within(t)); err != nil {
		t.Error("health of a whole group: ", err)
	}
}

func TestAMemberWithoutAMajorityIsNotHealthy(t *testing.T) {
	group := startAll(t, optionsOf(t, "a", "b", "c"))
	group["b"].Close()
	group["c"].Close()
	until(t, "a member alone says that it is unhealthy", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return group["a"].Health(ctx) != nil
	})
}

func TestTheLeadOfEtcdMovesOffTheMastersNode(t *testing.T) {
	group := startAll(t, optionsOf(t, "a", "b", "c"))
	leader := func() string {
		for _, m := range group["a"].Members() {
			if m.Leader {
				return m.Node
			}
		}
		return ""
	}
	until(t, "etcd has a leader", func() bool { return leader() != "" })
	master := leader()
	moved, err := group[master].HandOverLead(within(t))
	if err != nil || !moved {
		t.Fatalf("handing over: moved %v, %v", moved, err)
	}
	until(t, "another leads", func() bool { l := leader(); return l != "" && l != master })
	if moved, err := group[master].HandOverLead(within(t)); err != nil || moved {
		t.Errorf("handing over what it doesn't have: moved %v, %v", moved, err)
	}
}

func TestAMemberJoinsARunningGroupAndAnotherLeaves(t *testing.T) {
	all := optionsOf(t, "a", "b", "c", "d")
	founders := map[string]string{}
	for _, n := range []string{"a", "b", "c"} {
		founders[n] = all[n].Members[n]
	}
	start := map[string]Options{}
	for n := range founders {
		o := all[n]
		o.Members = founders
		start[n] = o
	}
	group := startAll(t, start)
	newcomer := all["d"]
	newcomer.Join = []string{all["a"].ClientAddress, all["b"].ClientAddress}
	var d *Server
	until(t, "the newcomer is taken in", func() bool {
		// Members that just connected count as unhealthy for some seconds, and
		// then etcd takes nobody new.
		s, err := Start(t.Context(), newcomer)
		d = s
		return err == nil
	})
	t.Cleanup(d.Close)
	until(t, "the learner can vote", func() bool { return group["a"].Promote(within(t), "d") == nil })
	if err := group["a"].Promote(within(t), "d"); err != nil {
		t.Error("promoting a voter again: ", err)
	}
	if err := group["a"].Remove(within(t), "b"); err != nil {
		t.Fatal(err)
	}
	nodes := func() (out []string) {
		for _, m := range d.Members() {
			out = append(out, m.Node)
		}
		slices.Sort(out)
		return out
	}
	until(t, "all know who is there", func() bool { return slices.Equal(nodes(), []string{"a", "c", "d"}) })
	if err := group["a"].Remove(within(t), "nobody"); !errors.Is(err, ErrNoMember) {
		t.Error("removing a stranger: ", err)
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	o := optionsOf(t, "a")["a"]
	o.Node = "z"
	if _, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), `"z" is none of the members [a]`) {
		t.Error("a stranger: ", err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o = optionsOf(t, "a")["a"]
	o.ListenPeer = taken.Addr().String()
	if _, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "start etcd on "+o.ListenPeer) {
		t.Error("a port that is taken: ", err)
	}
}

func TestEtcdsTalkIsSeenAtLevelDebugOnly(t *testing.T) {
	var b bytes.Buffer
	var closing atomic.Bool
	log := newZap(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelInfo})), &closing)
	log.Info("elected")
	log.Warn("slow")
	if b.Len() != 0 {
		t.Errorf("at level info it says %q", b.String())
	}
	log.Error("the disk is full")
	if got := b.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "component=etcd") {
		t.Errorf("an error is logged as %q", got)
	}
	b.Reset()
	closing.Store(true)
	if log.Error("the listener is closed"); b.Len() != 0 {
		t.Errorf("while it closes it says %q", b.String())
	}
}
