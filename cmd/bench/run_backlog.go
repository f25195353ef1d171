package bench

import (
	"context"
	"fmt"
)

// runBacklog measures with an empty queue, then publishes a backlog, then
// measures again while that is waiting.
func runBacklog(ctx context.Context, s *settings, p *progress) (*result, error) {
	empty := *s
	empty.kind = kindThroughput
	empty.scenario += ".empty"
	if empty.destination != "" {
		empty.destination += ".empty"
	}
	before, err := runThroughput(ctx, &empty, p)
	if err != nil {
		return nil, fmt.Errorf("with the empty queue: %w", err)
	}
	l := newLoad(ctx, s, 2*s.producers, p)
	defer l.close()
	b := &backlogResult{EmptyPublishPS: before.PublishPS, EmptyDeliverPS: before.DeliverPS}
	if err := l.fillUp(b); err != nil {
		return nil, fmt.Errorf("publish the backlog: %w", err)
	}
	m, err := l.measureBacklog(b)
	if err != nil {
		return nil, err
	}
	l.progress.begin("drain")
	if m.arrived, err = l.awaitDeliveries(nil); err != nil {
		return nil, err
	}
	if err := l.settleAccount(&m); err != nil {
		return nil, err
	}
	return l.backlogResult(b, &m)
}

// fillUp publishes the backlog as fast as it can and waits until it is safe.
func (l *load) fillUp(b *backlogResult) error {
	l.progress.begin("fill")
	group, err := l.addPublishers()
	if err != nil {
		return err
	}
	for i, p := range group {
		p.rate = 0
		p.stopAfter(share(l.s.backlog, i, len(group)))
	}
	l.quiet(true)
	l.start(group)
	if err := l.finishSending(nil); err != nil {
		return err
	}
	l.quiet(false)
	if l.s.pid != 0 {
		broker, _, err := (procfs{root: "/proc"}).tree(l.s.pid)
		if err != nil {
			return err
		}
		b.FilledRSS = mib(broker.rss)
	}
	return nil
}

// measureBacklog publishes and consumes at the same time until the time or the
// backlog is up.
func (l *load) measureBacklog(b *backlogResult) (measurement, error) {
	group, err := l.addPublishers()
	if err != nil {
		return measurement{}, err
	}
	if err := l.connectConsumers(); err != nil {
		return measurement{}, err
	}
	// A few in flight are no backlog.
	gone := func(t totals) bool { return t.sent-t.delivered <= l.s.backlog/100 }
	m, err := l.measure(group, gone, func() error {
		l.start(group)
		return l.subscribeConsumers()
	})
	b.Waiting = m.from.sent - m.from.delivered
	b.Left = m.to.sent - m.to.delivered
	return m, err
}

func (l *load) backlogResult(b *backlogResult, m *measurement) (*result, error) {
	r := newResult(l.s)
	r.Broker = l.peer()
	l.fill(r, m)
	// The measured stretch ends when the publishers stop: what came later is
	// the rest of the backlog.
	r.Seconds = round(toDuration(m.stopped-m.start).Seconds(), 6)
	r.PublishPS = perSecond(r.Published, r.Seconds)
	r.DeliverPS = perSecond(r.Delivered, r.Seconds)
	r.Backlog = b
	r.Latency = nil // of messages that were meant to wait
	if b.EmptyPublishPS > 0 {
		b.PublishRatio = round(r.PublishPS/b.EmptyPublishPS, 3)
	}
	if b.EmptyDeliverPS > 0 {
		b.DeliverRatio = round(r.DeliverPS/b.EmptyDeliverPS, 3)
	}
	return r, l.verdict(r, m)
}
