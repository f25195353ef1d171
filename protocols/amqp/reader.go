package amqp

import (
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
)

const (
	readBuffer     = 64 << 10
	strangerBuffer = 1 << 10
)

// workspace is what the reader needs while there is input.
type workspace struct {
	buf        []byte
	start, end int // of what was read and not decoded
	need       int // bytes of the frame that is not complete, if known
	pooled     bool

	// Decoded into and used again: they are on the way of each message.
	transfer transfer
	envelope message.Envelope
	ingress  ingress
}

var workspaces = sync.Pool{New: func() any {
	return &workspace{buf: make([]byte, readBuffer), pooled: true}
}}

// takeWork borrows a workspace. A client that has not authenticated gets a
// small one.
func (c *conn) takeWork() {
	if c.work != nil {
		return
	}
	if c.session == nil {
		c.work = &workspace{buf: make([]byte, strangerBuffer)}
		return
	}
	c.work = workspaces.Get().(*workspace) //nolint:errcheck // the pool holds nothing else
}

func (c *conn) releaseWork() {
	w := c.work
	if w == nil {
		return
	}
	c.work = nil
	if w.pooled && len(w.buf) == readBuffer {
		// What was decoded last points into buf, or holds a message.
		*w = workspace{buf: w.buf, pooled: true}
		workspaces.Put(w)
	}
}

// read turns input into calls of the broker until the connection ends.
func (c *conn) read() error {
	for {
		if c.work == nil {
			if err := c.net.WaitReadable(); err != nil {
				return err
			}
			c.takeWork()
		}
		if err := c.fill(); err != nil {
			return err
		}
		if err := c.process(); err != nil {
			return err
		}
		if c.work.start == c.work.end {
			c.releaseWork()
		}
	}
}

// fill reads once. The buffer grows only when it is full of bytes that came,
// never because a frame announces many.
func (c *conn) fill() error {
	w := c.work
	if w.start > 0 {
		w.end = copy(w.buf, w.buf[w.start:w.end])
		w.start = 0
	}
	if w.end == len(w.buf) {
		c.grow()
	}
	n, err := c.net.Read(w.buf[w.end:])
	w.end += n
	if n == 0 && err != nil {
		return err
	}
	c.front.metrics.receivedBytes.Add(uint64(n))
	t := time.Now()
	c.lastIn.Store(t.UnixNano())
	c.nowMs = t.UnixMilli()
	return nil
}

// grow doubles the buffer, or makes it as large as the frame if that is less.
func (c *conn) grow() {
	w := c.work
	size := 2 * len(w.buf)
	if c.session != nil {
		size = max(size, readBuffer)
	}
	if w.need > len(w.buf) {
		size = min(size, max(w.need, readBuffer))
	}
	buf := make([]byte, size)
	copy(buf, w.buf[:w.end])
	w.buf = buf
}

// process carries out all complete frames of the buffer.
func (c *conn) process() error {
	c.turn.Lock()
	defer c.turn.Unlock()
	w := c.work
	for {
		if err := c.waitForRoom(); err != nil {
			return err
		}
		if c.stage == stageHeader || c.stage == stageSecond {
			if w.end-w.start < len(headerAMQP) {
				return nil
			}
			text := string(w.buf[w.start : w.start+len(headerAMQP)])
			w.start += len(headerAMQP)
			if err := c.greet(text); err != nil {
				return err
			}
			continue
		}
		f, n, need, err := nextFrame(w.buf[w.start:w.end], c.frameMax)
		w.need = need
		if err != nil || n == 0 {
			return err
		}
		w.start += n
		if err := c.handle(f); err != nil {
			return err
		}
	}
}

// waitForRoom waits, with turn released, while too much is under way: held
// sends, deliveries that the broker has not completed, frames that the client
// does not read.
func (c *conn) waitForRoom() error {
	for c.pressure.Load() || c.held.Full(maxHeldSends, maxHeldBytes) {
		c.waiting.Store(true)
		c.turn.Unlock()
		err := c.awaitRoom()
		c.lastIn.Store(now()) // the client's silence counts from here
		c.waiting.Store(false)
		c.turn.Lock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) awaitRoom() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.room && !c.broken && !c.ending {
		c.changed.Wait()
	}
	c.room = false
	if c.broken || c.ending {
		return errGone
	}
	return nil
}
