package broker

import (
	"strconv"
	"sync"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Producer is a client's intention to send, where its protocol says so: an
// AMQP link, an OpenWire producer. It costs a client nothing to send without.
type Producer struct {
	s    *Session
	d    message.Destination
	id   string
	once sync.Once
}

// producers counts them by destination.
type producers struct {
	mu   sync.Mutex
	open map[*Producer]struct{}
	of   map[message.Destination]int
}

func (p *producers) init() {
	p.open, p.of = make(map[*Producer]struct{}), make(map[message.Destination]int)
}

// OpenProducer tells that the session is going to send to d, or with the zero
// Destination that each message will say where to. The caller closes it, at
// the latest when the session ends.
func (s *Session) OpenProducer(d message.Destination) *Producer {
	s.made++
	p := &Producer{s: s, d: d, id: s.connectionID() + ":-1:" + strconv.Itoa(s.made)}
	all := &s.b.producers
	all.mu.Lock()
	all.open[p] = struct{}{}
	all.of[d]++
	n := all.of[d]
	all.mu.Unlock()
	p.advise(false, n)
	return p
}

// Close tells that nothing more is going to be sent.
func (p *Producer) Close() {
	p.once.Do(func() {
		all := &p.s.b.producers
		all.mu.Lock()
		delete(all.open, p)
		n := all.of[p.d] - 1
		if all.of[p.d] = n; n == 0 {
			delete(all.of, p.d)
		}
		all.mu.Unlock()
		p.advise(true, n)
	})
}

func (p *Producer) advise(ended bool, n int) {
	if p.s.b.advisories.wanted() {
		p.s.b.advisories.note(p.event(ended, n))
	}
}

func (p *Producer) event(ended bool, n int) Event {
	return Event{
		Kind: EventProducer, Ended: ended, Destination: p.d, Connection: p.s.connectionID(), ClientID: p.s.clientID,
		Producer: p.id, Count: int64(n),
	}
}

// events returns one for each producer.
func (p *producers) events() (out []Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for one := range p.open {
		out = append(out, one.event(false, p.of[one.d]))
	}
	return out
}
