package broker

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/topic"
)

// StoredLimits bound the sessions that outlive their connections.
type StoredLimits struct {
	Messages      int   // that may wait for one session; beyond it the oldest go [100,000]
	Bytes         int64 // likewise, as the messages are stored [256 MiB]
	Sessions      int   // [1,000,000]
	Subscriptions int   // of one session [10,000]
}

func (l StoredLimits) withDefaults() StoredLimits {
	if l.Messages == 0 {
		l.Messages = 100_000
	}
	if l.Bytes == 0 {
		l.Bytes = 256 << 20
	}
	if l.Sessions == 0 {
		l.Sessions = 1_000_000
	}
	if l.Subscriptions == 0 {
		l.Subscriptions = 10_000
	}
	return l
}

// NeverExpires is the expiry of a stored session that waits for ever.
const NeverExpires = math.MaxUint32

// StoredSubscription is a subscription of a stored session.
type StoredSubscription struct {
	Topic string // a topic or a pattern
	Group string // of a shared subscription, which has a queue of its own; "" for others
	// Queued says that what comes waits in the session's queue. What isn't
	// queued and not shared is the connection's own affair ([Listening]).
	Queued  bool
	NoLocal bool
	Options uint8  // the protocol's own
	ID      uint32 // the protocol's own
}

func (s *StoredSubscription) same(o *StoredSubscription) bool {
	return s.Topic == o.Topic && s.Group == o.Group
}

// bound reports whether the session's queue gets what the topic gets.
func (s *StoredSubscription) bound() bool { return s.Queued && s.Group == "" }

// storedSession is what the log knows of a client between its connections. Its
// fields belong to the applier, guarded by storedSessions.mu for readers
// elsewhere.
type storedSession struct {
	clientID, owner string
	connection      message.ID // that has it; zero for none
	resumed         bool       // that connection found it
	expiry          uint32     // seconds that it waits for the next connection
	since           int64      // when the last connection ended, ms
	queue           *queue.Queue
	subs            []StoredSubscription
	bindings        []*topic.Binding
	in              numberSet // of publishes that were taken and not released
	out             numberSet // of deliveries that were received and not completed
	will            *storedWill

	filter storedFilter // of bindings
}

// storedWill is a message that is published when its client's connection ends
// in any other way than by intent.
type storedWill struct {
	message *message.Message
	delay   uint32 // seconds after the connection's end
	expiry  uint32 // seconds that the message lives from when it is published, 0 for ever

	taken bool // the leader's: it is on its way to be published, or cancelled
}

// storedFilter selects what a session's queue gets of the topics that it is
// bound to: what isn't persistent only while the client is there, which
// persistent messages don't depend on, so that Apply stays a function of the
// log.
type storedFilter struct {
	clientID string
	online   atomic.Bool
	local    atomic.Pointer[[]string] // if some pattern leaves out the client's own messages: the others
}

// Matches implements queue.Filter.
func (f *storedFilter) Matches(m *message.Message) bool {
	if !m.Durable && !f.online.Load() {
		return false
	}
	local := f.local.Load()
	return local == nil || m.Publisher != f.clientID || selectsAny(*local, m.Destination.Name)
}

// storedMark begins Queue.Extra of a stored session's queue; the client id
// follows.
const storedMark = 'm'

func isStoredQueue(q *queue.Queue) bool { return len(q.Extra) > 0 && q.Extra[0] == storedMark }

// storedSessions is the part of the state that is stored sessions.
type storedSessions struct {
	b *Broker

	mu       sync.RWMutex
	byClient map[string]*storedSession
	groups   map[storedGroup]int // stored sessions that share a subscription

	// owned by the applier
	dirty  map[string]struct{}
	parts  map[string]int          // values in the page store
	half   []byte                  // while loading: a value so far
	queues map[string]*queue.Queue // while loading

	storedUpkeep
}

type storedGroup struct{ group, topic string }

func newStoredSessions(b *Broker) *storedSessions {
	p := &storedSessions{
		b: b, byClient: make(map[string]*storedSession), groups: make(map[storedGroup]int),
		dirty: make(map[string]struct{}), parts: make(map[string]int), queues: make(map[string]*queue.Queue),
	}
	p.init()
	return p
}

