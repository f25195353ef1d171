package broker

import (
	"sync"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/security"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/topic"
)

// registry knows every queue. Queues that clients name are in byName, durable
// subscriptions in durables; those that the log knows are in byID too.
type registry struct {
	mu       sync.RWMutex
	byName   map[message.Destination]*queue.Queue
	byID     map[uint64]*queue.Queue
	durables map[durableKey]*durable
	patterns map[*patternConsumer]struct{}
}

func (r *registry) init() {
	r.byName = make(map[message.Destination]*queue.Queue)
	r.byID = make(map[uint64]*queue.Queue)
	r.durables = make(map[durableKey]*durable)
	r.patterns = make(map[*patternConsumer]struct{})
}

// get returns the queue of that name, nil if there is none.
func (r *registry) get(d message.Destination) *queue.Queue {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byName[d]
}

func (r *registry) id(id uint64) *queue.Queue {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[id]
}

func (r *registry) durable(k durableKey) *durable {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.durables[k]
}

// queueFor returns the queue of that name, made if need be. It is the same
// for clients, which want it at once, and for the applier, which gives it its
// number.
func (b *Broker) queueFor(d message.Destination) (q *queue.Queue, made bool) {
	if q := b.queues.get(d); q != nil {
		return q, false
	}
	r := &b.queues
	r.mu.Lock()
	if q := r.byName[d]; q != nil {
		r.mu.Unlock()
		return q, false
	}
	q = queue.New(d, b, b.budget)
	r.byName[d] = q
	var follow []*patternConsumer
	for p := range r.patterns {
		if p.selects(d) && !p.sub.Browse { // who browses sees what was there
			follow = append(follow, p)
		}
	}
	r.mu.Unlock()
	b.adviseDestination(d, false)
	for _, p := range follow {
		p.attach(q)
	}
	return q, true
}

// ensure returns the queue of that name for a client. A new one is made known
// to the log; nobody has to wait for that.
func (b *Broker) ensure(d message.Destination) *queue.Queue {
	q, made := b.queueFor(d)
	if made && !d.Kind.IsTemp() {
		b.store.Commit(store.Request{Op: store.Op{Kind: store.OpCreate, Data: appendDestination(nil, d)}, Durability: store.Soon})
	}
	return q
}

// patternConsumer follows the queues that a pattern names, those that are
// made later too.
type patternConsumer struct {
	s       *Session
	pattern message.Destination
	c       *queue.Consumer
	sub     Subscription
	filter  queue.Filter

	mu       sync.Mutex
	attached map[*queue.Queue]func() // what undoes it besides Detach
}

func (p *patternConsumer) selects(d message.Destination) bool {
	return d.Kind == p.pattern.Kind && message.Matches(p.pattern.Name, d.Name)
}

// attach makes p's consumer one of q's, if its user may read q and it isn't
// one already.
func (p *patternConsumer) attach(q *queue.Queue) {
	if !p.mayRead(q) || !p.mark(q) {
		return
	}
	if !p.sub.Browse {
		p.undo(q, p.s.b.virtuals.join(q, p.sub.Selector))
	}
	if p.sub.Browse {
		q.Browse(p.c, p.filter)
	} else {
		q.Subscribe(p.c, p.filter, p.sub.Priority, p.sub.Exclusive || p.s.b.policies.For(q.Destination()).Exclusive)
	}
	if !p.mayRead(q) { // the right was lost meanwhile, and recheck came too early
		p.detach(q)
	}
}

func (p *patternConsumer) mark(q *queue.Queue) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.attached[q]; ok {
		return false
	}
	if p.attached == nil {
		p.attached = make(map[*queue.Queue]func())
	}
	p.attached[q] = nil
	return true
}

func (p *patternConsumer) detach(q *queue.Queue) {
	p.mu.Lock()
	leave := p.attached[q]
	delete(p.attached, q)
	p.mu.Unlock()
	q.Detach(p.c)
	if leave != nil {
		leave()
	}
}

// undo notes what is to be done when p leaves q, now if it has left already.
func (p *patternConsumer) undo(q *queue.Queue, leave func()) {
	p.mu.Lock()
	_, ok := p.attached[q]
	if ok {
		p.attached[q] = leave
	}
	p.mu.Unlock()
	if !ok && leave != nil {
		leave()
	}
}

// leave undoes what attach did besides what the consumer's end undoes.
func (p *patternConsumer) leave() {
	p.mu.Lock()
	all := p.attached
	p.attached = nil
	p.mu.Unlock()
	for _, leave := range all {
		if leave != nil {
			leave()
		}
	}
}

// mayRead reports whether the subscriber may read q. A subscription to one
// destination was asked for that before; a pattern is for what it selects.
func (p *patternConsumer) mayRead(q *queue.Queue) bool {
	return p.pattern == q.Destination() || p.s.allowed(q.Destination()).Has(security.Read)
}

// follow attaches p to every queue that its pattern names.
func (b *Broker) follow(p *patternConsumer) (stop func()) {
	r := &b.queues
	r.mu.Lock()
	r.patterns[p] = struct{}{}
	var qs []*queue.Queue
	for d, q := range r.byName {
		if p.selects(d) {
			qs = append(qs, q)
		}
	}
	r.mu.Unlock()
	for _, q := range qs {
		p.attach(q)
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.patterns, p)
	}
}

// durableKey names a durable subscription.
type durableKey struct{ ClientID, Name string }

// durable is a durable subscription: a queue bound to topics.
type durable struct {
	spec  durableSpec
	queue *queue.Queue
	bound *topic.Binding

	mu   sync.Mutex
	used int // consumers attached now
}
