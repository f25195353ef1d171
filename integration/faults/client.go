package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/entrepot-mq/entrepot/integration/wire"
)

// patience is the longest that a client waits for a broker that lives.
const patience = 30 * time.Second

// Load is what the clients of one history share.
type Load struct {
	History *History
	conns   atomic.Int64
}

// life is one life of the broker: clients connect to it until it ends.
type life struct {
	*Load
	number int
	addr   string
}

// connection is a client's, with its place in the history.
type connection struct {
	*wire.Conn
	life  *life
	id    int
	close func() bool // ends what closes the connection with its context
}

// open connects a client; the end of ctx closes the connection, which ends
// whatever the client waits for.
func (l *life) open(ctx context.Context, headers ...string) (*connection, error) {
	w, err := wire.Open(l.addr, patience, headers...)
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: w, life: l, id: int(l.conns.Add(1))}
	c.close = context.AfterFunc(ctx, func() { w.Close() })
	return c, nil
}

func (c *connection) end() {
	c.close()
	c.Close()
}

// note adds an event of this connection.
func (c *connection) note(k Kind, place string, v Value, tx string) {
	c.life.History.Add(Event{Kind: k, Life: c.life.number, Conn: c.id, Value: v, Place: place, Tx: tx})
}

// destination spells a place: queues have their name, topics begin with "topic:".
func destination(place string) string {
	if topic, ok := cutTopic(place); ok {
		return "/topic/" + topic
	}
	return "/queue/" + place
}

func cutTopic(place string) (string, bool) {
	const prefix = "topic:"
	if len(place) > len(prefix) && place[:len(prefix)] == prefix {
		return place[len(prefix):], true
	}
	return "", false
}

// message is a SEND of a value, with a body that can be checked.
func message(place string, v Value, size int) wire.Frame {
	f := wire.New("SEND", "destination", destination(place), "persistent", "true",
		"producer", v.Producer, "count", strconv.Itoa(v.Count))
	if v.Tx != "" {
		f.Headers["sent-in"] = v.Tx
		f.Headers["transaction"] = v.Tx
	}
	f.Body = body(v, size)
	f.Headers["size"] = strconv.Itoa(len(f.Body))
	return f
}

// body is what a value's message holds: its name again and again.
func body(v Value, size int) []byte {
	name := []byte(v.String() + ";")
	return bytes.Repeat(name, max(1, size/len(name)))
}

// readMessage adds a MESSAGE to the history and returns its value.
func (c *connection) readMessage(place string, f wire.Frame) (Value, error) {
	count, err := strconv.Atoi(f.Headers["count"])
	if err != nil {
		return Value{}, fmt.Errorf("%s was not sent by this test", f)
	}
	v := Value{Producer: f.Headers["producer"], Count: count, Tx: f.Headers["sent-in"]}
	size, err := strconv.Atoi(f.Headers["size"])
	intact := err == nil && size == len(f.Body) && bytes.Equal(f.Body, body(v, size))
	c.life.History.Add(Event{
		Kind: Received, Life: c.life.number, Conn: c.id, Value: v, Place: place,
		Redelivered: f.Headers["redelivered"] == "true", Corrupt: !intact,
	})
	return v, nil
}

// bodySize is mostly small, at times large.
func bodySize(rng *rand.Rand) int {
	if rng.IntN(200) == 0 {
		return 64 << 10
	}
	return rng.IntN(2 << 10)
}

// Producer sends to its places in turn, in bursts, and waits for receipts
// when a window is full.
type Producer struct {
	Name   string
	Places []string
	Window int           // sends without an answer
	Pause  time.Duration // between bursts, at most
	Limit  int           // sends in one life, 0 for no limit
	Size   int           // of bodies in bytes, 0 for a mix
	// Refusals end a life's sends when the broker refused that many; 0 goes on.
	Refusals int

	count   int
	refused int // in the last life
}

