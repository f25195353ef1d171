package main

import (
	"github.com/entrepot-mq/entrepot/console/api"
	"github.com/entrepot-mq/entrepot/core/broker"
)

// api returns the HTTP API, which answers as soon as the broker serves.
func (n *node) api() *api.API {
	c := &n.cfg.Console
	return api.New(api.Options{
		Broker: func() *broker.Broker {
			if !n.listening.Load() {
				return nil
			}
			return n.broker
		},
		Converters: converters(),
		Version:    version,
		StartedAt:  n.started,
		Listeners: func() map[string]string {
			all := make(map[string]string)
			for _, l := range n.server.Listeners() {
				all[l.Config().Name] = listenerURI(l)
			}
			return all
		},
		Logger:   n.log.Logger,
		Audit:    n.audit,
		Security: n.security,
		Roles:    map[string]api.Role{c.Readers: api.Read, c.Operators: api.Operate, c.Admins: api.Admin},
	})
}
