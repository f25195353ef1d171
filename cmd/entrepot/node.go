package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/cmd/config"
	"github.com/entrepot-mq/entrepot/console"
	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/security"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/protocols"
	"github.com/entrepot-mq/entrepot/protocols/amqp"
	"github.com/entrepot-mq/entrepot/protocols/mqtt"
	"github.com/entrepot-mq/entrepot/protocols/openwire"
	"github.com/entrepot-mq/entrepot/protocols/stomp"
	"github.com/entrepot-mq/entrepot/protocols/websocket"
)

// node is a broker with its protocols, listeners and console: what serve runs.
//
// It starts from the inside out (console, store and broker, listeners) and
// stops from the outside in; the console is first and last, so that probes are
// answered meanwhile.
type node struct {
	log     *logging
	cfg     *config.Loaded
	started time.Time
	failure chan error // the store's, once

	security  *security.Security // nil: nobody has to authenticate
	audit     *security.Audit
	console   *console.Server // nil if it is switched off
	group     *group          // nil alone
	guarded   *guardedLines   // to the guardian, if there is one
	listening atomic.Bool

	mu       sync.RWMutex
	broker   *broker.Broker // nil while it isn't open
	stomp    *stomp.Frontend
	amqp     *amqp.Frontend
	mqtt     *mqtt.Frontend
	openwire *openwire.Frontend
	server   *protocols.Server // nil while the ports are closed

	stopping     atomic.Bool
	reloadFailed atomic.Bool
}

// errStarting and errStopping are what readiness says around a broker's life.
var (
	errStarting = errors.New("the broker is starting")
	errStopping = errors.New("the broker is shutting down")
)

// startNode starts everything, or nothing.
func startNode(ctx context.Context, cfg *config.Loaded, log *logging, guarded *guardedLines) (_ *node, err error) {
	n := &node{guarded: guarded, log: log, cfg: cfg, started: time.Now(), failure: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.stop(ctx))
		}
	}()
	configs, err := parseListeners(cfg)
	if err != nil {
		return nil, err
	}
	if err := n.openSecurity(); err != nil {
		return nil, err
	}
	if address := cfg.Console.Address; address != "none" {
		if n.console, err = console.Start(ctx, console.Options{Address: address, Source: n, API: n.api(), Logger: log.Logger}); err != nil {
			return nil, fmt.Errorf("start the console: %w", adviseOnListen(err, "--console"))
		}
	}
	if cfg.Cluster.Grouped() {
		return n, n.startGroup(ctx, configs)
	}
	frontends, err := n.openBroker(configs)
	if err != nil {
		return nil, err
	}
	n.server = n.newServer(frontends, nil)
	if err := n.server.Start(ctx, configs); err != nil {
		return nil, adviseOnListen(err, "--listen")
	}
	n.listening.Store(true)
	return n, nil
}

