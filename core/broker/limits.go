package broker

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// limits holds queues to their policies' lengths and sizes. A message that is on its way
// to a queue counts as being there: so producers can't pass a limit together.
type limits struct {
	b  *Broker
	on atomic.Bool // some policy has a limit

	mu     sync.Mutex
	coming map[*queue.Queue]queue.Load // messages on their way, less those that make room for them
}

func (l *limits) init(b *Broker) {
	l.b, l.coming = b, make(map[*queue.Queue]queue.Load)
}

// passage is what some messages need to pass the limits of their queues. It
// completes the request that publishes them.
type passage struct {
	l       *limits
	coming  map[*queue.Queue]queue.Load
	dropped map[*queue.Queue][]uint64 // what makes room, held
	full    *queue.Queue              // whose limit makes the producer wait
	most    policy.Limit              // of full
	over    *queue.Queue              // that was full before, and whose producers wait
	done    Done
	token   uint64
}

// pass lets msgs into their queues, all or none. It returns nil if no limit
// concerns them.
func (l *limits) pass(msgs ...*message.Message) (*passage, error) {
	var p *passage
	for _, m := range msgs {
		d := m.Destination
		limit := l.b.policies.For(d).Limit
		if !d.Kind.IsQueue() || limit.Messages == 0 && limit.Bytes == 0 {
			continue
		}
		q := l.b.queues.get(d)
		if q == nil {
			if d.Kind.IsTemp() {
				continue
			}
			q = l.b.ensure(d)
		}
		if p == nil {
			p = &passage{l: l, coming: make(map[*queue.Queue]queue.Load)}
		}
		if err := p.add(q, m, limit); err != nil {
			p.settle(false)
			return nil, err
		}
	}
	return p, nil
}

// add lets m into q.
func (p *passage) add(q *queue.Queue, m *message.Message, limit policy.Limit) error {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	room := roomIn(limit, q.Load(), p.l.coming[q])
	more := queue.Load{Messages: 1, Bytes: int64(len(m.Raw()))}
	switch {
	case room.takes(more):
	case limit.Overflow == policy.Reject:
		return refusal(q, limit, room.Messages > 0)
	case limit.Overflow == policy.DropOldest:
		// What is dropped still counts as being there until it is gone.
		for !room.takes(more) {
			pos, size, ok := q.HoldOldest()
			if !ok {
				break // consumers have them all: it is taken beyond the limit
			}
			if p.dropped == nil {
				p.dropped = make(map[*queue.Queue][]uint64)
			}
			p.dropped[q] = append(p.dropped[q], pos)
			more.Messages--
			more.Bytes -= size
		}
	}
	if limit.Overflow == policy.Block && !room.takes(more) {
		p.over = q
	}
	p.l.coming[q] = sum(p.l.coming[q], more)
	p.coming[q] = sum(p.coming[q], more)
	if limit.Overflow == policy.Block && !roomIn(limit, q.Load(), p.l.coming[q]).takes(queue.Load{Messages: 1, Bytes: 1}) {
		p.full, p.most = q, limit
	}
	return nil
}

func refusal(q *queue.Queue, limit policy.Limit, bytes bool) error {
	op := "send to " + q.Destination().String()
	if bytes {
		return fail(CodeFull, op, "with this message it would hold more than %d bytes, which is its limit (maxBytes)", limit.Bytes)
	}
	return fail(CodeFull, op, "it holds %d messages, which is its limit (maxMessages)", limit.Messages)
}

// room is what a queue may still take.
type room queue.Load

func (r room) takes(more queue.Load) bool {
	return more.Messages <= r.Messages && more.Bytes <= r.Bytes
}

func roomIn(limit policy.Limit, there, coming queue.Load) room {
	r := room{math.MaxInt64, math.MaxInt64}
	if limit.Messages > 0 {
		r.Messages = int64(limit.Messages) - there.Messages - coming.Messages
	}
	if limit.Bytes > 0 {
		r.Bytes = limit.Bytes - there.Bytes - coming.Bytes
	}
	return r
}

func sum(a, b queue.Load) queue.Load {
	return queue.Load{Messages: a.Messages + b.Messages, Bytes: a.Bytes + b.Bytes}
}

// ops returns what takes out the messages that make room.
func (p *passage) ops() (ops []store.Op) {
	for q, held := range p.dropped {
		ops = q.AppendAcks(ops, held)
	}
	return ops
}

// Complete implements Done.
func (p *passage) Complete(_ uint64, err error) {
	p.settle(err == nil)
	if p.done != nil {
		p.done.Complete(p.token, err)
	}
}

func (p *passage) settle(ok bool) {
	for q, held := range p.dropped {
		if ok {
			q.EndTransient(held)
			p.l.b.counts.discarded.Add(uint64(len(held)))
			p.l.b.adviseDropped(q, len(held))
		} else {
			q.GiveBack(held)
		}
	}
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	for q, n := range p.coming {
		left := sum(p.l.coming[q], queue.Load{Messages: -n.Messages, Bytes: -n.Bytes})
		if p.l.coming[q] = left; left == (queue.Load{}) {
			delete(p.l.coming, q)
		}
	}
}

// stillFull reports whether the producer has to wait.
func (p *passage) stillFull() bool {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	return !roomIn(p.most, p.full.Load(), p.l.coming[p.full]).takes(queue.Load{Messages: 1, Bytes: 1})
}

// publishThrough is Publish to queues with limits. through is false if there
// are none.
func (s *Session) publishThrough(msgs []*message.Message, done Done, token uint64) (wait, through bool) {
	p, err := s.b.limits.pass(msgs...)
	if err != nil {
		s.refuse(err, done, token)
		return false, true
	}
	if p == nil {
		return false, false
	}
	p.done, p.token = done, token
	s.commit(store.Request{
		Ops: s.b.publishOps(p.ops(), msgs), Durability: s.b.durability(msgs[0].Destination), Done: p,
	})
	if p.full != nil {
		s.b.adviseFull(p.full, p.most.Messages)
	}
	if p.full != nil && s.b.flow.holdFull(s, p) {
		return true, true
	}
	return s.throttled(nil), true
}
