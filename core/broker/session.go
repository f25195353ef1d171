package broker

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/topic"
)

// Session is one authenticated client connection. One goroutine calls it:
// the connection's reader.
type Session struct {
	// Immutable.
	b        *Broker
	req      ConnectRequest
	clientID string
	userID   string // of its messages
	serial   uint64 // names the session to administrators
	since    time.Time

	sent atomic.Uint64 // messages

	// pending counts what is on its way through the committer: while there
	// is something, what follows goes the same way, to stay in order.
	pending atomic.Int64
	ended   atomic.Bool // for flow, which forgets it then

	// Owned by the reader.
	temps int // temporary destinations made so far
	made  int // consumers made so far
	sends sendRight

	rights rights
	denied atomic.Bool // something was, and is in the log

	mu        sync.Mutex
	consumers map[*queue.Consumer]*Subscription // pointers: a map has room for eight values from its first one on
	temp      map[message.Destination]struct{}
	wild      map[*topic.Subscriber]struct{} // subscriptions to patterns of topics
	open      map[*Transaction]struct{}
	closed    bool
}

// Connect authenticates a client and opens its session.
func (b *Broker) Connect(r ConnectRequest) (*Session, error) {
	s := &Session{
		b: b, req: r, clientID: r.ClientID, serial: b.serials.Add(1), since: b.o.Now(),
		consumers: make(map[*queue.Consumer]*Subscription),
	}
	if s.clientID == "" {
		id := b.NewID()
		s.clientID = fmt.Sprintf("ID:%s-%x-%d", b.o.Name, id.Hi, id.Lo)
	}
	if err := s.authenticate(); err != nil {
		return nil, err
	}
	older, err := b.register(s)
	if err != nil {
		return nil, err
	}
	if older != nil {
		older.end(fail(CodeInUse, "", "client id %q connected from %v", s.clientID, r.Remote))
		older.Close()
	}
	b.counts.connects.Add(1)
	s.adviseConnection(false)
	b.expiry.watch(s)
	return s, nil
}

func (b *Broker) register(s *Session) (older *Session, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refused(); err != nil {
		return nil, err
	}
	if s.req.ClientID != "" {
		older = b.clients[s.clientID]
		if older != nil && older.req.Joins && s.req.Joins && older.userName() == s.userName() {
			b.joined[s.clientID]++
			b.sessions[s] = struct{}{}
			return nil, nil
		}
		if older != nil && !s.req.TakeOver {
			return nil, fail(CodeExists, "connect", "client id %q is connected already from %v; "+
				"end that connection, or use another client id", s.clientID, older.req.Remote)
		}
		if older != nil && older.userName() != s.userName() {
			return nil, fail(CodeForbidden, "connect", "client id %q is in use by another user", s.clientID)
		}
		b.clients[s.clientID] = s
	}
	b.sessions[s] = struct{}{}
	return older, nil
}

// ClientID returns the id that the client gave or was given.
func (s *Session) ClientID() string { return s.clientID }

// connectionID names the session in advisories.
func (s *Session) connectionID() string {
	return fmt.Sprintf("ID:%s-%x-%d", s.b.o.Name, s.b.run, s.serial)
}

// consumerID names one of its consumers, as ActiveMQ writes it.
func (s *Session) consumerID(sub *Subscription) string {
	return fmt.Sprintf("%s:-1:%d", s.connectionID(), sub.number)
}

// NewID returns a fresh message id.
func (s *Session) NewID() message.ID { return s.b.NewID() }

// Publisher returns what belongs into Envelope.Publisher: the client id while
// some subscription leaves out its own messages, "" otherwise.
func (s *Session) Publisher() string {
	if s.b.noLocal.Load() > 0 {
		return s.clientID
	}
	return ""
}

// Sync completes done when everything that the session did before is safe.
func (s *Session) Sync(done Done, token uint64) {
	s.commit(store.Request{Done: done, Token: token})
}

// commit queues a request of this session.
func (s *Session) commit(r store.Request) {
	s.pending.Add(1)
	r.Pending = &s.pending
	s.b.store.Commit(r)
}

