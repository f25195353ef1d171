package client

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// Errors of a connection.
var (
	ErrClosed = errors.New("the connection was closed")
	errSilent = errors.New("the broker says nothing any more")
)

// RemoteError is what the broker answers to a command that failed.
type RemoteError struct {
	Class string // Java's name, such as javax.jms.InvalidDestinationException
	Text  string
}

func (e *RemoteError) Error() string {
	if e.Text == "" {
		return e.Class
	}
	return e.Text + " (" + e.Class + ")"
}

func exceptionOf(t *wire.Throwable) error {
	if t == nil {
		return &RemoteError{Class: "an exception without a name"}
	}
	return &RemoteError{Class: t.Class.String(), Text: t.Text.String()}
}

const (
	maxUnwritten  = 1 << 20 // bytes, before senders wait
	readBuffer    = 64 << 10
	writePatience = 30 * time.Second
)

// Conn is a connection to a broker.
type Conn struct {
	net    net.Conn
	o      Options
	id     string
	broker *wire.BrokerInfo // the reader's until introduced is closed, then nobody's
	inIdle time.Duration    // longest silence of the broker, 0: any

	mu        sync.Mutex
	room      sync.Cond // on mu: something was written, or the connection ended
	encoder   *wire.Encoder
	out       []byte // what the writer takes next
	writing   bool   // the writer has taken something
	err       error  // why the connection ended
	lastID    int32  // of a command
	answers   map[int32]func(wire.Structure, error)
	consumers map[consumerKey]*Consumer
	producers map[int64]*Producer // that wait for ProducerAcks, by number
	members   string              // what the broker says of its group
	sessions  int64
	produced  int64 // numbers of producers given away
	temps     int64

	wake chan struct{} // the writer has something to do
	done chan struct{} // closed when the connection has ended
	// introduced is closed when the broker has said who it is.
	introduced chan struct{}
	wg         sync.WaitGroup
}

// ID returns the connection's id, which the ids of its sessions, consumers,
// producers and temporary destinations begin with.
func (c *Conn) ID() string { return c.id }

// Broker returns how the broker introduced itself.
func (c *Conn) Broker() *wire.BrokerInfo { return c.broker }

// Members returns the addresses that the broker named as its group's, separated
// by commas, "" if it named none.
func (c *Conn) Members() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.members
}

// Done is closed when the connection has ended; Err then says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended, nil while it lives.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Tell sends a command and asks for no answer. It returns when the command is
// on its way, which promises nothing.
func (c *Conn) Tell(cmd wire.Structure) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.send(cmd, nil)
}