// run sends until ctx, the limit or the connection ends.
func (p *Producer) run(ctx context.Context, l *life, rng *rand.Rand) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := l.open(ctx)
	if err != nil {
		return brokenOff(err)
	}
	s := &sender{connection: c, pending: map[string]sent{}, slots: make(chan struct{}, p.Window)}
	answers := make(chan error, 1)
	go func() {
		answers <- s.answers()
		cancel()
	}()
	err = p.bursts(ctx, s, rng)
	if err == nil {
		err = s.settle(ctx)
	}
	c.end()
	err = errors.Join(brokenOff(err), <-answers)
	p.refused = s.refusals()
	return err
}

func (p *Producer) bursts(ctx context.Context, s *sender, rng *rand.Rand) error {
	for n := 0; p.Limit == 0 || n < p.Limit; n++ {
		if p.Refusals > 0 && s.refusals() >= p.Refusals {
			return nil
		}
		if n%8 == 0 {
			if err := pause(ctx, rng, p.Pause); err != nil {
				return err
			}
		}
		p.count++
		size := p.Size
		if size == 0 {
			size = bodySize(rng)
		}
		place := p.Places[p.count%len(p.Places)]
		if err := s.send(ctx, place, Value{Producer: p.Name, Count: p.count}, size); err != nil {
			return err
		}
	}
	return nil
}

// pause paces a load: up to most.
func pause(ctx context.Context, rng *rand.Rand, most time.Duration) error {
	if most <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(time.Duration(rng.Int64N(int64(most))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sent is a send that waits for its receipt.
type sent struct {
	place string
	value Value
}

// sender is a producer's connection: one goroutine sends, another reads the answers.
type sender struct {
	*connection
	slots chan struct{} // one for each send without an answer

	mu      sync.Mutex
	pending map[string]sent
	refused int
}

func (s *sender) send(ctx context.Context, place string, v Value, size int) error {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	receipt := v.String()
	s.mu.Lock()
	s.pending[receipt] = sent{place, v}
	s.mu.Unlock()
	f := message(place, v, size)
	f.Headers["receipt"] = receipt
	s.note(SendInvoked, place, v, "")
	return s.Send(f)
}

// refuse notes an ERROR for a send. A full disk, or a store that has failed
// before, means that nothing happened. The store that failed with it can't know
// what it left on the disk, and says so: that send may have happened, and the
// history says no more of it.
func (s *sender) refuse(of sent, why string) {
	full, failed := strings.Contains(why, "disk is full"), strings.Contains(why, "the store failed")
	if !full && !failed || strings.Contains(why, "the outcome is unknown") {
		return
	}
	s.mu.Lock()
	s.refused++
	s.mu.Unlock()
	s.note(SendRefused, of.place, of.value, "")
}

// refusals counts the sends that the broker refused.
func (s *sender) refusals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// settle waits until every send is answered.
func (s *sender) settle(ctx context.Context) error {
	for range cap(s.slots) {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// answers reads until the connection ends.
func (s *sender) answers() error {
	for {
		f, err := s.Read(0)
		if err != nil {
			return brokenOff(err)
		}
		s.mu.Lock()
		of, known := s.pending[f.Headers["receipt-id"]]
		delete(s.pending, f.Headers["receipt-id"])
		s.mu.Unlock()
		switch {
		case known && f.Command == "RECEIPT":
			s.note(SendConfirmed, of.place, of.value, "")
		case known && f.Command == "ERROR":
			s.refuse(of, f.Headers["message"])
		default:
			return fmt.Errorf("a producer got %s %q", f, f.Body)
		}
		<-s.slots
	}
}

// brokenOff returns nil for what the end of a broker or of a connection does to
// a client, and any other error as it is: silence for too long, ERROR frames,
// bytes that are no frame.
func brokenOff(err error) error {
	for _, expected := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, context.Canceled, context.DeadlineExceeded,
		syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNREFUSED,
	} {
		if errors.Is(err, expected) {
			return nil
		}
	}
	return err
}
