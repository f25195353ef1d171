package openwire

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/protocols"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// conn is one client's socket.
type conn struct {
	// immutable once serve runs
	front *Frontend
	net   *protocols.Conn
	log   *slog.Logger
	set   *settings
	// elsewhere is the address of the master that the client is sent to, ""
	// where it is served.
	elsewhere string

	// Guarded by turn: the reader's, and for a moment that of the goroutine
	// that goes on with held sends.
	turn      sync.Mutex
	state     state
	session   *broker.Session
	client    client
	sessions  map[int64]struct{} // by the client's number; 0 and more, and -1
	consumers map[consumerKey]*consumer
	producers map[producerKey]*producer
	local     map[int64]*transaction
	branches  map[string]*transaction // of XA, by xidName
	held      protocols.Holdback[heldOp]
	nowMs     int64 // when the input being worked on was read

	// owned by the reader
	work    *workspace
	decoder *wire.Decoder
	agreed  agreed

	// any goroutine
	lastIn   atomic.Int64 // nanoseconds of the wall clock: something was read
	lastOut  atomic.Int64 // something was written
	waiting  atomic.Bool  // the reader doesn't read: the client's silence means nothing
	resumers sync.WaitGroup

	// guarded by mu
	mu         sync.Mutex
	encoder    *wire.Encoder      // of all frames but the first; the writer's while it runs
	out        *outbox            // nil when empty
	writing    bool               // the writer runs
	changed    sync.Cond          // told of what somebody may wait for
	ending     bool               // the last frame is queued
	room       bool               // what the reader waited for may have gone
	broken     bool               // nothing can be written any more
	unfinished int                // responses that the broker has not completed
	numbered   []*wire.ProducerID // those with a window, by producer.number
	committing map[uint64]*transaction
	commits    uint64
	beats      beats
}

// state is how far the conversation has come.
type state uint8

const (
	stateNew        state = iota // nothing was received
	stateNegotiated              // the client's WireFormatInfo was
	stateConnected               // its ConnectionInfo was accepted
)

// client is what ConnectionInfo said.
type client struct {
	connection    string // its ConnectionId
	id            string // its client id
	manageable    bool   // it takes ConnectionControl
	faultTolerant bool   // it reconnects by itself
	broker        bool   // it sent BrokerInfo
}

func newConn(f *Frontend, nc *protocols.Conn, set *settings, elsewhere string) *conn {
	c := &conn{
		front: f, net: nc, set: set, elsewhere: elsewhere, decoder: wire.NewDecoder(wire.Format{}),
		log: f.opts.Logger.With("proto", "openwire", "conn", nc.ID, "remote", addr(nc)),
	}
	c.changed.L = &c.mu
	return c
}

func addr(nc *protocols.Conn) string {
	if nc.Remote != nil {
		return nc.Remote.String()
	}
	return ""
}

// serve is the reader.
func (c *conn) serve() {
	defer c.end()
	c.post(c.set.offer(c.front.opts.Version))
	c.finish(c.read())
}

var (
	errShutdown = errors.New("client sent ShutdownInfo")
	errGone     = errors.New("connection is broken")
)

// finish ends the connection as it is fit for what ended it.
func (c *conn) finish(err error) {
	var e *exception
	switch {
	case errors.As(err, &e):
		c.log.Info("connection ends by an error", "err", e.text)
		c.farewell(e)
	case errors.Is(err, errShutdown), c.isEnding():
		c.farewell(nil)
	case !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed):
		c.log.Debug("connection was lost", "err", err)
	}
}

// farewell closes the connection so that the client can read what was queued,
// and e if there is one. The session is closed before: a client that has read
// it may come back at once under the same id.
func (c *conn) farewell(e *exception) {
	limit := time.AfterFunc(farewellTimeout, c.fail)
	defer limit.Stop()
	c.turn.Lock()
	c.closeSession()
	negotiated := c.state >= stateNegotiated
	c.turn.Unlock()
	c.mu.Lock()
	if e != nil && negotiated {
		c.queue(outItem{structure: &wire.ConnectionError{Exception: e.throwable()}})
	}
	c.queueLast()
	c.awaitWriter()
	broken := c.broken
	c.mu.Unlock()
	if !broken {
		c.net.Goodbye()
	}
}

// awaitWriter waits until nothing is queued. c.mu is held.
func (c *conn) awaitWriter() {
	for c.writing {
		c.changed.Wait()
	}
}

// closeSession gives back what the client has not settled. c.turn is held.
func (c *conn) closeSession() {
	if c.session == nil {
		return
	}
	c.flushHeld()
	for key := range c.producers {
		c.removeProducer(key)
	}
	c.session.Close()
	c.front.leave(c.client.connection, c)
	c.front.metrics.connections.Add(-1)
	c.session = nil
	c.sessions, c.consumers, c.producers, c.local, c.branches = nil, nil, nil, nil, nil
	c.state = min(c.state, stateNegotiated)
}

// end releases everything, whatever the connection ended by.
func (c *conn) end() {
	c.fail()
	c.stopBeats()
	c.mu.Lock()
	c.awaitWriter()
	c.mu.Unlock()
	c.turn.Lock()
	c.closeSession()
	c.turn.Unlock()
	c.resumers.Wait()
	c.releaseWork()
	c.mu.Lock()
	if c.out != nil {
		c.out.release()
		c.out = nil
	}
	c.mu.Unlock()
	_ = c.net.Close() // a second time at most
}

// fail breaks the connection. Any goroutine may call it, and it never waits.
func (c *conn) fail() {
	c.mu.Lock()
	first := !c.broken
	c.broken = true
	c.changed.Broadcast()
	c.mu.Unlock()
	if first {
		c.net.Abort()
	}
}

func (c *conn) isEnding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

func (c *conn) isBroken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// guard keeps a panic of one of the connection's other goroutines from ending
// the broker.
func (c *conn) guard(goroutine string) {
	if p := recover(); p != nil {
		c.log.Error("connection's goroutine panicked", "goroutine", goroutine,
			"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		c.fail()
	}
}

// now is the time of the wall clock that silence is measured by.
func now() int64 { return time.Now().UnixNano() }
