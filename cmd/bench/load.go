package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// pollInterval is how often a run looks at the counters.
const pollInterval = 2 * time.Millisecond

// load is a set of publishers and consumers on one broker. One goroutine, the
// run's, calls its methods.
type load struct {
	s          *settings
	clock      clock
	dialer     *dialer
	progress   *progress
	publishers []*publisher
	consumers  []*consumer
	ledgers    []*ledger // by queue, or for topics by consumer

	ctx     context.Context
	fail    context.CancelCauseFunc
	readers sync.WaitGroup
	senders sync.WaitGroup
}

// newLoad prepares for up to producers publishers.
func newLoad(ctx context.Context, s *settings, producers int, p *progress) *load {
	l := &load{s: s, clock: newClock(), progress: p}
	l.ctx, l.fail = context.WithCancelCause(ctx)
	l.dialer = s.dialer(l.clock)
	n := s.queues
	if s.topic {
		n = s.consumers
	}
	for range n {
		l.ledgers = append(l.ledgers, newLedger(s.run, producers))
	}
	return l
}

// open connects and starts the reader that feeds what attach returns. A link
// is closed when the load fails or ends.
func (l *load) open(attach func(*link) receiver) (*link, error) {
	k, err := l.dialer.connect(l.ctx)
	if err != nil {
		return nil, err
	}
	r := attach(k)
	stop := context.AfterFunc(l.ctx, func() {
		k.leaving.Store(true)
		k.conn.Close()
	})
	l.readers.Go(func() {
		defer stop()
		defer k.conn.Close()
		if err := k.read(r); err != nil {
			l.fail(err)
		}
	})
	return k, nil
}

// addConsumers connects the scenario's consumers and subscribes them.
func (l *load) addConsumers() error {
	if err := l.connectConsumers(); err != nil {
		return err
	}
	return l.subscribeConsumers()
}

func (l *load) connectConsumers() error {
	for i := range l.s.consumers {
		if err := l.connectConsumer(i); err != nil {
			return fmt.Errorf("consumer %d: %w", i, err)
		}
	}
	return nil
}

func (l *load) subscribeConsumers() error {
	for _, c := range l.consumers {
		if err := l.subscribe(c); err != nil {
			return err
		}
	}
	return nil
}

func (l *load) connectConsumer(i int) error {
	g := l.ledgers[i%len(l.ledgers)]
	var c *consumer
	_, err := l.open(func(k *link) receiver {
		c = newConsumer(k, i, g, ackMode(l.s.ack))
		return c
	})
	if err == nil {
		l.consumers = append(l.consumers, c)
	}
	return err
}

func (l *load) subscribe(c *consumer) error {
	frame := c.link.codec.appendSubscribe(nil, subscription{
		destination: l.s.destinationOf(c.index),
		ack:         c.ack,
		prefetch:    l.s.prefetch,
		headers:     l.s.subHeaders,
	})
	return c.link.request(l.ctx, fmt.Sprintf("subscribe consumer %d", c.index), frame)
}

// addPublishers connects the scenario's publishers, once more when it is
// called again, and returns the new ones.
func (l *load) addPublishers() ([]*publisher, error) {
	from := len(l.publishers)
	for i := range l.s.producers {
		p := &publisher{
			index:    from + i,
			run:      l.s.run,
			window:   int64(l.s.window),
			rate:     l.s.rate / float64(l.s.producers),
			clock:    l.clock,
			lagged:   newLatencies(),
			confirms: newLatencies(),
			room:     make(chan struct{}, 1),
			ahead:    l.s.ahead,
			behind:   func() int64 { return l.behind(i % l.s.queues) },
		}
		p.limit.Store(unlimited)
		if err := l.connectPublisher(p, i); err != nil {
			return nil, fmt.Errorf("publisher %d: %w", p.index, err)
		}
		l.publishers = append(l.publishers, p)
	}
	return l.publishers[from:], nil
}

func (l *load) connectPublisher(p *publisher, i int) error {
	k, err := l.open(func(*link) receiver { return p })
	if err != nil {
		return err
	}
	p.link = k
	p.frames, err = k.codec.publication(publication{
		destination: l.s.destinationOf(i),
		size:        l.s.size,
		persistent:  l.s.persistent,
		confirm:     l.s.window > 0,
		headers:     l.s.sendHeaders,
	}, maxBatch)
	if err == nil && p.frames.idAt > 0 {
		p.ticks = make([]atomic.Int64, 1<<16)
	}
	return err
}

// start lets publishers send; paced ones take turns.
func (l *load) start(group []*publisher) {
	start := l.clock.ticks() + toTicks(time.Millisecond)
	for i, p := range group {
		at := start
		if p.rate > 0 {
			at += newPace(0, p.rate).every * int64(i) / int64(len(group))
		}
		l.senders.Go(func() {
			if err := p.send(l.ctx, at); err != nil {
				l.fail(err)
			}
		})
	}
}

// quiet turns the latencies off and on.
func (l *load) quiet(on bool) {
	for _, p := range l.publishers {
		p.quiet.Store(on)
	}
	for _, c := range l.consumers {
		c.quiet.Store(on)
	}
}

