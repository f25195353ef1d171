package broker

import (
	"math"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/topic"
)

// listen subscribes c to a topic or a pattern of topics; a retroactive
// consumer gets what they remember, too.
func (s *Session) listen(c *queue.Consumer, d message.Destination, sub *Subscription, filter queue.Filter) (stop func()) {
	table := s.b.table(d)
	o := topic.Options{Filter: filter, Limits: s.b.topicLimits(d, sub), Evict: s.b.evictor(d), Watch: s.watcher(d, sub)}
	guarded := s.b.o.Security != nil && message.IsPattern(d.Name)
	if guarded {
		o.Filter = readable{s, filter}
	}
	advisory := isAdvisory(d)
	o.Held = advisory || d.Kind == message.KindTopic && (sub.Retroactive || s.b.policies.For(d).Recovery.Always)
	t := topic.NewSubscriber(c, o)
	if guarded {
		s.guard(t)
	}
	table.Subscribe(d.Name, t)
	switch {
	case advisory:
		t.Recover(s.b.present(d.Name))
	case o.Held:
		t.Recover(append(s.b.retained.match(d.Name), s.b.recovery.recover(d.Name)...))
	}
	return func() {
		table.Unsubscribe(d.Name, t)
		if guarded {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.wild, t)
		}
	}
}

// table returns who is subscribed to topics like d. Temporary ones have a table
// of their own: no pattern, and no plain topic of the same name, reaches into
// another connection's. So have those that tell of events.
func (b *Broker) table(d message.Destination) *topic.Table {
	switch {
	case d.Kind == message.KindTempTopic:
		return b.tempTopics
	case isAdvisory(d):
		return b.advisories.table
	}
	return b.topics
}

// guard has t looked at when rights change.
func (s *Session) guard(t *topic.Subscriber) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wild == nil {
		s.wild = make(map[*topic.Subscriber]struct{})
	}
	s.wild[t] = struct{}{}
}

// topicLimits returns what may wait for a consumer of topics.
func (b *Broker) topicLimits(d message.Destination, sub *Subscription) topic.Limits {
	p := &b.policies.For(d).Pending
	l := topic.Limits{Pending: p.Limit, Unsettled: b.o.Limits.Unsettled}
	if p.Multiplier > 0 {
		window := sub.Window
		if window == 0 { // credit is granted: take what it would be
			window = b.Prefetch(d, false, false)
		}
		l.Pending = int(min(float64(window)*p.Multiplier, math.MaxInt32))
	}
	if sub.PendingLimit > 0 {
		l.Pending = sub.PendingLimit
	}
	if l.Pending < 0 {
		l.Pending = math.MaxInt32 // bytes bound it
	}
	return l
}

// evictor returns what chooses the messages that a slow consumer loses.
func (b *Broker) evictor(d message.Destination) topic.Evictor {
	p := &b.policies.For(d).Pending
	switch p.Evict {
	case policy.EvictLowest:
		return topic.LowestPriority{}
	case policy.EvictSame:
		return &topic.Latest{Value: func(m *message.Message) (string, bool) { return b.property(m, p.Property) }}
	case policy.EvictOldest:
	}
	return nil
}

// property returns a property of m as text.
func (b *Broker) property(m *message.Message, name string) (text string, ok bool) {
	v, err := m.View(b.o.Converters)
	if err != nil {
		return "", false
	}
	p, ok := v.Property(name)
	if !ok {
		return "", false
	}
	return p.String(), true
}

// recovery keeps what topics recover for retroactive consumers, by policy.
type recovery struct {
	b    *Broker
	on   bool // some policy keeps something; false while the log is replayed
	kept *topic.History
}

// recoveryBytes bounds what is kept of all topics together.
const recoveryBytes = 64 << 20

func (h *recovery) init(b *Broker) {
	h.b, h.kept = b, topic.NewHistory(recoveryBytes, b.o.Now)
}

// start is called when the log was replayed: what was published in an earlier
// life is not kept.
func (h *recovery) start() {
	h.on = anyPolicy(h.b.o.Policies, func(p *policy.Policy) bool { return p.Recovery.Keep != policy.KeepNothing })
}

// add keeps m, which is about to be delivered, as its topic's policy says.
func (h *recovery) add(m *message.Message) {
	if h.on && m.Destination.Kind == message.KindTopic {
		h.kept.Add(m, h.depth(m.Destination.Name))
	}
}

func (h *recovery) depth(name string) topic.Depth {
	r := &h.b.policies.For(message.Topic(name)).Recovery
	switch r.Keep {
	case policy.KeepLast:
		return topic.Depth{Messages: 1}
	case policy.KeepCount:
		return topic.Depth{Messages: r.Messages}
	case policy.KeepSize:
		return topic.Depth{Bytes: r.Bytes}
	case policy.KeepTime:
		return topic.Depth{Age: r.Duration}
	case policy.KeepNothing:
	}
	return topic.Depth{}
}

// recover returns what is kept of the topics that a pattern names.
func (h *recovery) recover(pattern string) []*message.Message {
	if !h.on {
		return nil
	}
	return h.kept.Match(pattern, h.depth)
}
