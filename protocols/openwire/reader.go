package openwire

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

const (
	readBuffer     = 64 << 10
	strangerBuffer = 2 << 10
)

// workspace is what the reader needs while there is input.
type workspace struct {
	buf        []byte
	start, end int    // of what was read and not decoded
	scratch    []byte // of the message being made
	pooled     bool
}

var workspaces = sync.Pool{New: func() any { return &workspace{buf: make([]byte, readBuffer), pooled: true} }}

// takeWork borrows a workspace. A client that has not authenticated gets a
// small one.
func (c *conn) takeWork() {
	switch {
	case c.work != nil:
	case c.state == stateConnected:
		c.work = workspaces.Get().(*workspace) //nolint:errcheck // the pool holds nothing else
	default:
		c.work = &workspace{buf: make([]byte, strangerBuffer)}
	}
}

func (c *conn) releaseWork() {
	w := c.work
	c.work = nil
	if w != nil && w.pooled && len(w.buf) == readBuffer && cap(w.scratch) <= readBuffer {
		w.start, w.end = 0, 0
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
		grown := make([]byte, min(2*len(w.buf), c.set.frame+4))
		copy(grown, w.buf)
		w.buf = grown
	}
	n, err := c.net.Read(w.buf[w.end:])
	w.end += n
	if n == 0 && err != nil {
		return err
	}
	t := time.Now()
	c.lastIn.Store(t.UnixNano())
	c.nowMs = t.UnixMilli()
	return nil
}

// process carries out all complete frames of the buffer.
func (c *conn) process() error {
	c.turn.Lock()
	defer c.turn.Unlock()
	for {
		if err := c.waitForRoom(); err != nil {
			return err
		}
		frame, err := c.next()
		if frame == nil || err != nil {
			return err
		}
		s, err := c.decoder.Decode(frame)
		if err != nil {
			return violation("a frame can't be read: %v", err)
		}
		if s == nil {
			continue // an empty command
		}
		if err := c.handle(s); err != nil {
			return err
		}
	}
}

// next returns the next frame without its size, nil if it isn't complete.
func (c *conn) next() ([]byte, error) {
	w := c.work
	if w.end-w.start < 4 {
		return nil, nil
	}
	size := int(int32(binary.BigEndian.Uint32(w.buf[w.start:])))
	if most := c.frameLimit(); size <= 0 || size > most {
		return nil, violation("a frame of %d bytes; %d are the most now", size, most)
	}
	if w.end-w.start-4 < size {
		return nil, nil
	}
	frame := w.buf[w.start+4 : w.start+4+size : w.start+4+size]
	w.start += 4 + size
	return frame, nil
}

func (c *conn) frameLimit() int {
	switch c.state {
	case stateNew:
		return firstFrame
	case stateNegotiated:
		return strangerFrame
	case stateConnected:
	}
	return c.set.frame
}

// waitForRoom waits, with turn released, while too much is under way.
func (c *conn) waitForRoom() error {
	for c.pressed() || c.held.Full(maxHeldSends, maxHeldBytes) {
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

// pressed reports whether the client should read its answers first.
func (c *conn) pressed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.room = false
	return c.unfinished > maxUnfinished || c.out != nil && c.out.replies > maxReplies
}

func (c *conn) awaitRoom() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.room && !c.broken && !c.ending {
		c.changed.Wait()
	}
	if c.broken || c.ending {
		return errGone
	}
	return nil
}

// makeRoom tells the reader to look again. c.mu is held.
func (c *conn) makeRoom() {
	c.room = true
	c.changed.Broadcast()
}

// handle carries out one command. It returns the errors that end the
// connection.
func (c *conn) handle(s wire.Structure) error {
	if info, ok := s.(*wire.WireFormatInfo); ok {
		return c.wireFormat(info)
	}
	cmd, ok := s.(wire.Command)
	if !ok || c.state == stateNew {
		return violation("%s can't be sent here", s.StructureType())
	}
	if c.state == stateNegotiated && !fromStrangers(s) {
		return violation("%s before ConnectionInfo", s.StructureType())
	}
	base := cmd.Base()
	answered, err := c.dispatch(s)
	switch {
	case err == nil && (answered || !base.ResponseRequired):
		return nil
	case err == nil:
		c.respond(base.CommandID)
		return nil
	}
	return c.failed(base, err)
}

// fromStrangers reports whether a client may send s before its ConnectionInfo.
func fromStrangers(s wire.Structure) bool {
	switch s.(type) {
	case *wire.ConnectionInfo, *wire.KeepAliveInfo, *wire.BrokerInfo, *wire.ConnectionControl, *wire.ShutdownInfo:
		return true
	}
	return false
}

// dispatch carries out a command. answered says that the response comes by
// itself.
func (c *conn) dispatch(s wire.Structure) (answered bool, err error) {
	switch x := s.(type) {
	case *wire.MessageAck:
		return c.acknowledge(x)
	case *wire.ConnectionInfo:
		return c.connect(x)
	case *wire.SessionInfo:
		return false, c.addSession(x)
	case *wire.ProducerInfo:
		return false, c.addProducer(x)
	case *wire.ConsumerInfo:
		return c.addConsumer(x)
	case *wire.RemoveInfo:
		return c.remove(x)
	case *wire.TransactionInfo:
		return c.transaction(x)
	case *wire.DestinationInfo:
		return false, c.destination(x)
	case *wire.RemoveSubscriptionInfo:
		return false, c.removeSubscription(x)
	case *wire.MessagePull:
		c.pull(x)
		return false, nil
	case *wire.ConsumerControl:
		c.controlConsumer(x)
		return false, nil
	case *wire.KeepAliveInfo:
		c.keptAlive(x)
		return true, nil
	case *wire.ShutdownInfo:
		return true, errShutdown
	case *wire.BrokerInfo:
		return false, c.brokerInfo(x)
	case *wire.ConnectionControl:
		c.client.faultTolerant = c.client.faultTolerant || x.FaultTolerant
		return false, nil
	case wire.Message:
		return c.send(x)
	case *wire.ControlCommand, *wire.FlushCommand, *wire.MessageDispatchNotification, *wire.ReplayCommand,
		*wire.ProducerAck, *wire.MessageDispatch, *wire.Response, *wire.ExceptionResponse, *wire.DataResponse,
		*wire.DataArrayResponse, *wire.IntegerResponse, *wire.ConnectionError, *wire.BrokerSubscriptionInfo:
		return false, nil // of no use from a client, and of no effect
	}
	return false, fmt.Errorf("%w: %s", errUnexpected, s.StructureType())
}

var errUnexpected = violation("the command is for stores and discovery, not for connections")

// failed tells the client what became of a command that it may not wait for.
func (c *conn) failed(base *wire.BaseCommand, err error) error {
	if err == errShutdown { //nolint:errorlint // dispatch's own
		return err
	}
	e := toException(err)
	if e.fatal {
		return e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queueFailure(base.CommandID, base.ResponseRequired, e)
	return nil
}
