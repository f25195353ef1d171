package main

import (
	"context"

	"github.com/entrepot-mq/entrepot/console/api"
	"github.com/entrepot-mq/entrepot/core/broker"
)

// api returns the HTTP API, which answers as soon as the broker serves.
func (n *node) api() *api.API {
	c := &n.cfg.Console
	o := api.Options{
		Broker: func() *broker.Broker {
			if !n.listening.Load() {
				return nil
			}
			return n.current()
		},
		Converters: converters(),
		Version:    version,
		StartedAt:  n.started,
		Listeners: func() map[string]string {
			all := make(map[string]string)
			for _, l := range n.listeners() {
				all[l.Config().Name] = listenerURI(l)
			}
			return all
		},
		Logger:   n.log.Logger,
		Audit:    n.audit,
		Security: n.security,
		Roles:    map[string]api.Role{c.Readers: api.Read, c.Operators: api.Operate, c.Admins: api.Admin},
	}
	if n.cfg.Cluster.Grouped() {
		n.groupAPI(&o)
	}
	return api.New(o)
}

// groupAPI adds what a node of a group answers. The console starts before the
// group does.
func (n *node) groupAPI(o *api.Options) {
	o.Master = func() (string, bool) {
		if !n.listening.Load() {
			return "", true
		}
		return n.group.masterConsole()
	}
	o.Cluster = func() api.ClusterStatus {
		if !n.listening.Load() {
			return api.ClusterStatus{Mode: n.cfg.Cluster.Mode, Node: n.cfg.Cluster.Name(), Role: roleStarting}
		}
		return n.group.status()
	}
	if n.cfg.Cluster.Replicated() {
		o.ChangeMember = func(ctx context.Context, node string, add bool) error {
			x, ok := n.group.kind.(*replicated)
			if !ok {
				return errNotNow
			}
			return x.changeMember(ctx, node, add)
		}
		o.ForceLeader = func(ctx context.Context, node string) error {
			if !n.listening.Load() {
				return errNotNow
			}
			return n.group.kind.(*replicated).force(ctx, node) //nolint:errcheck // the mode says so
		}
	}
	o.StepDown = func(ctx context.Context) error { return n.group.kind.stepDown(ctx) }
}
