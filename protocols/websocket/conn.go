package websocket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/entrepot-mq/entrepot/protocols"
)

// controlTimeout is how long a control frame may wait for a client that
// doesn't read.
const controlTimeout = 5 * time.Second

// errTooBig is what a message above wireFormat.maxFrameSize ends Read with.
var errTooBig = errors.New("WebSocket message above " + optionMaxFrameSize)

// errText is what text ends Read with where the protocol is binary.
var errText = errors.New("WebSocket text message where the subprotocol takes binary ones only")

// conn is an upgraded connection: a net.Conn and a protocols.MessageWriter.
type conn struct {
	// immutable
	engine engine
	wire   *wire
	set    settings
	pings  *protocols.Timer // nil without pings

	// owned by the reader
	message io.Reader // being read, nil between two
	taken   int       // bytes of it
	err     error     // of reading, sticky

	writing sync.Mutex  // one data message at a time
	binary  atomic.Bool // the client has sent a binary message
	closed  atomic.Bool // a close frame was sent

	pinging  sync.WaitGroup
	inFlight atomic.Bool // a ping waits to be written

	pingMu    sync.Mutex
	over      bool // no more pings
	lastHeard uint64
	silent    int // intervals without a sign of life
}

func newConn(e engine, w *wire, set settings) *conn {
	c := &conn{engine: e, wire: w, set: set}
	if set.pingInterval > 0 && w.c.Wheel != nil {
		c.pings = w.c.Wheel.NewTimer(c.pingTime)
		c.pings.Reset(set.pingInterval)
	}
	return c
}

// Read implements net.Conn. Messages follow each other without a mark.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if c.message == nil {
			if err := c.advance(); err != nil {
				return 0, err
			}
		}
		n, err := c.message.Read(p)
		c.taken += n
		switch {
		case c.taken > c.set.maxFrameSize:
			return 0, c.fail(websocket.CloseMessageTooBig, errTooBig)
		case errors.Is(err, io.EOF):
			c.message = nil
		case err != nil:
			return n, c.ended(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// WaitReadable implements protocols.ReadWaiter: it waits until a message has
// begun, in the engine's own small buffer.
func (c *conn) WaitReadable() error {
	if c.message != nil {
		switch _, err := c.message.Read(nil); {
		case err == nil:
			return nil
		case errors.Is(err, io.EOF):
			c.message = nil
		default:
			return c.ended(err)
		}
	}
	return c.advance()
}

// advance waits for the next message.
func (c *conn) advance() error {
	if c.err != nil {
		return c.err
	}
	kind, r, err := c.engine.NextReader()
	if err != nil {
		return c.ended(err)
	}
	if kind == websocket.BinaryMessage {
		if !c.binary.Load() {
			c.binary.Store(true)
		}
	} else if !c.set.text {
		return c.fail(websocket.CloseUnsupportedData, errText)
	}
	c.message, c.taken = r, 0
	return nil
}

// ended notes how reading ended, and sends the close frame with which the
// engine may have answered.
func (c *conn) ended(err error) error {
	if c.err != nil {
		return c.err
	}
	c.message = nil
	closed, ok := errors.AsType[*websocket.CloseError](err)
	switch {
	case errors.Is(err, websocket.ErrReadLimit):
		c.err = errTooBig
		c.sendClose(websocket.CloseMessageTooBig, errTooBig.Error()) // the engine says so of positive lengths only
	case !ok:
		c.err = err
	case closed.Code == websocket.CloseNormalClosure, closed.Code == websocket.CloseGoingAway, closed.Code == websocket.CloseNoStatusReceived:
		c.err = io.EOF
	case closed.Code == websocket.CloseAbnormalClosure:
		c.err = io.ErrUnexpectedEOF
	default:
		c.err = fmt.Errorf("the client closed with WebSocket code %d %q", closed.Code, closed.Text)
	}
	if err := c.wire.flushControl(); err != nil && c.err == nil {
		c.err = err
	}
	return c.err
}

// fail ends the connection with a close code.
func (c *conn) fail(code int, err error) error {
	c.sendClose(code, err.Error())
	return c.ended(err)
}

// sendClose sends a close frame, once.
func (c *conn) sendClose(code int, reason string) {
	if c.closed.Swap(true) {
		return
	}
	frame := websocket.FormatCloseMessage(code, reason)
	if c.engine.WriteControl(websocket.CloseMessage, frame, time.Now().Add(controlTimeout)) == nil {
		_ = c.wire.flushControl() // a client that has gone needs no goodbye
	}
}

// Write implements net.Conn: p is one message, sent at once, as text if the
// protocol is made of text, the client has sent nothing else, and p is.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.WriteMessage(p, c.set.text && !c.binary.Load() && utf8.Valid(p)); err != nil {
		return 0, err
	}
	if err := c.Flush(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteMessage implements protocols.MessageWriter.
func (c *conn) WriteMessage(p []byte, text bool) error {
	kind := websocket.BinaryMessage
	if text {
		kind = websocket.TextMessage
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.engine.WriteMessage(kind, p)
}

// Flush implements protocols.MessageWriter.
func (c *conn) Flush() error { return c.wire.flush() }

// Binary implements protocols.MessageWriter. Any goroutine may call it.
func (c *conn) Binary() bool { return c.binary.Load() }

// CloseWrite sends what was written and a close frame; the client's answer
// ends Read.
func (c *conn) CloseWrite() error {
	c.sendClose(websocket.CloseNormalClosure, "")
	return nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.sendClose(websocket.CloseNormalClosure, "")
	return c.wire.Close()
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.wire.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.wire.RemoteAddr() }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn. A deadline that passes ends reading for
// good.
func (c *conn) SetReadDeadline(t time.Time) error { return c.wire.c.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.wire.setFrontendDeadline(t) }

// pong answers a ping, on the reader's goroutine.
func (c *conn) pong(data string) error {
	deadline := time.Now().Add(controlTimeout)
	err := c.engine.WriteControl(websocket.PongMessage, []byte(data), deadline)
	if errors.Is(err, websocket.ErrCloseSent) {
		return nil // the goodbye is said, the client's is on its way
	}
	if err != nil {
		return err
	}
	return c.wire.flushControl()
}

// pingTime is the pings' timer: it sends the next ping, and ends a connection
// that was silent for two intervals although it was listened to.
func (c *conn) pingTime() {
	c.pingMu.Lock()
	defer c.pingMu.Unlock()
	if c.over {
		return
	}
	heard := c.wire.heard.Load()
	if heard != c.lastHeard || !c.wire.waiting.Load() {
		c.lastHeard, c.silent = heard, 0
	} else if c.silent++; c.silent >= 2 {
		c.wire.c.Abort()
		return
	}
	if !c.inFlight.Swap(true) { // the last one waits for a client that doesn't read
		c.pinging.Go(c.ping)
	}
	c.pings.Reset(c.set.pingInterval)
}

func (c *conn) ping() {
	defer c.inFlight.Store(false)
	if c.engine.WriteControl(websocket.PingMessage, nil, time.Now().Add(controlTimeout)) == nil {
		_ = c.wire.flushControl() // the reader learns of a broken connection
	}
}

// end stops the pings when the frontend has returned, and with it the
// connection.
func (c *conn) end() {
	c.pingMu.Lock()
	c.over = true
	if c.pings != nil {
		c.pings.Stop()
	}
	c.pingMu.Unlock()
	c.wire.c.Abort()
	c.pinging.Wait()
}
