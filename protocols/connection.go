package protocols

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// connection is an accepted connection from accept to close.
type connection struct {
	// immutable
	listener *Listener
	id       uint64
	socket   *stream
	started  time.Time

	// owned by the connection's goroutine (by the accept loop before it runs)
	remote   net.Addr   // announced by a proxy, or the socket's
	source   netip.Addr // of remote
	counted  netip.Addr // as what it counts among the strangers; not valid if it doesn't
	stranger bool       // it counts in count.unauthenticated
	passedOn bool       // by another node of the group
	protocol string     // what is spoken
	deadline *Timer

	authenticated atomic.Bool
	released      atomic.Bool  // it counts as a stranger no more
	waiting       atomic.Bool  // for a master to be known
	expired       atomic.Bool  // the deadline closed it
	waitingFor    atomic.Int32 // the Reason if the deadline passes

	// owned by the goroutine that drains
	lastBytes uint64
	lastMoved time.Time
}

func newConnection(l *Listener, nc net.Conn) *connection {
	c := &connection{
		listener: l, id: l.server.lastID.Add(1), socket: newStream(nc),
		started: time.Now(), remote: nc.RemoteAddr(), source: addrOf(nc.RemoteAddr()),
	}
	return c
}

// run is the connection's goroutine.
func (c *connection) run() {
	defer c.end()
	c.setSocketOptions()
	c.stranger = true
	c.listener.count.unauthenticated.Add(1)
	c.deadline = c.listener.server.wheel.NewTimer(c.expire)
	c.allow(c.listener.cfg.HandshakeTimeout, ReasonHandshakeTimeout)
	if !c.readProxyHeader() {
		return
	}
	switch target, redirect, ok := c.assigned(); {
	case !ok:
	case target == "":
		c.serve()
	case redirect:
		c.redirect(target)
	default:
		c.relay(target)
	}
}

func (c *connection) serve() {
	if conn, f := c.prepare(); f != nil {
		open := c.listener.open[c.protocol]
		open.Add(1)
		defer open.Add(-1)
		f.Serve(conn)
	}
}

// end is the end of run, a panic's too: whatever a client did to cause it, the
// others are served on.
func (c *connection) end() {
	if p := recover(); p != nil {
		c.listener.count.panics.Add(1)
		c.listener.log.Error("serving a connection panicked", "conn", c.id, "remote", c.remote,
			"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
	if c.deadline != nil {
		c.deadline.Stop()
	}
	if c.expired.Load() {
		c.reject(Reason(c.waitingFor.Load()), nil)
	}
	c.abort()
	c.release()
	c.leave()
}

// leave takes the connection from the listener's set and adds its bytes to
// what has ended.
func (c *connection) leave() {
	l := c.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	l.count.closedIn.Add(c.socket.in.Load())
	l.count.closedOut.Add(c.socket.out.Load())
}

func (c *connection) setSocketOptions() {
	tcp := c.socket.tcp
	if tcp == nil {
		return
	}
	err := tcp.SetNoDelay(c.listener.cfg.NoDelay)
	if c.listener.cfg.KeepAlive {
		// How soon and how often the kernel asks a silent peer whether it is there.
		err = errors.Join(err, tcp.SetKeepAliveConfig(net.KeepAliveConfig{
			Enable: true, Idle: 60 * time.Second, Interval: 15 * time.Second, Count: 4,
		}))
	}
	if err != nil { // the client has gone: reading will tell
		c.listener.log.Debug("setting socket options failed", "conn", c.id, "error", err)
	}
}

// abort closes the socket. Any goroutine may call it, more than once.
func (c *connection) abort() {
	_ = c.socket.Close() // a second close fails, and that is all right
}

// allow gives the client d for its next step, but not more than is left of
// the whole handshake. reason says what it failed to do.
func (c *connection) allow(d time.Duration, reason Reason) {
	left := c.listener.cfg.HandshakeTimeout - time.Since(c.started)
	if d > left {
		d = left
	}
	c.waitingFor.Store(int32(reason))
	c.deadline.Reset(d)
}

// expire is the deadline's function.
func (c *connection) expire() {
	if !c.authenticated.Load() {
		c.expired.Store(true)
		c.abort()
	}
}

// welcome is what Conn.Authenticated does.
func (c *connection) welcome() {
	if c.authenticated.Swap(true) {
		return
	}
	c.deadline.Stop()
	c.release()
}

// release ends its counting as a stranger.
func (c *connection) release() {
	if c.released.Swap(true) {
		return
	}
	if c.counted.IsValid() {
		c.listener.server.strangers.remove(c.counted)
	}
	if c.stranger {
		c.listener.count.unauthenticated.Add(-1)
	}
}

// reject counts and logs why a connection ends.
func (c *connection) reject(r Reason, err error) {
	l := c.listener
	l.count.rejected[r].Add(1)
	unlogged, ok := l.limit.allow(int(r))
	if !ok {
		return
	}
	args := []any{"reason", r.String(), "conn", c.id, "remote", c.remote, "unlogged", unlogged}
	if err != nil {
		args = append(args, "error", err)
	}
	if advice := r.advice(); advice != "" {
		args = append(args, "advice", advice)
	}
	l.log.Warn("connection refused", args...)
}

// quiet reports, while the server drains, whether the connection can be
// closed: it is a stranger's, or nothing has moved on it for a while.
func (c *connection) quiet(now time.Time) bool {
	if !c.authenticated.Load() {
		return true
	}
	bytes := c.socket.in.Load() + c.socket.out.Load()
	if c.lastMoved.IsZero() || bytes != c.lastBytes {
		c.lastBytes, c.lastMoved = bytes, now
		return false
	}
	return now.Sub(c.lastMoved) >= drainQuiet
}

// prepare goes through what lies before the protocol: TLS and detection.
// Without a frontend the connection has been refused.
func (c *connection) prepare() (*Conn, Frontend) {
	in, state := c.socket, (*tls.ConnectionState)(nil)
	if c.listener.cfg.Secure {
		if in, state = c.startTLS(); in == nil {
			return nil, nil
		}
	}
	c.protocol = c.listener.cfg.Protocol
	if c.protocol == Auto {
		c.protocol = c.detect(in)
		if c.protocol == transportTLS && state == nil && c.listener.certs.ready() {
			if in, state = c.startTLS(); in == nil {
				return nil, nil
			}
			c.protocol = c.detect(in)
		}
	}
	f := c.frontend(in)
	if f == nil {
		return nil, nil
	}
	c.allow(c.listener.cfg.HandshakeTimeout, ReasonHandshakeTimeout)
	return &Conn{
		Conn: in, ID: c.id, Remote: c.remote, TLS: state, Listener: c.listener.cfg.Name,
		Values: c.listener.values[c.protocol], Wheel: c.listener.server.wheel,
		authenticated: c.welcome, abort: c.abort,
	}, f
}
