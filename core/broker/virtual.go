package broker

import (
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/topic"
)

// bindVirtual makes a numbered queue get what its virtual topic gets. It is
// part of Apply: the queues that exist at an index of the log are those that
// a message of that index goes to.
func (m *machine) bindVirtual(q *queue.Queue) {
	v, name, ok := m.b.virtuals.source(q.Destination())
	if !ok {
		return
	}
	if m.virtual == nil {
		m.virtual = make(map[*queue.Queue]*topic.Binding)
	}
	bound := &topic.Binding{Queue: q, Pattern: name}
	if v.SelectorAware {
		bound.Filter = m.b.virtuals.filter(q.Destination().Name)
	}
	m.virtual[q] = bound
	m.b.topics.Bind(bound)
}

func (m *machine) unbindVirtual(q *queue.Queue) {
	if b := m.virtual[q]; b != nil {
		m.b.topics.Unbind(b)
		delete(m.virtual, q)
	}
}

// rebindVirtual binds a queue as is right now.
func (m *machine) rebindVirtual(q *queue.Queue) {
	m.unbindVirtual(q)
	m.bindVirtual(q)
}
