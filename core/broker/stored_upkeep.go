package broker

import (
	pq "container/heap"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// storedUpkeep is what the leader does for stored sessions by itself: it
// publishes wills, ends sessions that have waited long enough, and holds
// backlogs to their limit. What it decides is a record like any other; the
// state doesn't depend on its clock.
type storedUpkeep struct {
	// order is held while a decision about a will or the end of a connection is
	// queued with Commit: a will is published by one of those who could.
	order sync.Mutex

	dueMu sync.Mutex
	due   storedDue
	full  map[*queue.Queue]struct{} // backlogs beyond their limit
	wake  chan struct{}
	quit  chan struct{}
	wg    sync.WaitGroup
	once  sync.Once
}

func (u *storedUpkeep) init() {
	u.wake, u.quit = make(chan struct{}, 1), make(chan struct{})
	u.full = make(map[*queue.Queue]struct{})
}

// dueEntry says when a session is to be looked at.
type dueEntry struct {
	at       int64 // ms
	clientID string
}

type storedDue []dueEntry

func (h storedDue) Len() int           { return len(h) }
func (h storedDue) Less(i, j int) bool { return h[i].at < h[j].at }
func (h storedDue) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *storedDue) Push(x any)        { *h = append(*h, x.(dueEntry)) } //nolint:errcheck // only entries are pushed
func (h *storedDue) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}

// start takes over: connections that the log still knows are gone.
func (p *storedSessions) start() {
	p.order.Lock()
	p.mu.RLock()
	type open struct {
		clientID string
		id       message.ID
		expiry   uint32
	}
	var lost []open
	for _, s := range p.byClient {
		if s.connection != (message.ID{}) {
			lost = append(lost, open{s.clientID, s.connection, s.expiry})
		} else {
			p.watch(s.clientID, p.nextDue(s))
		}
	}
	p.mu.RUnlock()
	for _, o := range lost {
		p.endConnection(o.clientID, o.id, o.expiry, true)
	}
	p.order.Unlock()
	p.wg.Go(p.keep)
}

func (p *storedSessions) stop() {
	p.once.Do(func() { close(p.quit) })
	p.wg.Wait()
}

// keep is the goroutine that looks at sessions when they are due.
func (p *storedSessions) keep() {
	// A clock that was set is noticed after this at the latest.
	const longest = time.Minute
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-p.wake:
		case <-alarm.C:
		}
		p.trim()
		next := longest
		for {
			e, wait := p.pop(p.b.NowMs())
			if wait > 0 {
				next = min(next, wait)
				break
			}
			p.look(e.clientID)
		}
		alarm.Reset(next)
	}
}

// pop returns a session that is due, or how long to wait for the next one.
func (p *storedSessions) pop(now int64) (e dueEntry, wait time.Duration) {
	p.dueMu.Lock()
	defer p.dueMu.Unlock()
	if len(p.due) == 0 {
		return e, time.Hour
	}
	if left := p.due[0].at - now; left > 0 {
		return e, time.Duration(left) * time.Millisecond
	}
	return pq.Pop(&p.due).(dueEntry), 0 //nolint:errcheck // only entries are pushed
}

// watch has a session looked at when at has come; 0 is never.
func (p *storedSessions) watch(clientID string, at int64) {
	if at == 0 {
		return
	}
	p.dueMu.Lock()
	pq.Push(&p.due, dueEntry{at, clientID})
	first := p.due[0].clientID == clientID
	p.dueMu.Unlock()
	if first {
		p.poke()
	}
}

func (p *storedSessions) poke() {
	select {
	case p.wake <- struct{}{}:
	default: // it is awake already
	}
}

// nextDue is when something is to be done about a session without connection,
// 0 if nothing ever.
func (p *storedSessions) nextDue(s *storedSession) int64 {
	at := int64(0)
	if s.expiry != NeverExpires {
		at = s.since + int64(s.expiry)*1000
	}
	if s.will != nil {
		if sent := s.since + int64(s.will.delay)*1000; at == 0 || sent < at {
			at = sent
		}
	}
	return at
}

