package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/cmd/config"
	"github.com/entrepot-mq/entrepot/election/nodekey"
	"github.com/entrepot-mq/entrepot/protocols"
)

// relays know the other nodes of the group by address and by secret.
type relays struct {
	nodeKey *nodekey.Key
	key     []byte
	hosts   []string
	log     *slog.Logger
	known   atomic.Pointer[[]netip.Addr]
	end     context.CancelFunc
	runs    sync.WaitGroup
}

// resolvePeriod is how often the nodes' names are looked up: in containers
// addresses change with each start.
const resolvePeriod = 15 * time.Second

// localSecret is what nodes share that are all on one machine and have no
// secret. Connections from elsewhere are not believed there.
const localSecret = "all nodes are on this machine"

func newRelays(ctx context.Context, c *config.Config, log *slog.Logger) (*relays, error) {
	secret := localSecret
	if file := c.Cluster.SecretFile; file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		secret = strings.TrimSpace(string(text))
	}
	key, err := nodekey.FromSecret(c.BrokerName, c.Cluster.Name(), secret)
	if err != nil {
		return nil, err
	}
	r := &relays{nodeKey: key, hosts: c.Cluster.Hosts(), log: log}
	if r.key, err = key.Derive("relay", sha256.Size); err != nil {
		return nil, err
	}
	if c.Cluster.Local() {
		r.hosts = []string{"127.0.0.1", "::1"}
	}
	r.resolve(ctx)
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	r.end = end
	if !c.Cluster.Local() {
		r.runs.Go(func() {
			for pauseFor(life, resolvePeriod); life.Err() == nil; pauseFor(life, resolvePeriod) {
				r.resolve(life)
			}
		})
	}
	return r, nil
}

// resolve looks the hosts up. One that has no address at the moment keeps none:
// nobody connects from it.
func (r *relays) resolve(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, resolvePeriod/3)
	defer cancel()
	var all []netip.Addr
	for _, h := range r.hosts {
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", h)
		if err != nil {
			r.log.Debug("a node of the group has no address", "node", h, "error", err)
			continue
		}
		for _, a := range found {
			all = append(all, a.Unmap())
		}
	}
	r.known.Store(&all)
}

func (r *relays) close() {
	r.end()
	r.runs.Wait()
}

// Knows implements protocols.Relays.
func (r *relays) Knows(a netip.Addr) bool { return slices.Contains(*r.known.Load(), a.Unmap()) }

// Seal implements protocols.Relays.
func (r *relays) Seal(head []byte) []byte {
	h := hmac.New(sha256.New, r.key)
	h.Write(head)
	return h.Sum(nil)
}

// Opens implements protocols.Relays.
func (r *relays) Opens(head, seal []byte) bool { return hmac.Equal(r.Seal(head), seal) }

// listenerKeys names listeners so that those of two nodes match whose ports
// differ: the first for STOMP with TLS, the second, and so on.
func listenerKeys(all []*protocols.Listener) map[*protocols.Listener]string {
	keys, count := make(map[*protocols.Listener]string), make(map[string]int)
	for _, l := range all {
		c := l.Config()
		kind := c.Protocol
		if c.Secure {
			kind += "+ssl"
		}
		count[kind]++
		keys[l] = kind
		if n := count[kind]; n > 1 {
			keys[l] = kind + "#" + strconv.Itoa(n)
		}
	}
	return keys
}

// clientAddresses are where other nodes and redirected clients reach this
// node's listeners.
func (g *group) clientAddresses() map[string]string {
	out := make(map[string]string)
	for l, key := range listenerKeys(g.n.currentServer().Listeners()) {
		out[key] = g.reachedAt(l.Addr())
	}
	return out
}

func (g *group) consoleAddress() string {
	if g.n.console == nil {
		return ""
	}
	return g.reachedAt(g.n.console.Addr())
}

// reachedAt is how others reach what listens at a.
func (g *group) reachedAt(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
		return a.String() // wherever the others are, it is reached from here only
	}
	if name := g.n.cfg.Cluster.Hostname; name != "" {
		return net.JoinHostPort(name, port)
	}
	if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
		return a.String()
	}
	name, err := os.Hostname()
	if err != nil {
		g.n.log.Warn("this machine has no name; other nodes can't reach it", "error", err, "advice", "set cluster.hostname")
		return a.String()
	}
	return net.JoinHostPort(name, port)
}
