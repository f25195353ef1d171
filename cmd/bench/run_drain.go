package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// retryInterval is how often a broker that is starting is asked again.
const retryInterval = 2 * time.Millisecond

// runDrain consumes what fill left, from the moment the broker accepts
// clients: start it together with a broker that recovers.
func runDrain(ctx context.Context, s *settings, p *progress) (*result, error) {
	l := newLoad(ctx, s, s.producers, p)
	defer l.close()
	p.begin("wait for the broker")
	accepted, err := awaitBroker(l.ctx, l.dialer, s.timeout)
	if err != nil {
		return nil, err
	}
	p.begin("drain")
	meter, err := startMeter(s.pid)
	if err != nil {
		return nil, err
	}
	m := measurement{start: l.clock.ticks()}
	if err := l.addConsumers(); err != nil {
		return nil, err
	}
	if err := l.drainAll(meter); err != nil {
		return nil, err
	}
	m.to = l.totals()
	if m.usage, err = meter.stop(); err != nil {
		return nil, err
	}
	if err := l.settleAccount(&m); err != nil {
		return nil, err
	}
	r := newResult(s)
	r.Broker = l.peer()
	l.fill(r, &m)
	r.PublishPS = 0
	r.Latency, r.LatencyBasis = nil, "" // the stamps are of another process's clock
	r.Missing = l.undrained()
	r.Drain = &drainResult{
		AcceptedMs: millis(accepted),
		FirstMs:    millis(toDuration(m.to.firstDelivery)),
		AllMs:      millis(toDuration(m.to.latestDelivery)),
	}
	if r.Missing > 0 {
		return r, fmt.Errorf("%d %w of %d drained", r.Missing, errIncomplete, r.Delivered+r.Missing)
	}
	return r, nil
}

func millis(d time.Duration) float64 { return round(float64(d)/float64(time.Millisecond), 1) }

// drainAll waits until nothing comes any more. As long as it is known that
// something must, the broker gets the long timeout.
func (l *load) drainAll(meter *meter) error {
	if l.s.messages > 0 {
		_, err := l.await(func(t totals) bool { return t.delivered >= l.s.messages }, l.s.timeout, meter)
		if err != nil {
			return err
		}
	}
	_, err := l.await(func(totals) bool { return false }, l.s.idle, meter)
	return err
}

// undrained counts what is missing of the --messages that were filled, or when
// that is not known of what the highest sequences say there was.
func (l *load) undrained() int64 {
	var missing int64
	for i := range l.s.producers {
		n := share(l.s.messages, i, l.s.producers)
		if l.s.messages == 0 {
			n = l.highest(i) + 1
		}
		missing += int64(l.ledgers[i%l.s.queues].trackers[i].missing(uint32(n)))
	}
	return missing
}

// highest returns the last sequence of producer i that any consumer saw, -1
// when there is none.
func (l *load) highest(i int) int64 {
	seq := int64(-1)
	for _, c := range l.consumers {
		seq = max(seq, c.last[i])
	}
	return seq
}

// awaitBroker connects until the broker accepts a client, and returns how long
// that took since the clock of d started. A refusal in words is an answer, and
// ends the wait.
func awaitBroker(ctx context.Context, d *dialer, timeout time.Duration) (time.Duration, error) {
	retry := time.NewTicker(retryInterval)
	defer retry.Stop()
	for {
		k, err := d.connect(ctx)
		took := toDuration(d.clock.ticks())
		if err == nil {
			return took, k.conn.Close()
		}
		var no *refusal
		if errors.As(err, &no) || took > timeout {
			return 0, fmt.Errorf("no client accepted in %s: %w", took.Round(time.Millisecond), err)
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