// look does what is due for a session.
func (p *storedSessions) look(clientID string) {
	p.order.Lock()
	defer p.order.Unlock()
	now := p.b.NowMs()
	p.mu.RLock()
	s := p.byClient[clientID]
	if s == nil || s.connection != (message.ID{}) {
		p.mu.RUnlock()
		return
	}
	since, will := s.since, s.will
	ended := s.expiry != NeverExpires && now >= since+int64(s.expiry)*1000
	due := will != nil && !will.taken && (ended || now >= since+int64(will.delay)*1000)
	subs := s.subs
	again := p.nextDue(s)
	if due {
		will.taken = true
		again = 0
		if s.expiry != NeverExpires {
			again = since + int64(s.expiry)*1000
		}
	}
	p.mu.RUnlock()
	var ops []store.Op
	if due {
		ops = p.willOps(ops, clientID, will)
	}
	if ended {
		c := storedChange{kind: storedEnd, clientID: clientID, now: since}
		ops = append(ops, p.op(&c))
	} else if again > now {
		p.watch(clientID, again)
	}
	if len(ops) == 0 {
		return
	}
	p.b.store.Commit(store.Request{Ops: ops, Durability: store.Soon})
	if ended {
		for i := range subs {
			p.dropGroup(&subs[i])
		}
	}
}

// endConnection commits the end of a connection. p.order is held.
func (p *storedSessions) endConnection(clientID string, id message.ID, expiry uint32, withWill bool) {
	now := p.b.NowMs()
	c := storedChange{kind: storedClose, clientID: clientID, id: id, expiry: expiry, now: now, dropWill: !withWill}
	p.mu.RLock()
	s := p.byClient[clientID]
	if s == nil || s.connection != id {
		p.mu.RUnlock()
		return
	}
	s.filter.online.Store(false)
	will := s.will
	if will != nil && will.taken {
		will = nil
	}
	var subs []StoredSubscription
	if expiry == 0 {
		subs = s.subs
	}
	p.mu.RUnlock()
	var ops []store.Op
	at := int64(0)
	switch {
	case will == nil:
	case !withWill:
		will.taken = true
	case will.delay == 0 || expiry == 0:
		will.taken = true
		ops = p.willOps(ops, clientID, will)
	default:
		at = now + int64(will.delay)*1000
	}
	if end := now + int64(expiry)*1000; expiry != NeverExpires && expiry > 0 && (at == 0 || end < at) {
		at = end
	}
	ops = append(ops, p.op(&c))
	p.b.store.Commit(store.Request{Ops: ops, Durability: store.Soon})
	p.watch(clientID, at)
	for i := range subs {
		p.dropGroup(&subs[i])
	}
}

// willOps publishes a will in the record that says that it is published, so
// that no node does it again.
func (p *storedSessions) willOps(ops []store.Op, clientID string, w *storedWill) []store.Op {
	now := p.b.NowMs()
	m := w.message.With(func(e *message.Envelope) {
		e.ID, e.Timestamp, e.Expiry = p.b.NewID(), now, 0
		if w.expiry > 0 {
			e.Expiry = now + int64(w.expiry)*1000
		}
	})
	c := storedChange{kind: storedWillSent, clientID: clientID, id: w.message.ID}
	return p.b.publishOps(append(ops, p.op(&c)), []*message.Message{m})
}

// dropGroup removes the durable subscription of a group that no stored session
// belongs to any more, unless a consumer of another protocol uses it.
func (p *storedSessions) dropGroup(sub *StoredSubscription) {
	if sub.Group == "" {
		return
	}
	p.mu.RLock()
	left := p.groups[storedGroup{sub.Group, sub.Topic}]
	p.mu.RUnlock()
	d := p.b.queues.durable(durableKey{"", SharedTopic(sub.Group, sub.Topic)})
	if left > 0 || d == nil || d.inUse() {
		return
	}
	p.b.store.Commit(store.Request{Op: store.Op{Kind: store.OpUnsubscribe, Queue: d.queue.ID()}, Durability: store.Soon})
}

// SharedTopic is the name of the shared subscription of a group to a topic or
// pattern, for protocols in which one group may have several: any consumer that
// asks for that name and topic belongs to it.
func SharedTopic(group, topic string) string { return group + ":" + topic }
