package broker

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/topic"
)

// RetainedLimits bound what topics remember.
type RetainedLimits struct {
	Messages int // [100,000]
	Bytes    int // [64 MiB]
}

// RetainedProperty marks a message that a topic remembered.
const RetainedProperty = "ActiveMQ.Retained"

// retained is the part of the state that remembers the last message of
// topics: the one published with Envelope.Retain. A message without body
// makes the topic forget.
type retained struct {
	b *Broker

	mu    sync.RWMutex
	names topic.Names[*message.Message]
	bytes int

	// owned by the applier
	dirty  map[string]struct{}
	stored map[string]int // parts in the page store
	half   []byte         // while loading: the parts of a value so far
}

func newRetained(b *Broker) *retained {
	return &retained{b: b, dirty: make(map[string]struct{}), stored: make(map[string]int)}
}

// kind implements part.
func (r *retained) kind() byte { return 'r' }

// apply implements part: data is a message to be remembered that is delivered
// by other means.
func (r *retained) apply(data []byte) {
	if m, err := message.Decode(data); err == nil {
		r.set(m)
	}
}

// set remembers m for its topic, or forgets what was there.
func (r *retained) set(m *message.Message) {
	name := m.Destination.Name
	empty := r.b.emptyBody(m)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dirty[name] = struct{}{}
	if empty {
		if old, had := r.names.Delete(name); had {
			r.bytes -= old.Size()
		}
		return
	}
	// Marked once, here, instead of for each subscriber.
	marked := m.With(func(e *message.Envelope) {
		e.Annotations = append(e.Annotations, message.Annotation{Name: RetainedProperty, Value: "true"})
	})
	old, had := r.names.Set(name, marked)
	if had {
		r.bytes -= old.Size()
	}
	r.bytes += marked.Size()
}

// match returns what the topics that a pattern names remember.
func (r *retained) match(pattern string) (found []*message.Message) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	r.names.Match(pattern, func(m *message.Message) { found = append(found, m) })
	return found
}

// get returns what a topic remembers.
func (r *retained) get(name string) (*message.Message, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.names.Get(name)
}

// forgetOp makes a topic forget.
func (r *retained) forgetOp(name string, id message.ID) store.Op {
	nothing := message.New(&message.Envelope{ID: id, Destination: message.Topic(name), Retain: true}, message.EncodingHub)
	return store.Op{Kind: store.OpState, N: uint32(r.kind()), Data: nothing.Raw()}
}

// count returns how many messages are remembered, and their bytes.
func (r *retained) count() (messages, bytes int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.names.Len(), r.bytes
}

// room reports whether m may be remembered.
func (r *retained) room(m *message.Message, l RetainedLimits) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	old, had := r.names.Get(m.Destination.Name)
	messages, bytes := r.names.Len(), r.bytes+m.Size()
	if had {
		bytes -= old.Size()
	} else {
		messages++
	}
	return messages <= l.Messages && bytes <= l.Bytes
}

// A value is the message's raw bytes in parts: names are the topic, NUL and
// the part's number; the first part begins with how many there are.
const retainedPart = 256 << 10

func retainedName(name string, part int) string {
	return string(binary.BigEndian.AppendUint32([]byte(name+"\x00"), uint32(part)))
}

// freeze implements part.
func (r *retained) freeze(changes []stateChange) []stateChange {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for name := range r.dirty {
		parts := 0
		if m, ok := r.names.Get(name); ok {
			raw := m.Raw()
			parts = (len(raw) + retainedPart - 1) / retainedPart
			for i := range parts {
				var value []byte
				if i == 0 {
					value = binary.BigEndian.AppendUint32(nil, uint32(parts))
				}
				value = append(value, raw[i*retainedPart:min((i+1)*retainedPart, len(raw))]...)
				changes = append(changes, stateChange{kind: 'r', name: retainedName(name, i), value: value})
			}
		}
		for i := parts; i < r.stored[name]; i++ {
			changes = append(changes, stateChange{kind: 'r', name: retainedName(name, i), remove: true})
		}
		if r.stored[name] = parts; parts == 0 {
			delete(r.stored, name)
		}
	}
	clear(r.dirty)
	return changes
}

// load implements part. The parts of a value come in order.
func (r *retained) load(key string, value []byte) error {
	name, part, ok := strings.Cut(key, "\x00")
	if !ok || len(part) != 4 {
		return fmt.Errorf("malformed name %q", key)
	}
	i := int(binary.BigEndian.Uint32([]byte(part)))
	if i == 0 {
		if len(value) < 4 {
			return fmt.Errorf("topic %q: %w", name, errSpec)
		}
		r.stored[name], r.half = int(binary.BigEndian.Uint32(value)), nil
		value = value[4:]
	}
	r.half = append(r.half, value...)
	if i+1 < r.stored[name] {
		return nil
	}
	m, err := message.Decode(r.half)
	if err != nil {
		return fmt.Errorf("topic %q: %w", name, err)
	}
	r.half = nil
	r.names.Set(name, m)
	r.bytes += m.Size()
	return nil
}

// emptyBody reports whether m has no body.
func (b *Broker) emptyBody(m *message.Message) bool {
	if len(m.Payload()) == 0 {
		return true
	}
	v, err := m.View(b.o.Converters)
	if err != nil {
		return false
	}
	return len(v.Body.Data) == 0 && v.Body.Value.IsNull()
}

// publishRetained commits a message that its topic remembers. A
// non-persistent one is remembered all the same, but is delivered like one.
func (s *Session) publishRetained(m *message.Message, done Done, token uint64) {
	r := store.Request{Durability: store.Soon, Done: done, Token: token}
	if m.Durable {
		r.Op, r.Durability = store.Op{Kind: store.OpPublish, Msg: m}, s.b.durability(m.Destination)
	} else {
		r.Ops = s.b.publishOps(nil, []*message.Message{m})
	}
	s.commit(r)
}

// retains reports whether m's topic is to remember it.
func retains(m *message.Message) bool { return m.Retain && m.Destination.Kind == message.KindTopic }
