package stomp

import "github.com/entrepot-mq/entrepot/core/broker"

// noReceipt is the token of operations whose success nobody asked for.
const noReceipt = ^uint64(0)

const (
	keepReceipts  = 16  // slots that an idle connection keeps
	keepReceiptID = 256 // bytes of an id that a slot keeps for the next one
)

// receipts are the receipt ids of operations that the broker has not
// completed, in a ring indexed by token. Slots keep their memory, so that a
// receipt costs no allocation.
type receipts struct {
	slots      []pendingReceipt // length is a power of two
	head, tail uint64           // tokens from head up to tail are in use
}

type pendingReceipt struct {
	id         []byte
	pending    bool
	asked      bool // the client wants a RECEIPT; otherwise only errors matter
	disconnect bool // everything before DISCONNECT is completed with it
}

func (r *receipts) len() int { return int(r.tail - r.head) }

func (r *receipts) add(id []byte, asked, disconnect bool) uint64 {
	if r.len() == len(r.slots) {
		r.grow()
	}
	token := r.tail
	r.tail++
	s := &r.slots[token&uint64(len(r.slots)-1)]
	s.id = append(s.id[:0], id...)
	s.pending, s.asked, s.disconnect = true, asked, disconnect
	return token
}

func (r *receipts) grow() {
	slots := make([]pendingReceipt, max(4, 2*len(r.slots)))
	for t := r.head; t != r.tail; t++ {
		slots[t&uint64(len(slots)-1)] = r.slots[t&uint64(len(r.slots)-1)]
	}
	r.slots = slots
}

// take ends the wait for token. The slot's content is valid until the next add.
func (r *receipts) take(token uint64) *pendingReceipt {
	if token-r.head >= r.tail-r.head {
		return nil
	}
	s := &r.slots[token&uint64(len(r.slots)-1)]
	if !s.pending {
		return nil
	}
	s.pending = false
	for r.head != r.tail && !r.slots[r.head&uint64(len(r.slots)-1)].pending {
		r.head++
	}
	return s
}

// shrink gives memory back when a connection falls idle.
func (r *receipts) shrink() {
	if r.len() == 0 && len(r.slots) > keepReceipts {
		r.slots = nil
	}
}

// expect notes what to answer when an operation for f completes.
func (c *conn) expect(f *frame) uint64 {
	id, ok := f.value(headerReceipt)
	if !ok {
		return noReceipt
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	token := c.receipts.add(id, true, false)
	if c.receipts.len() >= maxReceipts {
		c.pressure.Store(true)
	}
	return token
}

// receipt answers f at once.
func (c *conn) receipt(f *frame) {
	id, ok := f.value(headerReceipt)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.postReceipt(id)
}

// postReceipt queues a RECEIPT. c.mu is held.
func (c *conn) postReceipt(id []byte) {
	if c.broken || c.ending {
		return
	}
	o := c.queued()
	from := len(o.control)
	o.control = appendReceipt(o.control, id, c.version)
	c.posted(o, from)
}

// Complete implements broker.Done: RECEIPT or ERROR for an operation.
func (c *conn) Complete(token uint64, err error) {
	if token == noReceipt && err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var answer pendingReceipt
	if token != noReceipt {
		s := c.receipts.take(token)
		if s == nil {
			return
		}
		answer = *s
		if cap(s.id) > keepReceiptID {
			s.id = nil
		}
		if c.receipts.len() <= maxReceipts/2 {
			c.relieve()
		}
	}
	switch {
	case err != nil:
		c.postError(toFault(err), answer.id, answer.asked)
	case answer.asked:
		c.postReceipt(answer.id)
	}
	if answer.disconnect {
		c.synced = true
		c.changed.Broadcast()
	}
}

// postError queues an ERROR frame, with the receipt's id if one was asked for.
// c.mu is held.
func (c *conn) postError(f *fault, id []byte, asked bool) {
	if c.broken || c.ending {
		return
	}
	c.front.metrics.errors.Add(1)
	o := c.queued()
	from := len(o.control)
	o.control = appendError(o.control, f, id, asked, c.version)
	c.posted(o, from)
}

var _ broker.Done = (*conn)(nil)
