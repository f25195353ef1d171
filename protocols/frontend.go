package protocols

import (
	"crypto/tls"
	"io"
	"net"
	"time"
)

// Frontend serves connections of one protocol. It is made once and serves
// many connections at the same time.
type Frontend interface {
	// Name is the protocol's: "stomp".
	Name() string
	// Options lists the names of listener options (URI query) that this
	// protocol understands beside the listener's own, such as
	// "wireFormat.maxFrameSize".
	Options() []string
	// Serve speaks the protocol until the connection ends, and closes it. It
	// runs on the connection's own goroutine and returns when every goroutine
	// that it started has ended.
	Serve(c *Conn)
}

// OptionChecker is implemented by a Frontend that finds wrong option values
// when its listener starts, not when the first client connects.
type OptionChecker interface {
	// CheckOptions returns what is wrong with v, in an operator's words.
	CheckOptions(v Values) error
}

// Conn is an accepted connection as a frontend gets it. A frontend that
// carries others (WebSocket) copies it and replaces the embedded net.Conn.
type Conn struct {
	// Conn reads from the first byte that the client sent, whatever detection
	// looked at before, and is decrypted.
	net.Conn
	// ID names the connection in logs; it is unique while the process lives,
	// and never 0 on an accepted connection.
	ID uint64
	// Remote is the client's address; behind a trusted proxy or another node
	// the one that it announced. (Conn.RemoteAddr is the socket's.)
	Remote net.Addr
	// TLS is nil on a plain connection.
	TLS *tls.ConnectionState
	// Listener names where it was accepted, for logs and metrics.
	Listener string
	// Subprotocol is the WebSocket subprotocol agreed on, "" elsewhere.
	Subprotocol string
	// Values are the listener's options.
	Values Values
	// Wheel keeps time for all connections. Use it instead of time.AfterFunc.
	Wheel *Wheel

	authenticated func()
	abort         func()
}

// ReadWaiter is implemented by a net.Conn that can wait for input without a
// buffer to put it in.
type ReadWaiter interface {
	// WaitReadable returns nil when Read would return something (data, the
	// end, an error) soon, or the error with which waiting ended: the
	// deadline passed, the connection was closed. The goroutine that reads
	// calls it.
	WaitReadable() error
}

// MessageWriter is implemented by the net.Conn of a message-oriented
// transport (WebSocket): a frontend that finds it sends each protocol frame as
// one message.
type MessageWriter interface {
	// WriteMessage sends p as one message, as text if text is set: then p
	// must be valid UTF-8. It may buffer until Flush.
	WriteMessage(p []byte, text bool) error
	// Flush sends what WriteMessage buffered.
	Flush() error
	// Binary reports whether the client itself sent binary messages.
	Binary() bool
}

// buffersWriter is a net.Conn that sends several slices in one system call.
type buffersWriter interface {
	WriteBuffers(b *net.Buffers) (int64, error)
}

// writeCloser is a net.Conn that can end its own direction only.
type writeCloser interface{ CloseWrite() error }

// Authenticated says that the client has proven who it is: the deadline and
// the small limits for strangers end here. It is called once at most.
func (c *Conn) Authenticated() {
	if c.authenticated != nil {
		c.authenticated()
	}
}

// WaitReadable waits until there is something to read, so that an idle
// connection needs no buffer: wait, take a buffer from a pool, Read once,
// work, give it back. Where the transport cannot wait it returns nil at once,
// and Read blocks instead. It honours the read deadline.
func (c *Conn) WaitReadable() error {
	if w, ok := c.Conn.(ReadWaiter); ok {
		return w.WaitReadable()
	}
	return nil
}

// WriteBuffers writes and empties b, with one system call where the transport
// can (plain TCP).
func (c *Conn) WriteBuffers(b *net.Buffers) (int64, error) {
	if w, ok := c.Conn.(buffersWriter); ok {
		return w.WriteBuffers(b)
	}
	return b.WriteTo(c.Conn)
}

// Abort closes the connection at once and says goodbye to nobody. Unlike
// Close (which may tell a TLS or WebSocket peer) it never blocks, so timers
// may call it. Any goroutine may.
func (c *Conn) Abort() {
	if c.abort != nil {
		c.abort()
		return
	}
	_ = c.Close() // nobody waits for the answer
}

// goodbyeTimeout is how long Goodbye listens to a client that goes on
// talking.
const goodbyeTimeout = time.Second

// Goodbye closes the connection so that the client can still read what was
// written last. Closing a TCP socket while input waits unread makes the kernel
// send a reset, which destroys an error frame on its way: so this ends our
// direction, reads and forgets what the client sends for a second at most,
// and closes. The goroutine that reads calls it.
func (c *Conn) Goodbye() {
	if w, ok := c.Conn.(writeCloser); ok && w.CloseWrite() == nil {
		if c.SetReadDeadline(time.Now().Add(goodbyeTimeout)) == nil {
			_, _ = io.Copy(io.Discard, c.Conn) // whatever it is, it comes too late
		}
	}
	_ = c.Close() // the socket goes whatever Close says
}
