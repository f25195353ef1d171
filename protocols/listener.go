package protocols

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Waiting after a failed accept: out of file descriptors, most often.
const (
	acceptBackOffLeast = 10 * time.Millisecond
	acceptBackOffMost  = time.Second
)

// Listener accepts connections at one address.
type Listener struct {
	// immutable
	server *Server
	cfg    ListenerConfig
	log    *slog.Logger
	net    net.Listener
	values map[string]Values        // by protocol
	open   map[string]*atomic.Int64 // connections by protocol
	quit   chan struct{}            // closed by close

	certs certificates
	count counters
	limit logLimiter

	handshakes handshakes

	mu     sync.Mutex
	conns  map[*connection]struct{}
	closed bool
}

func newListener(s *Server, c ListenerConfig, at net.Listener) *Listener {
	l := &Listener{
		server: s, cfg: c, log: s.log.With("listener", c.Name), net: at,
		values: make(map[string]Values), open: make(map[string]*atomic.Int64),
		quit: make(chan struct{}), conns: make(map[*connection]struct{}),
		handshakes: newHandshakes(c.MaxHandshakes),
	}
	l.certs.files = c.TLS
	for protocol := range s.opts.Frontends {
		if c.Protocol == protocol || c.Protocol == Auto {
			l.values[protocol] = c.Values.For(protocol)
			l.open[protocol] = new(atomic.Int64)
		}
	}
	return l
}

// Addr is where the listener listens, with the port that port 0 became.
func (l *Listener) Addr() net.Addr { return l.net.Addr() }

// Config is what the listener was started with; its Name may have become
// another, so that it is unique.
func (l *Listener) Config() ListenerConfig { return l.cfg }

// close stops accepting.
func (l *Listener) close() {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	l.mu.Unlock()
	if !first {
		return
	}
	close(l.quit)
	if err := l.net.Close(); err != nil {
		l.log.Warn("closing the listener failed", "error", err)
	}
}

// acceptLoop is the listener's goroutine. It ends when the listener is closed;
// every other failure passes.
func (l *Listener) acceptLoop() {
	wait := acceptBackOffLeast
	for {
		c, err := l.net.Accept()
		if err == nil {
			wait = acceptBackOffLeast
			l.accepted(c)
			continue
		}
		select {
		case <-l.quit:
			return
		default:
		}
		if errors.Is(err, net.ErrClosed) {
			l.log.Error("the listener was closed by somebody else", "error", err)
			return
		}
		l.count.acceptErrors.Add(1)
		if n, ok := l.limit.allow(logAccept); ok {
			l.log.Error("accepting a connection failed", "error", err, "retry_in", wait, "unlogged", n,
				"advice", "too many open files: raise the limit (ulimit -n) or lower maximumConnections")
		}
		if !l.pause(wait) {
			return
		}
		wait = min(2*wait, acceptBackOffMost)
	}
}

// pause waits and reports whether the listener is still open.
func (l *Listener) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.quit:
		return false
	}
}

// accepted admits a connection or closes it, and serves it on a goroutine of
// its own.
func (l *Listener) accepted(nc net.Conn) {
	l.count.accepted.Add(1)
	c := newConnection(l, nc)
	if reason, ok := l.admit(c); !ok {
		c.reject(reason, nil)
		c.release()
		_ = nc.Close() // nothing was said on it
		return
	}
	l.server.running.Go(c.run)
}

// admit checks what can be known before a byte was read, and registers the
// connection.
func (l *Listener) admit(c *connection) (Reason, bool) {
	if !l.trusts(c.source) && !l.relayed(c.source) { // whose clients are looked at when it has named them
		if r, ok := l.admitSource(c); !ok {
			return r, false
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ReasonClosing, false
	}
	if len(l.conns) >= l.cfg.MaxConnections {
		return ReasonMaxConnections, false
	}
	l.conns[c] = struct{}{}
	return 0, true
}

// admitSource checks who a client is: after it, the connection counts as a
// stranger's.
func (l *Listener) admitSource(c *connection) (Reason, bool) {
	if !l.server.opts.AllowRemote && (!local(c.source) || !local(addrOf(c.socket.RemoteAddr()))) {
		return ReasonRemote, false
	}
	if limit := l.maxStrangers(c.source); limit > 0 {
		key := source(c.source)
		if !l.server.strangers.add(key, limit) {
			return ReasonMaxStrangers, false
		}
		c.counted = key
	}
	return 0, true
}

// maxStrangers is the limit for connections from a, 0 for none. Unless
// somebody asked for it, this machine has none: behind a proxy without PROXY
// protocol everybody would share it.
func (l *Listener) maxStrangers(a netip.Addr) int {
	switch {
	case !a.IsValid():
		return 0
	case l.cfg.MaxStrangers > 0:
		return l.cfg.MaxStrangers
	case l.server.opts.MaxStrangers > 0:
		return l.server.opts.MaxStrangers
	case local(a):
		return 0
	}
	return DefaultMaxStrangers
}

// trusts reports whether a may announce other addresses.
func (l *Listener) trusts(a netip.Addr) bool {
	return l.cfg.Proxy != ProxyOff &&
		slices.ContainsFunc(l.cfg.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// relayed reports whether a may be another node that passes clients through.
func (l *Listener) relayed(a netip.Addr) bool {
	r := l.server.opts.Relays
	return r != nil && r.Knows(a)
}

// connections returns those that are open.
func (l *Listener) connections() []*connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*connection, 0, len(l.conns))
	for c := range l.conns {
		out = append(out, c)
	}
	return out
}
