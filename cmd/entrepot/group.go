package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/cmd/config"
	"github.com/entrepot-mq/entrepot/console/api"
	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/election/filelock"
	"github.com/entrepot-mq/entrepot/protocols"
)

// How often a standby looks who the master is, how long a master that
// stepped down lets others go first, and how long a node waits after its turn
// failed.
const (
	lookPeriod   = 200 * time.Millisecond
	politeness   = 3 * time.Second
	afterFailure = 5 * time.Second
)

// Roles of a node, as logs, the banner and the API show them.
const (
	roleMaster   = "master"
	roleStandby  = "standby"
	roleStarting = "starting" // holds the lock and opens the store
	roleStopping = "stopping" // lets another be master
)

var (
	errLockLost = errors.New("the lock of the shared directory was lost: another node may write to it")
	errNoMaster = errors.New("no master is known")
	errNotNow   = errors.New("this node isn't the master now")
)

// group makes a node one of several that share their data directory: it opens
// the broker while it holds the directory's lock, and is a standby otherwise.
type group struct {
	n       *node
	locker  *filelock.Locker
	configs []protocols.ListenerConfig
	late    *lateFrontends
	relays  *relays
	end     context.CancelFunc
	running sync.WaitGroup
	// exit ends the process at once: what is open must not be written any more.
	exit     func(code int)
	stepping chan chan error // requests to step down

	decided chan struct{} // closed when the first role is known
	first   sync.Once

	mu        sync.Mutex
	role      string
	since     time.Time
	holder    filelock.Holder // the master, as far as is known
	lock      *filelock.Lock  // while this node holds it
	last      string          // who was the master before
	failovers uint64          // how often it took over from another
}

