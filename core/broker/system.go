package broker

import (
	"strings"
	"sync"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/topic"
)

// SystemRoot begins the names of topics that only the broker publishes to:
// what MQTT clients know as $SYS.
const SystemRoot = "$SYS"

// isSystem reports whether a topic is the broker's own.
func isSystem(d message.Destination) bool {
	return d.Kind == message.KindTopic && strings.HasPrefix(d.Name, SystemRoot) &&
		(len(d.Name) == len(SystemRoot) || d.Name[len(SystemRoot)] == '.')
}

// systemTopics are what the broker says of itself: each topic remembers the
// last message, in memory only.
type systemTopics struct {
	mu    sync.RWMutex
	names topic.Names[*message.Message]
}

func (s *systemTopics) match(pattern string) (found []*message.Message) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.names.Match(pattern, func(m *message.Message) { found = append(found, m) })
	return found
}

// Announce publishes messages to topics below SystemRoot, which remember them
// while the broker runs.
func (b *Broker) Announce(msgs []*message.Message) {
	for _, m := range msgs {
		if !isSystem(m.Destination) {
			continue
		}
		b.system.mu.Lock()
		b.system.names.Set(m.Destination.Name, marked(m))
		b.system.mu.Unlock()
		b.route(m)
	}
}

// marked returns m as a topic's memory has it.
func marked(m *message.Message) *message.Message {
	return m.With(func(e *message.Envelope) {
		e.Annotations = append(e.Annotations, message.Annotation{Name: RetainedProperty, Value: "true"})
	})
}

// RetainedMessages returns how many messages topics remember.
func (b *Broker) RetainedMessages() int {
	n, _ := b.retained.count()
	return n
}
