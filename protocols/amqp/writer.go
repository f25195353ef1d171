package amqp

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
)

const (
	writeBuffer = 64 << 10
	flushSize   = writeBuffer - writeBuffer/8 // filled to here, a buffer is written
	// writeChunk is what has to be written within the write timeout: a slow
	// client may take its time for a large message as long as it goes on.
	writeChunk = 128 << 10
)

var writeBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, writeBuffer)
	return &b
}}

// writer encodes and writes while there is something to write.
type writer struct {
	c   *conn
	buf []byte
	out renderer
	tag [8]byte
	now int64 // of the outbox that is being sent, in ms
	// unsent are the consumers of settled deliveries in buf, and the last of
	// them: settled when the write has returned.
	unsent    []writtenTo
	delivered uint64
}

type writtenTo struct {
	consumer *broker.Consumer
	tag      uint64
}

// write is the writer's goroutine. It ends when the outbox is empty.
func (c *conn) write() {
	defer c.writerEnds()
	defer c.guard("writer")
	pooled := writeBuffers.Get().(*[]byte) //nolint:errcheck // the pool holds nothing else
	w := writer{c: c, buf: (*pooled)[:0], out: renderer{converters: c.front.opts.Converters, names: c.set.names}}
	for {
		o := c.takeOutbox()
		if o == nil {
			break
		}
		w.now = time.Now().UnixMilli()
		err := w.send(o)
		o.release()
		if err != nil {
			c.writeFailed(err)
			break
		}
	}
	if cap(w.buf) <= 2*writeBuffer {
		*pooled = w.buf[:0]
		writeBuffers.Put(pooled)
	}
}

// takeOutbox returns what is queued, or nil if the writer should end.
func (c *conn) takeOutbox() *outbox {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.out
	if o == nil || c.broken {
		c.writing = false // under the same lock: what is queued next starts a writer
		c.changed.Broadcast()
		return nil
	}
	c.out = nil
	c.relieve()
	return o
}

// writerEnds is for the ways out that did not go through takeOutbox.
func (c *conn) writerEnds() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		c.writing = false
		c.changed.Broadcast()
	}
}

func (c *conn) writeFailed(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.log.Warn("client does not read; connection closed", "timeout", c.set.writeTimeout)
	} else if !errors.Is(err, net.ErrClosed) {
		c.log.Debug("write failed", "err", err)
	}
	c.fail()
}

// send encodes and writes everything in o.
func (w *writer) send(o *outbox) error {
	last := false
	for i := range o.items {
		it := &o.items[i]
		if it.kind == outControl {
			w.buf = append(w.buf, o.control[it.from:it.to]...)
		} else if err := w.encode(it); err != nil {
			return err
		}
		if err := w.flushAbove(flushSize); err != nil {
			return err
		}
		last = last || it.kind == outLast
	}
	if err := w.flush(); err != nil {
		return err
	}
	if last {
		// The reader may sit in a read: this ends it, and it says goodbye.
		return w.c.net.SetReadDeadline(time.Unix(1, 0))
	}
	return nil
}

func (w *writer) encode(it *outItem) error {
	switch it.kind {
	case outMessage:
		return w.message(it)
	case outDrained:
		if s := it.link.sess; len(s.parked) > 0 {
			s.parked = append(s.parked, *it) // behind the deliveries before it
			return nil
		}
		it.link.deliveryCount.Add(it.from)
		w.flow(it.link.sess, it.link, true)
	case outFlow:
		w.flow(it.sess, it.link, false)
	case outUnpark:
		return w.unpark(it.sess)
	case outDisposition:
		w.disposition(it)
	case outControl, outLast:
	}
	return nil
}

func (w *writer) disposition(it *outItem) {
	start := len(w.buf)
	d := disposition{role: it.role, first: it.from, settled: it.settled}
	if it.to != it.from {
		d.last = some(it.to)
	}
	if d.state.kind = stateAccepted; it.state != nil {
		d.state = *it.state
	}
	w.buf = endFrame(d.append(beginFrame(w.buf, frameAMQP, it.sess.channel)), start)
}

// flow writes the state of a session, and of a link.
func (w *writer) flow(s *session, l *link, drained bool) {
	f := s.flowFrame()
	if l != nil {
		count := l.deliveryCount.Load()
		f.handle, f.deliveryCount = some(l.handle), some(count)
		credit := l.limit.Load() - count
		if int32(credit) < 0 || drained {
			credit = 0
		}
		f.linkCredit, f.drain = some(credit), drained
	}
	w.c.mu.Lock()
	gone := s.closed || l != nil && l.closed
	w.c.mu.Unlock()
	if gone {
		return
	}
	start := len(w.buf)
	w.buf = endFrame(f.append(beginFrame(w.buf, frameAMQP, s.channel)), start)
}

func (w *writer) flushAbove(n int) error {
	if len(w.buf) < n {
		return nil
	}
	return w.flush()
}

// flush writes what is buffered and settles what has been written.
func (w *writer) flush() error {
	for rest := w.buf; len(rest) > 0; {
		chunk := rest[:min(len(rest), writeChunk)]
		rest = rest[len(chunk):]
		if t := w.c.set.writeTimeout; t > 0 {
			if err := w.c.net.SetWriteDeadline(time.Now().Add(t)); err != nil {
				return err
			}
		}
		n, err := w.c.net.Write(chunk)
		w.c.lastOut.Store(now())
		w.c.front.metrics.sentBytes.Add(uint64(n))
		if err != nil {
			return err
		}
	}
	w.buf = w.buf[:0]
	w.settle()
	return nil
}

// settle accepts the settled deliveries that have been written.
func (w *writer) settle() {
	for i, u := range w.unsent {
		_ = u.consumer.SettleThrough(u.tag, broker.Accepted, nil, 0) // its link may have ended meanwhile
		w.unsent[i] = writtenTo{}
	}
	w.unsent = w.unsent[:0]
	if w.delivered > 0 {
		w.c.front.metrics.delivered.Add(w.delivered)
		w.delivered = 0
	}
}

// note remembers to settle a delivery.
func (w *writer) note(consumer *broker.Consumer, tag uint64) {
	for i := range w.unsent {
		if w.unsent[i].consumer == consumer {
			w.unsent[i].tag = tag
			return
		}
	}
	w.unsent = append(w.unsent, writtenTo{consumer, tag})
}
