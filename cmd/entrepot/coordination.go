package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/cmd/config"
	"github.com/entrepot-mq/entrepot/election/etcd"
	"github.com/entrepot-mq/entrepot/election/etcd/embedded"
	"github.com/entrepot-mq/entrepot/election/nodekey"
	"github.com/entrepot-mq/entrepot/replication"
)

// moveLeadPeriod is how often a master looks whether etcd's own leader is on
// its node, which costs nothing; moveLeadAgain is how long it lets etcd be when
// moving it failed.
const (
	moveLeadPeriod = 200 * time.Millisecond
	moveLeadAgain  = 5 * time.Second
	promotePeriod  = time.Second // between attempts to make voters of etcd's learners
)

// coordination is where a replicated group agrees on its configuration: an etcd
// inside the nodes, or one that is there already.
type coordination struct {
	coordinator *etcd.Coordinator
	member      *embedded.Server // nil with an etcd elsewhere
	client      io.Closer        // nil with a member
	tls         *replication.TLS // between nodes; nil on one machine without a secret
	log         *slog.Logger
	guarded     *guardedLines
	etcd        guardedEtcd // what the guardian needs; its endpoints change with the members
}

// openCoordination joins the etcd inside the nodes, or connects to the one
// elsewhere. With alone the etcd inside is this node's only, from now on.
func openCoordination(ctx context.Context, g *group, alone bool) (_ *coordination, err error) {
	c := &g.n.cfg.Cluster
	s := &coordination{log: g.n.log.Logger, guarded: g.n.guarded}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	key := g.relays.nodeKey
	if !c.Local() || c.SecretFile != "" {
		s.tls = &replication.TLS{Server: key.Server(), Client: key.Client, NodeOf: nodekey.NodeOf}
	}
	o := etcd.Options{
		Prefix: c.Path, Group: g.n.cfg.BrokerName, Node: c.Name(), TTL: c.Lease,
		Memory: filepath.Join(g.n.cfg.DataDir, "etcd-seen.json"), Logger: g.n.log.Logger, Leased: s.leased,
	}
	if len(c.Etcd.Endpoints) == 0 {
		if err := s.startMember(ctx, g, alone); err != nil {
			return nil, err
		}
		o.Client = s.member.Client()
	} else {
		dial, err := dialOptions(&c.Etcd, g.n.log.Logger)
		if err != nil {
			return nil, config.Invalid(g.n.cfg.Problem("cluster.etcd", err))
		}
		client, err := etcd.Dial(dial)
		if err != nil {
			return nil, err
		}
		s.client, o.Client = client, client
		e := &c.Etcd
		s.etcd = guardedEtcd{Endpoints: e.Endpoints, User: e.User, PasswordFile: e.PasswordFile, Certificate: e.Certificate, Key: e.Key, CA: e.CA}
	}
	s.coordinator, err = etcd.New(o)
	return s, err
}

// leased tells the guardian which lease it is to revoke, and where.
func (s *coordination) leased(id int64) {
	e := s.etcd
	if s.member != nil {
		e.Endpoints = nil // its own ends with this process
		for _, m := range s.member.Members() {
			if m.ID == s.member.ID() || m.Learner {
				continue
			}
			for _, address := range m.Clients {
				if s.tls != nil {
					address = "https://" + address
				}
				e.Endpoints = append(e.Endpoints, address)
			}
		}
	}
	if _, err := s.guarded.tell(guardLine{Lease: id, Etcd: e}); err != nil {
		s.log.Warn("the guardian was not told of the lease", "error", err)
	}
}

// startMember starts the etcd inside this node.
func (s *coordination) startMember(ctx context.Context, g *group, alone bool) (err error) {
	c := &g.n.cfg.Cluster
	o := embedded.Options{
		Node: c.Name(), Group: g.n.cfg.BrokerName, Dir: filepath.Join(g.n.cfg.DataDir, "etcd"), Members: map[string]string{},
		ListenPeer: c.Etcd.PeerBind, ListenClient: c.EtcdClient(), Join: c.Etcd.Join, Alone: alone, Logger: g.n.log.Logger,
	}
	for _, p := range c.EtcdMembers() {
		o.Members[p.Node] = p.Address()
		if p.Node == c.Name() {
			o.ClientAddress = clientAddress(c.EtcdClient(), p.Host)
			if o.ListenPeer == "" {
				o.ListenPeer = listenAt(p)
			}
		}
	}
	if o.Members[c.Name()] == "" {
		return config.Invalid(g.n.cfg.Problem("cluster.etcd.endpoints", fmt.Errorf(
			"is empty, and this node, %q, is none of those that run etcd inside: name the client addresses of those that do", c.Name())))
	}
	if s.tls != nil {
		files, err := g.relays.nodeKey.WriteFiles(filepath.Join(g.n.cfg.DataDir, "node-tls"))
		if err != nil {
			return fmt.Errorf("write the node's certificate for etcd: %w", err)
		}
		o.TLS = &embedded.TLSFiles{Certificate: files.Certificate, Key: files.Key, CA: files.Authority, ServerName: files.ServerName}
		s.etcd = guardedEtcd{Certificate: files.Certificate, Key: files.Key, CA: files.Authority, ServerName: files.ServerName}
	}
	s.member, err = embedded.Start(ctx, o)
	return err
}

