package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/cmd/config"
	"github.com/entrepot-mq/entrepot/console/api"
	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/protocols"
)

// How often a standby looks who the master is, and how long a node waits after
// its turn failed.
const (
	lookPeriod   = 200 * time.Millisecond
	afterFailure = 5 * time.Second
)

// Roles of a node, as logs, the banner and the API show them.
const (
	roleMaster   = "master"
	roleStandby  = "standby"
	roleStarting = "starting" // is about to be the master
	roleStopping = "stopping" // lets another be master
)

var (
	errNoMaster = errors.New("no master is known")
	errNotNow   = errors.New("this node isn't the master now")
)

// group makes a node one of several that are one broker. It is what both kinds
// have in common: ports that lead to the master, and what is known of it.
type group struct {
	n       *node
	configs []protocols.ListenerConfig
	late    *lateFrontends
	relays  *relays
	kind    groupKind
	end     context.CancelFunc
	running sync.WaitGroup

	decided chan struct{} // closed when the first role is known
	first   sync.Once

	mu        sync.Mutex
	role      string
	since     time.Time
	master    masterInfo           // as far as is known
	deadline  func() time.Duration // of the claim of this node, by election.Now, while it is the master
	last      string               // who was the master before
	failovers uint64               // how often it took over from another
	told      string               // the master that the listeners know
}

// groupKind is how nodes agree on the master, and where the data is.
type groupKind interface {
	// run takes turns until ctx ends. It may leave the broker open.
	run(ctx context.Context)
	// stepDown makes another node the master.
	stepDown(ctx context.Context) error
	// addresses are where clients reach the nodes' listeners, by listener, as
	// far as that is known.
	addresses() []map[string]string
	// status adds what only this kind knows.
	status(s *api.ClusterStatus)
	// release ends the node's claim, after the broker was closed.
	release() error
}

// masterInfo is who the master is and where it is reached.
type masterInfo struct {
	Node    string
	Epoch   uint64
	Client  map[string]string // by listener
	Console string
}

