package replication

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/replication/protocol"
)

// Level says when a producer is told that its message is stored.
type Level uint8

// The levels, in the words of ActiveMQ's replicated store. Consumers never see a message before a quorum has it.
const (
	QuorumDisk Level = iota // a quorum has it on disk
	QuorumMem               // a quorum's operating systems have it; on disk within the store's SyncInterval
	LocalDisk               // this node has it on disk: lost with the node
	LocalMem                // this node's operating system has it
)

var levelNames = [...]string{"quorum_disk", "quorum_mem", "local_disk", "local_mem"}

// String returns the level's name.
func (l Level) String() string { return levelNames[l] }

// ParseLevel reads a level's name.
func ParseLevel(s string) (Level, error) {
	for i, name := range levelNames {
		if s == name {
			return Level(i), nil
		}
	}
	return 0, fmt.Errorf("unknown sync level %q: quorum_disk, quorum_mem, local_disk or local_mem", s)
}

// memory reports whether quorums count what is in memory.
func (l Level) memory() bool { return l == QuorumMem || l == LocalMem }

// early reports whether producers don't wait for a quorum.
func (l Level) early() bool { return l == LocalDisk || l == LocalMem }

// TLS is how nodes prove to each other who they are.
type TLS struct {
	Server *tls.Config                       // for connections from other nodes; it must demand certificates
	Client func(node string) *tls.Config     // for connections to a node
	NodeOf func(*tls.ConnectionState) string // the node that the other side has proven to be, "" if only that it is one
}

// Options configure a Replica. Zero values stand for the defaults in brackets.
type Options struct {
	Node   string
	Group  string // GroupID
	Dir    string // of the node's file, the store's directory
	FS     disk.FS
	Hard   protocol.Hard // from Identify
	Weight int
	Level  Level

	Store       *store.Store // opened with Group
	Coordinator election.Coordinator
	Listener    net.Listener                                             // where peers connect; Close closes it
	Address     func(node string) (string, bool)                         // where a peer listens, if that is known
	TLS         *TLS                                                     // nil: plain, from and to loopback only
	Dial        func(ctx context.Context, addr string) (net.Conn, error) // [TCP]

	// Advertise is put into the lock and the hints, for clients and people; only addresses and versions are used.
	Advertise election.Hint
	// NotBefore is when the node may campaign, by election.Now: Outcome of the one before.
	NotBefore time.Duration
	// SnapshotRate limits a snapshot that is being sent, bytes a second [64 MiB].
	SnapshotRate int64
	Logger       *slog.Logger

	Timing protocol.Options // durations for tests
}

func (o Options) withDefaults() (Options, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.FS == nil {
		o.FS = disk.OS{}
	}
	if o.SnapshotRate == 0 {
		o.SnapshotRate = 64 << 20
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	switch {
	case o.Node == "" || len(o.Node) > 255:
		return o, fmt.Errorf("a node's name has 1 to 255 bytes, not %d", len(o.Node))
	case o.Hard.Inc == 0:
		return o, errors.New("the node is not identified")
	case o.Store == nil || o.Coordinator == nil || o.Listener == nil || o.Address == nil:
		return o, errors.New("store, coordinator, listener and addresses are needed")
	case o.TLS == nil && !loopback(o.Listener.Addr()):
		return o, fmt.Errorf("replication on %v needs TLS: only loopback may do without", o.Listener.Addr())
	}
	return o, nil
}

func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}
