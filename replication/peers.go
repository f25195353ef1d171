package replication

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/replication/protocol"
	"github.com/entrepot-mq/entrepot/replication/wire"
)

const (
	// maxQueued is how many bytes wait for a peer's connection; more are dropped, and sent again when the protocol
	// notices.
	maxQueued    = 48 << 20
	dialWithin   = 2 * time.Second
	writeWithin  = 10 * time.Second
	helloWithin  = 5 * time.Second
	idleWithin   = 30 * time.Second
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = time.Second
)

// peers are the nodes that messages are sent to.
type peers struct {
	r     *Replica
	mu    sync.Mutex
	to    map[string]*sender
	in    map[net.Conn]bool // open connections; true: dialled here
	ended bool
}

// sender brings one peer its messages.
type sender struct {
	r      *Replica
	node   string
	mu     sync.Mutex
	queue  []*protocol.Message
	queued int // bytes of frames
	wake   chan struct{}
}

// send queues m. The loop calls it.
func (p *peers) send(m *protocol.Message) {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return
	}
	s := p.to[m.To]
	if s == nil {
		if p.to == nil {
			p.to = make(map[string]*sender)
		}
		s = &sender{r: p.r, node: m.To, wake: make(chan struct{}, 1)}
		p.to[m.To] = s
		p.r.wg.Go(s.run)
	}
	p.mu.Unlock()
	s.push(m)
}

// close ends what others say at once, and gives what was queued for them a moment to be written: a master's last
// word is that it is one no more.
func (p *peers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for c, dialled := range p.in {
		if !dialled {
			_ = c.Close() // wakes its receiver
		} else {
			_ = c.SetDeadline(time.Now().Add(lastWords)) // ends what hangs
		}
	}
}

// lastWords is how long a sender may write when the replica has ended.
const lastWords = 200 * time.Millisecond

// hold registers a connection, so that close ends it; false if that has happened.
func (p *peers) hold(c net.Conn, dialled bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	if p.in == nil {
		p.in = make(map[net.Conn]bool)
	}
	p.in[c] = dialled
	return true
}

func (p *peers) drop(c net.Conn) {
	p.mu.Lock()
	delete(p.in, c)
	p.mu.Unlock()
	_ = c.Close() // nobody reads it any more
}

func (s *sender) push(m *protocol.Message) {
	s.mu.Lock()
	if s.queued+len(m.Raw) <= maxQueued && len(s.queue) < 1<<16 {
		s.queue = append(s.queue, m)
		s.queued += len(m.Raw)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // awake
	}
}

// take returns what waits, into the memory of batch.
func (s *sender) take(batch []*protocol.Message) []*protocol.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch, s.queue = s.queue, batch[:0]
	s.queued = 0
	return batch
}

// run dials when there is something to say, and writes. What a connection loses is lost.
func (s *sender) run() {
	var conn net.Conn
	var out *bufio.Writer
	var batch []*protocol.Message
	var head []byte
	var notBefore time.Time
	backoff := firstBackoff
	defer func() {
		if conn != nil {
			s.r.peers.drop(conn)
		}
	}()
	for {
		select {
		case <-s.r.life.Done():
			if batch = s.take(batch); conn != nil && len(batch) > 0 {
				_ = s.flush(out, batch, &head) // whoever misses it finds out otherwise
			}
			return
		case <-s.wake:
		}
		batch = s.take(batch)
		if conn == nil {
			if time.Now().Before(notBefore) {
				continue // nobody is there: old messages are of no use
			}
			c, err := s.r.connect(s.node, wire.ForMessages)
			if err != nil {
				s.r.o.Logger.Debug("a peer can't be reached", "node", s.node, "error", err)
				notBefore, backoff = time.Now().Add(backoff), min(2*backoff, lastBackoff)
				continue
			}
			conn, out, backoff = c, bufio.NewWriterSize(c, 64<<10), firstBackoff
		}
		if err := s.write(conn, out, batch, &head); err != nil {
			s.r.o.Logger.Info("the connection to a peer ended", "node", s.node, "error", err)
			s.r.peers.drop(conn)
			conn = nil
		}
		clear(batch)
	}
}

func (s *sender) write(conn net.Conn, out *bufio.Writer, batch []*protocol.Message, head *[]byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return err
	}
	if s.r.life.Err() != nil { // after the deadline above: close sets its own behind the end of life
		if err := conn.SetWriteDeadline(time.Now().Add(lastWords)); err != nil {
			return err
		}
	}
	return s.flush(out, batch, head)
}

func (s *sender) flush(out *bufio.Writer, batch []*protocol.Message, head *[]byte) error {
	for _, m := range batch {
		*head = wire.AppendMessage((*head)[:0], m)
		if _, err := out.Write(*head); err != nil {
			return err
		}
		if _, err := out.Write(m.Raw); err != nil {
			return err
		}
	}
	return out.Flush()
}

var errUnknownAddress = errors.New("its address is not known")

