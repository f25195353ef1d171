package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/console"
	"github.com/entrepot-mq/entrepot/console/api"
	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/replication"
)

// How often a node of a replicated group looks who the master is, how long a master
// that ends gives another one to take over, and how long closing a store may take.
const (
	statusPeriod  = 50 * time.Millisecond
	handOverLimit = 3 * time.Second
	closeLimit    = 10 * time.Second
)

var errNoHandOver = errors.New("the hand-over came to nothing: no other node had everything in time")

// replicated is a group whose nodes have a copy each. The broker is open all
// the time: it follows the master's log, or leads.
type replicated struct {
	g         *group
	store     *coordination // of the group's configuration
	level     replication.Level
	advertise election.Hint
	bind      string

	rebuilds atomic.Uint64 // stores that were set aside

	mu      sync.Mutex
	replica *replication.Replica // nil between two lives

	turn  sync.Mutex // over the listeners: who sends clients where
	leads bool       // clients are this node's, or nobody's for the moment
	seen  masterInfo // the last that the group's configuration named
}

func newReplicated(ctx context.Context, g *group, client map[string]string) (*replicated, error) {
	c := &g.n.cfg.Cluster
	level, err := replication.ParseLevel(c.Sync)
	if err != nil {
		return nil, err
	}
	x := &replicated{g: g, level: level}
	if x.bind, err = c.BindAddress(); err != nil {
		return nil, err
	}
	x.advertise = election.Hint{Node: c.Name(), Weight: c.Weight, Client: client, Console: g.consoleAddress(), Version: version}
	x.advertise.Replication, _ = x.address(c.Name())
	// A lock says where the master is reached; its console is one of the places.
	client[consoleKey] = x.advertise.Console
	if x.store, err = openCoordination(ctx, g, false); err != nil {
		return nil, err
	}
	return x, nil
}

// consoleKey is the console's place among a lock's client addresses.
const consoleKey = "console"

// address is where a node listens for replication, as the configuration says
// or, of one that joined later, as it says itself.
func (x *replicated) address(node string) (string, bool) {
	for _, p := range x.g.n.cfg.Cluster.Peers() {
		if p.Node == node {
			return p.Address(), true
		}
	}
	if r := x.current(); r != nil {
		for _, h := range r.Status().State.Hints {
			if h.Node == node && h.Replication != "" {
				return h.Replication, true
			}
		}
	}
	return "", false
}

func (x *replicated) current() *replication.Replica {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.replica
}

func (x *replicated) set(r *replication.Replica) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.replica = r
}

// run implements groupKind: a life after the other. A node that led begins anew
// as a follower.
func (x *replicated) run(ctx context.Context) {
	looking, stop := context.WithCancel(ctx)
	var looks sync.WaitGroup
	defer looks.Wait()
	defer stop()
	looks.Go(func() { x.look(looking) })
	var last replication.Outcome
	for ctx.Err() == nil {
		outcome, err := x.life(ctx, last)
		last = outcome
		if err == nil || ctx.Err() != nil {
			continue
		}
		x.g.n.log.Error("this node can't take part in its group", "error", err, "retry_in", afterFailure.String())
		x.g.decide()
		pauseFor(ctx, afterFailure)
	}
}

// life is one opening of the store. last is how the one before ended.
func (x *replicated) life(ctx context.Context, last replication.Outcome) (_ replication.Outcome, err error) {
	n, dir := x.g.n, x.g.n.cfg.DataDir
	if err := replication.Adopt(dir); err != nil {
		return last, fmt.Errorf("take over what another node sent: %w", err)
	}
	if last.Rebuild {
		if err := x.setAside(last.Reason); err != nil {
			return last, err
		}
	}
	var voters []string
	for _, p := range n.cfg.Cluster.Peers() {
		voters = append(voters, p.Node)
	}
	hard, state, err := replication.Identify(ctx, replication.Identity{
		Node: n.cfg.Cluster.Name(), Dir: dir, Level: x.level, Coordinator: x.store.coordinator, Voters: voters,
		Forgets: last.Rebuild || last.Failed, Logger: n.log.Logger,
	})
	if err != nil {
		return last, err
	}
	frontends, err := n.openBroker(x.g.configs)
	if replication.Damaged(err) {
		return x.damaged(err, &state.Config)
	}
	if err != nil {
		return last, errors.Join(err, x.closeStore(ctx))
	}
	b := n.current()
	r, err := x.open(ctx, b, replication.Options{Hard: hard, Group: state.Config.GroupID, NotBefore: last.NotBefore})
	if err != nil {
		return last, errors.Join(err, x.closeStore(ctx))
	}
	x.set(r)
	if x.follow(ctx, r) {
		began := time.Now()
		x.setLeads(true)
		err := b.Lead()
		if err == nil {
			err = x.g.admit(ctx, frontends)
		}
		if err == nil {
			x.g.succeed(x.self(ctx, r), func() time.Duration { return r.Status().Deadline }, began)
			x.lead(ctx, r)
		} else if !errors.Is(err, store.ErrNotLeader) {
			n.log.Error("this node can't serve as the master", "error", err)
		}
	}
	return x.end(ctx, r, b)
}

