package broker

import (
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// Subscribe starts a consumer. It may wait for the disk when it makes a
// durable subscription.
func (s *Session) Subscribe(sub Subscription) (*Consumer, error) {
	op := "subscribe to " + sub.Destination.String()
	if err := s.checkSubscription(op, &sub); err != nil {
		return nil, err
	}
	ds, err := sub.Destination.Components()
	if err != nil {
		return nil, fail(CodeInvalid, op, "%w", err)
	}
	if err := s.maySubscribe(ds, &sub); err != nil {
		return nil, err
	}
	s.made++
	sub.number = s.made
	var ends []func()
	c := s.newConsumer(sub, func() {
		for _, end := range ends {
			end()
		}
	})
	for _, d := range ds {
		end, err := s.attach(c, d, sub)
		if err != nil {
			c.Close()
			return nil, err
		}
		ends = append(ends, end)
	}
	if !s.own(c, sub) {
		c.Close()
		return nil, errClosed
	}
	// A reload between the question above and here has not seen the consumer.
	if err := s.maySubscribe(ds, &sub); err != nil {
		c.Close()
		return nil, err
	}
	s.adviseConsumer(&sub, false)
	if !sub.Paused {
		c.Start()
	}
	return c, nil
}

// newConsumer returns a consumer that waits for Start: nothing is delivered
// before everything is attached.
func (s *Session) newConsumer(sub Subscription, onClose func()) *queue.Consumer {
	var c *queue.Consumer
	c = queue.NewConsumer(s.b, queue.ConsumerOptions{
		Window: sub.Window, Limit: sub.MaxUnsettled, Paused: true, Browse: sub.Browse, Ref: sub.Ref, Target: s.req.Sink,
		OnAccept: s.b.adviseConsumed(&sub), OnSample: s.b.delivering,
		OnClose: func() {
			onClose()
			s.mu.Lock()
			delete(s.consumers, c)
			s.mu.Unlock()
			s.adviseConsumer(&sub, true)
		},
	})
	return c
}

func (s *Session) own(c *queue.Consumer, sub Subscription) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.consumers[c] = &sub
	return true
}

func (s *Session) checkSubscription(op string, sub *Subscription) error {
	d := sub.Destination
	switch {
	case d.IsZero():
		return fail(CodeInvalid, op, "no destination")
	case sub.Durable != "" && d.Kind != message.KindTopic:
		return fail(CodeInvalid, op, "only a topic can have durable subscriptions")
	case sub.Durable != "" && !sub.Global && s.req.ClientID == "":
		return fail(CodeInvalid, op, "a durable subscription needs a client id: give one when connecting")
	case sub.Durable != "" && d.IsComposite():
		return fail(CodeNotSupported, op, "a durable subscription to several topics; use a wildcard or several subscriptions")
	case sub.Browse && !d.Kind.IsQueue():
		return fail(CodeInvalid, op, "only a queue can be browsed")
	}
	if err := checkShared(op, sub); err != nil {
		return err
	}
	if blank(sub.Selector) {
		sub.Selector = "" // JMS: an empty selector is none
	}
	if err := s.b.checkSelector(sub.Selector, sub.Durable != "" || sub.SharedName != ""); err != nil {
		return fail(CodeInvalid, op, "selector: %w", err)
	}
	return nil
}