// totals is the counters at one moment.
type totals struct {
	sent, confirmed                           int64
	delivered, duplicates, disordered, strays int64
	firstDelivery, latestDelivery             int64 // ticks, 0 when there is none
}

func (l *load) totals() totals {
	var t totals
	for _, p := range l.publishers {
		t.sent += p.sent.Load()
		t.confirmed += p.confirmed.Load()
	}
	for _, c := range l.consumers {
		t.delivered += c.delivered.Load()
		t.duplicates += c.duplicates.Load()
		t.disordered += c.disordered.Load()
		t.strays += c.strays.Load()
		if first := c.first.Load(); first > 0 && (t.firstDelivery == 0 || first < t.firstDelivery) {
			t.firstDelivery = first
		}
		t.latestDelivery = max(t.latestDelivery, c.latest.Load())
	}
	return t
}

// expected returns how many deliveries what was sent so far should cause.
func (l *load) expected() int64 {
	var n int64
	for i := range l.ledgers {
		for _, p := range l.publishers {
			if l.feeds(p, i) {
				n += p.sent.Load()
			}
		}
	}
	return n
}

// feeds reports whether p's messages belong in ledger i.
func (l *load) feeds(p *publisher, i int) bool {
	return p.index%l.s.producers%l.s.queues == i%l.s.queues
}

// behind counts what was sent to a destination and is not delivered, of a topic
// for the average subscriber. Publishers call it while they send: by then the
// load's lists do not change any more.
func (l *load) behind(destination int) int64 {
	var sent, delivered, consumers int64
	for _, p := range l.publishers {
		if p.index%l.s.producers%l.s.queues == destination {
			sent += p.sent.Load()
		}
	}
	for _, c := range l.consumers {
		if c.index%l.s.queues == destination {
			delivered += c.delivered.Load()
			consumers++
		}
	}
	if l.s.topic {
		delivered /= consumers
	}
	return sent - delivered
}

// missing counts what was sent and did not arrive. Call it when the consumers
// are done.
func (l *load) missing() int64 {
	var n uint64
	for i, g := range l.ledgers {
		for _, p := range l.publishers {
			if l.feeds(p, i) {
				n += g.trackers[p.index].missing(uint32(p.sent.Load()))
			}
		}
	}
	return int64(n)
}

// pause lets the load run for d.
func (l *load) pause(d time.Duration, m *meter) error {
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return nil
		case <-l.ctx.Done():
			return context.Cause(l.ctx)
		case <-ticker.C:
			l.tick(m)
		}
	}
}

// tick is what happens a few times a second during a run.
func (l *load) tick(m *meter) {
	if m != nil {
		m.sample()
	}
	t := l.totals()
	l.progress.show(t)
}

// await polls until done, or until nothing has moved for the timeout, which is
// no error: the account will say what is missing. It reports whether done came
// true.
func (l *load) await(done func(t totals) bool, timeout time.Duration, m *meter) (bool, error) {
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	last, moved, shown := l.totals(), time.Now(), time.Now()
	for {
		t := l.totals()
		if done(t) {
			return true, nil
		}
		now := time.Now()
		if t != last {
			last, moved = t, now
		}
		if now.Sub(moved) > timeout {
			return false, nil
		}
		if now.Sub(shown) > progressInterval {
			shown = now
			l.tick(m)
		}
		select {
		case <-poll.C:
		case <-l.ctx.Done():
			return false, context.Cause(l.ctx)
		}
	}
}

// finishSending waits until the publishers have sent what they may and have
// all confirmations.
func (l *load) finishSending(m *meter) error {
	sent := make(chan struct{})
	go func() { l.senders.Wait(); close(sent) }()
	ended := func(t totals) bool {
		select {
		case <-sent:
			return l.s.window == 0 || t.confirmed == t.sent
		default:
			return false
		}
	}
	ok, err := l.await(ended, l.s.timeout, m)
	if err == nil && !ok {
		t := l.totals()
		err = fmt.Errorf("nothing moves for %s: %d messages sent, %d confirmed, %d delivered", l.s.timeout, t.sent, t.confirmed, t.delivered)
	}
	if err != nil {
		l.fail(err) // so that senders that are blocked end
	}
	<-sent
	return err
}

// disconnect says goodbye, so that the broker has carried out every
// acknowledgement, and every delivery that was on its way has been counted.
func (l *load) disconnect() error {
	for _, c := range l.consumers {
		if err := l.goodbye(c.link); err != nil {
			return fmt.Errorf("disconnect consumer %d: %w", c.index, err)
		}
	}
	for _, p := range l.publishers {
		if err := l.goodbye(p.link); err != nil {
			return fmt.Errorf("disconnect publisher %d: %w", p.index, err)
		}
	}
	return nil
}

func (l *load) goodbye(k *link) error {
	k.leaving.Store(true)
	return k.request(l.ctx, "wait for the broker's goodbye", k.codec.appendDisconnect(nil))
}

// close ends what is left and waits for every goroutine.
func (l *load) close() {
	l.fail(context.Canceled)
	l.senders.Wait()
	l.readers.Wait()
}