// Start sends a command and calls done, on the reader, with the answer or with
// the reason that there is none. If Start fails, done is not called.
func (c *Conn) Start(cmd wire.Command, done func(wire.Structure, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.send(cmd, done)
}

// Request sends a command and waits for the answer. An answer that is an
// exception is returned as a *RemoteError. When ctx ends first the command may
// still be carried out.
func (c *Conn) Request(ctx context.Context, cmd wire.Command) (wire.Structure, error) {
	type answer struct {
		s   wire.Structure
		err error
	}
	ch := make(chan answer, 1)
	if err := c.Start(cmd, func(s wire.Structure, err error) { ch <- answer{s, err} }); err != nil {
		return nil, err
	}
	select {
	case a := <-ch:
		return a.s, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// send queues a command. c.mu is held; it is given up while there is no room.
func (c *Conn) send(s wire.Structure, done func(wire.Structure, error)) error {
	for len(c.out) > maxUnwritten && c.err == nil {
		c.room.Wait()
	}
	if c.err != nil {
		return c.err
	}
	cmd, numbered := s.(wire.Command)
	if numbered {
		c.lastID++
		cmd.Base().CommandID, cmd.Base().ResponseRequired = c.lastID, done != nil
	}
	out, err := c.encoder.Append(c.out, s)
	if err != nil {
		return fmt.Errorf("encode %s: %w", s.StructureType(), err)
	}
	c.out = out
	if done != nil {
		c.answers[c.lastID] = done
	}
	c.nudge()
	return nil
}

func (c *Conn) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write is the writer. Between commands it shows that the client lives.
func (c *Conn) write() {
	beat := time.NewTicker(c.beat())
	defer beat.Stop()
	var buf []byte
	for {
		alive := false
		select {
		case <-c.wake:
		case <-beat.C:
			alive = true
		case <-c.done:
			return
		}
		c.mu.Lock()
		if alive && len(c.out) == 0 {
			if out, err := c.encoder.Append(c.out, &wire.KeepAliveInfo{}); err == nil {
				c.out = out
			}
		}
		buf, c.out = c.out, buf[:0]
		c.writing = len(buf) > 0
		c.mu.Unlock()
		if len(buf) == 0 {
			continue
		}
		_ = c.net.SetWriteDeadline(time.Now().Add(writePatience)) // Write tells
		if _, err := c.net.Write(buf); err != nil {
			c.end(fmt.Errorf("write: %w", err))
			return
		}
		c.mu.Lock()
		c.writing = false
		c.room.Broadcast()
		c.mu.Unlock()
	}
}

// beat is how often the client shows that it lives: an hour where nobody looks.
func (c *Conn) beat() time.Duration {
	if c.inIdle <= 0 {
		return time.Hour
	}
	return max(c.inIdle/3, time.Millisecond)
}

// read is the reader.
func (c *Conn) read(in *bufio.Reader, d *wire.Decoder) {
	for {
		if c.inIdle > 0 {
			_ = c.net.SetReadDeadline(time.Now().Add(c.inIdle)) // the read tells
		}
		s, err := readFrame(in, d, c.o.MaxFrame)
		if err != nil {
			if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
				err = errSilent
			}
			c.end(err)
			return
		}
		if err := c.take(s); err != nil {
			c.end(err)
			return
		}
	}
}

// readFrame reads one frame; its slices are the structure's own.
func readFrame(in *bufio.Reader, d *wire.Decoder, most int) (wire.Structure, error) {
	var size [4]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 || uint64(n) > uint64(most) {
		return nil, fmt.Errorf("the broker sends a frame of %d bytes; %d are the limit", n, most)
	}
	frame, err := readAll(in, int(n))
	if err != nil {
		return nil, err
	}
	return d.Decode(frame)
}

// readAll reads n bytes, and takes memory as they come.
func readAll(in io.Reader, n int) ([]byte, error) {
	const step = 1 << 20
	b := make([]byte, min(n, step))
	for read := 0; ; {
		if _, err := io.ReadFull(in, b[read:]); err != nil {
			return nil, err
		}
		if read = len(b); read == n {
			return b, nil
		}
		b = append(b, make([]byte, min(n-read, max(step, read)))...)
	}
}

// take carries out what the broker says.
func (c *Conn) take(s wire.Structure) error {
	switch x := s.(type) {
	case *wire.MessageDispatch:
		return c.deliver(x)
	case *wire.ExceptionResponse:
		c.answer(x.CorrelationID, nil, exceptionOf(x.Exception))
	case *wire.ConnectionError:
		return fmt.Errorf("the broker ended the connection: %w", exceptionOf(x.Exception))
	case *wire.ShutdownInfo:
		return fmt.Errorf("the broker stops: %w", io.EOF)
	case *wire.ProducerAck:
		c.acknowledged(x)
	case *wire.BrokerInfo:
		if c.broker == nil {
			c.broker = x
			close(c.introduced)
			return nil
		}
		c.pass(x)
	case *wire.ConnectionControl:
		c.mu.Lock()
		c.members = x.ConnectedBrokers.String()
		c.mu.Unlock()
		c.pass(x)
	case *wire.ConsumerControl:
		c.control(x)
		c.pass(x)
	case *wire.KeepAliveInfo:
		if x.ResponseRequired {
			return c.Tell(&wire.KeepAliveInfo{})
		}
	case interface{ Correlation() int32 }:
		c.answer(x.Correlation(), s, nil)
	default:
		c.pass(s)
	}
	return nil
}

func (c *Conn) pass(s wire.Structure) {
	if c.o.OnCommand != nil {
		c.o.OnCommand(s)
	}
}

func (c *Conn) answer(id int32, s wire.Structure, err error) {
	c.mu.Lock()
	done := c.answers[id]
	delete(c.answers, id)
	c.mu.Unlock()
	if done != nil {
		done(s, err)
	}
}

// end ends the connection, for the first reason that is given.
func (c *Conn) end(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	if errors.Is(err, net.ErrClosed) {
		err = ErrClosed
	}
	c.err = err
	answers, consumers, producers := c.answers, c.consumers, c.producers
	c.answers, c.consumers, c.producers = nil, nil, nil
	close(c.done)
	c.mu.Unlock()
	_ = c.net.Close() // it is of no use any more
	c.room.Broadcast()
	for _, done := range answers {
		done(nil, err)
	}
	for _, r := range consumers {
		r.fail(err)
	}
	for _, p := range producers {
		p.room.Broadcast()
	}
}

// Close says goodbye and waits until the broker has carried out what was said
// before, or ctx ends. It returns when both goroutines have ended.
func (c *Conn) Close(ctx context.Context) error {
	_, err := c.Request(ctx, &wire.RemoveInfo{ObjectID: &wire.ConnectionID{Value: wire.Text(c.id)}, LastDeliveredSequenceID: -1})
	if err == nil {
		err = c.Tell(&wire.ShutdownInfo{})
	}
	c.drain(ctx)
	c.end(ErrClosed)
	c.wg.Wait()
	return err
}

// drain waits until what was queued is written.
func (c *Conn) drain(ctx context.Context) {
	stop := context.AfterFunc(ctx, c.room.Broadcast)
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for (len(c.out) > 0 || c.writing) && c.err == nil && ctx.Err() == nil {
		c.room.Wait()
	}
}