// startGroup starts a node of a group: as a standby first, with its ports open
// unless they are to be closed on standbys.
func (n *node) startGroup(ctx context.Context, configs []protocols.ListenerConfig) error {
	checked, err := n.frontends(configs) // without a broker: faulty options are found now, not at a failover
	if err != nil {
		return err
	}
	g := &group{
		n: n, configs: configs, late: newLateFrontends(checked), exit: os.Exit, //nolint:forbidigo // called when this process must not go on for a moment
		stepping: make(chan chan error), decided: make(chan struct{}), role: roleStandby, since: time.Now(),
	}
	if err := os.MkdirAll(n.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("make the shared directory: %w", err)
	}
	if g.relays, err = newRelays(ctx, &n.cfg.Config, n.log.Logger); err != nil {
		return config.Invalid(n.cfg.Problem("cluster.secretFile", err))
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	g.end, n.group = end, g
	client := map[string]string{}
	if n.cfg.Cluster.Standby != "refuse" {
		if err := g.openPorts(ctx, &protocols.Standby{Target: func(*protocols.Listener) string { return "" }}); err != nil {
			return err
		}
		client = g.clientAddresses()
	}
	g.locker = filelock.New(filelock.Options{
		Dir: n.cfg.DataDir, Node: n.cfg.Cluster.Name(), Client: client, Console: g.consoleAddress(),
		Period: n.cfg.Cluster.LockPeriod, Logger: n.log.Logger,
	})
	g.running.Go(func() { g.run(life) })
	select {
	case <-g.decided:
	case <-ctx.Done():
	}
	n.listening.Store(true)
	return nil
}

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

// run takes turns until ctx ends. When it returns, g.lock is held if the node
// is the master; close gives it back.
func (g *group) run(ctx context.Context) {
	for ctx.Err() == nil {
		lock, err := g.standBy(ctx)
		if err == nil {
			err = g.lead(ctx, lock)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			g.n.log.Error("this node can't be the master", "error", err, "retry_in", afterFailure.String())
			g.decide()
			pauseFor(ctx, afterFailure)
		default:
			pauseFor(ctx, politeness)
		}
	}
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

// standBy waits for the lock and keeps clients informed of who has it.
func (g *group) standBy(ctx context.Context) (*filelock.Lock, error) {
	waiting, got := context.WithCancel(ctx)
	var looks sync.WaitGroup
	looks.Go(func() { g.look(waiting) })
	lock, err := g.locker.Acquire(ctx)
	got()
	looks.Wait()
	return lock, err
}

// look tells the listeners whenever the master changes.
func (g *group) look(ctx context.Context) {
	pauseFor(ctx, lookPeriod/4) // a lock that is free is had by then
	for known := ""; ctx.Err() == nil; pauseFor(ctx, lookPeriod) {
		h, err := g.locker.Holder()
		if err == nil {
			g.noteMaster(h.Node)
		}
		if err != nil || h.Released {
			h.Client, h.Console, h.Node = nil, "", ""
		}
		g.takeRole(roleStandby, h, nil)
		if now := fmt.Sprint(h.Node, h.Epoch, h.Console); now != known {
			known = now
			g.follow(h)
		}
		g.decide()
	}
}

// follow makes the listeners a standby's of the master h.
func (g *group) follow(h filelock.Holder) {
	if h.Node == "" {
		g.n.log.Info("waiting for a master", "role", roleStandby)
	} else {
		g.n.log.Info("another node is the master", "role", roleStandby, "master", h.Node, "epoch", h.Epoch, "console", h.Console)
	}
	s := g.n.currentServer()
	if s == nil {
		return // the ports are closed
	}
	keys := listenerKeys(s.Listeners())
	s.SetStandby(&protocols.Standby{
		Target:   func(l *protocols.Listener) string { return h.Client[keys[l]] },
		Redirect: g.n.cfg.Cluster.Standby == "redirect",
	})
}

// takeRole notes the role and what is known of the master.
func (g *group) takeRole(role string, h filelock.Holder, lock *filelock.Lock) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if role != g.role {
		g.role, g.since = role, time.Now()
	}
	g.holder, g.lock = h, lock
}

// lead serves as the master until the node steps down, ctx ends (then the
// broker stays open, for close) or the lock is lost.
func (g *group) lead(ctx context.Context, lock *filelock.Lock) error {
	began := time.Now()
	self, err := g.locker.Holder()
	if err == nil {
		g.takeRole(roleStarting, self, lock)
		err = g.serve(ctx)
	}
	if err != nil {
		g.takeRole(roleStandby, filelock.Holder{}, nil)
		return errors.Join(err, g.n.closeBroker(ctx), lock.Release())
	}
	before := g.succeed(self.Node)
	g.takeRole(roleMaster, self, lock)
	g.n.log.Info("this node is the master", "role", roleMaster, "epoch", lock.Epoch(), "before", before, "took", time.Since(began).String())
	g.decide()
	select {
	case <-ctx.Done():
		return nil
	case <-lock.Lost():
		g.abandon()
		return errLockLost
	case answer := <-g.stepping:
		answer <- g.stepDown(ctx, lock)
		return nil
	}
}

// noteMaster remembers who was the master.
func (g *group) noteMaster(node string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = node
}

// succeed notes that this node is the master, and returns who was it before.
func (g *group) succeed(self string) (before string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before, g.last = g.last, self
	if before != "" && before != self {
		g.failovers++
	}
	return before
}

// serve opens the broker and lets clients in.
func (g *group) serve(ctx context.Context) error {
	frontends, err := g.n.openBroker(g.configs)
	if err != nil {
		return err
	}
	g.late.set(frontends)
	if s := g.n.currentServer(); s != nil {
		s.SetStandby(nil)
		return nil
	}
	return g.openPorts(ctx, nil)
}

// stepDown closes the broker and gives the lock back.
func (g *group) stepDown(ctx context.Context, lock *filelock.Lock) error {
	began := time.Now()
	g.takeRole(roleStopping, filelock.Holder{}, lock)
	g.shutPorts(ctx)
	ctx, cancel := context.WithTimeout(ctx, g.n.cfg.Shutdown.Timeout)
	defer cancel()
	err := errors.Join(g.n.closeBroker(ctx), lock.Release())
	g.takeRole(roleStandby, filelock.Holder{}, nil)
	g.n.log.Info("this node has stepped down", "role", roleStandby, "epoch", lock.Epoch(), "took", time.Since(began).String())
	return err
}

// shutPorts lets clients wait for the next master, or closes the ports.
func (g *group) shutPorts(ctx context.Context) {
	if g.n.cfg.Cluster.Standby != "refuse" {
		g.n.currentServer().SetStandby(&protocols.Standby{Target: func(*protocols.Listener) string { return "" }})
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s := g.n.currentServer()
	if err := s.Drain(ctx); err != nil {
		g.n.log.Debug("clients were cut off", "error", err)
	}
	s.Close()
	g.n.setServer(nil)
}

// abandon ends the process without another write: the directory may be
// another's already.
func (g *group) abandon() {
	if s := g.n.currentServer(); s != nil {
		s.SetStandby(&protocols.Standby{Target: func(*protocols.Listener) string { return "" }}) // nothing more is confirmed
	}
	g.n.log.Error("the process ends at once", "error", errLockLost, "advice", "look at the storage; a restarted node waits for the lock again")
	g.exit(exitTempFail)
}

// close ends the taking of turns. The broker, if it is open, stays so.
func (g *group) close() {
	g.end()
	g.running.Wait()
	g.relays.close()
}

// release gives the lock back, if it is held: the last thing that a node does.
func (g *group) release() error {
	g.mu.Lock()
	lock := g.lock
	g.lock = nil
	g.mu.Unlock()
	if lock == nil {
		return nil
	}
	return lock.Release()
}

// master is the API's Options.Master.
func (g *group) master() (console string, standby bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.holder.Console, g.role != roleMaster
}

// requestStepDown is the API's Options.StepDown.
func (g *group) requestStepDown(ctx context.Context) error {
	answer := make(chan error, 1)
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	select {
	case g.stepping <- answer:
		return <-answer
	case <-ctx.Done():
		return errNotNow
	}
}

// status is the API's Options.Cluster.
func (g *group) status() api.ClusterStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := &g.n.cfg.Cluster
	since := g.since
	s := api.ClusterStatus{
		Mode: c.Mode, Node: c.Name(), Role: g.role, Since: &since, Failovers: g.failovers, Standby: c.Standby,
		Master: g.holder.Node, Epoch: g.holder.Epoch, Console: g.holder.Console, Client: g.holder.Client,
	}
	if g.role == roleMaster {
		left := max(0, (g.lock.Deadline() - election.Now()).Seconds())
		s.Lease = &left
	}
	return s
}

// ready is a check of the console: nil if clients get to a broker through this
// node.
func (g *group) ready() error {
	s := g.status()
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

// lateFrontends are the frontends of listeners that are open before there is a
// broker.
type lateFrontends struct {
	all map[string]protocols.Frontend // stand-ins

	mu  sync.Mutex
	now map[string]protocols.Frontend
}

func newLateFrontends(like map[string]protocols.Frontend) *lateFrontends {
	f := &lateFrontends{all: make(map[string]protocols.Frontend), now: like}
	for name := range like {
		f.all[name] = &lateFrontend{name, f}
	}
	return f
}

func (f *lateFrontends) set(now map[string]protocols.Frontend) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = now
}

func (f *lateFrontends) get(name string) protocols.Frontend {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now[name]
}

type lateFrontend struct {
	name string
	of   *lateFrontends
}

func (f *lateFrontend) Name() string            { return f.of.get(f.name).Name() }
func (f *lateFrontend) Options() []string       { return f.of.get(f.name).Options() }
func (f *lateFrontend) Serve(c *protocols.Conn) { f.of.get(f.name).Serve(c) }

// CheckOptions implements protocols.OptionChecker.
func (f *lateFrontend) CheckOptions(v protocols.Values) error {
	if c, ok := f.of.get(f.name).(protocols.OptionChecker); ok {
		return c.CheckOptions(v)
	}
	return nil
}

// Redirect implements protocols.Redirector; a protocol that can't redirect just
// ends.
func (f *lateFrontend) Redirect(c *protocols.Conn, address string) {
	if r, ok := f.of.get(f.name).(protocols.Redirector); ok {
		r.Redirect(c, address)
		return
	}
	c.Goodbye()
}