// damaged has the next life begin with a copy of another node's store, if another node has one.
func (x *replicated) damaged(err error, c *election.Configuration) (replication.Outcome, error) {
	if only := replication.MayRebuild(x.advertise.Node, c); only != nil {
		return replication.Outcome{}, errors.Join(err, only)
	}
	return replication.Outcome{Reason: err, Rebuild: true}, nil
}

// setAside makes place for another node's copy of the store.
func (x *replicated) setAside(why error) error {
	log := x.g.n.log.Logger
	log.Error("this node's store can't be used: it is set aside, and another node's copy takes its place", "reason", why)
	aside, err := replication.SetAside(x.g.n.cfg.DataDir, log)
	if err != nil {
		return fmt.Errorf("set the store aside: %w", err)
	}
	x.rebuilds.Add(1)
	log.Warn("the store was set aside for people to look at", "directory", aside)
	return nil
}

// open makes the broker's store a node of the group.
func (x *replicated) open(ctx context.Context, b *broker.Broker, o replication.Options) (*replication.Replica, error) {
	c := &x.g.n.cfg.Cluster
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", x.bind)
	if err != nil {
		return nil, adviseOnListen(fmt.Errorf("listen for replication: %w", err), "cluster.nodes and cluster.bind")
	}
	o.Node, o.Dir, o.Weight, o.Level, o.Logger = c.Name(), x.g.n.cfg.DataDir, c.Weight, x.level, x.g.n.log.Logger
	o.Store, o.Coordinator, o.Listener, o.Address, o.Advertise = b.Store(), x.store.coordinator, listener, x.address, x.advertise
	o.TLS = x.store.tls
	r, err := replication.Open(o)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return r, nil
}

// look keeps the listeners leading to the master, between two lives too: clients
// that were cut off are there within milliseconds and want the next one.
func (x *replicated) look(ctx context.Context) {
	for s := range x.store.coordinator.Watch(ctx) {
		m := masterOf(s)
		if m.Node == x.advertise.Node {
			m = masterInfo{} // this node, and it can't serve yet, or not any more
		}
		x.turn.Lock()
		x.seen = m
		if !x.leads {
			x.g.follow(m)
		}
		x.turn.Unlock()
	}
}

// setLeads takes the listeners for this node, or gives them back.
func (x *replicated) setLeads(leads bool) {
	x.turn.Lock()
	defer x.turn.Unlock()
	x.leads = leads
	if !leads {
		x.g.follow(x.seen)
	}
}

// follow waits until this node is the master; false means that this life is over.
func (x *replicated) follow(ctx context.Context, r *replication.Replica) bool {
	look := time.NewTicker(statusPeriod)
	defer look.Stop()
	settled := time.After(electionPatience)
	for {
		if m := masterOf(r.Status().State); m.Node != "" && m.Node != x.advertise.Node {
			x.g.decide()
		}
		select {
		case <-r.Leading():
			return true
		case <-r.Done():
			return false
		case <-ctx.Done():
			return false
		case <-settled:
			x.g.decide() // as one who waits
		case <-look.C:
		}
	}
}

// electionPatience is how long a node that starts waits for a master before it
// says that it is ready: as a standby without one.
const electionPatience = 15 * time.Second

// masterOf is the master as the group's configuration says.
func masterOf(s election.State) masterInfo {
	if s.Lock == nil {
		return masterInfo{}
	}
	return masterInfo{Node: s.Lock.Node, Epoch: s.Lock.Epoch, Client: s.Lock.Client, Console: s.Lock.Client[consoleKey]}
}

// self is what the group's configuration says of this node, which has won; the
// replica's status shows it a moment later.
func (x *replicated) self(ctx context.Context, r *replication.Replica) masterInfo {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if m := masterOf(r.Status().State); m.Node == x.advertise.Node {
			return m
		}
		pauseFor(ctx, statusPeriod/5)
	}
	return masterInfo{Node: x.advertise.Node, Epoch: r.Status().Epoch, Client: x.advertise.Client, Console: x.advertise.Console}
}

// lead serves until this node isn't the master any more. A node that is to end
// hands over first.
func (x *replicated) lead(ctx context.Context, r *replication.Replica) {
	leading, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { x.store.keepLeadAway(leading) })
	beside.Go(func() { x.yield(leading, r) })
	defer beside.Wait()
	defer stop()
	select {
	case <-r.Done():
	case <-ctx.Done():
		x.g.takeRole(roleStopping, masterInfo{}, nil)
		if err := x.handOver(context.WithoutCancel(ctx), r); err != nil {
			x.g.n.log.Info("no other node takes over", "reason", err)
		}
	}
}