// startGroup starts a node of a group: as a standby first, with its ports open
// unless they are to be closed on standbys.
func (n *node) startGroup(ctx context.Context, configs []protocols.ListenerConfig) error {
	checked, err := n.frontends(configs) // without a broker: faulty options are found now, not at a failover
	if err != nil {
		return err
	}
	g := &group{
		n: n, configs: configs, late: newLateFrontends(checked), decided: make(chan struct{}), role: roleStandby, since: time.Now(),
	}
	if err := os.MkdirAll(n.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if g.relays, err = newRelays(ctx, &n.cfg.Config, n.log.Logger); err != nil {
		return config.Invalid(n.cfg.Problem("cluster.secretFile", err))
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	g.end, n.group = end, g
	client := map[string]string{}
	if n.cfg.Cluster.Standby != "refuse" {
		if err := g.openPorts(ctx, &protocols.Standby{Target: nowhere}); err != nil {
			return err
		}
		client = g.clientAddresses()
	}
	if g.kind, err = g.newKind(ctx, client); err != nil {
		return err
	}
	g.running.Go(func() { g.kind.run(life) })
	select {
	case <-g.decided:
	case <-ctx.Done():
	}
	n.listening.Store(true)
	return nil
}

func (g *group) newKind(ctx context.Context, client map[string]string) (groupKind, error) {
	if !g.n.cfg.Cluster.Replicated() {
		return newShared(g, client), nil
	}
	x, err := newReplicated(ctx, g, client)
	if err != nil {
		return nil, err // and not a kind that is none
	}
	return x, nil
}

// nowhere is the target of clients while there is no master.
func nowhere(*protocols.Listener) string { return "" }

// openPorts opens the listeners in a role.
func (g *group) openPorts(ctx context.Context, standby *protocols.Standby) error {
	s := g.n.newServer(g.late.all, g.relays)
	if standby != nil {
		s.SetStandby(standby)
	}
	if err := s.Start(ctx, g.configs); err != nil {
		s.Close()
		return adviseOnListen(err, "--listen")
	}
	g.n.setServer(s)
	return nil
}

// admit lets clients in to the broker that frontends serve.
func (g *group) admit(ctx context.Context, frontends map[string]protocols.Frontend) error {
	g.late.set(frontends)
	if s := g.n.currentServer(); s != nil {
		s.SetStandby(nil)
		return nil
	}
	return g.openPorts(ctx, nil)
}

// dismiss cuts clients off: they wait for the next master, or the ports close.
func (g *group) dismiss(ctx context.Context) {
	s := g.n.currentServer()
	if s == nil {
		return
	}
	g.mu.Lock()
	g.told = ""
	g.mu.Unlock()
	if g.n.cfg.Cluster.Standby != "refuse" {
		s.SetStandby(&protocols.Standby{Target: nowhere})
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		g.n.log.Debug("clients were cut off", "error", err)
	}
	s.Close()
	g.n.setServer(nil)
}

func (g *group) decide() { g.first.Do(func() { close(g.decided) }) }

func pauseFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// follow makes the node a standby of m; without a node in it, of nobody yet.
func (g *group) follow(m masterInfo) {
	g.mu.Lock()
	if m.Node != "" {
		g.last = m.Node
	}
	g.mu.Unlock()
	g.takeRole(roleStandby, m, nil)
	now := fmt.Sprint(m.Node, " ", m.Epoch, " ", m.Client)
	g.mu.Lock()
	same := g.told == now
	g.told = now
	g.mu.Unlock()
	if same {
		return
	}
	if m.Node == "" {
		g.n.log.Info("waiting for a master", "role", roleStandby)
	} else {
		g.n.log.Info("another node is the master", "role", roleStandby, "master", m.Node, "epoch", m.Epoch, "console", m.Console)
	}
	s := g.n.currentServer()
	if s == nil {
		return // the ports are closed
	}
	keys := listenerKeys(s.Listeners())
	s.SetStandby(&protocols.Standby{
		Target:   func(l *protocols.Listener) string { return m.Client[keys[l]] },
		Redirect: g.n.cfg.Cluster.Standby == "redirect",
	})
}

// members are the URLs of the nodes' listeners that stand for one of this
// node's, for clients that reconnect by themselves. g may be nil.
func (g *group) members(listener string) (urls []string) {
	if g == nil {
		return nil
	}
	s := g.n.currentServer()
	if s == nil {
		return nil
	}
	for l, key := range listenerKeys(s.Listeners()) {
		if l.Config().Name != listener {
			continue
		}
		scheme := "tcp://"
		if strings.Contains(key, "+ssl") {
			scheme = "ssl://"
		}
		for _, of := range g.kind.addresses() {
			if a := of[key]; a != "" {
				urls = append(urls, scheme+a)
			}
		}
	}
	return urls
}

// takeRole notes the role and what is known of the master. deadline is that of
// this node's claim, nil if it has none.
func (g *group) takeRole(role string, m masterInfo, deadline func() time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if role != g.role {
		g.role, g.since = role, time.Now()
	}
	g.master, g.deadline = m, deadline
}

// succeed notes that this node serves as the master from now on.
func (g *group) succeed(m masterInfo, deadline func() time.Duration, began time.Time) {
	g.mu.Lock()
	before := g.last
	if g.last = m.Node; before != "" && before != m.Node {
		g.failovers++
	}
	g.mu.Unlock()
	g.takeRole(roleMaster, m, deadline)
	g.n.log.Info("this node is the master", "role", roleMaster, "epoch", m.Epoch, "before", before, "took", time.Since(began).String())
	g.decide()
}

// close ends the taking of turns. The broker, if it is open, stays so.
func (g *group) close() {
	g.end()
	g.running.Wait()
	g.relays.close()
}

// release gives up the claim to be the master: the last thing that a node does.
func (g *group) release() error {
	if g.kind == nil {
		return nil
	}
	return g.kind.release()
}

// masterConsole is the API's Options.Master.
func (g *group) masterConsole() (console string, standby bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.master.Console, g.role != roleMaster
}

// status is the API's Options.Cluster.
func (g *group) status() api.ClusterStatus {
	s := g.common()
	if g.kind != nil {
		g.kind.status(&s)
	}
	return s
}

func (g *group) common() api.ClusterStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &g.n.cfg.Cluster
	since := g.since
	s := api.ClusterStatus{
		Mode: c.Mode, Node: c.Name(), Role: g.role, Since: &since, Failovers: g.failovers, Standby: c.Standby,
		Master: g.master.Node, Epoch: g.master.Epoch, Console: g.master.Console, Client: g.master.Client,
	}
	if g.role == roleMaster && g.deadline != nil {
		left := max(0, (g.deadline() - election.Now()).Seconds())
		s.Lease = &left
	}
	return s
}

// ready is a check of the console: nil if clients get to a broker through this
// node.
func (g *group) ready() error {
	s := g.common()
	switch {
	case s.Role == roleMaster:
		return nil
	case s.Master == "" || s.Role != roleStandby:
		return errNoMaster
	case s.Standby == "refuse":
		return fmt.Errorf("%s is the master, and standbys serve nobody", s.Master)
	}
	return nil
}
