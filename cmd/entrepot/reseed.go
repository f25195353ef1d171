package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/entrepot-mq/entrepot/core/security"
	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/replication"
	"github.com/entrepot-mq/entrepot/replication/protocol"
)

// reseedLimit bounds the wait for an etcd to answer, and for the lease of a master
// that is gone to run out in it.
const reseedLimit = 3 * time.Minute

func (p *program) clusterReseedCommand() *cobra.Command {
	var settings settingFlags
	var yes, look bool
	cmd := &cobra.Command{
		Use:   "reseed-etcd",
		Short: "Fill an etcd that was lost from a node's memory of the group",
		Long: `Puts the group's configuration back when the etcd that held it is lost or has gone back
in time: with the etcd inside, when a majority of its members is lost. Every node
keeps the last configuration that it saw; --look shows it. Stop ALL nodes, look on
each, and run this on the one that shows the latest configuration (the highest epoch,
then the highest version): an older one may count a node as in sync that is not, and
what was confirmed since can be lost.

With the etcd inside this node becomes its only member. Start it; then, on each
other node, delete "etcd" and "etcd-seen.json" from the data directory, set
cluster.etcd.join to this node's client address, and start it. Messages are not touched.
The flags are those of serve.`,
		Example: `  entrepot cluster reseed-etcd --config entrepot.yaml --look
  entrepot cluster reseed-etcd --config entrepot.yaml --yes`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := p.load(cmd.Flags(), &settings)
			if err != nil {
				return err
			}
			if !cfg.Cluster.Replicated() {
				return errors.New("this is no node of a replicated group: give the flags that serve gets")
			}
			logging, err := newLogging(p.err, cfg.Log.Format, cfg.Log.Level)
			if err != nil {
				return err
			}
			n := &node{cfg: cfg, log: logging, guarded: &guardedLines{}}
			ask := func(what string) error { return (&manage{p: p, yes: yes}).confirm(what) }
			return n.reseed(cmd.Context(), p, look, ask)
		},
	}
	settings.register(cmd.Flags())
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	cmd.Flags().BoolVar(&look, "look", false, "only show what the node remembers")
	return cmd
}

// reseed fills an etcd from what the node's directory remembers.
func (n *node) reseed(ctx context.Context, p *program, look bool, ask func(string) error) (err error) {
	dir := n.cfg.DataDir
	known, ok, err := replication.Known(dir)
	if err == nil && (!ok || known.Config.Version == 0) {
		err = fmt.Errorf("%q remembers no group", dir)
	}
	if err != nil {
		return err
	}
	lock, err := (disk.OS{}).Lock(filepath.Join(dir, "log"))
	if err != nil {
		return fmt.Errorf("the node must be stopped: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	end, err := log.Check(disk.OS{}, filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	c := &known.Config
	fmt.Fprintf(p.out, "node %s (incarnation %d) ends with record %d of epoch %d and has promised epoch %d\n",
		n.cfg.Cluster.Name(), known.Inc, end.Last.Index, end.Last.Epoch, known.Promised)
	fmt.Fprintf(p.out, "configuration: epoch %d, version %d, in sync %v, of which %d must have a record, master %s\n",
		c.Epoch, c.Version, c.InSync, c.Quorum, c.Master)
	if look {
		return nil
	}
	if err := ask("Are all nodes stopped, and does none show a later configuration"); err != nil {
		return err
	}
	if err := n.openSecurity(); err != nil {
		return err
	}
	err = n.refill(ctx, &known)
	n.audit.Record(ctx, security.Event{Who: "operator", How: "command line", Action: "reseedEtcd", Target: dir, Err: err})
	return errors.Join(err, n.audit.Close())
}

// refill opens etcd and writes what known remembers, unless etcd knows better.
func (n *node) refill(ctx context.Context, known *protocol.Hard) (err error) {
	ctx, cancel := context.WithTimeout(ctx, reseedLimit)
	defer cancel()
	g := &group{n: n}
	if g.relays, err = newRelays(ctx, &n.cfg.Config, n.log.Logger); err != nil {
		return err
	}
	defer g.relays.close()
	s, err := openCoordination(ctx, g, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.coordinator.Forget(); err != nil {
		return err
	}
	state, err := unlocked(ctx, s.coordinator)
	if err != nil {
		return err
	}
	next := reseeded(&state.Config, known)
	if state.ConfigRevision == 0 {
		_, err = s.coordinator.Create(ctx, next)
	} else {
		_, err = s.coordinator.Recover(ctx, state.ConfigRevision, next)
	}
	if err != nil {
		return err
	}
	n.log.Warn("the group's configuration was put back", "epoch", next.Epoch, "version", next.Version, "in_sync", next.InSync)
	return floors(ctx, s.coordinator, &next)
}

// unlocked waits until etcd answers and nobody holds the lock in it.
func unlocked(ctx context.Context, c election.Coordinator) (election.State, error) {
	for {
		s, err := c.Read(ctx)
		if err == nil && s.Lock == nil {
			return s, nil
		}
		if err == nil {
			err = fmt.Errorf("%s is the master, or its lease has not run out", s.Lock.Node)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return s, err
		}
	}
}

// reseeded is the later of two configurations, in an epoch that nobody has
// promised to refuse as far as is known here.
func reseeded(stored *election.Configuration, known *protocol.Hard) election.Configuration {
	next := stored.Clone()
	if k := &known.Config; k.Epoch > stored.Epoch || k.Epoch == stored.Epoch && k.Version > stored.Version {
		next = k.Clone()
	}
	next.Version = max(stored.Version, known.Config.Version) + 1
	next.Epoch = max(next.Epoch, known.Promised)
	return next
}

// floors has nodes whose floor was lost with etcd notice it if their disks are
// empty: their former incarnations are in the in-sync set.
func floors(ctx context.Context, c election.Coordinator, next *election.Configuration) error {
	for _, m := range next.InSync {
		f, _, err := c.Floor(ctx, m.Node)
		if err == nil && f.Inc < m.Inc {
			err = c.SetFloor(ctx, m.Node, election.Floor{Inc: m.Inc})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
