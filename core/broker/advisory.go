package broker

import (
	"sync"
	"sync/atomic"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/topic"
)

// advisories tell of events on topics of their own (AdvisoryPrefix). Events
// are noted under any lock and sent by a goroutine that lives while there are
// some; while nobody subscribes nothing is noted.
type advisories struct {
	b     *Broker
	table *topic.Table // who subscribes: patterns of other topics don't reach in

	mu      sync.Mutex
	waiting []Event
	running bool
	closed  bool
	wg      sync.WaitGroup
}

// maxEvents is how many events wait to be told; beyond it they are lost.
const maxEvents = 10_000

func (a *advisories) init(b *Broker) { a.b, a.table = b, topic.NewTable() }

// wanted reports whether somebody wants to know of events.
func (a *advisories) wanted() bool { return a.table.Any() && !a.b.o.NoAdvisories }

// note has e told. Any locks may be held.
func (a *advisories) note(e Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	if len(a.waiting) >= maxEvents {
		a.b.counts.discarded.Add(1)
		return
	}
	a.waiting = append(a.waiting, e)
	if !a.running {
		a.running = true
		a.wg.Go(a.run)
	}
}

func (a *advisories) run() {
	for {
		a.mu.Lock()
		events := a.waiting
		a.waiting = nil
		if len(events) == 0 || a.closed {
			a.running = false
			a.mu.Unlock()
			return
		}
		a.mu.Unlock()
		for i := range events {
			if r := a.table.Routes(events[i].topic()); len(r.Subscribers)+len(r.Bindings) > 0 {
				a.b.route(a.b.advisory(&events[i]))
			}
		}
	}
}

func (a *advisories) stop() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.wg.Wait()
}

// adviseSent tells of a message that came to d, which so many take.
func (b *Broker) adviseSent(m *message.Message, takers int) {
	p := &b.policies.For(m.Destination).Advise
	if isAdvisory(m.Destination) {
		return
	}
	if p.Delivered {
		b.advisories.note(Event{Kind: EventDelivered, Destination: m.Destination, Message: m, Body: p.Body})
	}
	if p.NoConsumers && takers == 0 {
		b.advisories.note(Event{Kind: EventNoConsumer, Destination: m.Destination, Message: m, Body: p.Body})
	}
}

// adviseOf tells that something happened to m in d.
func (b *Broker) adviseOf(k EventKind, d message.Destination, m *message.Message, count int64) {
	if b.advisories.wanted() {
		b.advisories.note(Event{Kind: k, Destination: d, Message: m, Body: b.policies.For(d).Advise.Body, Count: count})
	}
}

// adviseQueue tells that a queue or a topic came or went.
func (b *Broker) adviseDestination(d message.Destination, ended bool) {
	if b.advisories.wanted() {
		b.advisories.note(Event{Kind: EventDestination, Destination: d, Ended: ended})
	}
}

// adviseConnection tells that a client came or went.
func (s *Session) adviseConnection(ended bool) {
	if s.b.advisories.wanted() {
		s.b.advisories.note(s.event(ended))
	}
}

func (s *Session) event(ended bool) Event {
	return Event{
		Kind: EventConnection, Ended: ended, Connection: s.connectionID(), ClientID: s.clientID, User: s.req.Login, Remote: s.remote(),
	}
}

// adviseConsumer tells that a consumer came or went, of each of its
// destinations.
func (s *Session) adviseConsumer(sub *Subscription, ended bool) {
	if !s.b.advisories.wanted() {
		return
	}
	for _, e := range s.consumerEvents(sub, ended) {
		s.b.advisories.note(e)
	}
}

func (s *Session) consumerEvents(sub *Subscription, ended bool) (out []Event) {
	ds, err := sub.Destination.Components()
	if err != nil {
		return nil
	}
	for _, d := range ds {
		if isAdvisory(d) {
			continue
		}
		name := sub.Durable
		if name == "" {
			name = sub.SharedName
		}
		out = append(out, Event{
			Kind: EventConsumer, Ended: ended, Destination: d, Connection: s.connectionID(), ClientID: s.clientID,
			Consumer: s.consumerID(sub), Count: int64(s.b.consumersOf(d)), Selector: sub.Selector, Subscription: name,
			Prefetch: int64(sub.Window), Priority: int64(sub.Priority), Exclusive: sub.Exclusive, NoLocal: sub.NoLocal,
			Retroactive: sub.Retroactive, Browse: sub.Browse,
		})
	}
	return out
}

