package stomp

import (
	"sync"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// outbox is what waits for the writer, in order: deliveries, which the writer
// encodes, and frames of the server's own, which are encoded already.
type outbox struct {
	items   []outItem
	control []byte // the encoded frames, one behind the other
}

type outKind uint8

const (
	outMessage outKind = iota
	outEnd             // the end of a browser's messages
	outControl         // a part of outbox.control
	outLast            // nothing follows: the connection ends when this is written
	outNothing         // was a delivery that the client is not to get any more
)

type outItem struct {
	kind         outKind
	redelivered  bool
	groupFirst   bool
	redeliveries uint32
	from, to     uint32 // in outbox.control
	consumer     *broker.Consumer
	message      *message.Message
	tag          uint64
	at           *message.Destination // see broker.Delivery
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

// wake starts the writer if none is running. c.mu is held.
func (c *conn) wake() {
	if !c.writing {
		c.writing = true
		go c.write()
	}
}

// posted queues what was appended to o.control since from. c.mu is held.
func (c *conn) posted(o *outbox, from int) {
	o.items = append(o.items, outItem{kind: outControl, from: uint32(from), to: uint32(len(o.control))})
	if len(o.control) > maxReplyBytes {
		c.pressure.Store(true)
	}
	c.wake()
}

// hand counts the deliveries in o as handed over, or takes them out if the
// client is not to get them any more. c.mu is held.
func (c *conn) hand(o *outbox) {
	for i := range o.items {
		it := &o.items[i]
		if it.kind != outMessage && it.kind != outEnd {
			continue
		}
		sub := subscriptionOf(it.consumer)
		if sub.closed || c.leaving {
			it.kind, it.message = outNothing, nil
		} else if it.kind == outMessage {
			sub.handed = it.tag
		}
	}
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

// subscriptionOf returns what subscribe gave to the broker as Ref.
func subscriptionOf(consumer *broker.Consumer) *subscription {
	return consumer.Ref.(*subscription) //nolint:errcheck // a connection's consumers have nothing else
}

// Deliver implements broker.Sink.
func (c *conn) Deliver(d broker.Delivery) {
	sub := subscriptionOf(d.Consumer)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken || c.ending || c.leaving || sub.closed {
		return // the broker gives it to somebody else when the consumer closes
	}
	o := c.queued()
	item := outItem{
		kind: outMessage, consumer: d.Consumer, message: d.Message, tag: d.Tag,
		redelivered: d.Redelivered, redeliveries: d.Redeliveries, at: d.At, groupFirst: d.GroupFirst,
	}
	if d.BrowseEnd {
		item.kind = outEnd
	}
	o.items = append(o.items, item)
	if sub.tracked && !d.BrowseEnd {
		sub.unsettled.add(d.Tag, d.Message)
	}
	c.wake()
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
	c.kill(toFault(err))
}

// kill ends the connection from outside the reader, with an ERROR frame.
func (c *conn) kill(f *fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.postError(f, nil, false)
	c.postLast()
}