// end ends a life: clients first, then the claim, then the store.
func (x *replicated) end(ctx context.Context, r *replication.Replica, b *broker.Broker) (replication.Outcome, error) {
	led := x.g.common().Role != roleStandby
	if led {
		x.g.takeRole(roleStopping, masterInfo{}, nil)
		x.g.dismiss(context.WithoutCancel(ctx))
	}
	x.setLeads(false)
	x.set(nil)
	r.Close()
	outcome := r.Outcome()
	if outcome.Rebuild {
		config := r.Status().State.Config
		if only := replication.MayRebuild(x.advertise.Node, &config); only != nil {
			x.g.n.log.Error("this node's store is damaged", "error", only)
			outcome.Rebuild = false
		}
	}
	b.StepDown(outcome.Reason)
	err := x.closeStore(ctx)
	if led {
		x.g.n.log.Info("this node isn't the master any more", "role", roleStandby, "reason", outcome.Reason)
	}
	if outcome.Failed {
		x.g.n.log.Error("this node's store failed: it joins again as one that may have lost something", "error", outcome.Reason)
		err = nil // which is what closing says too
	}
	return outcome, err
}

// closeStore closes the broker. What it still could write is in the log anyway.
func (x *replicated) closeStore(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	err := x.g.n.closeBroker(ctx)
	if errors.Is(err, store.ErrNotLeader) || errors.Is(err, store.ErrClosed) {
		return nil
	}
	return err
}

// handOver makes another node the master and waits until this one isn't it.
func (x *replicated) handOver(ctx context.Context, r *replication.Replica) error {
	ctx, cancel := context.WithTimeout(ctx, handOverLimit)
	defer cancel()
	err := r.HandOver(ctx, "")
	if err != nil {
		// It may have happened before the answer came.
		var moment context.CancelFunc
		ctx, moment = context.WithTimeout(ctx, statusPeriod)
		defer moment()
	}
	select {
	case <-r.Done():
		return nil
	case <-ctx.Done():
		if err == nil {
			err = errNoHandOver
		}
		return err
	}
}

// stepDown implements groupKind.
func (x *replicated) stepDown(ctx context.Context) error {
	r := x.current()
	if r == nil || x.g.common().Role != roleMaster {
		return errNotNow
	}
	return x.handOver(ctx, r)
}

// addresses implements groupKind.
func (x *replicated) addresses() (all []map[string]string) {
	if r := x.current(); r != nil {
		for _, h := range r.Status().State.Hints {
			all = append(all, h.Client)
		}
	}
	return all
}

// status implements groupKind.
func (x *replicated) status(s *api.ClusterStatus) {
	r := x.current()
	if r == nil {
		return
	}
	st := r.Status()
	s.Copy = &api.CopyStatus{
		Role: st.Role, Epoch: st.Last.Epoch, Index: st.Last.Index, Durable: st.Durable, Committed: st.Commit, Applied: st.Applied,
		Quorum: st.State.Config.Quorum, Sync: x.level.String(), Rebuilds: x.rebuilds.Load(),
	}
	inSync := map[string]bool{}
	for _, m := range st.State.Config.InSync {
		inSync[m.Node] = true
	}
	known := map[string]replication.Follower{}
	for _, f := range st.Followers {
		known[f.Member.Node] = f
	}
	votes := x.store.votes()
	for _, node := range append(append([]string(nil), st.State.Config.Voters...), st.State.Config.Learners...) {
		m := api.MemberStatus{Node: node, Etcd: votes[node], InSync: inSync[node], Master: st.State.Lock != nil && st.State.Lock.Node == node}
		m.Address, _ = x.address(node)
		if f, ok := known[node]; ok {
			lag, silent := st.Last.Index-min(f.Durable, st.Last.Index), f.Silent.Seconds()
			m.Phase, m.Lag, m.Silent, m.Behind = f.Phase, &lag, &silent, &f.Behind
		}
		s.Members = append(s.Members, m)
	}
}

// release implements groupKind.
func (x *replicated) release() error { return x.store.close() }

// changeMember adds or removes a node, on the master. A node that leaves also
// leaves the etcd inside; one that joins does that itself when it starts
// (cluster.etcd.join).
func (x *replicated) changeMember(ctx context.Context, node string, add bool) error {
	r := x.current()
	switch {
	case r == nil || x.g.common().Role != roleMaster:
		return errNotNow
	case add:
		return r.AddNode(ctx, node)
	}
	if err := r.RemoveNode(ctx, node); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, closeLimit)
	defer cancel()
	for named := true; named; {
		c := r.Status().State.Config
		if named = slices.Contains(c.Voters, node) || slices.Contains(c.Learners, node); !named {
			break
		}
		select {
		case <-r.Done():
			return errNotNow
		case <-ctx.Done():
			return fmt.Errorf("node %q is about to leave, and the group's configuration does not say so yet: look again", node)
		case <-time.After(statusPeriod):
		}
	}
	return x.store.forget(ctx, node)
}

// copyOf is this node's copy for metrics, nil without one.
func copyOf(s *api.ClusterStatus) *console.Copy {
	c := s.Copy
	if c == nil {
		return nil
	}
	return &console.Copy{Quorum: c.Quorum, Unapplied: c.Index - min(c.Applied, c.Index), Rebuilds: c.Rebuilds}
}