// consumersOf counts the consumers of d itself, without patterns.
func (b *Broker) consumersOf(d message.Destination) int {
	if !d.Kind.IsQueue() {
		return b.table(d).Count(d.Name)
	}
	if q := b.queues.get(d); q != nil {
		return q.Consumers()
	}
	return 0
}

// watch is what a topic's subscriber tells of its slowness.
type watch struct {
	b         *Broker
	d         message.Destination
	consumer  string
	policy    policy.Advise
	discarded atomic.Int64
}

// watcher returns who hears of a subscriber's slowness, nil if nobody is told.
func (s *Session) watcher(d message.Destination, sub *Subscription) topic.Watcher {
	p := s.b.policies.For(d).Advise
	if !p.SlowConsumers && !p.Discarded || isAdvisory(d) {
		return nil
	}
	return &watch{b: s.b, d: d, consumer: s.consumerID(sub), policy: p}
}

// Discarded implements topic.Watcher.
func (w *watch) Discarded(m *message.Message) {
	n := w.discarded.Add(1)
	if w.policy.Discarded && w.b.advisories.wanted() {
		d := w.d
		if m != nil {
			d = m.Destination
		}
		w.b.advisories.note(Event{
			Kind: EventDiscarded, Destination: d, Consumer: w.consumer, Message: m, Body: w.policy.Body, Count: n,
		})
	}
}

// Slow implements topic.Watcher.
func (w *watch) Slow() {
	if w.policy.SlowConsumers && w.b.advisories.wanted() {
		w.b.advisories.note(Event{Kind: EventSlow, Destination: w.d, Consumer: w.consumer})
	}
}

// adviseWait tells that a producer of m has to wait.
func (s *Session) adviseWait(m *message.Message) {
	if s.b.policies.For(m.Destination).Advise.FastProducers {
		s.b.advisories.note(Event{Kind: EventFast, Destination: m.Destination, Producer: s.connectionID()})
	}
}

// adviseDropped tells that messages made room for others in a queue.
func (b *Broker) adviseDropped(q *queue.Queue, n int) {
	if b.advisories.wanted() && b.policies.For(q.Destination()).Advise.Discarded {
		b.advisories.note(Event{Kind: EventDiscarded, Destination: q.Destination(), Count: int64(n)})
	}
}

// adviseConsumed returns what tells of messages that a consumer acknowledged,
// nil if nobody is told.
func (b *Broker) adviseConsumed(sub *Subscription) func(q *queue.Queue, m *message.Message) {
	ds, err := sub.Destination.Components()
	if err != nil || !b.policies.For(ds[0]).Advise.Consumed {
		return nil
	}
	return func(q *queue.Queue, m *message.Message) { b.adviseOf(EventConsumed, placeOf(q, m), m, 0) }
}

// adviseFull tells that a queue is at its limit.
func (b *Broker) adviseFull(q *queue.Queue, messages int) {
	if b.advisories.wanted() && b.policies.For(q.Destination()).Advise.Full {
		b.advisories.note(Event{Kind: EventFull, Destination: q.Destination(), Count: int64(messages)})
	}
}

// maxReplayed bounds what a new subscriber is told of what is there already.
const maxReplayed = 10_000

// present returns what is there already of what a pattern of advisory topics
// tells: a new subscriber gets it first.
func (b *Broker) present(pattern string) (out []*message.Message) {
	add := func(e Event) {
		if name := e.topic(); len(out) < maxReplayed && message.Matches(pattern, name) {
			out = append(out, b.advisory(&e))
		}
	}
	add(Event{Kind: EventMaster})
	for _, s := range b.everySession() {
		add(s.event(false))
		for _, c := range s.subscriptions() {
			for _, e := range s.consumerEvents(&c.Subscription, false) {
				add(e)
			}
		}
	}
	for _, e := range b.producers.events() {
		add(e)
	}
	for _, d := range b.everyDestination() {
		add(Event{Kind: EventDestination, Destination: d})
	}
	return out
}

// everyDestination returns the queues and topics that exist, temporary ones
// included.
func (b *Broker) everyDestination() (all []message.Destination) {
	b.queues.mu.RLock()
	for d := range b.queues.byName {
		all = append(all, d)
	}
	b.queues.mu.RUnlock()
	for _, name := range b.catalog.all() {
		all = append(all, message.Topic(name))
	}
	return all
}
