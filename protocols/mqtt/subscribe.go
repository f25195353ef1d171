package mqtt

import (
	"slices"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// subscription is one filter that the client subscribes to.
type subscription struct {
	filter            string // as the client wrote it
	pattern           string // in the broker's notation, without the group
	group             string // of a shared subscription
	qos               byte
	noLocal           bool
	retainAsPublished bool
	retainHandling    byte
	id                int  // subscription identifier, 0 for none
	queued            bool // what comes waits in the stored session

	source *source // of a shared subscription
}

// grant is what the subscriptions that select a message make of it.
type grant struct {
	qos               byte
	retainAsPublished bool
	ids               []byte // subscription identifiers, as properties
	queued            bool   // one of them has it from the session's queue
}

// subscriptions are a connection's. A message that several of them select is
// delivered once, with the highest QoS and all their identifiers [MQTT-3.3.4-2]
// [MQTT-3.3.4-3]; shared ones are apart. conn.mu guards it.
type subscriptions struct {
	list   []*subscription
	exact  map[string]*subscription // of those that aren't shared, by pattern without wildcard
	wild   []*subscription          // the others that aren't shared
	name   string                   // the last topic that was looked up
	direct bool                     // ... for which source
	last   *grant                   // ... and what came out
}

func (s *subscriptions) find(filter string) *subscription {
	i := slices.IndexFunc(s.list, func(o *subscription) bool { return o.filter == filter })
	if i < 0 {
		return nil
	}
	return s.list[i]
}

// put adds a subscription, or replaces the one with that filter
// [MQTT-3.8.4-3].
func (s *subscriptions) put(sub *subscription) {
	s.remove(sub.filter)
	s.list = append(s.list, sub)
	switch {
	case sub.group != "":
	case message.IsPattern(sub.pattern):
		s.wild = append(s.wild, sub)
	default:
		if s.exact == nil {
			s.exact = make(map[string]*subscription)
		}
		s.exact[sub.pattern] = sub
	}
}

// remove takes a subscription away and returns it, nil if there is none. Its
// filter has to be the very same [MQTT-3.10.4-1].
func (s *subscriptions) remove(filter string) *subscription {
	s.last = nil
	sub := s.find(filter)
	if sub == nil {
		return nil
	}
	is := func(o *subscription) bool { return o == sub }
	s.list = slices.DeleteFunc(s.list, is)
	s.wild = slices.DeleteFunc(s.wild, is)
	if s.exact[sub.pattern] == sub {
		delete(s.exact, sub.pattern)
	}
	return sub
}

// grant returns what the subscriptions make of a message from src. A message
// from the session's queue whose subscription has gone goes out as it is: it
// was on its way.
func (s *subscriptions) grant(src *source, m *message.Message) *grant {
	if src.sub != nil {
		return src.sub.grant()
	}
	name := m.Destination.Name
	if s.last != nil && s.direct != src.stored && s.name == name {
		return s.last
	}
	g := &grant{}
	found := false
	add := func(sub *subscription) {
		if !src.stored || sub.queued {
			found = true
		}
		g.qos = max(g.qos, sub.qos)
		g.retainAsPublished = g.retainAsPublished || sub.retainAsPublished
		g.ids = sub.appendID(g.ids)
		g.queued = g.queued || sub.queued
	}
	if sub := s.exact[name]; sub != nil {
		add(sub)
	}
	for _, sub := range s.wild {
		if matches(sub.pattern, name) {
			add(sub)
		}
	}
	if !found {
		g.qos = 2
	}
	s.name, s.direct, s.last = name, !src.stored, g
	return g
}

func (s *subscription) grant() *grant {
	return &grant{qos: s.qos, retainAsPublished: s.retainAsPublished, ids: s.appendID(nil)}
}

func (s *subscription) appendID(b []byte) []byte {
	if s.id == 0 {
		return b
	}
	return appendVarint(append(b, byte(propSubscriptionID)), s.id)
}

// The options of a subscription as the broker stores them.
const (
	storedQoS     = 3
	storedNoLocal = 4
	storedRAP     = 8
)

func (s *subscription) stored() broker.StoredSubscription {
	o := broker.StoredSubscription{
		Topic: s.pattern, Group: s.group, Queued: s.queued, NoLocal: s.noLocal, Options: s.qos, ID: uint32(s.id),
	}
	if s.retainAsPublished {
		o.Options |= storedRAP
	}
	return o
}

// subscriptionOf reads what stored wrote.
func subscriptionOf(o *broker.StoredSubscription) *subscription {
	s := &subscription{
		pattern: o.Topic, group: o.Group, queued: o.Queued, noLocal: o.NoLocal, id: int(o.ID),
		qos: o.Options & storedQoS, retainAsPublished: o.Options&storedRAP != 0, filter: swapped(o.Topic),
	}
	if s.group != "" {
		s.filter = sharedPrefix + s.group + "/" + s.filter
	}
	return s
}

// subscribing is a SUBSCRIBE being carried out.
type subscribing struct {
	codes  []byte          // of SUBACK
	subs   []*subscription // nil where a filter was refused
	stored []broker.StoredSubscription
	recall []bool   // of stored: the session's queue gets what topics remember
	recent []string // patterns of which the connection gets it
}

// subscribe takes a SUBSCRIBE (MQTT 5.0, 3.8). Each filter has its own answer
// [MQTT-3.8.4-5]; what topics remember follows the SUBACK [MQTT-3.8.4-1]
// [MQTT-3.8.4-2].
func (c *conn) subscribe(p packet) error {
	k, err := readSubscribe(p, c.version)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(k.filters, func(o filterOption) bool { return sysFilter(alias(o.filter)) }) {
		c.front.watch(c) // before it listens: it gets what is published here as what topics remember
	}
	s := subscribing{codes: make([]byte, len(k.filters)), subs: make([]*subscription, len(k.filters))}
	for i := range k.filters {
		sub, err := c.prepare(&k.filters[i], k.subscriptionID)
		if err == nil {
			err = c.attach(&s, sub)
		}
		if err != nil {
			if f := toFault(err); f.reason == protocolError {
				return f
			}
			s.codes[i] = c.subackFailure(err, k.filters[i].qos)
			continue
		}
		s.codes[i], s.subs[i] = sub.qos, sub
	}
	if c.stored != nil && len(s.stored) > 0 {
		c.deferDeliveries()
		if err := c.stored.Subscribe(s.stored, s.recall); err != nil {
			c.detachAll(&s)
			for i := range s.codes {
				s.codes[i] = c.subackFailure(err, k.filters[i].qos)
			}
			s.recent = nil
		}
	}
	c.mu.Lock()
	before := len(c.subs.list)
	for _, sub := range s.subs {
		if sub != nil {
			c.subs.put(sub)
		}
	}
	c.front.metrics.subscriptions.Add(int64(len(c.subs.list) - before))
	c.post(func(b []byte) []byte { return appendSuback(b, typeSuback, k.id, s.codes, c.version) })
	c.undefer()
	c.mu.Unlock()
	for _, pattern := range s.recent {
		c.heard.Recover(pattern)
	}
	return nil
}

// subackFailure is the code for a filter that was refused. MQTT 3.1 has none:
// its client believes what it asked for, as with ActiveMQ.
func (c *conn) subackFailure(err error, qos byte) byte {
	c.log.Info("a subscription was refused", "err", err)
	switch c.version {
	case v5:
		f := toFault(err)
		switch f.reason { //nolint:exhaustive // those that SUBACK has
		case notAuthorized:
			return byte(unspecifiedError) // what exists is not revealed to who may not read it
		case topicFilterInvalid, quotaExceeded, sharedNotSupported, unspecifiedError:
			return byte(f.reason)
		case topicNameInvalid:
			return byte(topicFilterInvalid)
		}
		return byte(implementationError)
	case v311:
		return 0x80 // [MQTT-3.9.3-2]
	case v31:
	}
	return qos
}

// prepare reads one filter of a SUBSCRIBE.
func (c *conn) prepare(o *filterOption, id int) (*subscription, error) {
	if err := checkFilter(alias(o.filter)); err != nil {
		return nil, err
	}
	filter := string(o.filter)
	group, bare, err := cutShare(filter)
	if err != nil {
		return nil, err
	}
	if group != "" && o.noLocal {
		return nil, violation("a shared subscription has the option no local") // [MQTT-3.8.3-4]
	}
	return &subscription{
		filter: filter, pattern: swapped(bare), group: group, qos: o.qos, noLocal: o.noLocal,
		retainAsPublished: o.retainAsPublished, retainHandling: o.retainHandling, id: id,
		queued: c.stored != nil && c.expiry > 0 && o.qos > 0 && group == "",
	}, nil
}

// attach starts a subscription, but for what the stored session does for it.
func (c *conn) attach(s *subscribing, sub *subscription) error {
	c.mu.Lock()
	old, n := c.subs.find(sub.filter), len(c.subs.list)
	c.mu.Unlock()
	if old == nil && n+len(s.stored)+len(s.recent) >= c.set.subscriptions {
		return faultf(quotaExceeded, "connection has %d subscriptions; the listener option %s is the limit", n, optSubscriptions)
	}
	if old != nil && old.queued != sub.queued {
		c.detach(old)
	}
	// [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
	recall := sub.retainHandling == 0 || sub.retainHandling == 1 && old == nil
	var err error
	switch {
	case sub.group != "":
		recall = false // [MQTT-4.8.2] shared subscriptions get nothing from before
		if old != nil {
			c.detach(old)
		}
		err = c.joinGroup(sub)
	case sub.queued:
		stored := sub.stored()
		err = c.stored.May(&stored)
	default:
		if err = c.hear(sub); err == nil && recall {
			s.recent = append(s.recent, sub.pattern)
		}
	}
	if err == nil && c.stored != nil && c.expiry > 0 {
		s.stored, s.recall = append(s.stored, sub.stored()), append(s.recall, recall && sub.queued)
	}
	return err
}

// hear has the connection's own consumer hear what a subscription selects.
func (c *conn) hear(sub *subscription) (err error) {
	if c.heard == nil {
		src := &source{}
		if c.heard, err = c.session.Listen(directWindow, src); err != nil {
			return err
		}
		src.consumer = c.heard.Consumer()
	}
	return c.heard.Add(sub.pattern, sub.noLocal)
}

// joinGroup makes the connection a consumer of a shared subscription (MQTT 5.0,
// 4.8.2): one that waits for its members if the session is stored. Consumers
// of other protocols belong to it by its name and topic.
func (c *conn) joinGroup(sub *subscription) error {
	sub.source = &source{sub: sub}
	r := broker.Subscription{
		Destination: message.Topic(sub.pattern), Global: true,
		Window: uint32(c.terms.receiveMaximum), Ref: sub.source, Paused: true,
	}
	name := broker.SharedTopic(sub.group, sub.pattern)
	if c.stored != nil && c.expiry > 0 {
		r.Durable, r.Shared = name, true
	} else {
		r.SharedName = name
	}
	consumer, err := c.session.Subscribe(r)
	if err != nil {
		return err
	}
	sub.source.consumer = consumer
	consumer.Start()
	return nil
}

// detach ends what attach started, without what the stored session knows.
func (c *conn) detach(sub *subscription) {
	switch {
	case sub.source != nil:
		c.mu.Lock()
		sub.source.closed = true
		c.mu.Unlock()
		sub.source.consumer.Close()
	case !sub.queued && c.heard != nil:
		c.heard.Remove(sub.pattern)
	}
}

// detachAll takes a SUBSCRIBE back whose record was refused.
func (c *conn) detachAll(s *subscribing) {
	for i, sub := range s.subs {
		if sub != nil {
			c.detach(sub)
			s.subs[i] = nil
		}
	}
}
