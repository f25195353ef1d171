package replication_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/replication"
	"github.com/entrepot-mq/entrepot/replication/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// group is several nodes in one process: real stores, real connections, and a register for the configuration.
type group struct {
	t     testing.TB
	reg   *register
	nodes []*member
	level replication.Level
	edit  func(*broker.Options)
	tls   *replication.TLS
	out   io.Writer // what nodes log; nil: errors, to stderr

	mu  sync.Mutex
	cut map[[2]string]bool
}

// member is one node. Its broker is opened again whenever its replica is done, as the assembly does it.
type member struct {
	g    *group
	name string
	dir  string
	addr string

	mu      sync.Mutex
	broker  *broker.Broker
	replica *replication.Replica
	leads   bool
	opens   int

	stop context.CancelFunc
	done chan struct{}
}

func newGroup(t testing.TB, n int, edit ...func(*group)) *group {
	t.Helper()
	g := &group{t: t, reg: newRegister(), cut: make(map[[2]string]bool)}
	for _, f := range edit {
		f(g)
	}
	for i := range n {
		g.nodes = append(g.nodes, &member{g: g, name: fmt.Sprintf("n%d", i+1), dir: t.TempDir()})
	}
	for _, m := range g.nodes {
		m.addr = m.listen().Addr().String()
	}
	for _, m := range g.nodes {
		m.start()
	}
	t.Cleanup(func() {
		for _, m := range g.nodes {
			m.halt()
		}
	})
	return g
}

// voters are the names of the nodes that found the group.
func (g *group) voters() (names []string) {
	for _, m := range g.nodes[:min(3, len(g.nodes))] {
		names = append(names, m.name)
	}
	return names
}

func (m *member) listen() net.Listener {
	addr := m.addr
	first := addr == ""
	if first {
		addr = "127.0.0.1:0"
	}
	var l net.Listener
	eventually(m.g.t, "free port", func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	if first {
		_ = l.Close() // the address is known now
	}
	return l
}

func (m *member) start() {
	ctx, stop := context.WithCancel(context.Background())
	m.stop, m.done = stop, make(chan struct{})
	go func() {
		defer close(m.done)
		var last replication.Outcome
		for ctx.Err() == nil {
			o, err := m.run(ctx, last)
			if err != nil && ctx.Err() == nil {
				m.g.t.Errorf("%s: %v", m.name, err)
				return
			}
			last = o
		}
	}()
}

func (m *member) halt() {
	if m.stop != nil {
		m.stop()
		<-m.done
		m.stop = nil
	}
}

// run is one life of the node.
func (m *member) run(ctx context.Context, last replication.Outcome) (replication.Outcome, error) {
	g := m.g
	if err := replication.Adopt(m.dir); err != nil {
		return last, err
	}
	if last.Rebuild {
		if _, err := replication.SetAside(m.dir, slog.New(slog.DiscardHandler)); err != nil {
			return last, err
		}
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})).With("node", m.name)
	if testing.Verbose() && os.Getenv("REPLICATION_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("node", m.name)
	}
	if g.out != nil {
		logger = slog.New(slog.NewTextHandler(g.out, nil)).With("node", m.name)
	}
	hard, state, err := replication.Identify(ctx, replication.Identity{
		Node: m.name, Dir: m.dir, Level: g.level, Coordinator: g.reg, Voters: g.voters(), Forgets: last.Rebuild || last.Failed, Logger: logger,
	})
	if err != nil {
		return last, err
	}
	o := broker.Options{Name: "test", Dir: m.dir, Logger: logger, Store: store.Options{Group: true, SegmentSize: 8 << 20}}
	if g.edit != nil {
		g.edit(&o)
	}
	b, err := broker.Open(o)
	if replication.Damaged(err) {
		return replication.Outcome{Reason: err, Rebuild: true}, nil
	}
	if err != nil {
		return last, err
	}
	closed, cancel := context.WithCancel(context.Background())
	cancel()
	defer func() { _ = b.Close(closed) }()
	r, err := replication.Open(replication.Options{
		Node: m.name, Group: state.Config.GroupID, Dir: m.dir, Hard: hard, Level: g.level, Store: b.Store(), Coordinator: g.reg,
		TLS: g.tls, Listener: m.listen(), Address: g.address, Dial: m.dial, NotBefore: last.NotBefore, Logger: logger,
		Timing: protocol.Options{
			Heartbeat: 50 * time.Millisecond, Silence: 300 * time.Millisecond, RankDelay: 30 * time.Millisecond,
			HoldFor: 200 * time.Millisecond,
		},
	})
	if err != nil {
		return last, err
	}
	m.set(b, r, false)
	select {
	case <-ctx.Done():
	case <-r.Leading():
		if err := b.Lead(); err != nil && !errors.Is(err, store.ErrNotLeader) {
			m.g.t.Errorf("%s can't lead: %v", m.name, err)
		}
		m.set(b, r, true)
	case <-r.Done():
	}
	select {
	case <-ctx.Done():
	case <-r.Done():
	}
	m.set(nil, nil, false)
	r.Close()
	b.StepDown(r.Outcome().Reason)
	return r.Outcome(), nil
}

func (m *member) set(b *broker.Broker, r *replication.Replica, leads bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broker, m.replica, m.leads = b, r, leads
	if r != nil && !leads {
		m.opens++
	}
}

