package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-stomp/stomp/v3"

	"github.com/entrepot-mq/entrepot/cmd/config"
)

// member starts a node of a group that shares dir.
func member(t *testing.T, dir, name string, sets ...string) *node {
	t.Helper()
	sets = append([]string{"cluster.mode=shared", "cluster.node=" + name, "cluster.nodes=127.0.0.1", "console.address=127.0.0.1:0", "dataDir=" + dir}, sets...)
	n, err := startNode(t.Context(), loadForTest(t, sets...), quiet(t), &guardedLines{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopNow(t, n) })
	return n
}

// stopNow stops a node that may have been stopped.
func stopNow(t *testing.T, n *node) {
	t.Helper()
	if n.stopping.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.stop(ctx); err != nil {
		t.Error(err)
	}
}

func stompAt(t *testing.T, n *node) *stomp.Conn {
	t.Helper()
	var c *stomp.Conn
	until(t, "a client gets in", func() (ok bool) {
		var err error
		c, err = stomp.Dial("tcp", n.listeners()[0].Addr().String(), stomp.ConnOpt.MsgSendTimeout(patience), stomp.ConnOpt.RcvReceiptTimeout(patience))
		return err == nil
	})
	t.Cleanup(func() { _ = c.MustDisconnect() })
	return c
}

func send(t *testing.T, c *stomp.Conn, queue, body string) {
	t.Helper()
	if err := c.Send(queue, "text/plain", []byte(body), stomp.SendOpt.Receipt, stomp.SendOpt.Header("persistent", "true")); err != nil {
		t.Fatal(err)
	}
}

// receive takes one message, and c with it.
func receive(t *testing.T, c *stomp.Conn, queue, want string) {
	t.Helper()
	sub, err := c.Subscribe(queue, stomp.AckClient)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-sub.C:
		if m.Err != nil || string(m.Body) != want {
			t.Fatalf("received %q, %v, want %q", m.Body, m.Err, want)
		}
		if err := c.Ack(m); err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatalf("%q does not come", want)
	}
	// Not Unsubscribe: it may miss its receipt, and then waits for half a minute.
	if err := c.Disconnect(); err != nil {
		t.Fatal(err)
	}
}

func TestClientsOfAnyNodeWorkWithTheMasterAndItsSuccessor(t *testing.T) {
	dir := t.TempDir()
	a := member(t, dir, "a")
	if got := a.role(); got != roleMaster {
		t.Fatalf("the first node is %s", got)
	}
	b := member(t, dir, "b")
	if got := b.role(); got != roleStandby {
		t.Fatalf("the second node is %s", got)
	}
	until(t, "b is ready", func() bool { return b.group.ready() == nil })
	throughB := stompAt(t, b)
	send(t, throughB, "/queue/q", "1")
	send(t, throughB, "/queue/q", "2")
	receive(t, stompAt(t, a), "/queue/q", "1")
	if got := b.Stats().Listeners[0].Relayed; got != 1 {
		t.Errorf("b passes %d connections through", got)
	}
	stopNow(t, a)
	until(t, "b takes over", func() bool { return b.role() == roleMaster })
	receive(t, stompAt(t, b), "/queue/q", "2")
	if s := b.group.status(); s.Epoch != 2 || s.Failovers != 1 || s.Master != "b" || s.Lease == nil {
		t.Errorf("b says %+v", s)
	}
}

func TestAMasterStepsDownAndItsClientsGoOnWithTheNext(t *testing.T) {
	dir := t.TempDir()
	a, b := member(t, dir, "a"), (*node)(nil)
	b = member(t, dir, "b")
	until(t, "b is ready", func() bool { return b.group.ready() == nil })
	send(t, stompAt(t, a), "/queue/q", "1")
	// Asked of the standby, it is the master that does it.
	answer, err := http.Post("http://"+b.console.Addr().String()+"/api/v1/cluster/step-down", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		t.Fatalf("stepping down: %s", answer.Status)
	}
	until(t, "b takes over", func() bool { return b.role() == roleMaster })
	until(t, "a follows", func() bool { return a.group.ready() == nil && a.role() == roleStandby })
	receive(t, stompAt(t, a), "/queue/q", "1")
	if err := a.group.kind.stepDown(t.Context()); err == nil {
		t.Error("a standby stepped down")
	}
}

func TestAStandbysAPIShowsTheMastersQueues(t *testing.T) {
	dir := t.TempDir()
	a := member(t, dir, "a")
	b := member(t, dir, "b")
	send(t, stompAt(t, a), "/queue/here", "1")
	until(t, "the queue shows", func() bool {
		status, body := ask(t, b, "/api/v1/queues")
		return status == http.StatusOK && strings.Contains(body, `"here"`)
	})
	if _, body := ask(t, b, "/api/v1/cluster"); !strings.Contains(body, `"role":"standby"`) || !strings.Contains(body, `"master":"a"`) {
		t.Errorf("b says %s", body)
	}
	if _, body := ask(t, b, "/metrics"); !strings.Contains(body, "entrepot_is_master 0") || !strings.Contains(body, "entrepot_cluster_epoch 1") {
		t.Errorf("b's metrics are %s", body)
	}
}

