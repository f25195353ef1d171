package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/election/electiontest"
	"github.com/entrepot-mq/entrepot/election/etcd/embedded"
	"github.com/entrepot-mq/entrepot/integration/harness"
)

const ttl = 2 * time.Second

// member starts an etcd of one member.
func member(t *testing.T, dir string) *embedded.Server {
	t.Helper()
	addresses := freeAddresses(t)
	return start(t, dir, addresses[0], addresses[1])
}

// freeAddresses returns two that nobody uses.
func freeAddresses(t *testing.T) []string {
	t.Helper()
	out, err := harness.FreeAddresses(2)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func start(t *testing.T, dir, peer, client string) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(t.Context(), embedded.Options{
		Node: "a", Group: "test", Dir: dir, Members: map[string]string{"a": peer},
		ListenPeer: peer, ListenClient: client, ClientAddress: client,
		Heartbeat: 20 * time.Millisecond, Election: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	select {
	case <-s.Ready():
	case <-time.After(60 * time.Second):
		t.Fatal("etcd did not get ready")
	}
	return s
}

func coordinator(t *testing.T, o Options) *Coordinator {
	t.Helper()
	if o.TTL == 0 {
		o.TTL = ttl
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // again, in most tests
	return c
}

// run runs the checks with whichever client reach returns.
func run(t *testing.T, reach func(t *testing.T) *clientv3.Client) {
	var group atomic.Int64
	electiontest.Run(t, func(t *testing.T, nodes ...string) []election.Coordinator {
		name := fmt.Sprint("g", group.Add(1))
		var out []election.Coordinator
		for _, n := range nodes {
			out = append(out, coordinator(t, Options{Client: reach(t), Prefix: "/test/", Group: name, Node: n, TTL: 12 * time.Second}))
		}
		return out
	})
}

func TestEtcdKeepsTheContractThroughAnEmbeddedMember(t *testing.T) {
	s := member(t, t.TempDir())
	run(t, func(*testing.T) *clientv3.Client { return s.Client() })
}

func TestEtcdKeepsTheContractOverTheNetwork(t *testing.T) {
	s := member(t, t.TempDir())
	run(t, func(t *testing.T) *clientv3.Client { return dial(t, s.ClientAddr().String()) })
}

func dial(t *testing.T, address string) *clientv3.Client {
	t.Helper()
	c, err := Dial(DialOptions{Endpoints: []string{"http://" + address}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func elected(t *testing.T, c *Coordinator) (election.Lease, election.State) {
	t.Helper()
	first := election.Configuration{GroupID: "g", Version: 1, Quorum: 1, InSync: []election.Member{{Node: "a", Inc: 1}}, Voters: []string{"a"}}
	s, err := c.Create(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.Grant(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := s.Config.Clone()
	next.Version, next.Epoch, next.Master = 2, 1, "a"
	if s, err = c.Campaign(t.Context(), l, s.ConfigRevision, election.Lock{Node: "a", Epoch: 1}, next); err != nil {
		t.Fatal(err)
	}
	return l, s
}

func TestAMasterWithoutEtcdKnowsItsEndBeforeEtcdDoes(t *testing.T) {
	dir := t.TempDir()
	s := member(t, dir)
	address := s.ClientAddr().String()
	c := coordinator(t, Options{Client: dial(t, address), Group: "g", Node: "a"})
	l, _ := elected(t, c)
	s.Close()
	closed := election.Now()
	last := l.Deadline() // nothing renews it any more
	select {
	case <-l.Lost():
	case <-time.After(60 * time.Second):
		t.Fatal("the lease holds without etcd")
	}
	if last > closed+ttl {
		t.Errorf("the deadline was %v behind etcd's end, etcd itself would have ended the lease after %v", last-closed, ttl)
	}
	if l.Deadline() != 0 {
		t.Errorf("the deadline is %v", l.Deadline())
	}
	if _, err := c.Read(shortly(t)); !errors.Is(err, election.ErrUnavailable) {
		t.Error("reading: ", err)
	}
	if _, err := c.Create(shortly(t), election.Configuration{}); !errors.Is(err, election.ErrUnknown) {
		t.Error("writing: ", err)
	}
}

func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestAWatchGoesOnWhenEtcdIsBack(t *testing.T) {
	dir := t.TempDir()
	s := member(t, dir)
	peer, address := s.Members()[0].Peer, s.ClientAddr().String()
	c := coordinator(t, Options{Client: dial(t, address), Group: "g", Node: "a"})
	watch := c.Watch(t.Context())
	<-watch // no group
	s.Close()
	start(t, dir, peer, address)
	l, _ := elected(t, c)
	defer func() { _ = l.Revoke(t.Context()) }()
	for end := time.After(60 * time.Second); ; {
		select {
		case s := <-watch:
			if s.Lock != nil {
				return
			}
		case <-end:
			t.Fatal("the watch stays silent")
		}
	}
}

func TestEtcdThatWentBackInTimeIsNotBelieved(t *testing.T) {
	memory := filepath.Join(t.TempDir(), "etcd.json")
	s := member(t, t.TempDir())
	c := coordinator(t, Options{Client: s.Client(), Group: "g", Node: "a", Memory: memory})
	elected(t, c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	another := member(t, t.TempDir()) // empty, and younger
	c = coordinator(t, Options{Client: another.Client(), Group: "g", Node: "a", Memory: memory})
	if _, err := c.Read(t.Context()); !errors.Is(err, election.ErrRewound) {
		t.Fatal("reading: ", err)
	}
	if _, err := c.Create(t.Context(), election.Configuration{Version: 1}); !errors.Is(err, election.ErrRewound) {
		t.Fatal("writing: ", err)
	}
	if err := c.Forget(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(t.Context(), election.Configuration{Version: 1}); err != nil {
		t.Error("after an operator has vouched for it: ", err)
	}
}

func TestARevisionThatGoesBackIsNoticedAndOldAnswersAreNot(t *testing.T) {
	m, err := openMemory(filepath.Join(t.TempDir(), "m"))
	if err != nil {
		t.Fatal(err)
	}
	late := m.mark()
	for _, revision := range []int64{5, 9} {
		if err := m.check(m.mark(), 1, revision); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.check(late, 1, 7); err != nil {
		t.Error("an answer to a request from before was refused: ", err)
	}
	if err := m.check(m.mark(), 1, 8); !errors.Is(err, election.ErrRewound) {
		t.Error("a revision that went back: ", err)
	}
	if err := m.check(m.mark(), 1, 20); !errors.Is(err, election.ErrRewound) {
		t.Error("it was believed again by itself: ", err)
	}
}

func TestTheMemoryOfEtcdSurvivesARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dir", "m")
	m, err := openMemory(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.check(0, 7, 1000); err != nil {
		t.Fatal(err)
	}
	again, err := openMemory(file)
	if err != nil || again.now != (remembered{Cluster: 7, Revision: 1000}) {
		t.Fatalf("remembered %+v, %v", again, err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Memory: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Error("a damaged file: ", err)
	}
}

func TestALeasesDeadlineCountsFromTheQuestion(t *testing.T) {
	for _, test := range []struct {
		ttl  int64
		want time.Duration
	}{{2, 1480 * time.Millisecond}, {8, 7120 * time.Millisecond}, {60, 53400 * time.Millisecond}} {
		if got := deadline(time.Minute, test.ttl) - time.Minute; got != test.want {
			t.Errorf("a lease of %d s is believed for %v, want %v", test.ttl, got, test.want)
		}
	}
}

func TestTheGuardianIsToldOfLeases(t *testing.T) {
	s := member(t, t.TempDir())
	told := make(chan int64, 9)
	c := coordinator(t, Options{Client: s.Client(), Group: "g", Node: "a", Leased: func(id int64) { told <- id }})
	l, err := c.Grant(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := <-told; got != l.ID() {
		t.Errorf("told of %d, it is %d", got, l.ID())
	}
	if err := c.SetHint(t.Context(), election.Hint{Node: "a"}); err != nil { // a lease of its own, which nobody needs to revoke
		t.Fatal(err)
	}
	if err := l.Revoke(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-told; got != 0 {
		t.Errorf("told of %d at its end", got)
	}
}