// openBroker opens the store and returns what serves its clients.
func (n *node) openBroker(configs []protocols.ListenerConfig) (map[string]protocols.Frontend, error) {
	b, err := broker.Open(n.brokerOptions())
	if err != nil {
		return nil, fmt.Errorf("open the broker's data in %q: %w", n.cfg.DataDir, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broker = b
	return n.frontends(configs)
}

// storeFailed ends a broker that has nobody else. A node of a replicated group
// leaves it to the others and gets a new copy.
func (n *node) storeFailed(err error) {
	if n.cfg.Cluster.Replicated() {
		return
	}
	n.failure <- err
}

// closeBroker closes the store, if it is open.
func (n *node) closeBroker(ctx context.Context) error {
	n.mu.Lock()
	b := n.broker
	n.broker = nil
	n.mu.Unlock()
	if b == nil {
		return nil
	}
	if err := b.Close(ctx); err != nil {
		return fmt.Errorf("close the broker: %w", err)
	}
	return nil
}

// newServer makes listeners for frontends. relays is nil without a group.
func (n *node) newServer(frontends map[string]protocols.Frontend, relays *relays) *protocols.Server {
	o := protocols.Options{
		Frontends:    frontends,
		Logger:       n.log.Logger,
		AllowRemote:  n.cfg.Security.AllowRemote || n.security != nil,
		MaxStrangers: n.cfg.Limits.ConnectionsPerAddress,
	}
	if relays != nil {
		o.Relays = relays
	}
	return protocols.NewServer(o)
}

// current returns the broker if it is open.
func (n *node) current() *broker.Broker {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.broker
}

func (n *node) setServer(s *protocols.Server) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.server = s
}

// currentServer returns the listeners, nil while the ports are closed.
func (n *node) currentServer() *protocols.Server {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.server
}

// listeners returns those that are open.
func (n *node) listeners() []*protocols.Listener {
	if s := n.currentServer(); s != nil {
		return s.Listeners()
	}
	return nil
}

// reloadCertificates reads the listeners' certificates again.
func (n *node) reloadCertificates() error {
	if s := n.currentServer(); s != nil {
		return s.Reload()
	}
	return nil
}

// role is the node's, as logs and the console show it.
func (n *node) role() string {
	if n.group == nil {
		return roleMaster
	}
	return n.group.status().Role
}

func (n *node) brokerOptions() broker.Options {
	c := &n.cfg.Config
	o := broker.Options{
		Name:           c.BrokerName,
		Dir:            c.DataDir,
		Memory:         int64(c.Store.Memory),
		MaxMessage:     int(c.Limits.MaxMessage),
		Durability:     config.Durability(c.Store.Sync),
		Logger:         n.log.Logger,
		Security:       n.security,
		PopulateUserID: c.Security.PopulateUserID,
		ExpirePeriod:   c.Store.ExpireInterval,
		ScratchMax:     int64(c.Store.Scratch),
		BlockedWarning: c.Store.BlockedWarning,
		Converters:     converters(),
		Store: store.Options{
			SegmentSize:        int64(c.Store.SegmentSize),
			SyncInterval:       c.Store.SyncInterval,
			CheckpointBytes:    int64(c.Store.CheckpointBytes),
			CheckpointInterval: c.Store.CheckpointInterval,
			OnFailure:          n.storeFailed,
			Group:              c.Cluster.Replicated(),
		},
		Schedule:      scheduleOptions(&c.Schedule),
		Destinations:  c.Existing(),
		Collect:       broker.CollectOptions{Period: c.PurgePeriod, Most: c.MaxPurged},
		NoAdvisories:  !c.Advisories,
		URL:           firstURL(c.Listeners),
		VirtualTopics: c.Interceptors.Virtual(),
		Forwards:      c.Interceptors.Forwards(),
		Retained:      broker.RetainedLimits{Messages: c.Retained.Messages, Bytes: int(c.Retained.Bytes)},
		Stored: broker.StoredLimits{
			Sessions: c.Sessions.Max, Messages: c.Sessions.MaxMessages, Bytes: int64(c.Sessions.MaxBytes), Subscriptions: c.Sessions.MaxSubscriptions,
		},
	}
	o.Policies = policyEntries(c.Policies)
	return o
}

// firstURL is what advisories name as the broker's address.
func firstURL(listeners []string) string {
	if len(listeners) == 0 {
		return ""
	}
	url, _, _ := strings.Cut(listeners[0], "?")
	return url
}

// reloadPolicies puts the policies of cfg in force, all or none.
func (n *node) reloadPolicies(cfg *config.Loaded) error {
	b := n.current()
	if b == nil {
		return nil
	}
	return b.SetPolicies(policyEntries(cfg.Policies))
}

func policyEntries(list []config.DestinationPolicy) (all []policy.Entry) {
	for _, d := range list {
		all = append(all, d.Entry())
	}
	return all
}

// converters reads the payloads of each protocol that is served, and what the
// broker itself writes.
func converters() message.Converters {
	return message.Converters{
		message.EncodingHub: message.Hub{}, message.EncodingSTOMP: stomp.Converter{},
		message.EncodingAMQP: amqp.Converter{}, message.EncodingOpenWire: openwire.Converter{},
		message.EncodingMQTT: mqtt.Converter{},
	}
}

// protocolFrontends makes the frontend of each protocol. Without a broker they
// serve nobody, but know the names and values of their options. members is
// openwire.Options.Members.
func protocolFrontends(b *broker.Broker, name string, log *slog.Logger, members func(listener string) []string) map[string]protocols.Frontend {
	all := map[string]protocols.Frontend{
		protocols.STOMP: stomp.New(stomp.Options{
			Broker: b, Converters: converters(), Logger: log, Server: "Entrepot/" + version,
		}),
		protocols.AMQP: amqp.New(amqp.Options{
			Broker: b, Converters: converters(), Logger: log, Name: name, Server: version,
		}),
		protocols.MQTT: mqtt.New(mqtt.Options{
			Broker: b, Converters: converters(), Logger: log, Server: "Entrepot/" + version,
		}),
		protocols.OpenWire: openwire.New(openwire.Options{
			Broker: b, Converters: converters(), Logger: log, Version: version, Members: members,
		}),
	}
	all[protocols.WebSocket] = websocket.New(all, log)
	return all
}

// frontends makes the protocols and checks the listeners' options for them.
func (n *node) frontends(configs []protocols.ListenerConfig) (map[string]protocols.Frontend, error) {
	all := protocolFrontends(n.broker, n.cfg.BrokerName, n.log.Logger, n.group.members)
	n.stomp = all[protocols.STOMP].(*stomp.Frontend)          //nolint:errcheck // made above
	n.amqp = all[protocols.AMQP].(*amqp.Frontend)             //nolint:errcheck // made above
	n.mqtt = all[protocols.MQTT].(*mqtt.Frontend)             //nolint:errcheck // made above
	n.openwire = all[protocols.OpenWire].(*openwire.Frontend) //nolint:errcheck // made above
	var problems []error
	for _, c := range configs {
		for name, f := range all {
			checker, ok := f.(protocols.OptionChecker)
			if !ok {
				continue
			}
			if err := checker.CheckOptions(c.Values.For(name)); err != nil {
				problems = append(problems, n.cfg.Problem("listeners", fmt.Errorf("listener %s: %w", c.Name, err)))
			}
		}
	}
	return all, config.Invalid(problems...)
}

// stop ends what was started. Until ctx ends clients may finish what is in
// flight; after that everything is closed at once, with nothing lost that was
// acknowledged.
func (n *node) stop(ctx context.Context) error {
	n.stopping.Store(true)
	var errs []error
	if n.group != nil {
		n.group.close()
	}
	if s := n.currentServer(); s != nil {
		if err := s.Drain(ctx); err != nil {
			n.log.Warn("not every client was done in time", "error", err)
		}
		s.Close()
	}
	if err := n.closeBroker(ctx); err != nil {
		errs = append(errs, err)
	}
	if n.group != nil {
		if err := n.group.release(); err != nil {
			errs = append(errs, fmt.Errorf("give the lock back: %w", err))
		}
	}
	if n.console != nil {
		// Its requests are short: they get a moment even if there is none left.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := n.console.Close(ctx); err != nil {
			n.log.Warn("closing the console failed", "error", err)
		}
	}
	if err := n.audit.Close(); err != nil {
		errs = append(errs, fmt.Errorf("close the audit log: %w", err))
	}
	return errors.Join(errs...)
}