// attach makes c a consumer of one destination. end undoes what Detach
// doesn't.
func (s *Session) attach(c *queue.Consumer, d message.Destination, sub Subscription) (end func(), err error) {
	if err := message.ValidateName(d.Name); err != nil {
		return nil, fail(CodeInvalid, "subscribe to "+d.String(), "%w", err)
	}
	if d.Kind.IsTemp() && !s.b.tempExists(d) {
		return nil, fail(CodeNotFound, "subscribe to "+d.String(), "the temporary destination does not exist")
	}
	if !message.IsPattern(d.Name) {
		if err := s.b.mayAppear("subscribe to", d); err != nil {
			return nil, err
		}
	}
	end = func() {}
	mine := ""
	if sub.NoLocal {
		mine = s.clientID
		s.b.noLocal.Add(1)
		end = func() { s.b.noLocal.Add(-1) }
	}
	filter, err := s.b.filter(sub.Selector, mine)
	if err != nil {
		end()
		return nil, fail(CodeInvalid, "subscribe to "+d.String(), "selector: %w", err)
	}
	switch {
	case sub.Durable != "":
		release, err := s.attachDurable(c, sub)
		if err != nil {
			end()
			return nil, err
		}
		return join(end, release), nil
	case sub.SharedName != "":
		leave, err := s.attachShared(c, sub, filter)
		if err != nil {
			end()
			return nil, err
		}
		return join(end, leave), nil
	case d.Kind.IsTopic():
		return join(end, s.listen(c, d, &sub, filter)), nil
	}
	p := &patternConsumer{s: s, pattern: d, c: c, sub: sub, filter: filter}
	end = join(end, p.leave)
	if message.IsPattern(d.Name) {
		return join(end, s.b.follow(p)), nil
	}
	if err := s.attachBound(p, d); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// attachBound attaches p to the queue of that name. When it is a virtual
// topic's, it gets messages from now on, as its consumer selects.
func (s *Session) attachBound(p *patternConsumer, d message.Destination) error {
	op := "subscribe to " + d.String()
	t, _, virtual := s.b.virtuals.source(d)
	if virtual && t.SelectorAware && s.b.checkSelector(p.sub.Selector, true) != nil {
		return fail(CodeInvalid, op, "selector: %w", errAware)
	}
	q := s.b.ensure(d)
	if virtual && q.ID() == 0 {
		if err := s.await(store.Op{Kind: store.OpCreate, Data: appendDestination(nil, d)}); err != nil {
			return refused(err, op)
		}
	}
	p.attach(q)
	if !virtual || !t.SelectorAware {
		return nil
	}
	w := make(waiter, 1)
	s.Sync(w, 0) // the selector counts now
	return refused(<-w, op)
}

func join(a, b func()) func() {
	return func() {
		b()
		a()
	}
}

// attachDurable makes c the consumer of a durable subscription, which is made
// or changed if need be.
func (s *Session) attachDurable(c *queue.Consumer, sub Subscription) (release func(), err error) {
	spec := durableSpec{
		ClientID: s.scope(sub.Global), Name: sub.Durable, Pattern: sub.Destination.Name, Selector: sub.Selector,
		NoLocal: sub.NoLocal, Shared: sub.Shared, Owner: s.userName(),
	}
	op := "subscribe to " + sub.Destination.String() + " as " + sub.Durable
	d := s.b.queues.durable(spec.key())
	if d != nil {
		if err := s.mayJoin(d, op); err != nil {
			return nil, err
		}
		spec.Owner = d.spec.Owner
	}
	if d == nil || d.spec != spec {
		if err := s.mayReplace(d, op); err != nil {
			return nil, err
		}
		if err := s.await(store.Op{Kind: store.OpSubscribe, Data: spec.encode()}); err != nil {
			return nil, refused(err, op)
		}
		if d = s.b.queues.durable(spec.key()); d == nil {
			return nil, fail(CodeNotFound, op, "the durable subscription was removed meanwhile")
		}
	}
	if !d.use(sub.Shared) {
		return nil, fail(CodeInUse, op, "the durable subscription has an active consumer; end that one first")
	}
	d.queue.Subscribe(c, nil, sub.Priority, sub.Exclusive)
	return d.unuse, nil
}

// mayReplace reports why a durable subscription, if there is one, can't make
// room for one with another topic or selector.
func (s *Session) mayReplace(d *durable, op string) error {
	switch {
	case d == nil:
		return nil
	case d.inUse():
		return fail(CodeInUse, op, "the durable subscription is in use with another topic or selector")
	}
	return s.mayUse(d, op)
}

func (d *durable) inUse() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used > 0
}

func (d *durable) use(shared bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.used > 0 && !shared {
		return false
	}
	d.used++
	return true
}

func (d *durable) unuse() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.used--
}

// DeleteDurable removes the durable subscription of that name of this client,
// with all that waits in it.
func (s *Session) DeleteDurable(name string) error {
	return s.deleteDurable(durableKey{s.clientID, name})
}

func (s *Session) deleteDurable(key durableKey) error {
	op := "remove durable subscription " + key.Name
	d := s.b.queues.durable(key)
	switch {
	case d == nil && key.ClientID == "":
		return fail(CodeNotFound, op, "there is no shared one of that name")
	case d == nil:
		return fail(CodeNotFound, op, "client id %q has none of that name", key.ClientID)
	}
	if err := s.mayUse(d, op); err != nil {
		return err
	}
	if d.inUse() {
		return fail(CodeInUse, op, "it has an active consumer; end that one first")
	}
	return refused(s.await(store.Op{Kind: store.OpUnsubscribe, Queue: d.queue.ID()}), op)
}

// await commits op and waits until it is safe and applied.
func (s *Session) await(op store.Op) error {
	w := make(waiter, 1)
	s.commit(store.Request{Op: op, Done: w})
	return <-w
}

// waiter is a Done that somebody waits for.
type waiter chan error

// Complete implements Done.
func (w waiter) Complete(_ uint64, err error) { w <- err }
