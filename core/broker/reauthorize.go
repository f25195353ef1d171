package broker

import (
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/topic"
)

// SubscriptionSink is a Sink whose protocol can end one subscription. Without
// it the whole connection is closed, with the same error.
type SubscriptionSink interface {
	// Revoked says that the broker closed c, because its user lost the right
	// to it. Like the other methods of Sink it must not block or call back.
	Revoked(c *Consumer, err error)
}

// Reauthorize asks for every session whether it may still do what it does, and
// ends what it may not: after Security.Reload.
func (b *Broker) Reauthorize() {
	for _, s := range b.openSessions() {
		s.reauthorize()
	}
}

func (b *Broker) openSessions() []*Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	open := make([]*Session, 0, len(b.sessions))
	for s := range b.sessions {
		open = append(open, s)
	}
	return open
}

// reauthorize ends what the session may not do any more.
func (s *Session) reauthorize() {
	if err := s.stillSomebody(); err != nil {
		s.expel(fail(CodeUnauthorized, "", "%w", err))
		return
	}
	s.mu.Lock()
	consumers := make(map[*queue.Consumer]Subscription, len(s.consumers))
	for c, sub := range s.consumers {
		consumers[c] = *sub
	}
	wild := make([]*topic.Subscriber, 0, len(s.wild))
	for t := range s.wild {
		wild = append(wild, t)
	}
	s.mu.Unlock()
	for c, sub := range consumers {
		if err := s.mayKeep(sub); err != nil {
			s.revoke(c, err)
		}
	}
	for _, p := range s.b.queues.patternsOf(s) {
		p.recheck()
	}
	for _, t := range wild {
		t.Recheck()
	}
}

func (s *Session) stillSomebody() error {
	sec := s.b.o.Security
	if sec == nil {
		return nil
	}
	s.rights.mu.Lock()
	defer s.rights.mu.Unlock()
	s.rights.renew(sec, sec.Generation())
	return s.rights.revoked
}

// mayKeep reports why a subscription has to end.
func (s *Session) mayKeep(sub Subscription) error {
	switch {
	case sub.listening != nil:
		return sub.listening.mayKeep()
	case sub.stored != nil:
		return sub.stored.mayKeep()
	}
	ds, err := sub.Destination.Components()
	if err != nil {
		return err
	}
	return s.maySubscribe(ds, &sub)
}

// revoke ends one subscription, and with it the connection if its protocol
// can't say so.
func (s *Session) revoke(c *queue.Consumer, err error) {
	c.Close()
	if sink, ok := s.req.Sink.(SubscriptionSink); ok {
		sink.Revoked(c, err)
		return
	}
	s.expel(err)
}

// expel ends the session: nothing is delivered any more, whenever the
// connection gets to know.
func (s *Session) expel(err error) {
	s.mu.Lock()
	consumers := make([]*queue.Consumer, 0, len(s.consumers))
	for c := range s.consumers {
		consumers = append(consumers, c)
	}
	s.mu.Unlock()
	for _, c := range consumers {
		c.Close()
	}
	s.end(err)
}

// patternsOf returns the subscriptions of a session to patterns of queues.
func (r *registry) patternsOf(s *Session) (ps []*patternConsumer) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for p := range r.patterns {
		if p.s == s {
			ps = append(ps, p)
		}
	}
	return ps
}

// recheck attaches p to the queues that its user may read, and to no others.
func (p *patternConsumer) recheck() {
	r := &p.s.b.queues
	r.mu.RLock()
	var qs []*queue.Queue
	for d, q := range r.byName {
		if q != nil && p.selects(d) {
			qs = append(qs, q)
		}
	}
	r.mu.RUnlock()
	for _, q := range qs {
		if p.mayRead(q) {
			p.attach(q)
		} else {
			p.detach(q)
		}
	}
}

// expiry ends sessions when the proof of who their user is does: one timer,
// set to the next one.
type expiry struct {
	b       *Broker
	mu      sync.Mutex
	timer   *time.Timer
	next    time.Time
	stopped bool
}

// watch has the session looked at when its user's proof ends.
func (e *expiry) watch(s *Session) {
	if p := s.Principal(); p != nil && !p.Expires.IsZero() {
		e.set(p.Expires)
	}
}

// longestTimer keeps far dates within what a timer can hold.
const longestTimer = 24 * time.Hour

func (e *expiry) set(at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped || !e.next.IsZero() && !at.Before(e.next) {
		return
	}
	e.next = at
	wait := min(at.Sub(e.b.o.Now()), longestTimer)
	if e.timer == nil {
		e.timer = time.AfterFunc(wait, e.run)
		return
	}
	e.timer.Reset(wait)
}

func (e *expiry) run() {
	e.mu.Lock()
	e.next = time.Time{}
	e.mu.Unlock()
	now := e.b.o.Now()
	for _, s := range e.b.openSessions() {
		p := s.Principal()
		switch {
		case p == nil || p.Expires.IsZero():
		case p.Expires.After(now):
			e.set(p.Expires)
		default:
			s.expel(fail(CodeUnauthorized, "", "the %s of user %q has expired: connect with a new one", p.How, p.Name))
		}
	}
}

func (e *expiry) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	if e.timer != nil {
		e.timer.Stop()
	}
}