func (g *group) address(node string) (string, bool) {
	for _, m := range g.nodes {
		if m.name == node {
			return m.addr, true
		}
	}
	return "", false
}

// dial connects unless the link is cut; a connection is lost when it is.
func (m *member) dial(ctx context.Context, addr string) (net.Conn, error) {
	to := ""
	for _, o := range m.g.nodes {
		if o.addr == addr {
			to = o.name
		}
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &link{Conn: c, g: m.g, way: [2]string{m.name, to}}, nil
}

// link swallows what is sent over it while it is cut.
type link struct {
	net.Conn
	g   *group
	way [2]string
}

func (l *link) Write(b []byte) (int, error) {
	l.g.mu.Lock()
	cut := l.g.cut[l.way]
	l.g.mu.Unlock()
	if cut {
		return 0, errors.New("the link is cut")
	}
	return l.Conn.Write(b)
}

// isolate cuts or mends all links of a node.
func (g *group) isolate(m *member, cut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, o := range g.nodes {
		g.cut[[2]string{m.name, o.name}] = cut
		g.cut[[2]string{o.name, m.name}] = cut
	}
}

// master waits until a node leads and returns it with its broker.
func (g *group) master() (*member, *broker.Broker) { return g.masterAfter(nil) }

// masterAfter waits until a node other than old leads.
func (g *group) masterAfter(old *member) (*member, *broker.Broker) {
	g.t.Helper()
	var found *member
	var b *broker.Broker
	eventually(g.t, "master", func() error {
		for _, m := range g.nodes {
			m.mu.Lock()
			if m.leads && m != old {
				found, b = m, m.broker
			}
			m.mu.Unlock()
			if b != nil {
				return nil
			}
		}
		return errors.New("nobody leads")
	})
	return found, b
}

func (m *member) status() (replication.Status, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.replica == nil {
		return replication.Status{}, false
	}
	return m.replica.Status(), true
}

// inSync waits until n nodes are, and have everything.
func (g *group) inSync(n int) {
	g.t.Helper()
	eventually(g.t, fmt.Sprintf("%d nodes in sync", n), func() error {
		m, b := g.master()
		s, ok := m.status()
		if !ok || len(s.State.Config.InSync) != n {
			return fmt.Errorf("in sync: %v", s.State.Config.InSync)
		}
		last := b.Store().Log().Last() // the status is a moment old
		have := 0
		for _, o := range g.nodes {
			if os, ok := o.status(); ok && s.State.Config.Has(os.Node) && os.Applied >= last.Index {
				have++
			}
		}
		if have < n {
			return fmt.Errorf("%d nodes have applied everything up to %v", have, last)
		}
		return nil
	})
}

// patience is how long a test waits for what has to happen: far longer than it takes on a busy machine.
const patience = time.Minute

func eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatalf("no %s within %v: %v", what, patience, err)
}

// client is a connection without a protocol.
type client struct {
	t testing.TB
	*broker.Session
	mu    sync.Mutex
	got   []broker.Delivery
	ended error
}

func (c *client) Deliver(d broker.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, d)
}

func (c *client) Resume() {}

func (c *client) Closed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = err
}

func connect(t testing.TB, b *broker.Broker, id string) *client {
	t.Helper()
	c := &client{t: t}
	s, err := b.Connect(broker.ConnectRequest{Protocol: "test", ClientID: id, Sink: c})
	if err != nil {
		t.Fatal(err)
	}
	c.Session = s
	return c
}

type waiter chan error

func (w waiter) Complete(_ uint64, err error) { w <- err }

// send publishes and waits until the broker has confirmed, or not.
func (c *client) send(d message.Destination, body string) error {
	e := message.Envelope{ID: c.NewID(), Destination: d, Durable: true, Priority: message.DefaultPriority, Timestamp: 1}
	w := make(waiter, 1)
	c.Publish(message.New(&e, message.EncodingSTOMP, []byte(body)), w, 0)
	return <-w
}

// receive takes n messages and settles them.
func (c *client) receive(d message.Destination, n int) (bodies []string) {
	c.t.Helper()
	k, err := c.Subscribe(broker.Subscription{Destination: d, Window: 1000})
	if err != nil {
		c.t.Fatal(err)
	}
	eventually(c.t, fmt.Sprintf("%d messages", n), func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.got) < n {
			return fmt.Errorf("%d so far", len(c.got))
		}
		return nil
	})
	c.mu.Lock()
	got := c.got
	c.got = nil
	c.mu.Unlock()
	w := make(waiter, len(got))
	for _, d := range got {
		bodies = append(bodies, string(d.Message.Payload()))
		if err := d.Consumer.Settle(d.Tag, broker.Accepted, w, 0); err != nil {
			c.t.Fatal(err)
		}
	}
	for range got {
		if err := <-w; err != nil {
			c.t.Fatal(err)
		}
	}
	k.Close()
	return bodies
}

var _ election.Coordinator = (*register)(nil)

// smallSegments has the log forget soon.
func smallSegments(o *broker.Options) {
	o.Store.SegmentSize = 2 << 20
	o.Store.CheckpointBytes = 1 << 20
	o.Store.Retain, o.Store.HoldBytes = 1<<20, 64<<20
}
