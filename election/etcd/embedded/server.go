package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

// What a member of a broker's group may take.
const (
	quotaBytes   = 256 << 20
	keptRevision = "1000"   // what the compactor leaves
	maxRequest   = 64 << 10 // bytes; the largest value is a configuration of the group
)

// Defaults of Options, for nodes in one network.
const (
	DefaultHeartbeat = 100 * time.Millisecond
	DefaultElection  = time.Second
)

// TLSFiles name the certificates of a node, which serve both ways: it shows
// them to clients and members, and asks them for theirs.
type TLSFiles struct {
	Certificate, Key string // PEM
	CA               string // PEM: who has signed the others' certificates
	ServerName       string // in the others' certificates; "" is the host that is dialled
}

// Options of a member.
type Options struct {
	Node  string // its name: the node's
	Group string // the group's name; members of another group are refused
	Dir   string // of its data, its own
	// ListenPeer and ListenClient are host:port where it listens for members
	// and clients.
	ListenPeer, ListenClient string
	// Members are the members that found the group, by node, each with the
	// host:port at which members reach it. They must be the same on each.
	Members map[string]string
	// ClientAddress is the host:port at which clients reach it.
	ClientAddress string
	// Join are client addresses (host:port) of a running group. With them a
	// member without data becomes a learner there, instead of founding one.
	Join []string
	// Alone makes the member the only one of its group, whoever else was: with the data
	// that it has, or with none. It is for an operator who has lost the others' data.
	Alone bool
	TLS   *TLSFiles // nil is plain, for one machine
	// Heartbeat and Election are etcd's own times [DefaultHeartbeat, DefaultElection].
	Heartbeat, Election time.Duration
	Logger              *slog.Logger
}

// Server is a running member.
type Server struct {
	etcd    *embed.Etcd
	client  *clientv3.Client
	log     *slog.Logger
	close   sync.Once
	closing *atomic.Bool
}

// Start starts a member. It does not wait for others: Ready tells when the
// group has a majority and answers.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	closing := new(atomic.Bool)
	cfg, err := o.config(closing)
	if err != nil {
		return nil, err
	}
	if len(o.Join) > 0 && !o.Alone && !hasData(o.Dir) {
		others, err := o.join(ctx)
		if err != nil {
			return nil, fmt.Errorf("join the group's etcd: %w", err)
		}
		cfg.InitialCluster, cfg.ClusterState = others, embed.ClusterStateFlagExisting
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("start etcd on %s in %q: %w", o.ListenPeer, o.Dir, err)
	}
	return &Server{etcd: e, client: v3client.New(e.Server), log: o.Logger, closing: closing}, nil
}

// hasData reports whether a member has lived in dir.
func hasData(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "member", "wal"))
	return err == nil
}

func (o *Options) config(closing *atomic.Bool) (*embed.Config, error) {
	if o.Members[o.Node] == "" {
		return nil, fmt.Errorf("%q is none of the members %v", o.Node, slices.Sorted(maps.Keys(o.Members)))
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = DefaultHeartbeat
	}
	if o.Election == 0 {
		o.Election = DefaultElection
	}
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = o.Node, o.Dir
	cfg.InitialClusterToken = "entrepot-" + o.Group
	cfg.InitialCluster = o.initialCluster(o.Members)
	cfg.ListenPeerUrls = []url.URL{o.url(o.ListenPeer)}
	cfg.AdvertisePeerUrls = []url.URL{o.url(o.Members[o.Node])}
	cfg.ListenClientUrls = []url.URL{o.url(o.ListenClient)}
	cfg.AdvertiseClientUrls = []url.URL{o.url(o.ClientAddress)}
	cfg.TickMs, cfg.ElectionMs = uint(o.Heartbeat.Milliseconds()), uint(o.Election.Milliseconds())
	if o.Alone {
		cfg.ForceNewCluster = true
		cfg.InitialCluster = o.initialCluster(map[string]string{o.Node: o.Members[o.Node]})
	}
	cfg.PreVote = true
	cfg.StrictReconfigCheck = true
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = embed.CompactorModeRevision, keptRevision
	cfg.QuotaBackendBytes = quotaBytes
	cfg.MaxRequestBytes = maxRequest
	cfg.EnableGRPCGateway = false
	cfg.SnapshotCount = 1000
	cfg.MaxSnapFiles, cfg.MaxWalFiles = 2, 2
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newZap(o.Logger, closing))
	if o.TLS != nil {
		info := transport.TLSInfo{
			CertFile: o.TLS.Certificate, KeyFile: o.TLS.Key, TrustedCAFile: o.TLS.CA, ClientCertAuth: true, ServerName: o.TLS.ServerName,
			// Who holds a certificate of the group is a member of it, wherever
			// it connects from.
			SkipClientSANVerify: true,
		}
		cfg.PeerTLSInfo, cfg.ClientTLSInfo = info, info
	}
	return cfg, nil
}

func (o *Options) url(address string) url.URL {
	scheme := "http"
	if o.TLS != nil {
		scheme = "https"
	}
	return url.URL{Scheme: scheme, Host: address}
}

func (o *Options) initialCluster(members map[string]string) string {
	var list []string
	for _, node := range slices.Sorted(maps.Keys(members)) {
		u := o.url(members[node])
		list = append(list, node+"="+u.String())
	}
	return strings.Join(list, ",")
}

// Client reaches the group through this member, without a socket. The Server
// closes it.
func (s *Server) Client() *clientv3.Client { return s.client }

// ID is the member's.
func (s *Server) ID() uint64 { return uint64(s.etcd.Server.MemberID()) }

// Ready is closed when the member has joined its group.
func (s *Server) Ready() <-chan struct{} { return s.etcd.Server.ReadyNotify() }

// Failed gives the error that ended the member, if one does.
func (s *Server) Failed() <-chan error { return s.etcd.Err() }

// ErrNoLeader says that this member knows no majority at the moment.
var ErrNoLeader = errors.New("etcd has no leader: a majority of its members is not reached")

// Health returns nil if the group answers through this member.
func (s *Server) Health(ctx context.Context) error {
	if s.etcd.Server.Leader() == 0 {
		return ErrNoLeader
	}
	if err := s.etcd.Server.LinearizableReadNotify(ctx); err != nil {
		return fmt.Errorf("etcd does not answer: %w", err)
	}
	for _, alarm := range s.etcd.Server.Alarms() {
		return fmt.Errorf("etcd raised the alarm %s", alarm.Alarm)
	}
	return nil
}

// ClientAddr is where the member really listens for clients.
func (s *Server) ClientAddr() net.Addr { return s.etcd.Clients[0].Addr() }

// Close ends the member and waits for it. The data stays.
func (s *Server) Close() {
	s.close.Do(func() {
		s.closing.Store(true)
		if err := s.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
			s.log.Debug("closing the client of the embedded etcd failed", "error", err)
		}
		s.etcd.Close()
	})
}
