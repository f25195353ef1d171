package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/entrepot-mq/entrepot/election/nodekey"
)

// Member is a member of the group's etcd.
type Member struct {
	ID      uint64
	Node    string // "" until it has started for the first time
	Peer    string // host:port for members
	Clients []string
	Learner bool // it follows and doesn't vote yet
	Leader  bool
}

// joinWithin bounds the wait for a group that takes nobody new at the moment:
// etcd wants its members to be well connected for some seconds.
const joinWithin = 60 * time.Second

// join asks a running group to take this member as a learner and returns the
// group as the member must know it. Asked again it finds what it has asked for. A
// member of that name that has lived before has lost its data, and what it knew of
// its votes with it: it is taken out first.
func (o *Options) join(ctx context.Context) (initialCluster string, err error) {
	ctx, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	client, err := o.dial()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	for {
		members, err := o.takeIn(ctx, client)
		if err == nil {
			return o.clusterOf(members)
		}
		o.Logger.Info("the group's etcd takes nobody in yet", "reason", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return "", err
		}
	}
}

// takeIn makes the member a learner and returns all members.
func (o *Options) takeIn(ctx context.Context, client *clientv3.Client) ([]*etcdserverpb.Member, error) {
	ctx, cancel := context.WithTimeout(ctx, joinWithin/4)
	defer cancel()
	self := o.url(o.Members[o.Node])
	list, err := client.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask %v who is there: %w", o.Join, err)
	}
	for _, m := range list.Members {
		here := len(m.PeerURLs) > 0 && m.PeerURLs[0] == self.String()
		switch {
		case m.Name == "" && here:
			return list.Members, nil // it was asked for, and has not started since
		case m.Name == o.Node || here:
			o.Logger.Warn("a member of etcd has lost its data: another one takes its place", "node", m.Name, "id", m.ID)
			if _, err := client.MemberRemove(ctx, m.ID); err != nil {
				return nil, fmt.Errorf("take the former member %q out: %w", m.Name, err)
			}
		}
	}
	added, err := client.MemberAddAsLearner(ctx, []string{self.String()})
	if err != nil {
		return nil, fmt.Errorf("add %s: %w", self.String(), err)
	}
	return added.Members, nil
}

// clusterOf is the group as the member must know it when it starts.
func (o *Options) clusterOf(members []*etcdserverpb.Member) (string, error) {
	self := o.url(o.Members[o.Node])
	peers := map[string]string{}
	for _, m := range members {
		member, err := memberOf(m)
		if err != nil {
			return "", err
		}
		if m.PeerURLs[0] == self.String() {
			member.Node = o.Node
		}
		peers[member.Node] = member.Peer
	}
	return o.initialCluster(maps.Clone(peers)), nil
}

func memberOf(m *etcdserverpb.Member) (Member, error) {
	out := Member{ID: m.ID, Node: m.Name, Learner: m.IsLearner}
	if len(m.PeerURLs) == 0 {
		return out, fmt.Errorf("etcd member %x has no address", m.ID)
	}
	u, err := url.Parse(m.PeerURLs[0])
	if err != nil {
		return out, fmt.Errorf("address of etcd member %x: %w", m.ID, err)
	}
	out.Peer = u.Host
	for _, text := range m.ClientURLs {
		u, err := url.Parse(text)
		if err != nil {
			return out, fmt.Errorf("address of etcd member %x: %w", m.ID, err)
		}
		out.Clients = append(out.Clients, u.Host)
	}
	return out, nil
}

// dial connects to the members named in Join.
func (o *Options) dial() (*clientv3.Client, error) {
	cfg := clientv3.Config{DialTimeout: 5 * time.Second, Logger: zap.NewNop()}
	for _, address := range o.Join {
		u := o.url(address)
		cfg.Endpoints = append(cfg.Endpoints, u.String())
	}
	if o.TLS != nil {
		info := transport.TLSInfo{CertFile: o.TLS.Certificate, KeyFile: o.TLS.Key, TrustedCAFile: o.TLS.CA, ServerName: o.TLS.ServerName}
		t, err := info.ClientConfig()
		if err != nil {
			return nil, err
		}
		cfg.TLS = nodekey.Fixed(t)
	}
	return clientv3.New(cfg)
}

