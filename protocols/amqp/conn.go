package amqp

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

// stage is how far a connection has come.
type stage uint8

const (
	stageHeader stage = iota // the protocol header is next
	stageSASL                // SASL frames
	stageSecond              // the protocol header behind SASL
	stageOpen                // the open frame
	stageRunning
)

// conn is one client's connection.
type conn struct {
	// immutable once serve runs
	front *Frontend
	net   *protocols.Conn
	log   *slog.Logger
	set   *settings
	// elsewhere is where the client is to go (host:port), "" if it is served.
	elsewhere string

	// Guarded by turn: the reader's, and for a moment that of the goroutine
	// that goes on with held sends.
	turn       sync.Mutex
	stage      stage
	identity   *broker.Identity
	login      *broker.SCRAM   // while it goes on
	session    *broker.Session // nil before open
	frameMax   uint32          // of frames that the client may send
	channelMax uint16
	generation uint16 // of sessions
	txs        transactions
	temps      int
	held       protocols.Holdback[heldOp]
	nowMs      int64 // when the input being worked on was read

	// owned by the reader
	work *workspace

	// any goroutine
	pressure atomic.Bool  // stop reading: too much is under way
	lastIn   atomic.Int64 // nanoseconds of the wall clock: something was read
	lastOut  atomic.Int64 // something was written
	waiting  atomic.Bool  // the reader doesn't read: frames can't be expected
	outFrame uint32       // largest frame to send: set by open, before anything is sent
	resumers sync.WaitGroup

	// guarded by mu
	mu         sync.Mutex
	sessions   []*session // by the client's channel; written with turn held too
	publishing int        // deliveries that the broker has not completed
	out        *outbox    // nil when empty
	writing    bool       // the writer runs
	changed    sync.Cond  // told of what somebody may wait for: writing, broken, ending, room
	leaving    bool       // no more messages are written
	ending     bool       // outLast is queued
	room       bool       // pressure or held sends have gone
	broken     bool       // nothing can be written any more
	ended      bool       // the session is closed
	opened     bool       // an open frame was sent
	beats      beats
}

func newConn(f *Frontend, nc *protocols.Conn) *conn {
	remote := ""
	if nc.Remote != nil {
		remote = nc.Remote.String()
	}
	c := &conn{
		front: f, net: nc, outFrame: minFrame, frameMax: strangerFrame,
		log: f.opts.Logger.With("proto", "amqp", "conn", nc.ID, "remote", remote),
	}
	c.changed.L = &c.mu
	return c
}

// configure reads the listener's options.
func (c *conn) configure() (err error) {
	c.set, err = c.front.read.Of(c.net.Values, c.front.readSettings)
	return err
}

// serve is the reader.
func (c *conn) serve() {
	defer c.end()
	c.finish(c.read())
}

var (
	errClose = errors.New("client sent close")
	errGone  = errors.New("connection is broken")
	errHello = errors.New("client was told which protocol is spoken here")
)

// finish ends the connection as it is fit for what ended it.
func (c *conn) finish(err error) {
	f, isFault := errors.AsType[*fault](err)
	switch {
	case isFault:
		c.log.Info("connection ends by a protocol error", "condition", f.condition, "err", f.text)
		c.farewell(func() { c.postClose(f) })
	case errors.Is(err, errClose):
		c.farewell(func() { c.postClose(nil) })
	case errors.Is(err, errHello), c.isEnding():
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
// as the last frame. The session is closed before: a client that has read it
// may come back at once under the same container id.
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

// closeSession gives back what the client has not settled. The writer has
// ended: what it wrote is settled.
func (c *conn) closeSession() {
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.session == nil || c.ended {
		return
	}
	c.flushHeld()
	c.endProducers()
	c.session.Close()
	c.front.metrics.connections.Add(-1)
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
}

// endProducers tells that nobody sends any more.
func (c *conn) endProducers() {
	for _, s := range c.sessions {
		if s == nil {
			continue
		}
		for _, l := range s.handles {
			if l != nil && l.in.producer != nil {
				l.in.producer.Close()
			}
		}
	}
}

// end releases everything, whatever the connection ended by.
func (c *conn) end() {
	c.fail()
	c.stopBeats()
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
	if !c.pressure.Load() || c.publishing >= maxPublishing ||
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

// kill ends the connection from outside the reader, with a close frame.
func (c *conn) kill(f *fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.postClose(f)
	c.postLast()
}

// now is the time of the wall clock that silence is measured by.
func now() int64 { return time.Now().UnixNano() }