// connect dials a peer and says hello. The connection is held.
func (r *Replica) connect(node string, purpose wire.Purpose) (net.Conn, error) {
	addr, ok := r.o.Address(node)
	if !ok {
		return nil, errUnknownAddress
	}
	ctx, cancel := context.WithTimeout(r.life, dialWithin)
	defer cancel()
	c, err := r.o.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	if r.o.TLS != nil {
		c = tls.Client(c, r.o.TLS.Client(node))
	} else if !loopback(c.RemoteAddr()) {
		_ = c.Close() // nothing was said
		return nil, fmt.Errorf("%v is not loopback, and there is no TLS", c.RemoteAddr())
	}
	if !r.peers.hold(c, true) {
		_ = c.Close() // nothing was said
		return nil, net.ErrClosed
	}
	hello := wire.AppendHello(nil, wire.Hello{Version: wire.Version, Purpose: purpose, Group: r.o.Group, Node: r.o.Node, Receiver: node})
	err = c.SetDeadline(time.Now().Add(helloWithin))
	if err == nil {
		err = r.life.Err()
	}
	if err == nil {
		_, err = c.Write(hello)
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		r.peers.drop(c)
		return nil, err
	}
	return c, nil
}

// accept takes connections of peers.
func (r *Replica) accept() {
	for {
		c, err := r.o.Listener.Accept()
		if r.life.Err() != nil {
			if err == nil {
				_ = c.Close() // too late
			}
			return
		}
		if err != nil {
			r.o.Logger.Warn("a peer's connection was not accepted", "error", err)
			select {
			case <-time.After(50 * time.Millisecond):
			case <-r.life.Done():
			}
			continue
		}
		if !r.peers.hold(c, false) {
			_ = c.Close() // too late
			return
		}
		r.wg.Go(func() {
			defer r.peers.drop(c)
			err := r.receiver(c)
			switch refused, ok := errors.AsType[*refusedError](err); {
			case err == nil || r.life.Err() != nil:
			case ok:
				r.refusals.say(r.o.Logger, c.RemoteAddr(), refused.why)
			default:
				r.o.Logger.Debug("a peer's connection ended", "remote", c.RemoteAddr(), "error", err)
			}
		})
	}
}

// arrival is a message and the memory that it points into, which is used again when the loop is done with it.
type arrival struct {
	message *protocol.Message
	room    *[]byte
}

// receiver reads what a peer says.
func (r *Replica) receiver(c net.Conn) error {
	if err := c.SetReadDeadline(time.Now().Add(helloWithin)); err != nil {
		return err
	}
	proven := ""
	if r.o.TLS != nil {
		t := tls.Server(c, r.o.TLS.Server)
		if err := t.HandshakeContext(r.life); err != nil {
			return &refusedError{fmt.Errorf("TLS: %w", err)}
		}
		state := t.ConnectionState()
		proven = r.o.TLS.NodeOf(&state)
		c = t
	} else if !loopback(c.RemoteAddr()) {
		return &refusedError{errors.New("a peer that is not on this machine has to use TLS")}
	}
	in := bufio.NewReaderSize(c, 64<<10)
	hello, err := r.greeted(in, proven)
	if err != nil {
		return &refusedError{err}
	}
	if hello.Purpose == wire.ForSnapshot {
		return r.receiveSnapshot(c, in, hello.Node)
	}
	for {
		if err := c.SetReadDeadline(time.Now().Add(idleWithin)); err != nil {
			return err
		}
		room, ok := r.bodies.Get().(*[]byte)
		if !ok {
			room = new([]byte)
		}
		kind, body, grown, err := wire.ReadPacket(in, *room)
		if err != nil {
			return err
		}
		*room = grown
		if kind != wire.TypeMessage {
			return fmt.Errorf("%w: type %d among messages", wire.ErrMalformed, kind)
		}
		m, err := wire.ParseMessage(body)
		if err != nil {
			return err
		}
		if m.From.Node != hello.Node {
			return fmt.Errorf("%w: %q speaks as %q", wire.ErrMalformed, hello.Node, m.From.Node)
		}
		m.To = r.o.Node
		select {
		case r.inbox <- arrival{m, room}:
		case <-r.life.Done():
			return nil
		}
	}
}

// greeted reads and checks the hello.
func (r *Replica) greeted(in *bufio.Reader, proven string) (wire.Hello, error) {
	kind, body, _, err := wire.ReadPacket(in, nil)
	if err != nil {
		return wire.Hello{}, err
	}
	if kind != wire.TypeHello {
		return wire.Hello{}, fmt.Errorf("%w: no hello", wire.ErrMalformed)
	}
	h, err := wire.ParseHello(body)
	switch {
	case err != nil:
		return h, err
	case h.Version != wire.Version:
		return h, fmt.Errorf("node %q speaks version %d, this one %d", h.Node, h.Version, wire.Version)
	case h.Group != r.o.Group:
		return h, fmt.Errorf("node %q belongs to another group", h.Node)
	case h.Receiver != r.o.Node:
		return h, fmt.Errorf("node %q takes this one for %q", h.Node, h.Receiver)
	case h.Node == "" || proven != "" && proven != h.Node:
		return h, fmt.Errorf("node %q says that it is %q", proven, h.Node)
	case h.Purpose != wire.ForMessages && h.Purpose != wire.ForSnapshot:
		return h, fmt.Errorf("%w: purpose %d", wire.ErrMalformed, h.Purpose)
	}
	return h, nil
}