// Started implements console.Source.
func (n *node) Started() bool { return n.listening.Load() }

// Checks implements console.Source.
func (n *node) Checks() []console.Check {
	checks := []console.Check{{Name: "store", Err: errStarting}, {Name: "listeners", Err: errStarting}, {Name: "running"}}
	if n.listening.Load() {
		checks[0].Err, checks[1].Err = nil, nil
		if b := n.current(); b != nil {
			checks[0].Err = b.Failed()
		}
		if n.group != nil {
			checks = append(checks, console.Check{Name: "master", Err: n.group.ready()})
		}
	}
	if n.stopping.Load() {
		checks[1].Err, checks[2].Err = errStopping, errStopping
	}
	return checks
}

// Stats implements console.Source.
func (n *node) Stats() console.Stats {
	s := console.Stats{
		Name: n.cfg.BrokerName, Version: version, Role: n.role(), StartedAt: n.started,
		ReloadFailed: n.reloadFailed.Load(), DiskFree: -1,
	}
	if free, err := (disk.OS{}).Free(n.cfg.DataDir); err == nil {
		s.DiskFree = free
	}
	if !n.listening.Load() {
		return s
	}
	n.listenerStats(&s)
	if n.group != nil {
		g := n.group.status()
		s.Cluster = &console.Cluster{Epoch: g.Epoch, Failovers: g.Failovers, Lease: g.Lease}
		for _, m := range g.Members {
			s.Cluster.Members = append(s.Cluster.Members, console.Member{Node: m.Node, InSync: m.InSync, Lag: m.Lag, Silent: m.Silent, Behind: m.Behind})
		}
		s.Cluster.Copy = copyOf(&g)
	}
	n.mu.RLock() // the broker isn't closed meanwhile
	defer n.mu.RUnlock()
	if n.broker == nil {
		return s
	}
	b := n.broker.Stats()
	s.Acknowledged, s.Expired, s.DeadLettered, s.Dropped = b.Acknowledged, b.Expired, b.DeadLettered, b.Discarded
	s.Rejections, s.Duplicates, s.Denied, s.Strangers, s.Aborted = b.Rejected, b.Duplicates, b.Denied, b.Unauthenticated, b.Aborted
	s.Syncing, s.Confirming, s.Delivering = b.Store.Syncing, b.Store.Confirming, b.Delivering
	s.Queues, s.Subscriptions, s.QueueConsumers, s.BlockedProducers = b.Queues, b.Durables, b.Consumers, b.WaitingProducers
	s.QueueMessages, s.QueueInflight = b.Messages, b.InFlight
	s.MemoryUsed, s.MemoryLimit = b.MemoryUsed, b.MemoryLimit
	s.LogSize, s.PagesSize, s.StoreWaiting = b.Store.LogBytes, b.Store.PagesBytes, b.Store.WaitingBytes
	s.StoreSyncs, s.StoreLastSync = b.Store.Syncs, b.Store.LastSync
	s.StoreRecords, s.StoreBytes = b.Store.Records, b.Store.Bytes
	s.Checkpoints, s.LastCheckpoint = b.Store.Checkpoints, b.Store.LastCheckpoint
	f := n.stomp.Snapshot()
	a := n.amqp.Snapshot()
	m := n.mqtt.Snapshot()
	o := n.openwire.Snapshot()
	s.Protocols = []console.Protocol{
		{Name: "stomp", Connections: f.Connections, Received: f.Received, Delivered: f.Delivered},
		{Name: "amqp", Connections: a.Connections, Received: a.Received, Delivered: a.Delivered},
		{Name: "openwire", Connections: o.Connections, Received: o.Received, Delivered: o.Delivered},
		{Name: "mqtt", Connections: m.Connections, Received: m.Received, Delivered: m.Delivered},
	}
	return s
}

// listenerStats adds what the listeners counted; refusals are summed over them.
func (n *node) listenerStats(s *console.Stats) {
	server := n.currentServer()
	if server == nil {
		return
	}
	for i, l := range server.Snapshot() {
		s.Listeners = append(s.Listeners, console.Listener{
			Name: l.Name, Address: l.Addr, Connections: l.Connections,
			Relayed: l.Relayed, Opened: l.Accepted, BytesIn: l.BytesIn, BytesOut: l.BytesOut,
		})
		for j, r := range l.Rejected {
			if i == 0 {
				s.Rejected = append(s.Rejected, console.Count{Reason: r.Reason})
			}
			s.Rejected[j].Total += r.Count
		}
	}
}
