package broker

import (
	"sync"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/security"
	"github.com/entrepot-mq/entrepot/core/topic"
)

// shares are the shared subscriptions that aren't durable: they exist while
// they have consumers, where clients are served. Durable ones are durables
// with Shared set.
type shares struct {
	mu     sync.Mutex
	byName map[durableKey]*share
}

// share is a shared subscription.
type share struct {
	key      durableKey
	topic    message.Destination
	selector string
	noLocal  bool
	group    *topic.Group
	users    int // guarded by shares.mu
}

func (s *shares) init() { s.byName = make(map[durableKey]*share) }

func (s *shares) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byName)
}

func (s *shares) appendQueues(all []*queue.Queue) []*queue.Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.byName {
		all = append(all, sh.group.Queue())
	}
	return all
}

func (s *shares) all() []*share {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*share, 0, len(s.byName))
	for _, sh := range s.byName {
		all = append(all, sh)
	}
	return all
}

// checkShared checks what a subscription says about being shared.
func checkShared(op string, sub *Subscription) error {
	d := sub.Destination
	switch {
	case sub.SharedName == "" && sub.Durable == "":
		if sub.Shared || sub.Global {
			return fail(CodeInvalid, op, "a shared subscription needs a name")
		}
	case sub.SharedName != "" && sub.Durable != "":
		return fail(CodeInvalid, op, "a shared subscription is durable or not: it has one name")
	case sub.Global && !sub.Shared && sub.SharedName == "":
		return fail(CodeInvalid, op, "only a shared subscription can be independent of the client id")
	case sub.Global && sub.NoLocal:
		return fail(CodeNotSupported, op, "a subscription that clients share can't leave out one client's own messages (noLocal)")
	case len(sub.SharedName) > message.MaxNameLength || len(sub.Durable) > message.MaxNameLength:
		return fail(CodeInvalid, op, "the name of the subscription is longer than %d bytes", message.MaxNameLength)
	case sub.SharedName == "":
	case d.Kind != message.KindTopic:
		return fail(CodeInvalid, op, "only a topic can have shared subscriptions; consumers of a queue share it anyway")
	case d.IsComposite():
		return fail(CodeNotSupported, op, "a shared subscription to several topics; use a wildcard or several subscriptions")
	}
	return nil
}

// scope is the client id that a subscription's name belongs to, "" for all.
func (s *Session) scope(global bool) string {
	if global {
		return ""
	}
	return s.clientID
}

// attachShared makes c a consumer of a shared subscription, which is made if
// c is the first one.
func (s *Session) attachShared(c *queue.Consumer, sub Subscription, filter queue.Filter) (leave func(), err error) {
	b := s.b
	key := durableKey{s.scope(sub.Global), sub.SharedName}
	b.shares.mu.Lock()
	sh, made := b.shares.byName[key], false
	switch {
	case sh == nil:
		made = true
		q := queue.New(sub.Destination, b, b.budget)
		sh = &share{
			key: key, topic: sub.Destination, selector: sub.Selector, noLocal: sub.NoLocal,
			group: topic.NewGroup(q, filter, b.topicLimits(sub.Destination, &sub), s.watcher(sub.Destination, &sub)),
		}
		b.shares.byName[key] = sh
		b.table(sub.Destination).Subscribe(sub.Destination.Name, sh.group)
	case sh.topic != sub.Destination || sh.selector != sub.Selector || sh.noLocal != sub.NoLocal:
		b.shares.mu.Unlock()
		return nil, fail(CodeInUse, "subscribe to "+sub.Destination.String()+" as "+sub.SharedName,
			"the shared subscription is in use with another topic or selector")
	}
	sh.users++
	b.shares.mu.Unlock()
	if made && sub.Retroactive {
		for _, m := range b.retained.match(sub.Destination.Name) {
			sh.group.Publish(m)
		}
	}
	sh.group.Queue().Subscribe(c, nil, sub.Priority, sub.Exclusive)
	return func() { b.leaveShared(sh) }, nil
}

// leaveShared ends the subscription with its last consumer.
func (b *Broker) leaveShared(sh *share) {
	b.shares.mu.Lock()
	sh.users--
	last := sh.users == 0
	if last {
		delete(b.shares.byName, sh.key)
	}
	b.shares.mu.Unlock()
	if last {
		b.table(sh.topic).Unsubscribe(sh.topic.Name, sh.group)
		sh.group.Queue().ApplyDelete()
	}
}

func (sh *share) info() SubscriptionInfo {
	return SubscriptionInfo{
		ClientID: sh.key.ClientID, Name: sh.key.Name, Topic: sh.topic.Name, Selector: sh.selector,
		Shared: true, NoLocal: sh.noLocal, Stats: sh.group.Queue().Stats(),
	}
}

// DeleteShared removes a durable shared subscription that is independent of
// client ids, with all that waits in it. Without security anybody may do
// that; with it the user that made the subscription, and administrators of its
// topic.
func (s *Session) DeleteShared(name string) error { return s.deleteDurable(durableKey{"", name}) }

// mayJoin reports why the user can't be a consumer of a durable subscription.
// One that is independent of client ids is for everybody who may read its
// topic, which was asked before.
func (s *Session) mayJoin(d *durable, op string) error {
	if d.spec.global() {
		return nil
	}
	return s.mayUse(d, op)
}

// administers reports whether the user may do anything to what d is bound to.
func (s *Session) administers(d *durable) bool {
	all, _ := s.allowedPattern(message.Topic(d.spec.Pattern))
	return all.Has(security.Admin)
}