func ask(t *testing.T, n *node, path string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.console.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

func TestAStandbyThatRefusesOpensItsPortsWhenItIsTheMaster(t *testing.T) {
	dir := t.TempDir()
	a := member(t, dir, "a", "cluster.standby=refuse", "listeners=stomp://127.0.0.1:"+freePort(t))
	b := member(t, dir, "b", "cluster.standby=refuse", "listeners=stomp://127.0.0.1:"+freePort(t))
	send(t, stompAt(t, a), "/queue/q", "1")
	if len(b.listeners()) != 0 || b.group.ready() == nil {
		t.Errorf("the standby listens on %v", b.listeners())
	}
	if err := a.group.kind.stepDown(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "b takes over", func() bool { return b.role() == roleMaster })
	receive(t, stompAt(t, b), "/queue/q", "1")
	if len(a.listeners()) != 0 {
		t.Error("the old master listens on")
	}
}

func TestARedirectingStandbyNamesTheMaster(t *testing.T) {
	dir := t.TempDir()
	a := member(t, dir, "a")
	b := member(t, dir, "b", "cluster.standby=redirect")
	until(t, "b knows the master", func() bool { return b.group.ready() == nil })
	_, err := stomp.Dial("tcp", b.listeners()[0].Addr().String())
	if want := a.listeners()[0].Addr().String(); err == nil || !strings.Contains(err.Error(), "not the master") {
		t.Errorf("connecting: %v, want a word of %s", err, want)
	}
}

func TestAMasterWithoutItsLockEndsWithoutAnotherWrite(t *testing.T) {
	dir := t.TempDir()
	a := member(t, dir, "a", "cluster.lockPeriod=100ms")
	ended := make(chan int, 1)
	a.group.kind.(*shared).exit = func(code int) { ended <- code }
	c := stompAt(t, a)
	send(t, c, "/queue/q", "1")
	if err := os.Remove(filepath.Join(dir, "MASTER")); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-ended:
		if code != exitTempFail {
			t.Errorf("it ends with %d", code)
		}
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if err := c.Send("/queue/q", "text/plain", nil, stomp.SendOpt.Receipt); err == nil {
		t.Error("it confirmed another message")
	}
}

func TestAGroupsFaultySettingsAreFoundByStandbys(t *testing.T) {
	dir := t.TempDir()
	member(t, dir, "a")
	cfg := loadForTest(t, "cluster.mode=shared", "cluster.nodes=127.0.0.1", "dataDir="+dir, "listeners=stomp://127.0.0.1:0?stomp.nack=burn")
	if _, err := startNode(t.Context(), cfg, quiet(t), &guardedLines{}); exitCode(err) != exitConfig {
		t.Error("a faulty option: ", err)
	}
	cfg = loadForTest(t, "cluster.mode=shared", "cluster.nodes=127.0.0.1", "dataDir="+dir, "cluster.secretFile="+filepath.Join(dir, "none"))
	if _, err := startNode(t.Context(), cfg, quiet(t), &guardedLines{}); exitCode(err) != exitConfig {
		t.Error("a secret that isn't there: ", err)
	}
}

func TestOthersReachANodeWhereItSays(t *testing.T) {
	n := &node{cfg: &config.Loaded{Config: config.Default()}, log: quiet(t)}
	g := &group{n: n}
	n.cfg.Cluster.Hostname = "b.example"
	for _, test := range []struct{ listens, want string }{
		{"127.0.0.1:1", "127.0.0.1:1"}, {"0.0.0.0:1", "b.example:1"}, {"[::]:1", "b.example:1"}, {"192.0.2.1:1", "b.example:1"},
	} {
		if got := g.reachedAt(addr(test.listens)); got != test.want {
			t.Errorf("%s is reached at %s, want %s", test.listens, got, test.want)
		}
	}
	n.cfg.Cluster.Hostname = ""
	if got := g.reachedAt(addr("192.0.2.1:1")); got != "192.0.2.1:1" {
		t.Errorf("an address of its own is reached at %s", got)
	}
}

type addr string

func (a addr) Network() string { return "tcp" }
func (a addr) String() string  { return string(a) }

// freePort is one that nobody uses.
func freePort(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(freeAddresses(t, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestTheClusterCommandsAskAnyNode(t *testing.T) {
	dir := t.TempDir()
	a := member(t, dir, "a")
	b := member(t, dir, "b")
	until(t, "b is ready", func() bool { return b.group.ready() == nil })
	run := func(args ...string) result {
		return runWith(t.Context(), "", []string{"ENTREPOT_CONSOLE_ADDRESS=" + b.console.Addr().String()}, append([]string{"cluster"}, args...)...)
	}
	if r := run("status"); r.code != exitOK || !strings.Contains(r.out, "standby") || !strings.Contains(r.out, "Master") {
		t.Errorf("status: %d %s%s", r.code, r.out, r.err)
	}
	if r := run("status", "-o", "json"); r.code != exitOK || !strings.Contains(r.out, `"master": "a"`) {
		t.Errorf("status as JSON: %d %s%s", r.code, r.out, r.err)
	}
	if r := run("step-down"); r.code == exitOK {
		t.Error("it did not ask before it cut clients off")
	}
	if r := run("step-down", "--yes"); r.code != exitOK || r.out != "b is the master, epoch 2\n" {
		t.Errorf("step-down: %d %s%s", r.code, r.out, r.err)
	}
	until(t, "a follows", func() bool { return a.role() == roleStandby })
	alone := newManaged(t)
	if r := alone.run("", "cluster", "status"); r.code != exitOK || !strings.Contains(r.out, "alone") {
		t.Errorf("alone: %d %s%s", r.code, r.out, r.err)
	}
	if r := alone.run("", "cluster", "step-down", "--yes"); r.code != exitConflict {
		t.Errorf("stepping down alone: %d %s%s", r.code, r.out, r.err)
	}
}
