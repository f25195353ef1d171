package queue

import "github.com/entrepot-mq/entrepot/core/message"

// Leftovers are what only the node that serves clients knows of a queue that
// is collected.
type Leftovers struct {
	messages  []*message.Message
	consumers []attachment
}

// Empty reports whether nothing is left.
func (l *Leftovers) Empty() bool { return len(l.messages)+len(l.consumers) == 0 }

// Move gives everything to another queue.
func (l *Leftovers) Move(to *Queue) {
	for _, m := range l.messages {
		to.EnqueueTransient(m)
	}
	for i := range l.consumers {
		a := &l.consumers[i]
		if !to.serves(a.c) {
			to.Subscribe(a.c, a.cursor.filter, a.priority, a.exclusive)
		}
	}
}

func (q *Queue) serves(c *Consumer) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, a := range q.consumers {
		if a.c == c {
			return true
		}
	}
	return false
}

// ApplyCollect ends the queue as ApplyDelete does, if no durable message is in
// it: that is the same on every node. What came between the decision to
// collect an idle queue and this record is returned, to be moved to a queue
// of the same name; what consumers hold of it they may settle, to no effect.
func (q *Queue) ApplyCollect() (left Leftovers, ok bool) {
	q.mu.Lock()
	for _, lv := range q.levels {
		if lv.durable.live > 0 {
			q.mu.Unlock()
			return left, false
		}
	}
	for _, lv := range q.levels {
		l := &lv.transient
		for seq, more := l.firstFree(0); more; seq, more = l.firstFree(seq + 1) {
			if m := l.page(seq).message(seq); m != nil {
				left.messages = append(left.messages, m)
			}
		}
	}
	for _, a := range q.consumers {
		left.consumers = append(left.consumers, *a)
	}
	q.mu.Unlock()
	q.ApplyDelete()
	return left, true
}
