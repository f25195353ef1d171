package broker

import (
	"sync"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// limits holds queues to their policies' lengths. A message that is on its way
// to a queue counts as being there: so producers can't pass a limit together.
type limits struct {
	b  *Broker
	on bool // some policy has a limit

	mu     sync.Mutex
	coming map[*queue.Queue]int // messages on their way
}

func (l *limits) init(b *Broker) {
	l.b, l.coming = b, make(map[*queue.Queue]int)
	for _, e := range b.o.Policies {
		var p policy.Policy
		e.Apply(&p)
		l.on = l.on || p.Limit.Messages > 0
	}
}

// passage is what some messages need to pass the limits of their queues. It
// completes the request that publishes them.
type passage struct {
	l       *limits
	coming  map[*queue.Queue]int
	dropped map[*queue.Queue][]uint64 // what makes room, held
	full    *queue.Queue              // whose limit makes the producer wait
	most    int                       // of full
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
		if !d.Kind.IsQueue() || limit.Messages == 0 {
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
			p = &passage{l: l, coming: make(map[*queue.Queue]int)}
		}
		if err := p.add(q, limit); err != nil {
			p.settle(false)
			return nil, err
		}
	}
	return p, nil
}

func (p *passage) add(q *queue.Queue, limit policy.Limit) error {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	there, _ := q.Waiting()
	room := limit.Messages - there - p.l.coming[q]
	switch {
	case room > 0:
	case limit.Overflow == policy.Reject:
		return fail(CodeFull, "send to "+q.Destination().String(), "it holds %d messages, which is its limit (maxMessages)", limit.Messages)
	case limit.Overflow == policy.DropOldest:
		if pos, ok := q.HoldOldest(); ok {
			if p.dropped == nil {
				p.dropped = make(map[*queue.Queue][]uint64)
			}
			p.dropped[q] = append(p.dropped[q], pos)
			return nil // one comes, one goes
		}
		// Consumers have them all: it is taken beyond the limit.
	}
	p.l.coming[q]++
	p.coming[q]++
	if limit.Overflow == policy.Block && room <= 1 {
		p.full, p.most = q, limit.Messages
	}
	return nil
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
		if p.l.coming[q] -= n; p.l.coming[q] == 0 {
			delete(p.l.coming, q)
		}
	}
}

// stillFull reports whether the producer has to wait.
func (p *passage) stillFull() bool {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	there, _ := p.full.Waiting()
	return there+p.l.coming[p.full] >= p.most
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
		s.b.adviseFull(p.full, p.most)
	}
	if p.full != nil && s.b.flow.holdFull(s, p) {
		return true, true
	}
	return s.throttled(nil), true
}
