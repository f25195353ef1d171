package websocket

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// engine is what this package needs of a WebSocket library.
type engine interface {
	// NextReader waits for a message and returns its kind and bytes. Control
	// frames are handled meanwhile.
	NextReader() (kind int, r io.Reader, err error)
	// WriteMessage sends one message.
	WriteMessage(kind int, p []byte) error
	// WriteControl sends a control frame; unlike the others, any goroutine may
	// call it.
	WriteControl(kind int, p []byte, deadline time.Time) error
}

const (
	// engineReadSize is the engine's own read buffer, kept by idle
	// connections: enough for a control frame. wire reads in larger pieces.
	engineReadSize = 256
	// engineWriteSize is its pooled write buffer.
	engineWriteSize = 4 << 10
)

// engines makes engines of requests.
type engines struct {
	plain, compressed websocket.Upgrader
}

func newEngines() *engines {
	u := websocket.Upgrader{
		ReadBufferSize:  engineReadSize,
		WriteBufferSize: engineWriteSize,
		WriteBufferPool: &sync.Pool{},
		CheckOrigin:     func(*http.Request) bool { return true }, // checkOrigin did it
		Error:           refuseUpgrade,
	}
	e := &engines{plain: u, compressed: u}
	e.compressed.EnableCompression = true
	return e
}

// upgrade answers the request and returns the connection that it becomes. A
// refusal is an error.
func (e *engines) upgrade(w *wire, r *http.Request, subprotocol string, set settings) (*conn, error) {
	u := &e.plain
	if set.compression {
		u = &e.compressed
	}
	var header http.Header
	if subprotocol != "" {
		header = http.Header{"Sec-Websocket-Protocol": {subprotocol}}
	}
	h := &handshake{wire: w}
	g, err := u.Upgrade(h, r, header)
	if err != nil {
		if h.refusal != nil {
			return nil, h.refusal
		}
		return nil, err
	}
	if err := w.flush(); err != nil {
		return nil, err
	}
	g.SetReadLimit(int64(set.maxFrameSize))
	c := newConn(g, w, set)
	g.SetPingHandler(c.pong)
	return c, nil
}

// handshake is the http.ResponseWriter that the engine upgrades, or refuses
// on.
type handshake struct {
	wire    *wire
	header  http.Header
	refusal *refusal
}

// Header implements http.ResponseWriter.
func (h *handshake) Header() http.Header {
	if h.header == nil {
		h.header = make(http.Header)
	}
	return h.header
}

// WriteHeader implements http.ResponseWriter.
func (h *handshake) WriteHeader(status int) { h.refusal = &refusal{status: status} }

// Write implements http.ResponseWriter.
func (h *handshake) Write(p []byte) (int, error) {
	h.refusal.text += strings.TrimSuffix(string(p), "\n")
	return len(p), nil
}

// Hijack implements http.Hijacker. The buffers are the smallest there are: the
// engine looks at them and uses its own.
func (h *handshake) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.wire, bufio.NewReadWriter(bufio.NewReaderSize(h.wire, 16), bufio.NewWriterSize(h.wire, 512)), nil
}

// refuseUpgrade tells why, without the library's name.
func refuseUpgrade(w http.ResponseWriter, _ *http.Request, status int, reason error) {
	http.Error(w, strings.TrimPrefix(reason.Error(), "websocket: "), status)
}