// listenAt is where the etcd of p listens for its other members: etcd wants an
// address and no name there.
func listenAt(p config.Peer) string {
	if net.ParseIP(p.Host) != nil {
		return p.Address()
	}
	return net.JoinHostPort("0.0.0.0", p.Port)
}

// clientAddress is how others reach what listens at bind on host.
func clientAddress(bind, host string) string {
	at, port, err := net.SplitHostPort(bind)
	if err != nil {
		return bind
	}
	if ip := net.ParseIP(at); at != "" && (ip == nil || !ip.IsUnspecified()) {
		return bind
	}
	return net.JoinHostPort(host, port)
}

// dialOptions are those of an etcd elsewhere.
func dialOptions(c *config.Etcd, log *slog.Logger) (etcd.DialOptions, error) {
	o := etcd.DialOptions{Endpoints: c.Endpoints, User: c.User, Logger: log}
	if c.PasswordFile != "" {
		text, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return o, err
		}
		o.Password = strings.TrimRight(string(text), "\r\n")
	}
	secure := c.CA != "" || c.Certificate != ""
	for _, e := range c.Endpoints {
		secure = secure || strings.HasPrefix(e, "https://")
	}
	if !secure {
		return o, nil
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		text, err := os.ReadFile(c.CA)
		if err != nil {
			return o, err
		}
		o.TLS.RootCAs = x509.NewCertPool()
		if !o.TLS.RootCAs.AppendCertsFromPEM(text) {
			return o, fmt.Errorf("no certificate in %q", c.CA)
		}
	}
	if c.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
		if err != nil {
			return o, err
		}
		o.TLS.Certificates = []tls.Certificate{pair}
	}
	return o, nil
}

// keepLeadAway keeps etcd's own lead off the master's node until ctx ends, and
// makes voters of nodes that have joined etcd.
func (s *coordination) keepLeadAway(ctx context.Context) {
	if s.member == nil {
		return
	}
	var promoteAfter time.Time
	for ctx.Err() == nil {
		wait := moveLeadPeriod
		moved, err := s.member.HandOverLead(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.Debug("etcd's lead stays on the master's node", "error", err)
			wait = moveLeadAgain
		case moved:
			s.log.Info("etcd's lead has moved off the master's node")
		}
		if now := time.Now(); now.After(promoteAfter) {
			promoteAfter = now.Add(promotePeriod)
			try, cancel := context.WithTimeout(ctx, promotePeriod)
			if err := s.member.PromoteLearners(try); err != nil {
				s.log.Debug("a member of etcd is no voter yet", "error", err)
			}
			cancel()
		}
		pauseFor(ctx, wait)
	}
}

// votes says of nodes what they are in the etcd inside, "voter" or "learner".
func (s *coordination) votes() map[string]string {
	if s.member == nil {
		return nil
	}
	votes := map[string]string{}
	for _, m := range s.member.Members() {
		if votes[m.Node] = "voter"; m.Learner {
			votes[m.Node] = "learner"
		}
	}
	return votes
}

// forget takes a node that has left the group out of the etcd inside, if it is there.
func (s *coordination) forget(ctx context.Context, node string) error {
	if s.member == nil {
		return nil
	}
	err := s.member.Remove(ctx, node)
	if errors.Is(err, embedded.ErrNoMember) {
		return nil
	}
	return err
}

// close ends the node's claim and its part in etcd.
func (s *coordination) close() error {
	var errs []error
	if s.coordinator != nil {
		if err := s.coordinator.Close(); err != nil {
			s.log.Info("the lease was not given back, it runs out by itself", "reason", err)
		}
	}
	if s.client != nil {
		errs = append(errs, s.client.Close())
	}
	if s.member != nil {
		s.member.Close()
	}
	return errors.Join(errs...)
}
