package cluster

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/integration/faults"
	"github.com/entrepot-mq/entrepot/integration/wire"
)

// patience is how long a client waits for an answer before it connects again.
const patience = 2 * time.Second

// Load is producers and consumers of queues, connected to any node.
type Load struct {
	History *faults.History

	group     *Group
	producers int // that were started with it
	conns     atomic.Int64
	run       sync.WaitGroup
	end       context.CancelFunc
	sent      atomic.Int64 // confirmed
	scripts   []*Script

	mu      sync.Mutex
	last    time.Time     // of a confirmation
	longest time.Duration // between two, since ForgetGaps
}

// queues that the load uses: a producer and a consumer each.
var queues = []string{"one", "two"}

// StartLoad starts the clients.
func StartLoad(ctx context.Context, g *Group) *Load {
	l, ctx := newLoad(ctx, g)
	l.producers = len(queues)
	for i, q := range queues {
		l.run.Go(func() { l.produce(ctx, q, i) })
		l.run.Go(func() { l.consume(ctx, q, i+1, 0) })
	}
	return l
}

func newLoad(ctx context.Context, g *Group) (*Load, context.Context) {
	l := &Load{History: faults.NewHistory(), group: g}
	ctx, l.end = context.WithCancel(ctx)
	return l, ctx
}

// Confirmed is how many sends were confirmed.
func (l *Load) Confirmed() int64 { return l.sent.Load() }

// Stop ends the clients, lets consumers empty the queues, and checks what all
// of them saw.
func (l *Load) Stop(ctx context.Context) (*faults.Verdict, error) {
	l.end()
	l.run.Wait()
	used := slices.Clone(queues)
	for _, s := range l.scripts {
		if err := s.Stop(); err != nil {
			return nil, err
		}
		if !slices.Contains(used, s.queue) {
			used = append(used, s.queue)
		}
	}
	var drains sync.WaitGroup
	for i, q := range used {
		drains.Go(func() { l.consume(ctx, q, i, 2*time.Second) })
	}
	drains.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v := faults.Check(l.History.Events(), faults.Rules{})
	return v, v.Err()
}

// connection is a client's, with its place in the history.
type connection struct {
	*wire.Conn
	load  *Load
	place string
	id    int
}

// open connects to some node; at is where it begins to try.
func (l *Load) open(ctx context.Context, place string, at int) (*connection, error) {
	node := l.group.Nodes[at%len(l.group.Nodes)]
	w, err := wire.Open(node.Stomp, patience)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { w.Close() })
	return &connection{Conn: w, load: l, place: place, id: int(l.conns.Add(1))}, nil
}

func (c *connection) note(k faults.Kind, v faults.Value, f *wire.Frame) {
	e := faults.Event{Kind: k, Life: c.id, Conn: c.id, Value: v, Place: c.place}
	if f != nil {
		e.Redelivered = f.Headers["redelivered"] == "true"
		e.Corrupt = !bytes.Equal(f.Body, body(v))
	}
	c.load.History.Add(e)
}

func body(v faults.Value) []byte { return bytes.Repeat([]byte(v.String()+";"), 20) }

// rest lets a moment pass before the next try.
func rest(ctx context.Context) {
	t := time.NewTimer(10*time.Millisecond + rand.N(20*time.Millisecond))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// produce sends until ctx ends, through another node after each failure. What
// was not confirmed is not sent again: nobody knows whether it arrived.
func (l *Load) produce(ctx context.Context, queue string, at int) {
	for count := 1; ctx.Err() == nil; at++ {
		c, err := l.open(ctx, queue, at)
		if err != nil {
			rest(ctx)
			continue
		}
		for err == nil && ctx.Err() == nil {
			err = c.send(faults.Value{Producer: queue, Count: count})
			count++
		}
		c.Close()
	}
}

func (c *connection) send(v faults.Value) error {
	c.note(faults.SendInvoked, v, nil)
	if err := c.Send(message(c.place, v)); err != nil {
		return err
	}
	got, err := c.Expect("RECEIPT", patience)
	if err != nil {
		return err
	}
	if got.Headers["receipt-id"] != v.String() {
		return fmt.Errorf("the receipt for %s is %s", v, got)
	}
	c.confirmed(v)
	return nil
}

// consume receives and acknowledges until ctx ends or, with a time for silence,
// until nothing has come for so long.
func (l *Load) consume(ctx context.Context, queue string, at int, silence time.Duration) {
	for ; ctx.Err() == nil; at++ {
		c, err := l.open(ctx, queue, at)
		if err != nil {
			rest(ctx)
			continue
		}
		empty := c.receive(ctx, silence)
		c.Close()
		if empty && silence > 0 {
			return
		}
	}
}

// receive reports whether it ended because nothing came any more.
func (c *connection) receive(ctx context.Context, silence time.Duration) (empty bool) {
	if c.Send(wire.New("SUBSCRIBE", "id", "s", "destination", "/queue/"+c.place, "ack", "client-individual", "receipt", "s")) != nil {
		return false
	}
	waiting := map[string]faults.Value{}
	subscribed := false
	wait := silence
	if wait == 0 {
		wait = patience
	}
	for ctx.Err() == nil {
		f, err := c.Read(wait)
		if err != nil {
			return subscribed && isTimeout(err)
		}
		switch f.Command {
		case "RECEIPT":
			if v, ok := waiting[f.Headers["receipt-id"]]; ok {
				c.note(faults.AckConfirmed, v, nil)
				delete(waiting, f.Headers["receipt-id"])
			} else {
				subscribed = true
			}
		case "MESSAGE":
			count, err := strconv.Atoi(f.Headers["count"])
			if err != nil {
				return false
			}
			v := faults.Value{Producer: f.Headers["producer"], Count: count}
			c.note(faults.Received, v, &f)
			c.note(faults.AckInvoked, v, nil)
			receipt := "ack-" + v.String()
			waiting[receipt] = v
			if c.Send(wire.New("ACK", "id", f.Headers["ack"], "receipt", receipt)) != nil {
				return false
			}
		default:
			return false
		}
	}
	return false
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}

func (l *Load) confirmed(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.last.IsZero() {
		l.longest = max(l.longest, now.Sub(l.last))
	}
	l.last = now
}

// ForgetGaps starts measuring the time without confirmations anew.
func (l *Load) ForgetGaps() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.longest = 0
}

// Resumed waits until a send is confirmed from now on, and returns the longest
// time without a confirmation since ForgetGaps.
func (l *Load) Resumed(ctx context.Context, timeout time.Duration) (time.Duration, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		l.mu.Lock()
		last, longest := l.last, l.longest
		l.mu.Unlock()
		if last.After(began) {
			return longest, nil
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return 0, fmt.Errorf("no send was confirmed within %v", timeout)
		}
	}
}
