//go:build integration

package cluster

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
	"github.com/entrepot-mq/entrepot/integration/wire"
)

// run runs a command of entrepot that asks the node.
func (n *Node) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, n.options.Program.Path, args...)
	cmd.Env = append(os.Environ(), "ENTREPOT_CONSOLE_ADDRESS="+n.Broker().Addr("console"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// put sends messages and waits for their receipts.
func (r *rig) put(n *Node, queue string, bodies ...string) {
	r.t.Helper()
	var c *wire.Conn
	r.ok(harness.Until(r.t.Context(), time.Minute, "a producer connects", func() (ok bool) {
		var err error
		c, err = wire.Open(n.Stomp, patience)
		return err == nil
	}))
	defer c.Close()
	for _, body := range bodies {
		f := wire.New("SEND", "destination", "/queue/"+queue, "persistent", "true", "receipt", body)
		f.Body = []byte(body)
		r.ok(c.Send(f))
		_, err := c.Expect("RECEIPT", time.Minute)
		r.ok(err)
	}
}

// take receives messages and acknowledges them.
func (r *rig) take(n *Node, queue string, bodies ...string) {
	r.t.Helper()
	var c *wire.Conn
	r.ok(harness.Until(r.t.Context(), time.Minute, "a consumer connects", func() (ok bool) {
		var err error
		c, err = wire.Open(n.Stomp, patience)
		return err == nil
	}))
	defer c.Close()
	r.ok(c.Send(wire.New("SUBSCRIBE", "id", "s", "destination", "/queue/"+queue, "ack", "client-individual")))
	var acks []string
	for _, body := range bodies {
		f, err := c.Read(time.Minute)
		r.ok(err)
		if string(f.Body) != body {
			r.t.Errorf("%s %q instead of %q", f.Command, f.Body, body)
		}
		acks = append(acks, f.Headers["ack"])
	}
	for _, id := range acks {
		r.ok(c.Send(wire.New("ACK", "id", id, "receipt", "ack-"+id)))
	}
	for confirmed := 0; confirmed < len(acks); {
		f, err := c.Read(time.Minute)
		r.ok(err)
		if f.Command == "RECEIPT" {
			confirmed++
		} // else one more message, which goes back at the end
	}
}

// idle is a group without load.
func idle(ctx context.Context, g *Group) *Load {
	l, _ := newLoad(ctx, g)
	return l
}

// Two of three machines burn down. What the third has is served when an
// operator says so, and replacements of the two learn from it.
func TestAnOperatorForcesTheLastNodeAndTheGroupGrowsAgain(t *testing.T) {
	o := etcdOptions(t)
	etcdElsewhere(t, o)
	r := newRigWith(t, Shape{Etcd: o.ClientAddress}, idle)
	r.put(r.Nodes[2], "q", "1", "2", "3")
	r.take(r.Nodes[0], "q", "1")
	last := r.Nodes[2]
	r.ok(r.Whole(t.Context(), time.Minute))
	for _, n := range r.Nodes[:2] {
		r.ok(n.Kill())
		r.ok(os.RemoveAll(n.options.Dir))
	}
	var said string
	r.ok(harness.Until(t.Context(), time.Minute, "it can be forced", func() bool { // once the lease and the others' hints have run out
		var err error
		said, err = last.run(t.Context(), "cluster", "force-leader", last.Name, "--yes")
		return err == nil
	}))
	if !strings.Contains(said, last.Name+" is the master, epoch") {
		t.Errorf("forcing says %q", said)
	}
	if log := last.Broker().Log(); !strings.Contains(log, `"action":"forceLeader"`) || !strings.Contains(log, "an operator forces this node") {
		t.Error("no audit record, or no warning")
	}
	r.take(last, "q", "2")
	r.put(last, "q", "4")
	r.ok(r.Start(t.Context()))
	r.ok(r.Whole(t.Context(), time.Minute))
	if _, err := last.run(t.Context(), "cluster", "force-leader", last.Name, "--yes"); err == nil {
		t.Error("a master was forced although there is one")
	}
	s, err := last.Status(t.Context())
	r.ok(err)
	if s.Copy.Quorum != 2 {
		t.Errorf("of the group that grew again %d nodes must have a record, want 2", s.Copy.Quorum)
	}
	r.ok(last.Kill()) // the others have it all
	r.take(r.Nodes[0], "q", "3", "4")
	r.oneMasterAnEpoch()
}

// serveFlags are those of the node's last start, for commands that want them.
func (n *Node) serveFlags() []string {
	flags := []string{"--data-dir", n.options.Dir}
	for _, s := range n.options.Settings {
		flags = append(flags, "--set", s)
	}
	return flags
}

// The etcd inside two nodes of three is lost, with nothing else: the third
// node's memory of the group fills another one, and no message is lost.
func TestAnEtcdThatWasLostIsFilledFromANode(t *testing.T) {
	r := newRigWith(t, Shape{}, idle)
	r.put(r.Nodes[1], "q", "1", "2")
	r.ok(r.Whole(t.Context(), time.Minute))
	a := r.Nodes[0]
	if said, err := a.run(t.Context(), append([]string{"cluster", "reseed-etcd", "--yes"}, a.serveFlags()...)...); err == nil || !strings.Contains(said, "must be stopped") {
		t.Errorf("beside a running node: %v, %s", err, said)
	}
	for _, n := range r.Nodes {
		r.ok(n.Kill())
	}
	for _, n := range r.Nodes[1:] {
		r.ok(os.RemoveAll(filepath.Join(n.options.Dir, "etcd")))
		r.ok(os.RemoveAll(filepath.Join(n.options.Dir, "etcd-seen.json")))
	}
	said, err := a.run(t.Context(), append([]string{"cluster", "reseed-etcd", "--yes"}, a.serveFlags()...)...)
	if err != nil || !strings.Contains(said, "configuration: epoch") || !strings.Contains(said, `"action":"reseedEtcd"`) {
		t.Fatalf("%v: %s", err, said)
	}
	for _, n := range r.Nodes[1:] {
		n.joining(a)
	}
	r.ok(r.Start(t.Context()))
	r.complete()
	r.ok(a.Kill()) // etcd and messages are on the others as well
	r.take(r.Nodes[1], "q", "1", "2")
	r.oneMasterAnEpoch()
}
