package client

import (
	"context"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// ProducerOptions say how to send.
type ProducerOptions struct {
	// Destination is where all messages go; nil has each message say it.
	Destination wire.Destination
	// Window is how many bytes that need no answer may be on their way before
	// Send waits, 0 for any number.
	Window int32
}

// Producer sends messages.
type Producer struct {
	s  *Session
	id *wire.ProducerID
	o  ProducerOptions

	room   sync.Cond // on Conn.mu
	sent   int64     // guarded by Conn.mu
	onWay  int64     // bytes; guarded by Conn.mu
	closed bool      // guarded by Conn.mu
}

// NewProducer makes a producer.
func (s *Session) NewProducer(ctx context.Context, o ProducerOptions) (*Producer, error) {
	s.c.mu.Lock()
	s.c.produced++
	p := &Producer{s: s, o: o, id: &wire.ProducerID{ConnectionID: wire.Text(s.c.id), SessionID: s.id, Value: s.c.produced}}
	p.room.L = &s.c.mu
	if o.Window > 0 && s.c.producers != nil {
		s.c.producers[p.id.Value] = p
	}
	s.c.mu.Unlock()
	if _, err := s.c.Request(ctx, &wire.ProducerInfo{ProducerID: p.id, Destination: o.Destination, WindowSize: o.Window}); err != nil {
		return nil, err
	}
	return p, nil
}

// ID returns the producer's id.
func (p *Producer) ID() *wire.ProducerID { return p.id }

// Send sends a message without asking for an answer: it is on its way when Send
// returns. Fields that are zero are set: ids, the destination, the time, the
// session's transaction.
func (p *Producer) Send(m wire.Message) error { return p.send(m, nil) }

// SendAsync sends a message and calls done, on the connection's reader, when
// the broker has it: of a persistent one, on disk.
func (p *Producer) SendAsync(m wire.Message, done func(error)) error {
	return p.send(m, func(_ wire.Structure, err error) { done(err) })
}

// SendSync sends a message and waits until the broker has it.
func (p *Producer) SendSync(ctx context.Context, m wire.Message) error {
	ch := make(chan error, 1)
	if err := p.SendAsync(m, func(err error) { ch <- err }); err != nil {
		return err
	}
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Producer) send(m wire.Message, done func(wire.Structure, error)) error {
	f := m.Fields()
	size := sizeOf(f)
	c := p.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if done == nil && p.o.Window > 0 {
		for p.onWay > 0 && p.onWay+size > int64(p.o.Window) && c.err == nil && !p.closed {
			p.room.Wait()
		}
		p.onWay += size
	}
	if p.closed {
		return ErrClosed
	}
	p.complete(f)
	return c.send(m, done)
}

// complete fills in what belongs to the producer. Conn.mu is held.
func (p *Producer) complete(f *wire.BaseMessage) {
	f.ProducerID = p.id
	if f.Destination == nil {
		f.Destination = p.o.Destination
	}
	if f.MessageID == nil {
		p.sent++
		f.MessageID = &wire.MessageID{ProducerID: p.id, ProducerSequenceID: p.sent}
	}
	if f.Timestamp == 0 {
		f.Timestamp = time.Now().UnixMilli()
	}
	if f.TransactionID == nil {
		f.TransactionID = p.s.transaction()
	}
}

// sizeOf is what both sides count of a message (openwire.md, 24).
func sizeOf(f *wire.BaseMessage) int64 {
	return 1024 + int64(len(f.Content)) + int64(len(f.MarshalledProperties))
}

// acknowledged makes room in a producer's window.
func (c *Conn) acknowledged(x *wire.ProducerAck) {
	if x.ProducerID == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.producers[x.ProducerID.Value]; p != nil {
		p.onWay = max(0, p.onWay-int64(x.Size))
		p.room.Broadcast()
	}
}

// Close ends the producer.
func (p *Producer) Close() error {
	c := p.s.c
	c.mu.Lock()
	p.closed = true
	delete(c.producers, p.id.Value)
	p.room.Broadcast()
	c.mu.Unlock()
	return c.Tell(&wire.RemoveInfo{ObjectID: p.id, LastDeliveredSequenceID: lastUnknown})
}
