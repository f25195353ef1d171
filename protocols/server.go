package protocols

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what all listeners of a Server share.
type Options struct {
	// Frontends by protocol: OpenWire, ..., WebSocket.
	Frontends map[string]Frontend
	Logger    *slog.Logger
	// Wheel keeps time. Nil makes one of 100 ms that Close ends.
	Wheel *Wheel
	// AllowRemote serves clients on other machines. It must not be set while
	// nobody has to prove who they are.
	AllowRemote bool
	// MaxStrangers is how many connections of one source address (an IPv6
	// network of 64 bits counts as one) may wait to authenticate, where the
	// URI does not say. 0 means DefaultMaxStrangers for other machines and no
	// limit for this one.
	MaxStrangers int
	// Relays are the other nodes of the broker's group; nil without one.
	Relays Relays
	// TLSTimeout bounds a TLS handshake. 0 means DefaultTLSTimeout.
	TLSTimeout time.Duration
}

// Server runs listeners.
type Server struct {
	// immutable
	opts     Options
	log      *slog.Logger
	wheel    *Wheel
	ownWheel bool
	listen   func(ctx context.Context, address string) (net.Listener, error)

	lastID    atomic.Uint64
	strangers strangers
	standby   atomic.Pointer[standbyState] // nil: this node serves
	running   sync.WaitGroup               // accept loops and connections

	mu        sync.Mutex
	listeners []*Listener
	closed    bool
}

// ErrServerClosed is returned by Start after Close or Drain.
var ErrServerClosed = errors.New("listeners are closed")

// NewServer returns a Server without listeners.
func NewServer(o Options) *Server {
	s := &Server{opts: o, log: o.Logger, wheel: o.Wheel, listen: listenTCP}
	if s.wheel == nil {
		s.wheel, s.ownWheel = NewWheel(100*time.Millisecond, o.Logger), true
	}
	if s.opts.TLSTimeout == 0 {
		s.opts.TLSTimeout = DefaultTLSTimeout
	}
	return s
}

func listenTCP(ctx context.Context, address string) (net.Listener, error) {
	// Keep-alive is set for each connection, as its listener's options say.
	lc := net.ListenConfig{KeepAlive: -1}
	return lc.Listen(ctx, "tcp", address)
}

// Wheel returns the wheel of all connections.
func (s *Server) Wheel() *Wheel { return s.wheel }

// Start opens all listeners, or none: an error names every one that could not
// be opened. Port 0 takes a free one; Listener.Addr tells. One goroutine at a
// time may call it.
func (s *Server) Start(ctx context.Context, configs []ListenerConfig) error {
	var opened []*Listener
	var errs []error
	names := make(map[string]bool)
	for _, l := range s.Listeners() {
		names[l.cfg.Name] = true
	}
	for _, c := range configs {
		l, err := s.open(ctx, c, names)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		opened = append(opened, l)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		errs = append(errs, ErrServerClosed)
	}
	if len(errs) > 0 {
		for _, l := range opened {
			_ = l.net.Close() // it never accepted
		}
		return errors.Join(errs...)
	}
	for _, l := range opened {
		s.listeners = append(s.listeners, l)
		s.running.Go(l.acceptLoop)
	}
	return nil
}

func (s *Server) open(ctx context.Context, c ListenerConfig, names map[string]bool) (*Listener, error) {
	if c.Protocol != Auto && s.opts.Frontends[c.Protocol] == nil {
		return nil, fmt.Errorf("listener %s: protocol %s is not served", c.Name, c.Protocol)
	}
	notes, err := c.Check(s.opts.Frontends)
	if err != nil {
		return nil, err
	}
	var current *tls.Config
	if c.TLS.given() {
		if current, err = c.TLS.load(); err != nil {
			return nil, fmt.Errorf("listener %s: %w", c.Name, err)
		}
	}
	at, err := s.listen(ctx, c.Address)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", c.Name, err)
	}
	c.Name = uniqueName(c.Name, at.Addr(), names)
	l := newListener(s, c, at)
	l.certs.current.Store(current)
	for _, n := range notes {
		l.log.Info("listener option has no effect", "option", n.Option, "reason", n.Reason)
	}
	return l, nil
}

// uniqueName names a listener of port 0 by the port that it got, and tells
// those apart that share protocol and port on several addresses: metrics need
// one name for each. names are taken, and get the new one.
func uniqueName(name string, at net.Addr, names map[string]bool) string {
	if protocol, ok := strings.CutSuffix(name, ":0"); ok {
		if tcp, ok := at.(*net.TCPAddr); ok {
			name = protocol + ":" + strconv.Itoa(tcp.Port)
		}
	}
	unique := name
	for i := 2; names[unique]; i++ {
		unique = name + "#" + strconv.Itoa(i)
	}
	names[unique] = true
	return unique
}

// Listeners returns the listeners in the order of their start.
func (s *Server) Listeners() []*Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.listeners)
}

// Reload reads all certificates anew. A listener whose files are faulty keeps
// what it has; the error names it. New connections see the new ones.
func (s *Server) Reload() error {
	var errs []error
	for _, l := range s.Listeners() {
		if !l.certs.ready() {
			continue
		}
		if err := l.certs.load(); err != nil {
			errs = append(errs, fmt.Errorf("listener %s keeps its certificate: %w", l.cfg.Name, err))
		}
	}
	return errors.Join(errs...)
}

// drainQuiet is how long a connection must have been silent both ways to be
// closed while draining, and drainLook how often it is looked at.
const (
	drainQuiet = 250 * time.Millisecond
	drainLook  = 25 * time.Millisecond
)

// Drain ends the server gently: it stops accepting, closes strangers at once
// and other connections when they have been quiet for a moment, and
// when ctx ends closes what is left and returns an error with its number.
// Close must follow.
func (s *Server) Drain(ctx context.Context) error {
	s.stopAccepting()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	look := time.NewTicker(drainLook)
	defer look.Stop()
	for {
		s.closeQuiet(time.Now())
		select {
		case <-done:
			return nil
		case <-look.C:
		case <-ctx.Done():
			if n := s.abortAll(); n > 0 {
				return fmt.Errorf("closed %d connections that were still busy: %w", n, ctx.Err())
			}
			return nil
		}
	}
}

// Close ends the server at once and waits for every goroutine that serves a
// connection. It may be called several times.
func (s *Server) Close() {
	s.stopAccepting()
	s.abortAll()
	s.running.Wait()
	if s.ownWheel {
		s.wheel.Close()
	}
}

func (s *Server) stopAccepting() {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	listeners := slices.Clone(s.listeners)
	s.mu.Unlock()
	if !first {
		return
	}
	for _, l := range listeners {
		l.close()
	}
}

func (s *Server) closeQuiet(now time.Time) {
	for _, l := range s.Listeners() {
		for _, c := range l.connections() {
			if c.quiet(now) {
				c.abort()
			}
		}
	}
}

func (s *Server) abortAll() int {
	n := 0
	for _, l := range s.Listeners() {
		for _, c := range l.connections() {
			c.abort()
			n++
		}
	}
	return n
}
