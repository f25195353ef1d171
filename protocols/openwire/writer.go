package openwire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
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
	c       *conn
	buf     []byte
	encoder *wire.Encoder
	made    dispatches
}

// write is the writer's goroutine. It ends when the outbox is empty.
func (c *conn) write() {
	defer c.writerEnds()
	defer c.guard("writer")
	pooled := writeBuffers.Get().(*[]byte) //nolint:errcheck // the pool holds nothing else
	w := writer{c: c, buf: (*pooled)[:0]}
	for {
		var o *outbox
		if o, w.encoder = c.takeOutbox(); o == nil {
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
func (c *conn) takeOutbox() (*outbox, *wire.Encoder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.out
	if o == nil || c.broken {
		c.writing = false // under the same lock: what is queued next starts a writer
		c.changed.Broadcast()
		return nil, nil
	}
	c.out = nil
	if o.replies > maxReplies {
		c.makeRoom()
	}
	return o, c.encoder
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
		last = last || it.last
		if it.last {
			continue
		}
		if err := w.encode(it); err != nil {
			return err
		}
		if len(w.buf) >= flushSize {
			if err := w.flush(); err != nil {
				return err
			}
		}
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

func (w *writer) encode(it *outItem) (err error) {
	s := it.structure
	if s == nil {
		s = w.dispatch(it)
	}
	if _, ok := s.(*wire.WireFormatInfo); ok {
		w.buf, err = wire.NewEncoder(wire.Format{}).Append(w.buf, s)
	} else {
		w.buf, err = w.encoder.Append(w.buf, s)
	}
	if err != nil {
		return fmt.Errorf("encode %s: %w", s.StructureType(), err)
	}
	return nil
}

func (w *writer) flush() error {
	for rest := w.buf; len(rest) > 0; {
		chunk := rest[:min(len(rest), writeChunk)]
		rest = rest[len(chunk):]
		if w.c.set.writeTimeout > 0 {
			if err := w.c.net.SetWriteDeadline(time.Now().Add(w.c.set.writeTimeout)); err != nil {
				return err
			}
		}
		if _, err := w.c.net.Write(chunk); err != nil {
			return err
		}
		w.c.lastOut.Store(now())
	}
	w.buf = w.buf[:0]
	return nil
}
