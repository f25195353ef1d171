package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// lastUnknown of RemoveInfo says that what was delivered may have been seen.
const lastUnknown = -2

// Kinds of acknowledgements (openwire.md, 17).
const (
	ackDelivered  = 0
	ackPoison     = 1
	ackIndividual = 4
)

type consumerKey struct{ session, value int64 }

// ConsumerOptions say what to consume.
type ConsumerOptions struct {
	Destination wire.Destination // a pattern or a composite, too
	Selector    string
	Durable     string // name of a durable subscription of the client id
	Browse      bool   // messages stay; Receive ends with ErrEnd
	NoLocal     bool
	Exclusive   bool
	Priority    int8
	// Prefetch is how many deliveries the broker sends ahead [1000].
	Prefetch int32
	// Network says that the consumer stands for others behind a network
	// connector, whose path and origins the broker is to know.
	Network bool
	Path    []*wire.BrokerID
	Origins []*wire.ConsumerID
}

// ErrEnd is what Receive returns when a browser has seen all.
var ErrEnd = errors.New("there are no more messages")

// maxSlack is what a broker may deliver beyond the prefetch: what was on its
// way when credit changed.
const maxSlack = 1 << 16

// Consumer gets messages.
type Consumer struct {
	s  *Session
	id *wire.ConsumerID
	o  ConsumerOptions

	mu      sync.Mutex
	waiting []*wire.MessageDispatch // not yet received
	open    int                     // received, not acknowledged; more than half of the prefetch is told
	told    int                     // of those, that the broker knows to be delivered
	err     error
	some    chan struct{} // something came
}

// NewConsumer makes a consumer. Deliveries begin at once.
func (s *Session) NewConsumer(ctx context.Context, o ConsumerOptions) (*Consumer, error) {
	if o.Prefetch <= 0 {
		o.Prefetch = 1000
	}
	r := &Consumer{s: s, o: o, some: make(chan struct{}, 1)}
	r.id = &wire.ConsumerID{ConnectionID: wire.Text(s.c.id), SessionID: s.id, Value: s.number()}
	s.c.mu.Lock()
	if s.c.consumers != nil {
		s.c.consumers[consumerKey{s.id, r.id.Value}] = r
	}
	s.c.mu.Unlock()
	_, err := s.c.Request(ctx, &wire.ConsumerInfo{
		ConsumerID: r.id, Destination: o.Destination, PrefetchSize: o.Prefetch, Selector: textOrNull(o.Selector),
		SubscriptionName: textOrNull(o.Durable), Browser: o.Browse, NoLocal: o.NoLocal, Exclusive: o.Exclusive, Priority: o.Priority,
		NetworkSubscription: o.Network, BrokerPath: o.Path, NetworkConsumerPath: o.Origins, DispatchAsync: true,
	})
	if err != nil {
		r.forget()
		return nil, err
	}
	return r, nil
}

func (r *Consumer) forget() {
	r.s.c.mu.Lock()
	delete(r.s.c.consumers, consumerKey{r.s.id, r.id.Value})
	r.s.c.mu.Unlock()
}

// ID returns the consumer's id.
func (r *Consumer) ID() *wire.ConsumerID { return r.id }

// deliver hands a delivery to its consumer; one that is gone gets nothing.
func (c *Conn) deliver(x *wire.MessageDispatch) error {
	if x.ConsumerID == nil {
		return errors.New("a delivery has no consumer")
	}
	c.mu.Lock()
	r := c.consumers[consumerKey{x.ConsumerID.SessionID, x.ConsumerID.Value}]
	c.mu.Unlock()
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) > int(r.o.Prefetch)+maxSlack {
		return fmt.Errorf("the broker delivers more than the prefetch of %d", r.o.Prefetch)
	}
	if x.Message == nil {
		r.err = ErrEnd
	} else {
		r.waiting = append(r.waiting, x)
	}
	r.nudge()
	return nil
}

func (r *Consumer) nudge() {
	select {
	case r.some <- struct{}{}:
	default:
	}
}

func (r *Consumer) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	r.nudge()
}