// kind implements part.
func (p *storedSessions) kind() byte { return 'm' }

// apply implements part.
func (p *storedSessions) apply(data []byte) {
	c, err := parseStoredChange(data)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.byClient[c.clientID]
	if c.kind == storedOpen {
		p.open(s, c)
		return
	}
	if s == nil {
		return
	}
	p.dirty[s.clientID] = struct{}{}
	switch c.kind {
	case storedOpen: // done
	case storedClose:
		p.close(s, c)
	case storedEnd:
		// A session that has a connection again since then goes on.
		if c.force || s.connection == (message.ID{}) && s.since == c.now {
			p.remove(s)
		}
	case storedWillSent:
		if s.will != nil && s.will.message.ID == c.id {
			s.will = nil
		}
	case storedSubscribe:
		p.subscribe(s, c)
	case storedUnsubscribe:
		for i := range c.subs {
			p.unsubscribe(s, &c.subs[i])
		}
	case storedIn:
		s.in.add(c.number)
	case storedInDone:
		s.in.remove(c.number)
	case storedOut:
		s.out.add(c.number)
	case storedOutDone:
		s.out.remove(c.number)
	}
}

// open gives the session to a connection. p.mu is held.
func (p *storedSessions) open(s *storedSession, c storedChange) {
	if s != nil && c.clean {
		p.remove(s)
		s = nil
	}
	resumed := s != nil
	if s == nil {
		s = &storedSession{clientID: c.clientID}
		s.filter.clientID = c.clientID
		p.byClient[c.clientID] = s
	}
	s.owner, s.connection, s.resumed, s.expiry, s.since, s.will = c.owner, c.id, resumed, c.expiry, 0, c.will
	p.dirty[c.clientID] = struct{}{}
}

// close takes the session from a connection. p.mu is held.
func (p *storedSessions) close(s *storedSession, c storedChange) {
	if s.connection != c.id {
		return
	}
	s.connection, s.expiry, s.since = message.ID{}, c.expiry, c.now
	if c.dropWill {
		s.will = nil
	}
	if s.expiry == 0 {
		p.remove(s)
	}
}

// remove ends a session with all that waits for it. p.mu is held.
func (p *storedSessions) remove(s *storedSession) {
	for i := range s.subs {
		p.leave(&s.subs[i])
	}
	for _, b := range s.bindings {
		p.b.topics.Unbind(b)
	}
	p.countLocal(s, -1)
	if s.queue != nil {
		p.b.machine.delete(s.queue.ID())
	}
	delete(p.byClient, s.clientID)
	p.dirty[s.clientID] = struct{}{}
}

// countLocal keeps the number of subscriptions that leave out their own
// messages.
func (p *storedSessions) countLocal(s *storedSession, sign int64) {
	if s.filter.local.Load() != nil {
		p.b.noLocal.Add(sign)
	}
}

// subscribe adds or changes subscriptions. p.mu is held.
func (p *storedSessions) subscribe(s *storedSession, c storedChange) {
	for i := range c.subs {
		sub := &c.subs[i]
		at := slices.IndexFunc(s.subs, func(o StoredSubscription) bool { return o.same(sub) })
		if at < 0 {
			s.subs = append(s.subs, *sub)
			p.join(sub)
		} else {
			s.subs[at] = *sub
		}
	}
	p.rebind(s)
	for i := range c.subs {
		if c.recover[i] && c.subs[i].bound() {
			p.recover(s, &c.subs[i], &c.id)
		}
	}
}

func (p *storedSessions) unsubscribe(s *storedSession, sub *StoredSubscription) {
	at := slices.IndexFunc(s.subs, func(o StoredSubscription) bool { return o.same(sub) })
	if at < 0 {
		return
	}
	p.leave(&s.subs[at])
	s.subs = slices.Delete(s.subs, at, at+1)
	p.rebind(s)
}

