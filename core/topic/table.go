package topic

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
)

// Binding is a queue that gets what is published to the topics that a pattern
// names: a durable subscription.
type Binding struct {
	Queue   *queue.Queue
	Pattern string
	Filter  queue.Filter
}

// Table knows who gets what is published. Bindings are changed by the applier
// only, so that Routes within Apply is deterministic.
type Table struct {
	mu       sync.RWMutex
	subs     *Trie[Listener]
	bindings *Trie[*Binding]
	cache    map[string]*Routes // emptied by every change
	size     atomic.Int64       // subscriptions and bindings
}

// Routes are the subscriptions that one topic's messages go to. They are
// immutable.
type Routes struct {
	Subscribers []Listener
	Bindings    []*Binding
}

// maxCached bounds the cache of routes: topics are made by clients.
const maxCached = 10_000

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{subs: NewTrie[Listener](), bindings: NewTrie[*Binding](), cache: map[string]*Routes{}}
}

// Subscribe adds a non-durable subscription.
func (t *Table) Subscribe(pattern string, s Listener) {
	t.change(func() { t.subs.Insert(pattern, s) })
}

// Unsubscribe removes it.
func (t *Table) Unsubscribe(pattern string, s Listener) {
	t.change(func() { t.subs.Remove(pattern, s) })
}

// Bind adds a binding.
func (t *Table) Bind(b *Binding) { t.change(func() { t.bindings.Insert(b.Pattern, b) }) }

// Unbind removes it.
func (t *Table) Unbind(b *Binding) { t.change(func() { t.bindings.Remove(b.Pattern, b) }) }

func (t *Table) change(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
	t.size.Store(int64(t.subs.Len() + t.bindings.Len()))
	clear(t.cache)
}

// Any reports whether there are subscriptions. It takes no lock.
func (t *Table) Any() bool { return t.size.Load() > 0 }

// Count returns how many subscriptions and bindings there are under exactly
// that pattern.
func (t *Table) Count(pattern string) int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.subs.Count(pattern) + t.bindings.Count(pattern)
}

// Routes returns who gets what is published to the topic of that name.
func (t *Table) Routes(name string) *Routes {
	t.mu.RLock()
	r := t.cache[name]
	t.mu.RUnlock()
	if r != nil {
		return r
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r = &Routes{}
	t.subs.Match(name, func(s Listener) {
		if !slices.Contains(r.Subscribers, s) {
			r.Subscribers = append(r.Subscribers, s)
		}
	})
	t.bindings.Match(name, func(b *Binding) { r.bind(b) })
	if len(t.cache) >= maxCached {
		clear(t.cache)
	}
	t.cache[name] = r
	return r
}

// bind adds a binding. A queue that is bound by several patterns gets a message
// once: by the binding without a filter, if there is one; filters of bindings
// of one queue are the same.
func (r *Routes) bind(b *Binding) {
	for i, have := range r.Bindings {
		if have.Queue == b.Queue {
			if b.Filter == nil {
				r.Bindings[i] = b
			}
			return
		}
	}
	r.Bindings = append(r.Bindings, b)
}

// Publish gives m to the non-durable subscriptions. It returns one that is
// slow, if there is any.
func (r *Routes) Publish(m *message.Message) (slow Listener) {
	for _, s := range r.Subscribers {
		if s.Publish(m) {
			slow = s
		}
	}
	return slow
}
