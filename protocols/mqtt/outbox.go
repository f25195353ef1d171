package mqtt

import (
	"sync"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// outbox is what waits for the writer, in order: deliveries, which the writer
// encodes, and packets of the broker's own, which are encoded already.
type outbox struct {
	items   []outItem
	control []byte // the encoded packets, one behind the other
}

type outKind uint8

const (
	outMessage outKind = iota
	outControl         // a part of outbox.control
	outLast            // nothing follows: the connection ends when this is written
	outNothing         // was a delivery that is not to be written now
	outSettled         // is a delivery that comes by another way, too
)

type outItem struct {
	kind        outKind
	redelivered bool
	qos         byte
	through     bool   // settling it settles what came before it
	ready       bool   // qos, id and grant are set
	id          uint16 // packet identifier
	from, to    uint32 // in outbox.control
	source      *source
	message     *message.Message
	tag, pos    uint64
	grant       *grant
}

const (
	keepItems   = directWindow // capacity up to which an outbox is used again
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

// post queues the packets that encode appends. c.mu is held.
func (c *conn) post(encode func([]byte) []byte) {
	if c.broken || c.ending {
		return
	}
	o := c.queued()
	from := len(o.control)
	o.control = encode(o.control)
	c.posted(o, from)
}

// posted queues what was appended to o.control since from. c.mu is held.
func (c *conn) posted(o *outbox, from int) {
	if n := len(o.items); n > 0 && o.items[n-1].kind == outControl {
		o.items[n-1].to = uint32(len(o.control))
	} else {
		o.items = append(o.items, outItem{kind: outControl, from: uint32(from), to: uint32(len(o.control))})
	}
	if len(o.control) > maxReplyBytes {
		c.pressure.Store(true)
	}
	c.wake()
}

// postAck queues an acknowledgement. c.mu is held.
func (c *conn) postAck(k packetType, id uint16, r reason, text string) {
	if c.broken || c.ending {
		return
	}
	if !c.terms.withText {
		text = "" // [MQTT-3.1.2-29]
	}
	o := c.queued()
	from := len(o.control)
	o.control = appendAck(o.control, k, id, r, clip(text), c.version)
	c.posted(o, from)
}

// postFault tells the client why the connection ends, if its version has a way
// to say it [MQTT-4.13.1-1] [MQTT-4.13.2-1] [MQTT-3.14.0-1]. c.mu is held.
func (c *conn) postFault(f *fault) {
	switch {
	case c.session == nil:
		c.postRefusal(f)
	case c.version == v5:
		c.post(func(b []byte) []byte { return appendDisconnect(b, f, true) })
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

// Deliver implements broker.Sink.
func (c *conn) Deliver(d broker.Delivery) {
	src := d.Consumer.Ref.(*source) //nolint:errcheck // a connection's consumers have nothing else
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken || c.ending || c.leaving || src.closed {
		return // the broker keeps it, or gives it to somebody else, when the consumer closes
	}
	it := outItem{kind: outMessage, source: src, message: d.Message, tag: d.Tag, pos: d.Pos, redelivered: d.Redelivered}
	if c.deferring {
		c.deferred = append(c.deferred, it)
		return
	}
	o := c.queued()
	o.items = append(o.items, it)
	c.wake()
}

// deferDeliveries keeps deliveries back until undefer, so that the answer to a
// SUBSCRIBE goes out before what topics remember.
func (c *conn) deferDeliveries() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deferring = true
}

// undefer queues what was kept back. c.mu is held.
func (c *conn) undefer() {
	c.deferring = false
	if len(c.deferred) == 0 {
		return
	}
	o := c.queued()
	o.items = append(o.items, c.deferred...)
	c.deferred = nil
	c.wake()
}

// hand decides for each delivery in o what becomes of it: it is written, with a
// packet identifier if it is to be acknowledged, or parked until others are, or
// the client is not to get it any more. c.mu is held.
func (c *conn) hand(o *outbox) {
	for i := range o.items {
		it := &o.items[i]
		if it.kind != outMessage || it.ready {
			continue
		}
		if it.source.closed || c.leaving {
			it.kind, it.message = outNothing, nil
			continue
		}
		c.grade(it)
		if it.grant.queued && !it.source.stored && !remembered(it.message) {
			it.kind, it.qos = outSettled, 0 // the session's queue has it
		}
		if it.qos == 0 {
			it.through = it.source.open == 0
			continue
		}
		it.source.open++
		if len(c.parked) > 0 || !c.launch(it) {
			c.parked = append(c.parked, *it)
			it.kind, it.message = outNothing, nil
		}
	}
}

// grade finds the quality of service that a delivery has: the lower one of the
// message's and the subscription's [MQTT-3.8.4-8].
func (c *conn) grade(it *outItem) {
	it.ready = true
	it.grant = c.subs.grant(it.source, it.message)
	it.qos = min(qosOf(it.message), it.grant.qos)
}

// launch gives a delivery its packet identifier. It reports false if it has to
// wait: the client takes no more at a time [MQTT-4.9.0-2] [MQTT-3.3.4-9], or the
// identifier is still in use [MQTT-2.2.1-4]. c.mu is held.
func (c *conn) launch(it *outItem) bool {
	if c.flight.n >= c.terms.receiveMaximum {
		return false
	}
	if it.source.stored {
		if it.id = identifierOf(it.pos); c.flight.find(it.id) != nil {
			return false
		}
	} else {
		it.id = c.flight.fresh()
	}
	d := flying{id: it.id, source: it.source, tag: it.tag}
	if it.qos == 2 {
		d.stage = stagePubrec
	}
	c.flight.add(d)
	return true
}

// unpark sends what waited for the delivery that has ended now. c.mu is held.
func (c *conn) unpark() {
	n := 0
	for n < len(c.parked) && c.launch(&c.parked[n]) {
		n++
	}
	if n == 0 || c.broken || c.ending || c.leaving {
		return
	}
	o := c.queued()
	o.items = append(o.items, c.parked[:n]...)
	if n == len(c.parked) {
		c.parked = nil
	} else {
		c.parked = append(c.parked[:0], c.parked[n:]...)
	}
	c.wake()
}

// Closed implements broker.Sink: the broker ended the session.
func (c *conn) Closed(err error) { c.kill(closing(err)) }

// closing says why the broker ends a connection.
func closing(err error) *fault {
	f := *toFault(err)
	switch broker.CodeOf(err) { //nolint:exhaustive // the others end no session
	case broker.CodeUnavailable:
		f.reason = serverShuttingDown
	case broker.CodeState:
		f.reason = administrativeAction
	case broker.CodeUnauthorized:
		f.reason = notAuthorized
	}
	return &f
}

// kill ends the connection from outside the reader. A client of MQTT 5 is told
// why.
func (c *conn) kill(f *fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version == v5 {
		c.post(func(b []byte) []byte { return appendDisconnect(b, f, true) })
	}
	c.postLast()
}