func (p *storedSessions) join(sub *StoredSubscription) {
	if sub.Group != "" {
		p.groups[storedGroup{sub.Group, sub.Topic}]++
	}
}

func (p *storedSessions) leave(sub *StoredSubscription) {
	if sub.Group == "" {
		return
	}
	g := storedGroup{sub.Group, sub.Topic}
	if p.groups[g]--; p.groups[g] <= 0 {
		delete(p.groups, g)
	}
}

// rebind binds the session's queue, made if need be, to what is subscribed to
// now. p.mu is held.
func (p *storedSessions) rebind(s *storedSession) {
	var local []string
	noLocal := false
	wanted := make(map[string]struct{})
	for i := range s.subs {
		sub := &s.subs[i]
		if !sub.bound() {
			continue
		}
		wanted[sub.Topic] = struct{}{}
		if noLocal = noLocal || sub.NoLocal; !sub.NoLocal {
			local = append(local, sub.Topic)
		}
	}
	p.countLocal(s, -1)
	s.filter.local.Store(nil)
	if noLocal {
		s.filter.local.Store(&local)
	}
	p.countLocal(s, 1)
	if len(wanted) > 0 && s.queue == nil {
		p.makeQueue(s)
	}
	s.bindings = slices.DeleteFunc(s.bindings, func(b *topic.Binding) bool {
		if _, ok := wanted[b.Pattern]; ok {
			delete(wanted, b.Pattern)
			return false
		}
		p.b.topics.Unbind(b)
		return true
	})
	for i := range s.subs {
		if _, ok := wanted[s.subs[i].Topic]; ok && s.subs[i].bound() {
			b := &topic.Binding{Queue: s.queue, Pattern: s.subs[i].Topic, Filter: &s.filter}
			p.b.topics.Bind(b)
			s.bindings = append(s.bindings, b)
		}
	}
}

func (p *storedSessions) makeQueue(s *storedSession) {
	s.queue = queue.New(message.Topic("$session"), p.b, p.b.budget)
	s.queue.Extra = append([]byte{storedMark}, s.clientID...)
	p.b.machine.number(s.queue)
}

// recover puts what topics remember into the session's queue, in the order of
// their names: the same on every node. Each gets an id of its own, counted from
// id in a range that no node gives to what clients publish.
func (p *storedSessions) recover(s *storedSession, sub *StoredSubscription, id *message.ID) {
	found := p.b.retained.match(sub.Topic)
	slices.SortFunc(found, func(a, b *message.Message) int {
		if a.Destination.Name < b.Destination.Name {
			return -1
		}
		return 1
	})
	for _, m := range found {
		id.Lo++
		m = m.With(func(e *message.Envelope) {
			e.ID = message.ID{Hi: id.Hi | 1<<63, Lo: id.Lo}
			e.Durable = true
		})
		s.queue.ApplyPublish(m, queue.ByReference(m, 1))
	}
	p.b.machine.touch(s.queue)
}

// loadQueue takes a restored queue if it is a stored session's.
func (p *storedSessions) loadQueue(q *queue.Queue) bool {
	if !isStoredQueue(q) {
		return false
	}
	p.queues[string(q.Extra[1:])] = q
	return true
}

// appendQueues appends the queues of all sessions.
func (p *storedSessions) appendQueues(all []*queue.Queue) []*queue.Queue {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, s := range p.byClient {
		if s.queue != nil {
			all = append(all, s.queue)
		}
	}
	return all
}

// count returns how many sessions are stored.
func (p *storedSessions) count() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.byClient)
}

// numberSet is a sorted set. Protocols count up, so that adding appends.
type numberSet []uint16

func (n *numberSet) add(v uint16) {
	if i, ok := slices.BinarySearch(*n, v); !ok {
		*n = slices.Insert(*n, i, v)
	}
}

func (n *numberSet) remove(v uint16) {
	if i, ok := slices.BinarySearch(*n, v); ok {
		*n = slices.Delete(*n, i, i+1)
	}
}

// StoredSessions returns how many sessions are stored, with or without a
// connection.
func (b *Broker) StoredSessions() int { return b.stored.count() }
