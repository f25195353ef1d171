//go:build integration

package matrix

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// webConn is a stream of WebSocket messages.
type webConn struct {
	*websocket.Conn
	in      io.Reader
	writing sync.Mutex
}

func dialWeb(ctx context.Context, t *testing.T, address, subprotocol string) net.Conn {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{subprotocol}, HandshakeTimeout: patience}
	c, _, err := d.DialContext(ctx, "ws://"+address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Subprotocol() != subprotocol {
		t.Fatalf("the subprotocol is %q, want %q", c.Subprotocol(), subprotocol)
	}
	return &webConn{Conn: c}
}

func (c *webConn) Read(p []byte) (int, error) {
	for {
		if c.in == nil {
			_, in, err := c.NextReader()
			if err != nil {
				return 0, err
			}
			c.in = in
		}
		n, err := c.in.Read(p)
		if err == io.EOF {
			c.in, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *webConn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	return len(p), c.WriteMessage(websocket.BinaryMessage, p)
}

func (c *webConn) SetDeadline(at time.Time) error {
	if err := c.SetReadDeadline(at); err != nil {
		return err
	}
	return c.SetWriteDeadline(at)
}
