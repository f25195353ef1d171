package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// errIncomplete says that the run went through and messages are missing.
var errIncomplete = errors.New("messages are missing")

// measurement is one measured stretch of a load.
type measurement struct {
	from    totals
	start   int64 // ticks
	stopped int64 // ticks at which the publishers were told to stop
	sentBy  int64 // ticks at which everything was sent and confirmed
	to      totals
	usage   usage
	arrived bool // everything that was sent was delivered
}

// runThroughput publishes for a while and measures up to the last delivery.
// fill is the same without consumers.
func runThroughput(ctx context.Context, s *settings, p *progress) (*result, error) {
	l := newLoad(ctx, s, s.producers, p)
	defer l.close()
	p.begin("connect")
	if err := l.addConsumers(); err != nil {
		return nil, err
	}
	group, err := l.addPublishers()
	if err != nil {
		return nil, err
	}
	if err := l.warmUp(group); err != nil {
		return nil, err
	}
	m, err := l.measure(group, nil, func() error {
		l.start(group)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := l.settleAccount(&m); err != nil {
		return nil, err
	}
	r := newResult(s)
	r.Broker = l.peer()
	l.fill(r, &m)
	return r, l.verdict(r, &m)
}

// warmUp publishes for a while and waits for the last delivery: a backlog that
// it left would be delivered in the measurement without having been published
// there.
func (l *load) warmUp(group []*publisher) error {
	if l.s.warmup == 0 {
		return nil
	}
	l.progress.begin("warm up")
	l.quiet(true)
	defer l.quiet(false)
	l.start(group)
	if err := l.pause(l.s.warmup, nil); err != nil {
		return err
	}
	for _, p := range group {
		p.stopAfter(0)
	}
	if err := l.finishSending(nil); err != nil {
		return err
	}
	for _, p := range group {
		p.stopAfter(unlimited)
	}
	// What is missing now will be missing at the end.
	_, err := l.awaitDeliveries(nil)
	return err
}

// measure lets group publish as long as the settings say and waits for the last
// delivery; or, with enough, until that is true, and does not wait. begin runs
// when the measurement has begun.
func (l *load) measure(group []*publisher, enough func(totals) bool, begin func() error) (measurement, error) {
	l.progress.begin("measure")
	meter, err := startMeter(l.s.pid)
	if err != nil {
		return measurement{}, err
	}
	m := measurement{from: l.totals(), start: l.clock.ticks()}
	if l.s.messages > 0 {
		for i, p := range group {
			p.stopAfter(p.sent.Load() + share(l.s.messages, i, len(group)))
		}
	}
	if err := begin(); err != nil {
		return m, err
	}
	if l.s.messages == 0 {
		if err := l.publishFor(meter, enough); err != nil {
			return m, err
		}
		m.to, m.stopped = l.totals(), l.clock.ticks()
		for _, p := range group {
			p.stopAfter(0)
		}
	}
	if err := l.finishSending(meter); err != nil {
		return m, err
	}
	m.sentBy = l.clock.ticks()
	if enough != nil { // the stretch ends with the sending: what is left is the backlog
		m.usage, err = meter.stop()
		return m, err
	}
	if m.arrived, err = l.awaitDeliveries(meter); err != nil {
		return m, err
	}
	m.to = l.totals()
	m.usage, err = meter.stop()
	return m, err
}

func (l *load) publishFor(meter *meter, enough func(totals) bool) error {
	if enough == nil {
		return l.pause(l.s.duration, meter)
	}
	deadline := l.clock.ticks() + toTicks(l.s.duration)
	_, err := l.await(func(t totals) bool { return enough(t) || l.clock.ticks() >= deadline }, l.s.timeout, meter)
	return err
}

// awaitDeliveries waits for everything that was sent.
func (l *load) awaitDeliveries(meter *meter) (bool, error) {
	if len(l.consumers) == 0 {
		return true, nil
	}
	expected := l.expected()
	return l.await(func(t totals) bool { return t.delivered >= expected }, l.s.timeout, meter)
}

// settleAccount says goodbye, ends the load and takes the final counters: what
// was still on its way then is duplicates.
func (l *load) settleAccount(m *measurement) error {
	if err := l.disconnect(); err != nil {
		return err
	}
	l.close()
	t := l.totals()
	m.to.duplicates, m.to.disordered, m.to.strays = t.duplicates, t.disordered, t.strays
	return nil
}

// fill writes what was measured into r, once the load has ended.
func (l *load) fill(r *result, m *measurement) {
	r.Published = m.to.sent - m.from.sent
	r.Delivered = m.to.delivered - m.from.delivered
	r.Confirmed = l.totals().confirmed
	if len(l.consumers) > 0 {
		r.Missing = l.missing()
	}
	r.Duplicates, r.Disordered, r.Strays = m.to.duplicates, m.to.disordered, m.to.strays
	sending := toDuration(m.sentBy - m.start).Seconds()
	r.Seconds = sending
	messages := r.Published
	if len(l.consumers) > 0 {
		r.Seconds = toDuration(max(m.to.latestDelivery-m.start, 0)).Seconds()
		messages = r.Delivered
	}
	r.Seconds = round(r.Seconds, 6)
	r.PublishPS = perSecond(r.Published, sending)
	r.DeliverPS = perSecond(r.Delivered, r.Seconds)
	r.setUsage(m.usage, messages)
	l.fillLatencies(r)
}

func (l *load) fillLatencies(r *result) {
	var all, confirms, lagged []*latencies
	for _, c := range l.consumers {
		all = append(all, c.latencies)
	}
	for _, p := range l.publishers {
		confirms = append(confirms, p.confirms)
		lagged = append(lagged, p.lagged)
	}
	r.Latency, r.Confirm, r.Pacing = merge(all), merge(confirms), merge(lagged)
	r.LatencyBasis = "sent"
	if l.s.rate > 0 {
		r.LatencyBasis = "due"
	}
}

// verdict is an error when messages are missing.
func (l *load) verdict(r *result, m *measurement) error {
	if r.Missing == 0 {
		return nil
	}
	sent := l.totals().sent
	err := fmt.Errorf("%d %w of %d sent", r.Missing, errIncomplete, sent)
	if !m.arrived {
		err = fmt.Errorf("%w: nothing came for %s", err, l.s.timeout)
	}
	return err
}

// peer returns what the broker calls itself.
func (l *load) peer() string {
	links := make([]*link, 0, len(l.publishers)+len(l.consumers))
	for _, p := range l.publishers {
		links = append(links, p.link)
	}
	for _, c := range l.consumers {
		links = append(links, c.link)
	}
	if i := slices.IndexFunc(links, func(k *link) bool { return k.codec.peer() != "" }); i >= 0 {
		return links[i].codec.peer()
	}
	return ""
}
