package stomp

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

// conn is one client's connection.
type conn struct {
	// immutable once serve runs
	front    *Frontend
	net      *protocols.Conn
	messages protocols.MessageWriter // nil on a byte stream
	log      *slog.Logger
	set      *settings

	// Guarded by turn: the reader's, and for a moment that of the goroutine
	// that goes on with held sends. session and version are set by CONNECT,
	// before anything else uses them.
	turn      sync.Mutex
	session   *broker.Session
	version   version
	anonymous bool // the client gave no client-id
	subs      subscriptions
	txs       map[string]*transaction
	held      protocols.Holdback[heldOp]
	producing producing
	nowMs     int64 // when the input being worked on was read

	// owned by the reader
	work *workspace

	// any goroutine
	pressure atomic.Bool  // stop reading: too much is under way
	lastIn   atomic.Int64 // nanoseconds of the wall clock: something was read
	lastOut  atomic.Int64 // something was written
	waiting  atomic.Bool  // the reader doesn't read: heart-beats can't be expected
	resumers sync.WaitGroup

	// guarded by mu
	mu       sync.Mutex
	out      *outbox   // nil when empty
	writing  bool      // the writer runs
	changed  sync.Cond // told of what somebody may wait for: writing, broken, ending, synced, room
	leaving  bool      // no more messages are written
	synced   bool      // what came before DISCONNECT is completed
	ending   bool      // outLast is queued
	room     bool      // pressure or held sends have gone
	broken   bool      // nothing can be written any more
	ended    bool      // the session is closed
	receipts receipts
	goodbye  goodbye
	temps    temps // made is written with turn held too
	beats    beats
}

func newConn(f *Frontend, nc *protocols.Conn) *conn {
	c := &conn{
		front: f, net: nc,
		log: f.opts.Logger.With("proto", "stomp", "conn", nc.ID, "remote", addr(nc)),
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

// finish ends the connection as it is fit for what ended it.
func (c *conn) finish(err error) {
	var f *fault
	switch {
	case errors.As(err, &f):
		c.log.Info("connection ends by a protocol error", "err", f.text)
		id, asked := c.work.dec.f.value(headerReceipt)
		c.farewell(func() { c.postError(f, id, asked) })
	case errors.Is(err, errDisconnect):
		c.awaitSync()
		c.farewell(c.postGoodbye)
	case c.isEnding():
		c.farewell(func() {}) // it is queued already
	case !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed):
		c.log.Debug("connection was lost", "err", err)
	}
}

var (
	errDisconnect = errors.New("client sent DISCONNECT")
	errGone       = errors.New("connection is broken")
)

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
// may come back at once under the same client id.
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
	c.producing.end()
	c.session.Close()
	c.front.metrics.connections.Add(-1)
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
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
	if !c.pressure.Load() || c.receipts.len() >= maxReceipts ||
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

// now is the time of the wall clock that heart-beats are measured by.
func now() int64 { return time.Now().UnixNano() }
