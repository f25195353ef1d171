package websocket

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/protocols"
)

const (
	// wireBufferSize is the size of the pooled read buffers.
	wireBufferSize = 16 << 10
	// corkLimit is how much is collected before it is written without Flush.
	corkLimit = 64 << 10
	// directWrite is the size from which copying costs more than a second
	// slice in the system call.
	directWrite = 16 << 10
)

// buffers are shared by all connections of a Frontend.
type buffers struct{ read, write sync.Pool }

// forReading returns a buffer of wireBufferSize.
func (p *buffers) forReading() *[]byte {
	if b, ok := p.read.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, wireBufferSize)
	return &b
}

// forWriting returns an empty buffer with room for corkLimit.
func (p *buffers) forWriting() *[]byte {
	if b, ok := p.write.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, corkLimit)
	return &b
}

// wire is the net.Conn beneath the engine. It reads with a pooled buffer that
// it holds only while bytes are in it, collects small writes until flush, and
// ignores the engine's deadlines: those of the frontend count.
type wire struct {
	c    *protocols.Conn
	pool *buffers

	// owned by the reader
	buf  *[]byte // nil while left is empty
	left []byte  // of buf

	heard   atomic.Uint64 // reads that returned something
	waiting atomic.Bool   // the reader waits for the client

	mu  sync.Mutex
	out *[]byte // nil while it is empty
	err error   // of writing, sticky

	deadlineMu sync.Mutex
	deadline   time.Time // of writing, the frontend's
}

func newWire(c *protocols.Conn, pool *buffers) *wire { return &wire{c: c, pool: pool} }

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.left) == 0 && len(p) >= wireBufferSize/4 {
		w.waiting.Store(true)
		n, err := w.c.Read(p)
		w.waiting.Store(false)
		w.heard.Add(1)
		return n, err
	}
	if len(w.left) == 0 {
		if err := w.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, w.left)
	w.consume(n)
	return n, nil
}

// fill reads once and adds to left, which must have room.
func (w *wire) fill() error {
	w.waiting.Store(true)
	defer w.waiting.Store(false)
	if w.buf == nil {
		if err := w.c.WaitReadable(); err != nil {
			return err
		}
		w.buf = w.pool.forReading()
		w.left = (*w.buf)[:0]
	}
	// left starts at the buffer's start here: only a request's header is read
	// in several goes, and nothing was consumed before it.
	have := len(w.left)
	n, err := w.c.Read((*w.buf)[have:])
	w.left = (*w.buf)[:have+n]
	if n > 0 {
		w.heard.Add(1)
		return nil
	}
	w.consume(0)
	return err
}

// consume forgets the first n bytes of left, and gives the buffer back with
// the last.
func (w *wire) consume(n int) {
	w.left = w.left[n:]
	if len(w.left) == 0 && w.buf != nil {
		w.pool.read.Put(w.buf)
		w.buf, w.left = nil, nil
	}
}

// Write implements net.Conn: it collects.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	if len(p) >= directWrite {
		return len(p), w.writeOut(p)
	}
	if w.out == nil {
		w.out = w.pool.forWriting()
	}
	*w.out = append(*w.out, p...)
	if len(*w.out) >= corkLimit-directWrite {
		return len(p), w.writeOut(nil)
	}
	return len(p), nil
}

// flush writes what was collected.
func (w *wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writeOut(nil)
}

// flushControl is flush for control frames, which must not wait for ever for a
// client that doesn't read, even if the frontend has set no deadline.
func (w *wire) flushControl() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit(time.Now().Add(controlTimeout))
	err := w.writeOut(nil)
	w.limit(time.Time{})
	return err
}

// limit sets the earlier of the frontend's deadline and t; the zero time is
// none.
func (w *wire) limit(t time.Time) {
	w.deadlineMu.Lock()
	defer w.deadlineMu.Unlock()
	if t.IsZero() || !w.deadline.IsZero() && w.deadline.Before(t) {
		t = w.deadline
	}
	_ = w.c.SetWriteDeadline(t) // on a closed connection the write fails too
}

// writeOut writes what was collected and p. mu is held.
func (w *wire) writeOut(p []byte) error {
	if w.err != nil {
		return w.err
	}
	switch {
	case w.out != nil && len(p) > 0:
		_, w.err = w.c.WriteBuffers(&net.Buffers{*w.out, p})
	case w.out != nil:
		_, w.err = w.c.Write(*w.out)
	case len(p) > 0:
		_, w.err = w.c.Write(p)
	}
	if w.out != nil {
		*w.out = (*w.out)[:0]
		w.pool.write.Put(w.out)
		w.out = nil
	}
	return w.err
}

// Close implements net.Conn.
func (w *wire) Close() error { return w.c.Close() }

// LocalAddr implements net.Conn.
func (w *wire) LocalAddr() net.Addr { return w.c.LocalAddr() }

// RemoteAddr implements net.Conn.
func (w *wire) RemoteAddr() net.Addr { return w.c.RemoteAddr() }

// SetDeadline implements net.Conn for the engine.
func (w *wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn for the engine.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn for the engine.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// setFrontendDeadline sets the deadline of writes.
func (w *wire) setFrontendDeadline(t time.Time) error {
	w.deadlineMu.Lock()
	defer w.deadlineMu.Unlock()
	w.deadline = t
	return w.c.SetWriteDeadline(t)
}
