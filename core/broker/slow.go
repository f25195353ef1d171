package broker

import (
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/queue"
)

// slowness ends consumers that are too slow, where a policy says so: one
// goroutine looks at all consumers now and then. Without such a policy there
// is none.
type slowness struct {
	b     *Broker
	known map[*queue.Consumer]*pace // owned by the goroutine
	done  chan struct{}
	ended sync.Once
	wg    sync.WaitGroup
}

// pace is what is known of a consumer.
type pace struct {
	settled uint64
	moved   time.Time // when it last settled something, as far as was seen
	slow    time.Time // since when it is slow; zero: it isn't
	times   int       // how often it became slow
	seen    bool      // in this round
}

func (w *slowness) init(b *Broker) {
	w.b, w.known, w.done = b, make(map[*queue.Consumer]*pace), make(chan struct{})
}

// start starts the goroutine if a policy asks for it.
func (w *slowness) start() {
	every := time.Duration(0)
	for _, e := range w.b.o.Policies {
		p := policy.Default()
		e.Apply(&p)
		if p.Slow.Abort != policy.AbortNone && (every == 0 || p.Slow.Check < every) {
			every = p.Slow.Check
		}
	}
	if every > 0 {
		w.wg.Go(func() { w.run(every) })
	}
}

func (w *slowness) run(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.check(time.Now())
		case <-w.done:
			return
		}
	}
}

func (w *slowness) stop() {
	w.ended.Do(func() { close(w.done) })
	w.wg.Wait()
}

// check looks at every consumer once.
func (w *slowness) check(now time.Time) {
	for _, s := range w.b.everySession() {
		for _, o := range s.subscriptions() {
			p := w.policyOf(o.Destination)
			if p.Abort == policy.AbortNone {
				continue
			}
			if why := w.judge(o.consumer, p, now); why != "" {
				w.abort(s, &o, p, why)
			}
		}
	}
	for c, k := range w.known {
		if !k.seen {
			delete(w.known, c)
		}
		k.seen = false
	}
}

// policyOf returns what holds for a consumer: of a composite, what its first
// component says.
func (w *slowness) policyOf(d message.Destination) *policy.Slow {
	if ds, err := d.Components(); err == nil {
		d = ds[0]
	}
	return &w.b.policies.For(d).Slow
}

// judge returns why a consumer is to be ended, "" if it isn't.
func (w *slowness) judge(c *queue.Consumer, p *policy.Slow, now time.Time) (why string) {
	state := c.Progress()
	k := w.known[c]
	if k == nil {
		k = &pace{settled: state.Settled, moved: now}
		w.known[c] = k
	}
	k.seen = true
	moved := state.Settled != k.settled
	if moved {
		k.settled, k.moved = state.Settled, now
	}
	if p.Abort == policy.AbortSilent {
		if (state.Unsettled > 0 || p.Idle) && p.Silence > 0 && now.Sub(k.moved) >= p.Silence {
			return "it has acknowledged nothing for " + now.Sub(k.moved).Round(time.Millisecond).String()
		}
		return ""
	}
	// Whom a queue feeds has no credit whenever it is busy: it is slow if it
	// does nothing. Of a topic it misses messages.
	slow := state.Behind && (!state.Kept || !moved)
	switch {
	case !slow:
		k.slow = time.Time{}
		return ""
	case k.slow.IsZero():
		k.slow = now
		k.times++
	}
	switch {
	case p.Count > 0 && k.times > p.Count:
		return "it became slow too often"
	case p.Duration > 0 && now.Sub(k.slow) >= p.Duration:
		return "it has been slow for " + now.Sub(k.slow).Round(time.Millisecond).String()
	}
	return ""
}

// abort ends a consumer, or its connection.
func (w *slowness) abort(s *Session, o *owned, p *policy.Slow, why string) {
	err := fail(CodeLimit, "", "the consumer of %s is too slow: %s (slowConsumerStrategy)", o.Destination, why)
	w.b.counts.aborted.Add(1)
	delete(w.known, o.consumer)
	w.b.o.Logger.Warn("a slow consumer is ended", "proto", s.req.Protocol, "conn", s.req.Remote, "client_id", s.clientID,
		"dest", o.Destination.String(), "reason", why)
	if p.Connection {
		s.expel(err)
		return
	}
	s.revoke(o.consumer, err)
}
