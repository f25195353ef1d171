package broker

import (
	"fmt"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// forwards are the compiled Options.Forwards.
type forwards struct {
	b  *Broker
	on bool
	of []forward
}

type forward struct {
	policy.Forward
	filters []queue.Filter // of To
}

// maxForwards bounds what one message may become.
const maxForwards = 1000

func (f *forwards) init(b *Broker) error {
	f.b, f.on = b, len(b.o.Forwards) > 0
	for _, x := range b.o.Forwards {
		one := forward{Forward: x}
		if err := x.Check(); err != nil {
			return err
		}
		for _, to := range x.To {
			filter, err := b.filter(to.Selector, "")
			if err != nil {
				return fmt.Errorf("forward %s to %s: selector: %w", x.From, to.Destination, err)
			}
			one.filters = append(one.filters, filter)
		}
		f.of = append(f.of, one)
	}
	return nil
}

// concern reports whether messages to d are forwarded.
func (f *forwards) concern(d message.Destination) bool {
	for i := range f.of {
		if f.of[i].from(d) {
			return true
		}
	}
	return false
}

func (f *forward) from(d message.Destination) bool {
	return f.From.Kind == d.Kind && message.Matches(f.From.Name, d.Name)
}

// expand returns msgs with what is forwarded in the place of each message.
// What comes to a destination that forwards in its turn goes on from there,
// but no message comes to a destination twice: so there are no loops.
func (f *forwards) expand(msgs []*message.Message) []*message.Message {
	if !f.on {
		return msgs
	}
	var out []*message.Message
	for _, m := range msgs {
		if f.b.schedules.isScheduled(m) || !f.concern(m.Destination) {
			out = append(out, m) // what is scheduled is forwarded when it is sent
			continue
		}
		out = append(out, f.follow(m)...)
	}
	return out
}

// follow returns what m becomes.
func (f *forwards) follow(m *message.Message) (out []*message.Message) {
	been := map[message.Destination]struct{}{m.Destination: {}}
	for todo := []*message.Message{m}; len(todo) > 0; todo = todo[1:] {
		now, stays := todo[0], true
		for i := range f.of {
			x := &f.of[i]
			if !x.from(now.Destination) {
				continue
			}
			stays = stays && !x.Only
			for k := range x.To {
				to := x.To[k].For(now.Destination)
				if _, seen := been[to]; seen || len(been) >= maxForwards || x.filters[k] != nil && !x.filters[k].Matches(now) {
					continue
				}
				if message.ValidateName(to.Name) != nil {
					continue // prefix, name and suffix together are too long
				}
				been[to] = struct{}{}
				todo = append(todo, f.copyTo(m, to))
			}
		}
		if stays {
			out = append(out, now)
		}
	}
	return out
}

func (f *forwards) copyTo(m *message.Message, to message.Destination) *message.Message {
	return m.With(func(e *message.Envelope) {
		if e.Origin.IsZero() {
			e.Origin = m.Destination
		}
		e.Destination, e.ID = to, f.b.NewID()
		e.Retain = e.Retain && to.Kind == message.KindTopic
	})
}

// publishForwarded sends what m becomes, all or nothing. What becomes nothing,
// because no filter selects it, is taken all the same.
func (s *Session) publishForwarded(m *message.Message, done Done, token uint64) (wait bool) {
	msgs := s.b.forwards.follow(m)
	if len(msgs) == 0 {
		if done != nil {
			s.commit(store.Request{Durability: store.Lazy, Done: done, Token: token})
		}
		return false
	}
	return s.publishTogether(msgs, done, token)
}

// publishTogether sends msgs as one record.
func (s *Session) publishTogether(msgs []*message.Message, done Done, token uint64) (wait bool) {
	if s.b.limits.on.Load() {
		if wait, through := s.publishThrough(msgs, done, token); through {
			return wait
		}
	}
	durability := store.Lazy
	for _, m := range msgs {
		durability = min(durability, s.b.durability(m.Destination))
	}
	s.commit(store.Request{Ops: s.b.publishOps(nil, msgs), Durability: durability, Done: done, Token: token})
	return s.throttled(nil)
}
