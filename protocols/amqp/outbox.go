package amqp

import (
	"sync"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// outbox is what waits for the writer, in order: deliveries, flows and
// dispositions, which the writer encodes, and frames that are encoded already.
type outbox struct {
	items   []outItem
	control []byte // the encoded frames, one behind the other
}

type outKind uint8

const (
	outMessage     outKind = iota
	outDrained             // a link's credit that was not used
	outFlow                // the state of a session, or of a link
	outUnpark              // a session may send again
	outDisposition         // deliveries from to to have an outcome
	outControl             // a part of outbox.control
	outLast                // nothing follows: the connection ends when this is written
)

type outItem struct {
	kind         outKind
	role         bool // of a disposition: the broker received the deliveries
	settled      bool // of a disposition
	redelivered  bool
	redeliveries uint32
	from, to     uint32 // in outbox.control, delivery ids; the unused credit is from
	sess         *session
	link         *link
	consumer     *broker.Consumer
	message      *message.Message
	tag          uint64
	state        *state   // of a disposition, nil: accepted
	rest         *partial // of a message that was begun
}

const (
	keepItems   = 1 << 10 // capacity up to which an outbox is used again
	keepControl = 64 << 10
)

var outboxes = sync.Pool{New: func() any { return new(outbox) }}

func (o *outbox) release() {
	if cap(o.items) > keepItems || cap(o.control) > keepControl {
		return
	}
	clear(o.items) // messages must not live on in the pool
	o.items, o.control = o.items[:0], o.control[:0]
	outboxes.Put(o)
}

// queued returns the outbox to append to. c.mu is held.
func (c *conn) queued() *outbox {
	if c.out == nil {
		c.out = outboxes.Get().(*outbox) //nolint:errcheck // the pool holds nothing else
	}
	return c.out
}

// post queues an item. c.mu is held.
func (c *conn) post(it outItem) {
	if c.broken || c.ending {
		return
	}
	o := c.queued()
	o.items = append(o.items, it)
	c.wake()
}

// wake starts the writer if none is running. c.mu is held.
func (c *conn) wake() {
	if !c.writing {
		c.writing = true
		go c.write()
	}
}

// postFrame queues a frame whose body fill appends. c.mu is held.
func (c *conn) postFrame(channel uint16, fill func([]byte) []byte) {
	if c.broken || c.ending {
		return
	}
	o := c.queued()
	from := len(o.control)
	o.control = endFrame(fill(beginFrame(o.control, frameAMQP, channel)), from)
	c.posted(o, from)
}

// postBytes queues what is encoded already.
func (c *conn) postBytes(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken || c.ending {
		return
	}
	o := c.queued()
	from := len(o.control)
	o.control = append(o.control, b...)
	c.posted(o, from)
}

// posted queues what was appended to o.control since from. c.mu is held.
func (c *conn) posted(o *outbox, from int) {
	o.items = append(o.items, outItem{kind: outControl, from: uint32(from), to: uint32(len(o.control))})
	if len(o.control) > maxReplyBytes {
		c.pressure.Store(true)
	}
	c.wake()
}

// postDisposition queues the outcome of one delivery. Those that follow each
// other go as one frame. c.mu is held.
func (c *conn) postDisposition(it outItem) {
	if c.broken || c.ending || it.sess.closed {
		return
	}
	o := c.queued()
	if n := len(o.items); n > 0 && it.state == nil {
		last := &o.items[n-1]
		if last.kind == outDisposition && last.sess == it.sess && last.role == it.role && last.settled == it.settled &&
			last.state == nil && last.to+1 == it.from {
			last.to = it.to
			return
		}
	}
	it.kind = outDisposition
	o.items = append(o.items, it)
	c.wake()
}

// postLast makes what is queued now the end. c.mu is held.
func (c *conn) postLast() {
	if c.broken || c.ending {
		return
	}
	c.ending = true
	c.changed.Broadcast()
	o := c.queued()
	o.items = append(o.items, outItem{kind: outLast})
	c.wake()
}

// linkOf returns what attach gave to the broker as Ref.
func linkOf(consumer *broker.Consumer) *link {
	return consumer.Ref.(*link) //nolint:errcheck // a connection's consumers have nothing else
}

// Deliver implements broker.Sink.
func (c *conn) Deliver(d broker.Delivery) {
	if d.BrowseEnd {
		return // a drain tells
	}
	l := linkOf(d.Consumer)
	c.mu.Lock()
	defer c.mu.Unlock()
	l.handed = d.Tag
	if c.leaving || l.closed {
		return // the broker gives it to somebody else when the consumer closes
	}
	c.post(outItem{
		kind: outMessage, link: l, consumer: d.Consumer, message: d.Message, tag: d.Tag,
		redelivered: d.Redelivered, redeliveries: d.Redeliveries,
	})
}

// Drained implements queue.Drainer.
func (c *conn) Drained(consumer *broker.Consumer, unused uint32) {
	l := linkOf(consumer)
	c.mu.Lock()
	defer c.mu.Unlock()
	l.skipped += unused
	if !l.closed {
		c.post(outItem{kind: outDrained, link: l, from: unused})
	}
}

// Resume implements broker.Sink: the broker takes sends again.
func (c *conn) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.resumers.Add(1)
	go c.resumeSends()
}

// Closed implements broker.Sink: the broker ended the session.
func (c *conn) Closed(err error) {
	f := toFault(err, endsConnection)
	f.condition = errConnectionForced
	c.kill(f)
}

// Revoked implements broker.SubscriptionSink: the user lost the right to a
// link's source.
func (c *conn) Revoked(consumer *broker.Consumer, err error) {
	l := linkOf(consumer)
	f := toFault(err, endsLink)
	c.mu.Lock()
	defer c.mu.Unlock()
	l.postDetach(true, f)
}

var (
	_ broker.Sink             = (*conn)(nil)
	_ broker.SubscriptionSink = (*conn)(nil)
	_ broker.Done             = (*conn)(nil)
)
