package mqtt

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
)

const (
	readBuffer     = 64 << 10
	strangerBuffer = 1 << 10 // before CONNECT: most CONNECT packets fit

	keepScratch = 8 << 10 // capacity up to which a workspace's slices are used again
)

// workspace is what the reader needs while there is input.
type workspace struct {
	buf        []byte
	start, end int // of what was read and not decoded
	need       int // bytes of the packet at start, as far as they are known
	publish    publishPacket
	topic      []byte // that came last; empty if it was none
	name       []byte // of that topic, in the broker's notation
	reply      []byte // of the response topic
	props      []byte // that go to subscribers
	envelope   message.Envelope
	pooled     bool
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
	w.envelope, w.publish = message.Envelope{}, publishPacket{} // they point into w.buf
	if w.pooled && len(w.buf) == readBuffer && cap(w.topic)+cap(w.name)+cap(w.reply)+cap(w.props) <= keepScratch {
		w.start, w.end, w.need = 0, 0, 0
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
// never because a packet announces many.
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

// grow doubles the buffer, or makes it as large as the packet if that is less.
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

// process carries out all complete packets of the buffer.
func (c *conn) process() error {
	c.turn.Lock()
	defer c.turn.Unlock()
	w := c.work
	packets := uint64(0)
	defer func() { c.front.metrics.packets.Add(packets) }()
	for {
		if err := c.waitForRoom(); err != nil {
			return err
		}
		limit := c.set.packet
		if c.session == nil {
			limit = min(limit, strangerPacket)
		}
		p, n, need, err := nextPacket(w.buf[w.start:w.end], limit)
		if err != nil {
			return err
		}
		if w.need = need; n == 0 {
			return nil
		}
		w.start += n
		packets++
		if err := c.handle(p); err != nil {
			return err
		}
	}
}

// waitForRoom waits, with turn released, while too much is under way: held
// sends, publishes that the broker has not completed, replies that the client
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

// handle carries out one packet. It returns the errors that end the
// connection.
func (c *conn) handle(p packet) error {
	if c.log.Enabled(context.Background(), slog.LevelDebug) {
		c.log.Debug("packet received", "packet", p)
	}
	if c.session == nil {
		switch {
		case c.auth != nil:
			return c.authenticating(p)
		case p.kind == typeConnect:
			return c.connect(p)
		}
		return violation("%v before CONNECT", p.kind) // [MQTT-3.1.0-1]
	}
	switch p.kind {
	case typePublish:
		return c.publish(p)
	case typePuback, typePubrec, typePubrel, typePubcomp:
		return c.acknowledge(p)
	case typeSubscribe:
		return c.subscribe(p)
	case typeUnsubscribe:
		return c.unsubscribe(p)
	case typePingreq:
		return c.ping(p)
	case typeDisconnect:
		return c.disconnect(p)
	case typeAuth:
		return c.authenticateAgain(p)
	case typeConnect:
		return violation("CONNECT came twice") // [MQTT-3.1.0-2]
	case typeConnack, typeSuback, typeUnsuback, typePingresp, typeReserved:
	}
	return violation("%v is a server's packet", p.kind)
}
