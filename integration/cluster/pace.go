package cluster

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/integration/faults"
	"github.com/entrepot-mq/entrepot/integration/wire"
)

// StartPaced starts one producer that sends so many messages a second, whether
// the ones before are confirmed or not, and a consumer. What the load says of
// times without confirmations is then exact to a few milliseconds.
func StartPaced(rate int) func(context.Context, *Group) *Load {
	return func(ctx context.Context, g *Group) *Load {
		l, ctx := newLoad(ctx, g)
		l.producers = 1
		l.run.Go(func() { l.pace(ctx, queues[0], time.Second/time.Duration(rate)) })
		l.run.Go(func() { l.consume(ctx, queues[0], 1, 0) })
		return l
	}
}

// pace sends until ctx ends, through another node after each failure, where it
// goes on at once with what is due then: nothing is made up for.
func (l *Load) pace(ctx context.Context, queue string, period time.Duration) {
	count := 0
	for at := 0; ctx.Err() == nil; at++ {
		c, err := l.open(ctx, queue, at)
		if err != nil {
			rest(ctx)
			continue
		}
		var confirms sync.WaitGroup
		over := make(chan struct{})
		confirms.Go(func() {
			defer close(over)
			c.confirm()
		})
		count = c.sendEach(ctx, period, count, over)
		c.Close()
		confirms.Wait()
	}
}

// sendEach sends until the connection is over, and returns the last count.
func (c *connection) sendEach(ctx context.Context, period time.Duration, count int, over <-chan struct{}) int {
	due := time.NewTicker(period)
	defer due.Stop()
	for {
		select {
		case <-due.C:
		case <-over:
			return count
		case <-ctx.Done():
			return count
		}
		count++
		v := faults.Value{Producer: c.place, Count: count}
		c.note(faults.SendInvoked, v, nil)
		if c.Send(message(c.place, v)) != nil {
			return count
		}
	}
}

// confirm takes receipts until the connection ends.
func (c *connection) confirm() {
	for {
		f, err := c.Read(patience)
		if err != nil || f.Command != "RECEIPT" {
			return
		}
		_, text, _ := strings.Cut(f.Headers["receipt-id"], c.place+"-")
		count, err := strconv.Atoi(text)
		if err != nil {
			return
		}
		c.confirmed(faults.Value{Producer: c.place, Count: count})
	}
}

// message is the SEND of a value, which is its receipt's name too.
func message(queue string, v faults.Value) wire.Frame {
	f := wire.New("SEND", "destination", "/queue/"+queue, "persistent", "true", "receipt", v.String(),
		"producer", v.Producer, "count", strconv.Itoa(v.Count))
	f.Body = body(v)
	return f
}

// confirmed notes that a send was confirmed just now.
func (c *connection) confirmed(v faults.Value) {
	c.note(faults.SendConfirmed, v, nil)
	c.load.sent.Add(1)
	c.load.confirmed(time.Now())
}
