package broker

import (
	"slices"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// StoreOptions say how a connection wants its client's stored session.
type StoreOptions struct {
	Clean  bool   // an older one ends, with all that waits for it
	Expiry uint32 // seconds that it waits for the next connection; NeverExpires
	Will   *Will  // nil for none
}

// Will is a message that the broker publishes for a client whose connection
// ended without intent.
type Will struct {
	Message *message.Message // its Expiry and Timestamp don't count
	Delay   uint32           // seconds after the connection's end
	Expiry  uint32           // seconds that it lives once it is published, 0 for ever
}

// Stored is a connection's hold on the stored session of its client id: what
// waits for the client, what it subscribed to, and the numbers of messages that
// are exchanged exactly once, all of which outlive connection and broker. Its
// methods are called by the session's goroutine, but for End.
type Stored struct {
	s  *Session
	p  *storedSessions
	id message.ID // of the connection
	c  *queue.Consumer

	attached bool // c consumes what waits
}

// Store takes the stored session of s's client id, and waits until that is in
// the log. present says that there was one and that it goes on. Without
// anything to be stored it returns nil, having ended an older one if o.Clean.
func (s *Session) Store(o StoreOptions) (st *Stored, present bool, err error) {
	const op = "open the stored session"
	p := s.b.stored
	if o.Will != nil {
		if err := s.admit(o.Will.Message); err != nil {
			return nil, false, err
		}
	}
	old, err := p.find(s)
	if err != nil {
		return nil, false, err
	}
	stores := o.Expiry > 0 || o.Will != nil || old && !o.Clean
	if !stores && !old {
		return nil, false, nil
	}
	if !old && p.count() >= s.b.o.Stored.Sessions {
		return nil, false, fail(CodeLimit, op, "there are %d stored sessions, which is the limit (sessions.max)", s.b.o.Stored.Sessions)
	}
	c := storedChange{kind: storedOpen, clientID: s.clientID, id: s.b.NewID(), owner: s.userName(), clean: o.Clean, expiry: o.Expiry}
	if o.Will != nil {
		c.will = &storedWill{message: o.Will.Message, delay: o.Will.Delay, expiry: o.Will.Expiry}
	}
	if !stores {
		c.kind, c.force = storedEnd, true
	}
	w := make(waiter, 1)
	p.reopen(s, c, o.Clean, w)
	if err := <-w; err != nil {
		return nil, false, refused(err, op)
	}
	if !stores {
		return nil, false, nil
	}
	present, err = p.taken(s.clientID, c.id)
	if err != nil {
		return nil, false, err
	}
	return &Stored{s: s, p: p, id: c.id}, present, nil
}

// find reports whether s's client id has a stored session, and why s can't
// have it.
func (p *storedSessions) find(s *Session) (found bool, err error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	old := p.byClient[s.clientID]
	if old == nil {
		return false, nil
	}
	if s.b.o.Security != nil && old.owner != "" && old.owner != s.userName() {
		s.b.counts.denied.Add(1)
		return true, fail(CodeForbidden, "connect", "the stored session of client id %q belongs to another user", s.clientID)
	}
	return true, nil
}

// reopen commits c, with the will of the connection before it if that is due:
// it is when the session ends here, or when it didn't ask for a delay.
func (p *storedSessions) reopen(s *Session, c storedChange, clean bool, done Done) {
	p.order.Lock()
	defer p.order.Unlock()
	p.mu.RLock()
	var will *storedWill
	if old := p.byClient[s.clientID]; old != nil && old.will != nil && !old.will.taken {
		will = old.will
		will.taken = true // published now, or cancelled by the connection that has come in time
		if !clean && will.delay > 0 {
			will = nil
		}
	}
	p.mu.RUnlock()
	var ops []store.Op
	if will != nil {
		ops = p.willOps(ops, s.clientID, will)
	}
	ops = append(ops, p.op(&c))
	s.commit(store.Request{Ops: ops, Durability: store.Soon, Done: done})
}

// taken reports whether connection id found a session, once its open is
// applied.
func (p *storedSessions) taken(clientID string, id message.ID) (resumed bool, err error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	s := p.byClient[clientID]
	if s == nil || s.connection != id {
		return false, fail(CodeInUse, "connect", "client id %q connected elsewhere meanwhile", clientID)
	}
	s.filter.online.Store(true)
	return s.resumed, nil
}

func (p *storedSessions) op(c *storedChange) store.Op {
	return store.Op{Kind: store.OpState, N: uint32(p.kind()), Data: c.encode()}
}

// read calls fn with the session while it is this connection's.
func (st *Stored) read(fn func(s *storedSession)) {
	st.p.mu.RLock()
	defer st.p.mu.RUnlock()
	if s := st.p.byClient[st.s.clientID]; s != nil && s.connection == st.id {
		fn(s)
	}
}

// Subscriptions returns what the client subscribed to.
func (st *Stored) Subscriptions() (subs []StoredSubscription) {
	st.read(func(s *storedSession) { subs = slices.Clone(s.subs) })
	return subs
}

// Taken returns the numbers of publishes that were taken and not released.
func (st *Stored) Taken() (in []uint16) {
	st.read(func(s *storedSession) { in = slices.Clone(s.in) })
	return in
}

// Received returns the numbers of deliveries that were received and not
// completed.
func (st *Stored) Received() (out []uint16) {
	st.read(func(s *storedSession) { out = slices.Clone(s.out) })
	return out
}

// Waiting returns how many messages wait for the client.
func (st *Stored) Waiting() (n int) {
	st.read(func(s *storedSession) {
		if s.queue != nil {
			n, _ = s.queue.Waiting()
		}
	})
	return n
}

// Consume delivers what waits for the client, and what comes. window and ref
// are Subscription's. It is called once; deliveries begin with Start.
func (st *Stored) Consume(window uint32, ref any) (*Consumer, error) {
	sub := Subscription{Window: window, Ref: ref, Durable: "session", Destination: message.Topic(st.s.clientID), stored: st}
	st.c = st.s.newConsumer(sub, func() {})
	if !st.s.own(st.c, sub) {
		st.c.Close()
		return nil, errClosed
	}
	st.attach()
	return st.c, nil
}

func (st *Stored) attach() {
	st.read(func(s *storedSession) {
		if s.queue != nil && !st.attached && st.c != nil {
			st.attached = s.queue.Subscribe(st.c, nil, 0, false)
		}
	})
}

// mayKeep reports why the connection has to end: its user has lost the right
// to something that its session subscribes to.
func (st *Stored) mayKeep() error {
	for _, sub := range st.Subscriptions() {
		if sub.bound() {
			if err := st.mayHear(&sub); err != nil {
				return err
			}
		}
	}
	return nil
}

func (st *Stored) mayHear(sub *StoredSubscription) error {
	d := message.Topic(sub.Topic)
	if err := message.ValidateName(d.Name); err != nil {
		return fail(CodeInvalid, "subscribe to "+d.String(), "%w", err)
	}
	if d.IsComposite() {
		return fail(CodeInvalid, "subscribe to "+d.String(), "one topic or pattern at a time")
	}
	// It collects while nobody looks, like a durable subscription.
	return st.s.maySubscribe([]message.Destination{d}, &Subscription{Destination: d, Durable: "session"})
}

// May reports why the client can't have a subscription that is queued.
func (st *Stored) May(sub *StoredSubscription) error { return st.mayHear(sub) }

// Subscribe adds or changes subscriptions, which May has allowed, as one record,
// and waits until that is safe. retained says of which the session gets what
// topics remember.
func (st *Stored) Subscribe(subs []StoredSubscription, retained []bool) error {
	const op = "subscribe"
	if n := len(st.Subscriptions()) + len(subs); n > st.s.b.o.Stored.Subscriptions {
		return fail(CodeLimit, op, "the session would have %d subscriptions, the limit is %d (sessions.maxSubscriptions)",
			n, st.s.b.o.Stored.Subscriptions)
	}
	// The ids of recovered messages are counted from here.
	id := st.s.b.NewID()
	id.Lo <<= 24
	c := storedChange{kind: storedSubscribe, clientID: st.s.clientID, id: id, subs: subs, recover: retained}
	if err := st.s.await(st.p.op(&c)); err != nil {
		return refused(err, op)
	}
	st.attach()
	return nil
}

// Unsubscribe ends subscriptions and waits until that is safe. What waits
// already is delivered all the same.
func (st *Stored) Unsubscribe(subs []StoredSubscription) error {
	c := storedChange{kind: storedUnsubscribe, clientID: st.s.clientID, subs: subs}
	if err := st.s.await(st.p.op(&c)); err != nil {
		return refused(err, "unsubscribe")
	}
	for i := range subs {
		st.p.dropGroup(&subs[i])
	}
	return nil
}

// Publish is Session.Publish of a message that the client numbered: message
// and number are one record, so that the number is known if the message is.
func (st *Stored) Publish(m *message.Message, number uint16, done Done, token uint64) (wait bool) {
	s := st.s
	s.b.counts.published.Add(1)
	m = s.stamp(m)
	s.sent.Add(1)
	if err := s.admit(m); err != nil {
		s.refuse(err, done, token)
		return false
	}
	c := storedChange{kind: storedIn, clientID: s.clientID, number: number}
	s.commit(store.Request{
		Ops:        s.b.publishOps([]store.Op{st.p.op(&c)}, []*message.Message{m}),
		Durability: s.b.durability(m.Destination), Done: done, Token: token,
	})
	return s.throttled(nil)
}

// Release frees the number of a publish. done is completed when that is safe:
// after that the client may use it again.
func (st *Stored) Release(number uint16, done Done, token uint64) {
	c := storedChange{kind: storedInDone, clientID: st.s.clientID, number: number}
	st.s.commit(store.Request{Op: st.p.op(&c), Durability: st.s.b.o.Durability, Done: done, Token: token})
}

// Receive settles a delivery of consumer k by noting that the client has it
// under number: after done is completed the message isn't delivered again,
// and the number stays known until Complete.
func (st *Stored) Receive(k *Consumer, tag uint64, number uint16, done Done, token uint64) error {
	c := storedChange{kind: storedOut, clientID: st.s.clientID, number: number}
	return k.SettleWith(tag, st.p.op(&c), done, token)
}

// Complete frees the number of a delivery. If that is lost, the client is asked
// again.
func (st *Stored) Complete(number uint16) {
	c := storedChange{kind: storedOutDone, clientID: st.s.clientID, number: number}
	st.s.commit(store.Request{Op: st.p.op(&c), Durability: store.Soon})
}

// End gives the session back when the connection has ended: it waits expiry
// seconds for the next one. withWill says that the connection did not end by
// intent. It doesn't wait, and any goroutine may call it.
func (st *Stored) End(expiry uint32, withWill bool) {
	st.p.order.Lock()
	defer st.p.order.Unlock()
	st.p.endConnection(st.s.clientID, st.id, expiry, withWill)
}
