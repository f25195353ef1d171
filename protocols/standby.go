package protocols

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Standby is what a server does with clients while another node is the master.
type Standby struct {
	// Target returns the host:port of the master's listener that is like l,
	// "" while no master is known: clients wait for one then, as long as they
	// may take to log in.
	Target func(l *Listener) string
	// Redirect tells clients the target in their protocol's own way and closes,
	// instead of passing the connection through.
	Redirect bool
}

// Redirector is a Frontend whose protocol can send clients elsewhere.
type Redirector interface {
	// Redirect tells the client to go to address (host:port) and closes c.
	Redirect(c *Conn, address string)
}

// relayDialTimeout bounds how long the master may take to accept.
const relayDialTimeout = 3 * time.Second

// relayBuffer is what is read and written at once.
const relayBuffer = 64 << 10

// standbyState is the present Standby and what tells of the next.
type standbyState struct {
	mode    *Standby // nil: this node serves
	changed chan struct{}
}

// SetStandby changes what is done with clients: nil serves them here. Those who
// are there are cut off, to come back, except those who wait for a master. Before the
// first call the server serves.
func (s *Server) SetStandby(mode *Standby) {
	next := &standbyState{mode: mode, changed: make(chan struct{})}
	old := s.standby.Swap(next)
	for _, l := range s.Listeners() {
		for _, c := range l.connections() {
			if !c.waiting.Load() {
				c.abort()
			}
		}
	}
	if old != nil {
		close(old.changed) // only now: who wakes up isn't waiting any more
	}
}

// assigned waits until it is known who serves the client. ok is false if nobody
// does in time; without a target it is this node.
func (c *connection) assigned() (target string, redirect, ok bool) {
	patience := time.NewTimer(c.listener.cfg.HandshakeTimeout - time.Since(c.started))
	defer patience.Stop()
	for {
		state := c.listener.server.standby.Load()
		if state == nil || state.mode == nil {
			return "", false, true
		}
		if target := state.mode.Target(c.listener); target != "" {
			if c.passedOn { // never back and forth between two nodes that disagree
				c.reject(ReasonNotMaster, nil)
				return "", false, false
			}
			return target, state.mode.Redirect, true
		}
		c.waiting.Store(true)
		select {
		case <-state.changed:
			c.waiting.Store(false)
		case <-patience.C:
			c.reject(ReasonNoMaster, nil)
			return "", false, false
		case <-c.listener.quit:
			return "", false, false
		}
	}
}

// redirect sends the client to the master, if its protocol can.
func (c *connection) redirect(target string) {
	conn, f := c.prepare()
	if f == nil {
		return
	}
	if r, ok := f.(Redirector); ok {
		r.Redirect(conn, target)
		return
	}
	c.reject(ReasonNotMaster, fmt.Errorf("%s knows no redirection; the master is %s", c.protocol, target))
}

// relay passes the connection through to the master.
func (c *connection) relay(target string) {
	ctx, cancel := context.WithTimeout(context.Background(), relayDialTimeout)
	up, err := (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext(ctx, "tcp", target)
	cancel()
	if err != nil {
		c.reject(ReasonNotMaster, fmt.Errorf("pass it through to the master: %w", err))
		return
	}
	defer up.Close()
	if _, err := up.Write(relayHeader(addrPort(c.remote), addrPort(up.RemoteAddr()), c.listener.server.opts.Relays)); err != nil {
		c.reject(ReasonNotMaster, fmt.Errorf("pass it through to the master: %w", err))
		return
	}
	c.welcome() // who it is concerns the master
	c.listener.count.relayed.Add(1)
	defer c.listener.count.relayed.Add(-1)
	upstream := newStream(up)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if !pump(c.socket, upstream) {
			c.abort()
		}
	}()
	if !pump(upstream, c.socket) {
		_ = up.Close() // ends the other direction; a second close is all right
	}
	<-done
}

func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		p := tcp.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
}

var relayBuffers = sync.Pool{New: func() any { return new([relayBuffer]byte) }}

// pump copies what from says to to, until the end, which it passes on. An idle
// connection holds no buffer. It returns false if the connection broke.
func pump(to, from *stream) bool {
	for {
		if err := from.WaitReadable(); err != nil {
			return false
		}
		buffer := relayBuffers.Get().(*[relayBuffer]byte) //nolint:errcheck // nothing else is put there
		n, err := from.Read(buffer[:])
		if n > 0 {
			if _, werr := to.Write(buffer[:n]); werr != nil {
				err = werr
			}
		}
		relayBuffers.Put(buffer)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return to.CloseWrite() == nil
		default:
			return false
		}
	}
}
