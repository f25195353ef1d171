package bench

import (
	"fmt"
	"sync/atomic"
)

// consumer is one connection with one subscription.
type consumer struct {
	// immutable
	link   *link
	index  int
	ledger *ledger // of its queue, shared, or of its own subscription to a topic
	ack    ackMode

	// owned by the link's reader until it has ended
	acks      []byte
	last      []int64 // sequence seen last, by producer
	latencies *latencies
	batch     tally // of the read that is being parsed, moved to the atomics at its end

	// written by the link's reader
	delivered  atomic.Int64 // distinct messages of this run
	duplicates atomic.Int64
	disordered atomic.Int64
	strays     atomic.Int64 // messages of nobody in this run
	first      atomic.Int64 // ticks of the first delivery, 0 before
	latest     atomic.Int64 // ticks of the latest delivery

	quiet atomic.Bool // written by the run: leave the latencies out
}

type tally struct{ delivered, duplicates, disordered, strays int64 }

func newConsumer(l *link, index int, g *ledger, ack ackMode) *consumer {
	c := &consumer{link: l, index: index, ledger: g, ack: ack, latencies: newLatencies()}
	c.last = make([]int64, len(g.trackers))
	for i := range c.last {
		c.last[i] = -1
	}
	return c
}

func (c *consumer) receive(e *event, now int64) error {
	if e.kind != eventDelivery {
		return fmt.Errorf("consumer %d was sent a confirmation of nothing", c.index)
	}
	c.account(e.body, now)
	switch c.ack {
	case ackIndividual:
		return c.acknowledge(e)
	case ackClient:
		// Cumulative: the last of a read says it for all of them.
		c.acks = c.acks[:0]
		return c.acknowledge(e)
	case ackAuto:
	}
	return nil
}

func (c *consumer) acknowledge(e *event) error {
	if e.ack == nil {
		return fmt.Errorf("consumer %d: a delivery cannot be acknowledged: it has no name", c.index)
	}
	c.acks = c.link.codec.appendAck(c.acks, e)
	return nil
}

// account notes one message.
func (c *consumer) account(body []byte, now int64) {
	s, err := readStamp(body)
	if err != nil || s.run != c.ledger.run || int(s.producer) >= len(c.last) {
		c.batch.strays++
		return
	}
	if !c.ledger.trackers[s.producer].add(s.seq) {
		c.batch.duplicates++
		return
	}
	if int64(s.seq) < c.last[s.producer] {
		c.batch.disordered++
	}
	c.last[s.producer] = int64(s.seq)
	c.batch.delivered++
	if !c.quiet.Load() {
		c.latencies.record(now - s.ticks)
	}
}

// flush writes the acknowledgements and publishes the counters.
//
// Writing on the reading goroutine cannot lock up with the broker as long as
// what it sends without an acknowledgement (--prefetch) fits the socket's
// buffers.
func (c *consumer) flush(now int64) error {
	if len(c.acks) > 0 {
		if _, err := c.link.conn.Write(c.acks); err != nil && !c.link.leaving.Load() {
			return fmt.Errorf("consumer %d: acknowledge: %w", c.index, err)
		}
		c.acks = c.acks[:0]
	}
	b := c.batch
	if b == (tally{}) {
		return nil
	}
	c.batch = tally{}
	if c.first.Load() == 0 {
		c.first.Store(now)
	}
	c.latest.Store(now)
	c.duplicates.Store(c.duplicates.Load() + b.duplicates)
	c.disordered.Store(c.disordered.Load() + b.disordered)
	c.strays.Store(c.strays.Load() + b.strays)
	c.delivered.Store(c.delivered.Load() + b.delivered)
	return nil
}
