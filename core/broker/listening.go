package broker

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/topic"
)

// Listening is one consumer of any number of topics and patterns of them,
// which aren't durable. A message that several of its patterns select comes
// once. Its methods are called by the session's goroutine.
type Listening struct {
	s *Session
	c *queue.Consumer
	t *topic.Subscriber

	mu       sync.Mutex
	patterns map[string]bool // and whether it leaves out what the client itself publishes
	ended    bool

	heard atomic.Pointer[heard] // what the filter has to know of patterns
}

// heard is what a Listening hears at a time.
type heard struct {
	names []string
	local []string // those that have the client's own messages too; only with deaf
	deaf  bool     // some pattern leaves them out
	wild  bool     // some pattern has a wildcard
}

// Listen makes a consumer that hears nothing before Add. window and ref are
// Subscription's.
func (s *Session) Listen(window uint32, ref any) (*Listening, error) {
	l := &Listening{s: s, patterns: make(map[string]bool)}
	l.heard.Store(&heard{})
	l.c = s.newConsumer(Subscription{Window: window, Ref: ref}, l.stop)
	l.t = topic.NewSubscriber(l.c, topic.Options{Filter: l, Limits: s.b.o.Limits})
	if !s.own(l.c, l.subscription(nil)) {
		l.c.Close()
		return nil, errClosed
	}
	l.c.Start()
	return l, nil
}

// Consumer settles what Listening delivers.
func (l *Listening) Consumer() *Consumer { return l.c }

// Add has l hear a topic or a pattern of topics. noLocal leaves out what
// sessions of the same client id publish. For what it hears already it changes
// noLocal.
func (l *Listening) Add(name string, noLocal bool) error {
	d := message.Topic(strings.Clone(name))
	op := "subscribe to " + d.String()
	if err := message.ValidateName(name); err != nil {
		return fail(CodeInvalid, op, "%w", err)
	}
	if d.IsComposite() {
		return fail(CodeInvalid, op, "one topic or pattern at a time")
	}
	if err := l.mayHear(d); err != nil {
		return err
	}
	if !l.add(d.Name, noLocal) {
		return errClosed
	}
	// A reload between the question above and here has not seen the pattern.
	if err := l.mayHear(d); err != nil {
		l.Remove(name)
		return err
	}
	return nil
}

func (l *Listening) mayHear(d message.Destination) error {
	return l.s.maySubscribe([]message.Destination{d}, &Subscription{Destination: d})
}

func (l *Listening) add(name string, noLocal bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	before, had := l.patterns[name]
	l.patterns[name] = noLocal
	l.countLocal(before, noLocal)
	l.changed()
	if !had {
		l.s.b.table(message.Topic(name)).Subscribe(name, l.t)
	}
	return true
}

// Remove ends the hearing of what Add named. It reports whether there was any.
func (l *Listening) Remove(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	noLocal, had := l.patterns[name]
	if !had {
		return false
	}
	delete(l.patterns, name)
	l.countLocal(noLocal, false)
	l.s.b.table(message.Topic(name)).Unsubscribe(name, l.t)
	l.changed()
	return true
}

// Recover delivers what the topics remember that a name or pattern selects.
func (l *Listening) Recover(name string) { l.t.Recover(l.s.b.remembered(name)) }

func (l *Listening) countLocal(before, after bool) {
	switch {
	case after && !before:
		l.s.b.noLocal.Add(1)
	case before && !after:
		l.s.b.noLocal.Add(-1)
	}
}

// changed tells the filter, and those who look at the session's consumers, what
// is heard now. l.mu is held.
func (l *Listening) changed() {
	h := &heard{names: make([]string, 0, len(l.patterns))}
	for name, noLocal := range l.patterns {
		h.names = append(h.names, name)
		h.wild = h.wild || message.IsPattern(name)
		h.deaf = h.deaf || noLocal
		if !noLocal {
			h.local = append(h.local, name)
		}
	}
	l.heard.Store(h)
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	sub := l.subscription(h.names)
	s.consumers[l.c] = &sub
	if s.b.o.Security != nil && h.wild {
		if s.wild == nil {
			s.wild = make(map[*topic.Subscriber]struct{})
		}
		s.wild[l.t] = struct{}{}
	}
}

// subscription describes l to administrators: its destination is a composite
// of what it hears, as far as that fits a name.
func (l *Listening) subscription(names []string) Subscription {
	name := strings.Join(names, ",")
	if len(name) > message.MaxNameLength {
		name = name[:strings.LastIndexByte(name[:message.MaxNameLength], ',')]
	}
	return Subscription{Destination: message.Topic(name), listening: l}
}

// mayKeep reports why the consumer has to end: its user has lost the right to
// something that it hears.
func (l *Listening) mayKeep() error {
	for _, name := range l.heard.Load().names {
		if err := l.mayHear(message.Topic(name)); err != nil {
			return err
		}
	}
	return nil
}

// stop runs when the consumer is closed, by whoever closes it.
func (l *Listening) stop() {
	l.mu.Lock()
	l.ended = true
	for name, noLocal := range l.patterns {
		l.countLocal(noLocal, false)
		l.s.b.table(message.Topic(name)).Unsubscribe(name, l.t)
	}
	clear(l.patterns)
	l.mu.Unlock()
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	delete(l.s.wild, l.t)
}

// Matches implements queue.Filter: what the user may read, and whether the
// client's own messages are wanted.
func (l *Listening) Matches(m *message.Message) bool {
	h := l.heard.Load()
	if h.deaf && m.Publisher == l.s.clientID && !selectsAny(h.local, m.Destination.Name) {
		return false
	}
	return !h.wild || l.s.b.o.Security == nil || readable{l.s, nil}.Matches(m)
}

func selectsAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if message.Matches(p, name) {
			return true
		}
	}
	return false
}

// remembered returns what topics remember that a name or pattern selects, and
// that has not expired.
func (b *Broker) remembered(name string) []*message.Message {
	found := append(b.retained.match(name), b.system.match(name)...)
	now := b.NowMs()
	fresh := found[:0]
	for _, m := range found {
		if !m.Expired(now) {
			fresh = append(fresh, m)
		}
	}
	return fresh
}
