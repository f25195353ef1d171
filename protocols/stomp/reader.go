package stomp

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
	"unsafe"

	"github.com/entrepot-mq/entrepot/core/message"
)

const (
	readBuffer     = 64 << 10
	strangerBuffer = 2 << 10 // before CONNECT: most CONNECT frames fit

	// Up to these capacities a workspace is used again.
	keepBlock  = 8 << 10
	keepFields = 128
)

// workspace is what the reader needs while there is input.
type workspace struct {
	dec        decoder
	buf        []byte
	start, end int    // of what was read and not decoded
	block      []byte // header lines of the message being made
	envelope   message.Envelope
	pooled     bool
}

var workspaces = sync.Pool{New: func() any {
	w := &workspace{buf: make([]byte, readBuffer), pooled: true}
	w.dec.f.fields = make([]field, 0, 32)
	return w
}}

// takeWork borrows a workspace. A client that has not authenticated gets a
// small one.
func (c *conn) takeWork() {
	if c.work != nil {
		return
	}
	if c.session == nil {
		c.work = &workspace{buf: make([]byte, strangerBuffer)}
	} else {
		c.work = workspaces.Get().(*workspace) //nolint:errcheck // the pool holds nothing else
	}
	d := &c.work.dec
	d.reset()
	d.version, d.limits = c.version, c.set.frame
	if c.session == nil {
		d.version = v12 // its rules read CONNECT of every version
		d.limits.frame = min(d.limits.frame, strangerFrame)
	}
}

func (c *conn) releaseWork() {
	w := c.work
	if w == nil {
		return
	}
	c.work = nil
	w.envelope = message.Envelope{} // it points into w.buf
	w.dec.f.raw, w.dec.f.body = nil, nil
	if w.pooled && len(w.buf) == readBuffer && cap(w.block) <= keepBlock && cap(w.dec.f.fields) <= keepFields {
		w.start, w.end = 0, 0
		workspaces.Put(w)
	}
}

// read turns input into calls of the broker until the connection ends.
func (c *conn) read() error {
	for {
		if c.work == nil {
			c.mu.Lock()
			c.receipts.shrink()
			c.mu.Unlock()
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
		if c.work.start == c.work.end && !c.work.dec.partial() {
			c.releaseWork()
		}
	}
}

// partial reports whether bytes of an incomplete frame were looked at.
func (d *decoder) partial() bool { return d.state != done && d.seen > 0 }

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
	if w.dec.need > len(w.buf) {
		size = min(size, max(w.dec.need+1, readBuffer))
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
		f, n, err := w.dec.next(w.buf[w.start:w.end])
		w.start += n
		if err != nil {
			return err
		}
		if f == nil {
			return nil
		}
		if err := c.handle(f); err != nil {
			return err
		}
	}
}

// waitForRoom waits, with turn released, while too much is under way: held
// sends, receipts that the broker has not completed, replies that the client
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

// handle carries out one frame. It returns the errors that end the connection.
func (c *conn) handle(f *frame) error {
	if c.log.Enabled(context.Background(), slog.LevelDebug) {
		c.log.Debug("frame received", "frame", f)
	}
	err := c.dispatch(f)
	if err == nil || errors.Is(err, errDisconnect) {
		return err
	}
	fault := toFault(err)
	if fault.fatal {
		return fault
	}
	id, asked := f.value(headerReceipt)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.postError(fault, id, asked)
	return nil
}

func (c *conn) dispatch(f *frame) error {
	if c.session == nil && f.command != cmdConnect {
		return badFrame("Send CONNECT or STOMP first.", "%s before CONNECT", f.command)
	}
	switch f.command {
	case cmdSend:
		return c.send(f)
	case cmdAck, cmdNack:
		return c.acknowledge(f)
	case cmdBegin:
		return c.begin(f)
	case cmdCommit:
		return c.commit(f)
	case cmdAbort:
		return c.abort(f)
	case cmdSubscribe:
		return c.subscribe(f)
	case cmdUnsubscribe:
		return c.unsubscribe(f)
	case cmdConnect:
		return c.connect(f)
	case cmdDisconnect:
		return c.disconnect(f)
	case cmdServer:
		return badFrame("Only servers send CONNECTED, MESSAGE, RECEIPT and ERROR.", "client sent a server's frame")
	case cmdUnknown, commandCount:
	}
	return refuse("Clients send CONNECT, STOMP, SEND, SUBSCRIBE, UNSUBSCRIBE, ACK, NACK, BEGIN, COMMIT, ABORT and DISCONNECT.",
		"unknown command %q", clip(f.commandLine()))
}

// alias returns p as a string that changes when p does: for look-ups and for
// message.New, which copies.
func alias(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }
