package broker

import (
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
)

// pauses is the part of the machine that pauses and resumes queues. The state
// is each queue's own and stored with it.
type pauses struct{ b *Broker }

const pausesKind = 'p'

// pauseOp pauses or resumes a queue: a byte 1 or 0, and its name.
func pauseOp(d message.Destination, on bool) store.Op {
	flag := byte(0)
	if on {
		flag = 1
	}
	return store.Op{Kind: store.OpState, N: pausesKind, Data: appendDestination([]byte{flag}, d)}
}

// kind implements part.
func (p *pauses) kind() byte { return pausesKind }

// apply implements part.
func (p *pauses) apply(data []byte) {
	if len(data) == 0 || data[0] > 1 {
		return
	}
	d, err := parseDestination(data[1:])
	if err != nil {
		return
	}
	if q := p.b.queues.get(d); q != nil {
		q.ApplyPaused(data[0] == 1)
		p.b.machine.touch(q)
	}
}

// freeze implements part.
func (p *pauses) freeze(changes []stateChange) []stateChange { return changes }

// load implements part.
func (p *pauses) load(string, []byte) error { return nil }
