package broker

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// virtuals is the part of the state that knows the virtual topics, and which
// selectors count for the queues of those that are aware of selectors. Both
// decide where a record goes, so they come by records too: the configuration
// of the node that serves clients is written when it differs.
type virtuals struct {
	b *Broker

	mu        sync.RWMutex
	topics    []policy.VirtualTopic
	selectors map[string][]string // by queue

	// owned by the applier
	dirty map[string]struct{}

	// order is held while a change of selectors is queued with Commit.
	order sync.Mutex
	live  map[*queue.Queue]map[string]int // consumers by selector
	want  map[*queue.Queue][]string       // what was queued last
}

func newVirtuals(b *Broker) *virtuals {
	return &virtuals{
		b: b, topics: policy.DefaultVirtualTopics, selectors: make(map[string][]string), dirty: make(map[string]struct{}),
		live: make(map[*queue.Queue]map[string]int), want: make(map[*queue.Queue][]string),
	}
}

// virtualChange is a change in the log: the topics, or with Queue the
// selectors of that queue.
type virtualChange struct {
	Topics    []policy.VirtualTopic `json:"topics,omitempty"`
	Queue     string                `json:"queue,omitempty"`
	Selectors []string              `json:"selectors,omitempty"`
}

func (v *virtuals) op(c virtualChange) store.Op {
	data, err := json.Marshal(c)
	if err != nil {
		panic("broker: texts have no JSON: " + err.Error())
	}
	return store.Op{Kind: store.OpState, N: uint32(v.kind()), Data: data}
}

// kind implements part.
func (v *virtuals) kind() byte { return 'v' }

// apply implements part.
func (v *virtuals) apply(data []byte) {
	var c virtualChange
	if json.Unmarshal(data, &c) != nil {
		return
	}
	v.dirty[c.Queue] = struct{}{}
	v.set(&c)
	v.rebind(c.Queue)
}

// rebind binds a queue as is right now, or with "" all of them.
func (v *virtuals) rebind(name string) {
	if name != "" {
		if q := v.b.queues.get(message.Queue(name)); q != nil && q.ID() != 0 {
			v.b.machine.rebindVirtual(q)
		}
		return
	}
	for _, q := range v.b.everyQueue() {
		if q.ID() != 0 && q.Destination().Kind == message.KindQueue {
			v.b.machine.rebindVirtual(q)
		}
	}
}

// forget removes what is known of a queue that was deleted. It is part of
// Apply.
func (v *virtuals) forget(d message.Destination) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.selectors[d.Name]; ok && d.Kind == message.KindQueue {
		delete(v.selectors, d.Name)
		v.dirty[d.Name] = struct{}{}
	}
}

func (v *virtuals) set(c *virtualChange) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case c.Queue == "":
		v.topics = c.Topics
	case len(c.Selectors) == 0:
		delete(v.selectors, c.Queue)
	default:
		v.selectors[c.Queue] = c.Selectors
	}
}

// freeze implements part. Values are changes, named by their queue.
func (v *virtuals) freeze(changes []stateChange) []stateChange {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for name := range v.dirty {
		c := virtualChange{Queue: name, Selectors: v.selectors[name]}
		if name == "" {
			c.Topics = v.topics
		} else if len(c.Selectors) == 0 {
			changes = append(changes, stateChange{kind: 'v', name: name, remove: true})
			continue
		}
		changes = append(changes, stateChange{kind: 'v', name: name, value: v.op(c).Data})
	}
	clear(v.dirty)
	return changes
}

// load implements part. Queues were loaded before, and are bound anew.
func (v *virtuals) load(_ string, value []byte) error {
	var c virtualChange
	if err := json.Unmarshal(value, &c); err != nil {
		return err
	}
	v.set(&c)
	v.rebind(c.Queue)
	return nil
}

// establish writes the virtual topics of Options if the log says something
// else, and returns when they hold: before clients are served.
func (v *virtuals) establish() error {
	v.mu.RLock()
	same := slices.Equal(v.topics, v.b.o.VirtualTopics)
	v.mu.RUnlock()
	if same {
		return nil
	}
	return v.b.commitOps("set the virtual topics", v.op(virtualChange{Topics: v.b.o.VirtualTopics}))
}

// source returns the virtual topic that a queue gets messages of. A name with
// wildcards is not one queue: its consumer follows those that it names.
func (v *virtuals) source(d message.Destination) (t policy.VirtualTopic, name string, ok bool) {
	if d.Kind != message.KindQueue || message.IsPattern(d.Name) {
		return t, "", false
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	for i := range v.topics {
		if name, ok = v.topics[i].Source(d.Name); ok {
			return v.topics[i], name, true
		}
	}
	return t, "", false
}

// filter returns what selects for a queue that is aware of selectors, nil for
// everything.
func (v *virtuals) filter(name string) queue.Filter {
	v.mu.RLock()
	texts := v.selectors[name]
	v.mu.RUnlock()
	if len(texts) == 0 {
		return nil
	}
	var either anyOf
	for _, text := range texts {
		f, err := v.b.filter(text, "")
		if err != nil {
			v.b.o.Logger.Error("a selector of a virtual topic's consumer can't be read: it selects nothing", "dest", name, "err", err)
			continue
		}
		if f == nil {
			return nil
		}
		either = append(either, f)
	}
	return either
}

// anyOf selects what one of the filters does.
type anyOf []queue.Filter

// Matches implements queue.Filter.
func (f anyOf) Matches(m *message.Message) bool {
	return slices.ContainsFunc(f, func(one queue.Filter) bool { return one.Matches(m) })
}

// maxSelectors bounds what is kept for a queue: beyond it everything is
// selected.
const maxSelectors = 100

var errAware = errors.New("a consumer of a virtual topic that is aware of selectors can't select by JMSRedelivered and JMSXDeliveryCount")

// join notes that a consumer with that selector comes to q, if q is aware of
// selectors. The log gets to know: what is published before that is applied is
// not selected for it.
func (v *virtuals) join(q *queue.Queue, selector string) (leave func()) {
	t, _, ok := v.source(q.Destination())
	if !ok || !t.SelectorAware {
		return nil
	}
	v.order.Lock()
	defer v.order.Unlock()
	if v.live[q] == nil {
		v.live[q] = make(map[string]int)
	}
	v.live[q][selector]++
	v.update(q)
	return func() { v.leave(q, selector) }
}

func (v *virtuals) leave(q *queue.Queue, selector string) {
	v.order.Lock()
	defer v.order.Unlock()
	if v.live[q][selector]--; v.live[q][selector] == 0 {
		delete(v.live[q], selector)
	}
	if len(v.live[q]) == 0 { // those that were there last go on counting
		delete(v.live, q)
		delete(v.want, q)
		return
	}
	v.update(q)
}

// update writes the selectors of q's consumers if they are others than before.
func (v *virtuals) update(q *queue.Queue) {
	name := q.Destination().Name
	want := make([]string, 0, len(v.live[q]))
	for s := range v.live[q] {
		want = append(want, s)
	}
	slices.Sort(want)
	if len(want) > maxSelectors || want[0] == "" {
		want = nil
	}
	was, ok := v.want[q]
	if !ok {
		v.mu.RLock()
		was = v.selectors[name]
		v.mu.RUnlock()
	}
	v.want[q] = want
	if slices.Equal(was, want) {
		return
	}
	v.b.store.Commit(store.Request{Op: v.op(virtualChange{Queue: name, Selectors: want}), Durability: store.Soon})
}