// control carries out what the broker says of a consumer.
func (c *Conn) control(x *wire.ConsumerControl) {
	if x.ConsumerID == nil || !x.Close {
		return
	}
	key := consumerKey{x.ConsumerID.SessionID, x.ConsumerID.Value}
	c.mu.Lock()
	r := c.consumers[key]
	delete(c.consumers, key)
	if r != nil {
		_ = c.send(&wire.RemoveInfo{ObjectID: r.id, LastDeliveredSequenceID: lastUnknown}, nil) // the connection tells
	}
	c.mu.Unlock()
	if r != nil {
		r.fail(errors.New("the broker closed the consumer"))
	}
}

// Receive returns the next delivery. It fails with ErrEnd when a browser has
// seen all, with the connection's error, and with ctx's.
func (r *Consumer) Receive(ctx context.Context) (*wire.MessageDispatch, error) {
	for {
		r.mu.Lock()
		if len(r.waiting) > 0 {
			d := r.waiting[0]
			r.waiting[0] = nil
			if r.waiting = r.waiting[1:]; len(r.waiting) == 0 {
				r.waiting = nil
			} else {
				r.nudge() // for others who wait
			}
			r.open++
			ahead := r.open - r.told
			r.mu.Unlock()
			return d, r.makeRoom(d, ahead)
		}
		err := r.err
		r.mu.Unlock()
		if err != nil {
			r.nudge()
			return nil, err
		}
		select {
		case <-r.some:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// makeRoom tells the broker of deliveries that will be acknowledged later, so
// that more can come than the prefetch.
func (r *Consumer) makeRoom(last *wire.MessageDispatch, ahead int) error {
	if ahead*2 < int(r.o.Prefetch) {
		return nil
	}
	r.mu.Lock()
	r.told += ahead
	r.mu.Unlock()
	return r.s.c.Tell(r.ack(ackDelivered, last, int32(ahead)))
}

func (r *Consumer) ack(kind int8, d *wire.MessageDispatch, n int32) *wire.MessageAck {
	a := &wire.MessageAck{ConsumerID: r.id, Destination: d.Destination, AckType: kind, MessageCount: n}
	if d.Message != nil {
		a.LastMessageID = d.Message.Fields().MessageID
	}
	return a
}

// Accept acknowledges one delivery, in the session's transaction if there is
// one. It promises nothing until the commit or AcceptSync.
func (r *Consumer) Accept(d *wire.MessageDispatch) error {
	return r.settle(r.ack(ackIndividual, d, 1), nil)
}

// AcceptSync acknowledges one delivery and waits until the broker has noted it.
func (r *Consumer) AcceptSync(ctx context.Context, d *wire.MessageDispatch) error {
	ch := make(chan error, 1)
	if err := r.settle(r.ack(ackIndividual, d, 1), func(_ wire.Structure, err error) { ch <- err }); err != nil {
		return err
	}
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Reject gives a delivery up: it becomes a dead letter, with the reason.
func (r *Consumer) Reject(d *wire.MessageDispatch, reason string) error {
	a := r.ack(ackPoison, d, 1)
	a.FirstMessageID = a.LastMessageID
	a.PoisonCause = &wire.Throwable{Class: wire.Text("java.lang.Throwable"), Text: wire.Text(reason)}
	return r.settle(a, nil)
}

func (r *Consumer) settle(a *wire.MessageAck, done func(wire.Structure, error)) error {
	r.mu.Lock()
	r.open = max(0, r.open-1)
	r.told = max(0, r.told-1)
	r.mu.Unlock()
	c := r.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.AckType != ackPoison {
		a.TransactionID = r.s.transaction()
	}
	return c.send(a, done)
}

// Close ends the consumer: what it did not acknowledge goes to others.
func (r *Consumer) Close(ctx context.Context) error {
	r.forget()
	r.fail(ErrClosed)
	_, err := r.s.c.Request(ctx, &wire.RemoveInfo{ObjectID: r.id, LastDeliveredSequenceID: lastUnknown})
	return err
}
