package mqtt

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
)

var _ broker.Sink = (*conn)(nil)

// conn is one client's connection.
type conn struct {
	// immutable once serve runs
	front    *Frontend
	net      *protocols.Conn
	messages protocols.MessageWriter // nil on a byte stream
	log      *slog.Logger
	set      *settings
	// elsewhere is where the client is to go (host:port), "" if it is served.
	elsewhere string

	// Guarded by turn: the reader's, and for a moment that of the goroutine
	// that goes on with held sends. What CONNECT sets is set before anything
	// else uses it.
	turn     sync.Mutex
	session  *broker.Session
	stored   *broker.Stored // nil if nothing outlives the connection
	heard    *broker.Listening
	version  version
	terms    terms
	auth     *authentication // nil if the client asked for no method
	aliases  [][]byte        // topics of the client's aliases, in the broker's notation, from 1
	held     protocols.Holdback[heldOp]
	nowMs    int64  // when the input being worked on was read
	expiry   uint32 // seconds that the session lives once the connection has ended
	withWill bool   // the connection did not end by intent

	// owned by the reader
	work *workspace

	// owned by the writer; the next one is started under mu
	names nameCache

	// any goroutine
	pressure atomic.Bool  // stop reading: too much is under way
	lastIn   atomic.Int64 // nanoseconds of the wall clock: something was read
	waiting  atomic.Bool  // the reader doesn't read: the client's silence doesn't count
	resumers sync.WaitGroup

	// guarded by mu
	mu        sync.Mutex
	out       *outbox   // nil when empty
	writing   bool      // the writer runs
	changed   sync.Cond // told of what somebody may wait for: writing, broken, ending, room
	ending    bool      // outLast is queued
	leaving   bool      // no more messages are written
	room      bool      // pressure or held sends have gone
	broken    bool      // nothing can be written any more
	ended     bool      // the session is closed
	subs      subscriptions
	flight    flight          // deliveries of QoS 1 and 2
	deferring bool            // deliveries go to deferred
	deferred  []outItem       // deliveries that wait for a SUBACK
	parked    []outItem       // deliveries of QoS 1 and 2 that wait for others to be acknowledged
	taken     map[uint16]bool // publishes of QoS 2 that are not released, and whether they are completed
	pending   int             // publishes and releases that the broker has not completed
	alive     *protocols.Timer
}

// terms are what CONNECT and CONNACK agreed on.
type terms struct {
	keepAlive      time.Duration // 0 for none
	receiveMaximum int           // deliveries of QoS 1 and 2 that the client takes at a time
	maximumPacket  int           // bytes that the client takes
	aliasMaximum   int           // topic aliases that the client takes
	withText       bool          // the client wants reason strings
}

func newConn(f *Frontend, nc *protocols.Conn) *conn {
	c := &conn{
		front: f, net: nc, withWill: true,
		log: f.opts.Logger.With("proto", "mqtt", "conn", nc.ID, "remote", addr(nc)),
	}
	c.messages, _ = nc.Conn.(protocols.MessageWriter)
	c.changed.L = &c.mu
	return c
}

func addr(nc *protocols.Conn) string {
	if nc.Remote != nil {
		return nc.Remote.String()
	}
	return ""
}

// configure reads the listener's options.
func (c *conn) configure() (err error) {
	c.set, err = c.front.read.Of(c.net.Values, c.front.readSettings)
	return err
}

// serve is the reader. Its frame and those around it stay small: together with
// what waits below them they decide whether an idle connection's stack can be
// 4 KiB.
func (c *conn) serve() {
	defer c.end()
	c.finish(c.read())
}

var (
	errDisconnect = errors.New("client sent DISCONNECT")
	errGone       = errors.New("connection is broken")
)

// finish ends the connection as it is fit for what ended it.
func (c *conn) finish(err error) {
	var f *fault
	switch {
	case errors.As(err, &f):
		c.log.Info("connection ends by an error of the client", "reason", fmt.Sprintf("%#x", uint8(f.reason)), "err", f.text)
		c.front.metrics.errors.Add(1)
		c.farewell(func() { c.postFault(f) })
	case errors.Is(err, errDisconnect): // there is nothing more to say [MQTT-3.14.4-2]
	case c.isEnding():
		c.farewell(func() {}) // it is queued already
	case !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed):
		c.log.Debug("connection was lost", "err", err)
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

// farewell closes the connection so that the client can read what post queues
// as the last packet. The session is closed before: a client that has read it
// may come back at once.
func (c *conn) farewell(post func()) {
	limit := time.AfterFunc(farewellTimeout, c.fail)
	defer limit.Stop()
	c.mu.Lock()
	c.leaving = true
	c.awaitWriter()
	c.mu.Unlock()
	c.closeSession()
	c.mu.Lock()
	post()
	c.postLast()
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

// closeSession gives back what the client has not acknowledged. The writer has
// ended: what it wrote is settled.
func (c *conn) closeSession() {
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.session == nil || c.ended {
		return
	}
	c.flushHeld()
	if c.stored != nil {
		c.stored.End(c.expiry, c.withWill)
	}
	c.session.Close()
	c.front.unwatch(c)
	c.front.metrics.connections.Add(-1)
	c.mu.Lock()
	c.front.metrics.subscriptions.Add(-int64(len(c.subs.list)))
	c.ended = true
	c.mu.Unlock()
}

// end releases everything, whatever the connection ended by.
func (c *conn) end() {
	c.fail()
	c.stopKeepAlive()
	c.mu.Lock()
	c.awaitWriter()
	c.mu.Unlock()
	c.closeSession()
	c.resumers.Wait()
	c.releaseWork()
	c.dropOutbox()
	_ = c.net.Close() // a second time at most
}

// dropOutbox forgets what nobody will read.
func (c *conn) dropOutbox() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out != nil {
		c.out.release()
		c.out = nil
	}
	c.parked, c.deferred = nil, nil
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

// guard keeps a panic of one of the connection's other goroutines from ending
// the broker.
func (c *conn) guard(goroutine string) {
	if p := recover(); p != nil {
		c.log.Error("connection's goroutine panicked", "goroutine", goroutine,
			"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		c.fail()
	}
}

// relieve lets the reader go on if what stopped it has gone. c.mu is held.
func (c *conn) relieve() {
	if !c.pressure.Load() || c.pending >= c.set.receiveMaximum ||
		c.out != nil && len(c.out.control) > maxReplyBytes {
		return
	}
	c.pressure.Store(false)
	c.makeRoom()
}

// makeRoom tells the reader to look again. c.mu is held.
func (c *conn) makeRoom() {
	c.room = true
	c.changed.Broadcast()
}

// now is the time of the wall clock that silence is measured by.
func now() int64 { return time.Now().UnixNano() }
