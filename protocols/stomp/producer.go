package stomp

import (
	"strings"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// producing is where a connection sends to. STOMP knows of no producers: the
// first SEND to a destination makes one, which lasts as long as the connection.
type producing struct {
	last message.Destination // most SENDs go where the one before went
	to   map[message.Destination]producer
}

// producer keeps its own copy of the destination's name, not part of a message.
type producer struct {
	to   message.Destination
	core *broker.Producer
}

// maxProducers bounds them: of who sends to more places the first are told.
const maxProducers = 64

// produces notes a SEND to d.
func (c *conn) produces(d message.Destination) {
	p := &c.producing
	if d == p.last {
		return
	}
	one, known := p.to[d]
	if !known {
		if len(p.to) >= maxProducers || d.Kind.IsTemp() || d.IsComposite() || c.session.MaySend(d) != nil {
			return
		}
		d.Name = strings.Clone(d.Name)
		if p.to == nil {
			p.to = make(map[message.Destination]producer)
		}
		one = producer{d, c.session.OpenProducer(d)}
		p.to[d] = one
	}
	p.last = one.to
}

func (p *producing) end() {
	for _, one := range p.to {
		one.core.Close()
	}
	p.to = nil
}
