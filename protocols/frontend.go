package protocols

import (
	"crypto/tls"
	"net"
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

// Conn is an accepted connection as a frontend gets it.
type Conn struct {
	// Conn reads from the first byte that the client sent, whatever detection
	// looked at before, and is decrypted.
	net.Conn
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

	authenticated func()
}

// Authenticated says that the client has proven who it is: the deadline and
// the small limits for strangers end here. It is called once at most.
func (c *Conn) Authenticated() {
	if c.authenticated != nil {
		c.authenticated()
	}
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