// CreateTemp makes a temporary destination that lives as long as the session.
func (s *Session) CreateTemp(k message.Kind) (message.Destination, error) {
	if !k.IsTemp() {
		return message.Destination{}, fail(CodeInvalid, "create a temporary destination", "%s is not a temporary kind", k)
	}
	s.temps++
	d := message.Destination{Kind: k, Name: fmt.Sprintf("%s:%d", s.tempPrefix(), s.temps)}
	if err := s.mayCreateTemp(d); err != nil {
		return message.Destination{}, err
	}
	s.b.addTemp(d)
	if !s.ownTemp(d) {
		s.b.removeTemp(d)
		return message.Destination{}, errClosed
	}
	return d, nil
}

func (s *Session) ownTemp(d message.Destination) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.temp == nil {
		s.temp = make(map[message.Destination]struct{})
	}
	s.temp[d] = struct{}{}
	return true
}

func (s *Session) tempPrefix() string {
	id := s.b.NewID()
	return fmt.Sprintf("ID:%s-%x-%d", s.b.o.Name, id.Hi, id.Lo)
}

// DeleteTemp removes one of the session's temporary destinations.
func (s *Session) DeleteTemp(d message.Destination) error {
	s.mu.Lock()
	_, ok := s.temp[d]
	delete(s.temp, d)
	s.mu.Unlock()
	if !ok {
		return fail(CodeNotFound, "delete "+d.String(), "it is not a temporary destination of this connection")
	}
	s.b.removeTemp(d)
	return nil
}

var errClosed = fail(CodeState, "", "the connection is closed")

// Close ends the session: what its consumers had not settled is delivered to
// others, open transactions are rolled back, temporary destinations removed.
func (s *Session) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	consumers, temp, open := s.consumers, s.temp, s.open
	s.consumers, s.temp, s.open = nil, nil, nil
	s.mu.Unlock()
	for t := range open {
		t.Rollback()
	}
	for c := range consumers {
		c.Close()
	}
	for d := range temp {
		s.b.removeTemp(d)
	}
	s.ended.Store(true)
	s.adviseConnection(true)
	s.b.flow.forget(s)
	s.b.mu.Lock()
	s.b.unregister(s)
	s.b.mu.Unlock()
}

// unregister forgets s. If it has its client id together with others, one of
// those stands for it from now on. b.mu is held.
func (b *Broker) unregister(s *Session) {
	delete(b.sessions, s)
	others := b.joined[s.clientID]
	if others == 0 || !s.req.Joins {
		if b.clients[s.clientID] == s {
			delete(b.clients, s.clientID)
		}
		return
	}
	if b.joined[s.clientID]--; others == 1 {
		delete(b.joined, s.clientID)
	}
	if b.clients[s.clientID] != s {
		return
	}
	for other := range b.sessions {
		if other.clientID == s.clientID && other.req.Joins {
			b.clients[s.clientID] = other
			return
		}
	}
}

// end tells the connection that its session is over.
func (s *Session) end(err error) { s.req.Sink.Closed(err) }

// addTemp and removeTemp keep what temporary destinations exist.
func (b *Broker) addTemp(d message.Destination) {
	defer b.temps.note(d, true)
	if d.Kind.IsQueue() {
		b.queueFor(d)
		return
	}
	b.queues.mu.Lock()
	b.queues.byName[d] = nil // a temporary topic exists as a name only
	b.queues.mu.Unlock()
	b.adviseDestination(d, false)
}

func (b *Broker) removeTemp(d message.Destination) {
	b.queues.mu.Lock()
	q := b.queues.byName[d]
	delete(b.queues.byName, d)
	b.queues.mu.Unlock()
	if q != nil {
		q.ApplyDelete()
	}
	b.temps.note(d, false)
	b.adviseDestination(d, true)
}

func (b *Broker) tempExists(d message.Destination) bool {
	b.queues.mu.RLock()
	defer b.queues.mu.RUnlock()
	_, ok := b.queues.byName[d]
	return ok
}
