package openwire

import (
	"sync"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// outbox is what waits for the writer, in order.
type outbox struct {
	items   []outItem
	replies int // items that are not deliveries
}

// outItem is a delivery or a command of the broker's.
type outItem struct {
	structure wire.Structure // nil for a delivery

	consumer     *consumer
	message      *message.Message     // nil: nothing (more) is there for a pull or a browser
	at           *message.Destination // where it waited, if that is not its destination
	redeliveries uint32
	groupFirst   bool // the consumer begins with the message's group
	last         bool // nothing follows: the connection ends when this is written
}

const keepItems = 1 << 10 // capacity up to which an outbox is used again

var outboxes = sync.Pool{New: func() any { return new(outbox) }}

func (o *outbox) release() {
	if cap(o.items) > keepItems {
		return
	}
	clear(o.items) // messages must not live on in the pool
	o.items, o.replies = o.items[:0], 0
	outboxes.Put(o)
}

// queue appends an item and wakes the writer. c.mu is held.
func (c *conn) queue(item outItem) {
	if c.broken || c.ending {
		return
	}
	if c.out == nil {
		c.out = outboxes.Get().(*outbox) //nolint:errcheck // the pool holds nothing else
	}
	c.out.items = append(c.out.items, item)
	if item.structure != nil {
		c.out.replies++
	}
	if !c.writing {
		c.writing = true
		go c.write()
	}
}

// queueLast makes what is queued now the end. c.mu is held.
func (c *conn) queueLast() {
	c.queue(outItem{last: true})
	c.ending = true
	c.changed.Broadcast()
}

// post queues a command.
func (c *conn) post(s wire.Structure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue(outItem{structure: s})
}

// respond answers a command that succeeded.
func (c *conn) respond(commandID int32) { c.post(&wire.Response{CorrelationID: commandID}) }

// queueFailure answers a command that failed. c.mu is held.
func (c *conn) queueFailure(commandID int32, asked bool, e *exception) {
	if !asked {
		c.queue(outItem{structure: &wire.ConnectionError{Exception: e.throwable()}})
		return
	}
	x := &wire.ExceptionResponse{Exception: e.throwable()}
	x.CorrelationID = commandID
	c.queue(outItem{structure: x})
}

// Tokens by which the broker completes operations. What is in a token needs no
// memory while the operation is under way.
const (
	tokenSilent   = 0       // nobody waits; only an error is told
	tokenResponse = 1 << 63 // the command's id is in the low bits
	tokenWindow   = 1 << 62 // a send of a producer with a window: its number and the send's size
	tokenCommit   = 1 << 61 // the number of a transaction in c.committing

	windowBits = 36 // of the size in a tokenWindow
)

// expect returns the token for a command.
func (c *conn) expect(base *wire.BaseCommand) uint64 {
	if !base.ResponseRequired {
		return tokenSilent
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unfinished++
	return tokenResponse | uint64(uint32(base.CommandID))
}

// Complete implements broker.Done.
func (c *conn) Complete(token uint64, err error) {
	if token == tokenSilent && err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case token&tokenResponse != 0:
		c.answer(int32(uint32(token)), err)
	case token&tokenCommit != 0:
		c.committed(token&^tokenCommit, err)
	case token&tokenWindow != 0:
		p := c.numbered[token&^tokenWindow>>windowBits]
		c.queue(outItem{structure: &wire.ProducerAck{ProducerID: p, Size: int32(token & (1<<windowBits - 1))}})
		if err != nil {
			c.queueFailure(0, false, toException(err))
		}
	default:
		if err != nil {
			c.queueFailure(0, false, toException(err))
		}
	}
}

// answer completes a command that asked for a response. c.mu is held.
func (c *conn) answer(commandID int32, err error) {
	c.unfinished--
	if c.unfinished == maxUnfinished/2 {
		c.makeRoom()
	}
	if err != nil {
		c.queueFailure(commandID, true, toException(err))
		return
	}
	c.queue(outItem{structure: &wire.Response{CorrelationID: commandID}})
}

// Deliver implements broker.Sink.
func (c *conn) Deliver(d broker.Delivery) {
	r := d.Consumer.Ref.(*consumer) //nolint:errcheck // a connection's consumers have nothing else
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken || c.ending || r.closed {
		return // the broker gives it to somebody else when the consumer closes
	}
	if !d.BrowseEnd {
		r.given.add(d.Tag, d.Message)
		r.last, r.pulling = d.Tag, false
	}
	c.queue(outItem{consumer: r, message: d.Message, at: d.At, redeliveries: d.Redeliveries, groupFirst: d.GroupFirst})
}

// Drained implements queue.Drainer: what a pull asked for is not there.
func (c *conn) Drained(x *broker.Consumer, _ uint32) {
	r := x.Ref.(*consumer) //nolint:errcheck // a connection's consumers have nothing else
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.pulling && !r.closed {
		r.pulling = false
		c.queue(outItem{consumer: r})
	}
}

// Closed implements broker.Sink: the broker ended the session.
func (c *conn) Closed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue(outItem{structure: &wire.ConnectionError{Exception: toException(err).throwable()}})
	c.queueLast()
}

// Revoked implements broker.SubscriptionSink: the broker closed a consumer,
// because its user lost the right to it or it was too slow. The client answers
// by removing it.
func (c *conn) Revoked(x *broker.Consumer, err error) {
	r := x.Ref.(*consumer) //nolint:errcheck // a connection's consumers have nothing else
	c.log.Info("consumer closed", "err", err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !r.closed {
		r.closed = true
		c.queue(outItem{structure: &wire.ConsumerControl{ConsumerID: r.id, Close: true}})
	}
}

// Resume implements broker.Sink: the broker takes sends again.
func (c *conn) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		return
	}
	c.resumers.Add(1)
	go c.resumeSends()
}
