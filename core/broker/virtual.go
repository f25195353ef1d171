package broker

import (
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/topic"
)

// A virtual topic is a topic whose name starts with VirtualTopic. What is
// published there also goes to each queue Consumer.<name>.<topic>, where
// consumers compete: publish and subscribe with load balancing, without
// durable subscriptions (ActiveMQ's virtual destinations).
const (
	virtualRoot     = "VirtualTopic"
	virtualConsumer = "Consumer."
)

// virtualSource returns the topic that a queue of that name gets messages of.
// A name with wildcards is not one queue: its consumer follows those that it
// names.
func virtualSource(d message.Destination) (name string, ok bool) {
	if d.Kind != message.KindQueue || message.IsPattern(d.Name) {
		return "", false
	}
	rest, ok := strings.CutPrefix(d.Name, virtualConsumer)
	if !ok {
		return "", false
	}
	consumer, name, ok := strings.Cut(rest, ".")
	if !ok || consumer == "" || name != virtualRoot && !strings.HasPrefix(name, virtualRoot+".") {
		return "", false
	}
	return name, true
}

// bindVirtual makes a numbered queue get what its virtual topic gets. It is
// part of Apply: the queues that exist at an index of the log are those that
// a message of that index goes to.
func (m *machine) bindVirtual(q *queue.Queue) {
	name, ok := virtualSource(q.Destination())
	if !ok {
		return
	}
	if m.virtual == nil {
		m.virtual = make(map[*queue.Queue]*topic.Binding)
	}
	m.virtual[q] = &topic.Binding{Queue: q, Pattern: name}
	m.b.topics.Bind(m.virtual[q])
}

func (m *machine) unbindVirtual(q *queue.Queue) {
	if b := m.virtual[q]; b != nil {
		m.b.topics.Unbind(b)
		delete(m.virtual, q)
	}
}

// ensureBound returns the queue of that name for a consumer: when it is a
// virtual topic's, it gets messages from now on.
func (s *Session) ensureBound(d message.Destination) (*queue.Queue, error) {
	q := s.b.ensure(d)
	if _, virtual := virtualSource(d); !virtual || q.ID() != 0 {
		return q, nil
	}
	return q, s.await(store.Op{Kind: store.OpCreate, Data: appendDestination(nil, d)})
}