// Members lists the members as this one knows them, without asking others.
func (s *Server) Members() []Member {
	leader := uint64(s.etcd.Server.Leader())
	var out []Member
	for _, m := range s.etcd.Server.Cluster().Members() {
		member, err := memberOf(&etcdserverpb.Member{
			ID: uint64(m.ID), Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs, IsLearner: m.IsLearner,
		})
		if err != nil {
			s.log.Warn("etcd knows a member without a usable address", "error", err)
			continue
		}
		member.Leader = member.ID == leader
		out = append(out, member)
	}
	return out
}

// ErrNoMember says that no member has that name.
var ErrNoMember = errors.New("etcd has no such member")

// find returns the member of a node.
func (s *Server) find(node string) (Member, error) {
	for _, m := range s.Members() {
		if m.Node == node {
			return m, nil
		}
	}
	return Member{}, fmt.Errorf("%w: %q", ErrNoMember, node)
}

// Promote makes a learner a voter. It fails while the learner is far behind.
func (s *Server) Promote(ctx context.Context, node string) error {
	m, err := s.find(node)
	if err != nil || !m.Learner {
		return err
	}
	_, err = s.client.MemberPromote(ctx, m.ID)
	// What this member knows may be older than the promotion.
	if err != nil && !errors.Is(err, rpctypes.ErrMemberNotLearner) {
		return fmt.Errorf("make %q a voter of etcd: %w", node, err)
	}
	return nil
}

// PromoteLearners makes voters of the learners that have caught up. It asks
// nobody if there are none.
func (s *Server) PromoteLearners(ctx context.Context) error {
	var errs []error
	for _, m := range s.Members() {
		if m.Learner && m.Node != "" {
			errs = append(errs, s.Promote(ctx, m.Node))
		}
	}
	return errors.Join(errs...)
}

// Remove takes a node's member out of the group. Its data is worth nothing
// after that.
func (s *Server) Remove(ctx context.Context, node string) error {
	m, err := s.find(node)
	if err != nil {
		return err
	}
	if _, err := s.client.MemberRemove(ctx, m.ID); err != nil {
		return fmt.Errorf("remove %q from etcd: %w", node, err)
	}
	return nil
}

// Leads reports whether this member is etcd's leader. It asks nobody.
func (s *Server) Leads() bool {
	return uint64(s.etcd.Server.Leader()) == uint64(s.etcd.Server.MemberID())
}

// HandOverLead gives etcd's own leadership to another member if this one has
// it: the broker that is master calls it whenever Leads says so, so that the death
// of its machine isn't the death of etcd's leader too, which would add an election
// of etcd to the failover. It reports whether something changed.
func (s *Server) HandOverLead(ctx context.Context) (bool, error) {
	if !s.Leads() {
		return false, nil
	}
	self := uint64(s.etcd.Server.MemberID())
	var errs []error
	for _, m := range s.Members() {
		if m.ID == self || m.Learner || m.Node == "" {
			continue
		}
		err := listens(ctx, m.Peer)
		if err == nil {
			try, cancel := context.WithTimeout(ctx, s.etcd.Server.Cfg.ElectionTimeout())
			err = s.etcd.Server.MoveLeader(try, self, m.ID)
			cancel()
		}
		if err == nil {
			return true, nil
		}
		errs = append(errs, fmt.Errorf("give etcd's lead to %q: %w", m.Node, err))
	}
	return false, errors.Join(errs...)
}

// dialTimeout bounds the look at whether a member is there.
const dialTimeout = 250 * time.Millisecond

// listens looks whether a member is there at all: while etcd's lead is on its way
// to one that isn't nothing can be written.
func listens(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return c.Close()
}
