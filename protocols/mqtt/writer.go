package mqtt

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
	// ownWrite is the size from which a payload is written from where it lies
	// instead of being copied.
	ownWrite = 32 << 10
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
	// unsent are the deliveries of QoS 0 in buf or handed to the transport:
	// settled when the write has returned.
	unsent    []written
	delivered uint64
	dropped   uint64
	buffered  int // bytes that a message transport buffers
}

type written struct {
	consumer *broker.Consumer
	tag      uint64
	through  bool
}

// write is the writer's goroutine. It ends when the outbox is empty.
func (c *conn) write() {
	defer c.writerEnds()
	defer c.guard("writer")
	pooled := writeBuffers.Get().(*[]byte) //nolint:errcheck // the pool holds nothing else
	w := writer{c: c, buf: (*pooled)[:0]}
	for {
		o := c.takeOutbox()
		if o == nil {
			break
		}
		err := w.send(o)
		o.release()
		if err != nil {
			c.writeFailed(err)
			break
		}
	}
	if cap(w.buf) == writeBuffer {
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
	c.hand(o)
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
		if err := w.encode(o, &o.items[i]); err != nil {
			return err
		}
		last = last || o.items[i].kind == outLast
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

func (w *writer) encode(o *outbox, it *outItem) error {
	switch it.kind {
	case outNothing, outLast:
		return nil
	case outControl:
		w.buf = append(w.buf, o.control[it.from:it.to]...)
		if w.c.messages != nil {
			return w.sendMessage()
		}
		return w.flushAbove(flushSize)
	case outSettled:
		w.note(it)
		return nil
	case outMessage:
	}
	var payload []byte
	var fits bool
	w.buf, payload, fits = w.c.appendPublish(w.buf, it)
	if it.qos == 0 {
		w.note(it)
	}
	if !fits {
		w.dropped++
		if it.qos > 0 {
			w.c.skip(it.id)
		}
		return nil
	}
	w.delivered++
	if w.c.messages == nil && len(payload) >= ownWrite {
		return w.flushAround(payload)
	}
	w.buf = append(w.buf, payload...)
	if w.c.messages != nil {
		return w.sendMessage()
	}
	return w.flushAbove(flushSize)
}

// note remembers to settle a delivery of QoS 0.
func (w *writer) note(it *outItem) {
	if it.through {
		for i := range w.unsent {
			if u := &w.unsent[i]; u.consumer == it.source.consumer && u.through {
				u.tag = it.tag
				return
			}
		}
	}
	w.unsent = append(w.unsent, written{it.source.consumer, it.tag, it.through})
}

func (w *writer) flushAbove(n int) error {
	if len(w.buf) < n {
		return nil
	}
	return w.flush()
}

// flushAround writes what is buffered and then payload, without a copy.
// Nothing is settled yet.
func (w *writer) flushAround(payload []byte) error {
	if err := w.deadline(); err != nil {
		return err
	}
	first := payload[:min(len(payload), writeChunk)]
	both := net.Buffers{w.buf, first}
	n, err := w.c.net.WriteBuffers(&both)
	w.wrote(int(n))
	w.buf = w.buf[:0]
	for rest := payload[len(first):]; len(rest) > 0 && err == nil; {
		chunk := rest[:min(len(rest), writeChunk)]
		rest = rest[len(chunk):]
		err = w.writeAll(chunk)
	}
	return err
}

// flush writes what is buffered and settles what has been written.
func (w *writer) flush() error {
	if w.c.messages != nil {
		if w.buffered > 0 {
			if err := w.deadline(); err != nil {
				return err
			}
			if err := w.c.messages.Flush(); err != nil {
				return err
			}
			w.wrote(w.buffered)
			w.buffered = 0
		}
	} else if len(w.buf) > 0 {
		if err := w.writeAll(w.buf); err != nil {
			return err
		}
		w.buf = w.buf[:0]
	}
	w.settle()
	return nil
}

func (w *writer) writeAll(p []byte) error {
	if err := w.deadline(); err != nil {
		return err
	}
	n, err := w.c.net.Write(p)
	w.wrote(n)
	return err
}

func (w *writer) deadline() error {
	if w.c.set.writeTimeout == 0 {
		return nil
	}
	return w.c.net.SetWriteDeadline(time.Now().Add(w.c.set.writeTimeout))
}

func (w *writer) wrote(n int) { w.c.front.metrics.sentBytes.Add(uint64(n)) }

// settle accepts the deliveries of QoS 0 that have been written. Those of a
// subscription that has ended meanwhile are settled already.
func (w *writer) settle() {
	for i, u := range w.unsent {
		if u.through {
			_ = u.consumer.SettleThrough(u.tag, broker.Accepted, nil, 0)
		} else {
			_ = u.consumer.Settle(u.tag, broker.Accepted, nil, 0)
		}
		w.unsent[i] = written{}
	}
	w.unsent = w.unsent[:0]
	if w.delivered > 0 {
		w.c.front.metrics.delivered.Add(w.delivered)
		w.delivered = 0
	}
	if w.dropped > 0 {
		w.c.front.metrics.dropped.Add(w.dropped)
		w.dropped = 0
	}
}

// sendMessage sends the packets in w.buf as one binary message of the
// transport [MQTT-6.0.0-1].
func (w *writer) sendMessage() error {
	p := w.buf
	w.buf = w.buf[:0]
	if err := w.deadline(); err != nil {
		return err
	}
	if err := w.c.messages.WriteMessage(p, false); err != nil {
		return err
	}
	w.buffered += len(p)
	if w.buffered >= flushSize {
		return w.flush()
	}
	return nil
}
