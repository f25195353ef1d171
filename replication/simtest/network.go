package simtest

import (
	"time"

	"github.com/entrepot-mq/entrepot/replication/protocol"
)

// linked reports whether messages from a reach b at the moment.
func (w *world) linked(a, b *node) bool { return !w.god.cut[[2]int{a.i, b.i}] }

// transmit sends m, perhaps.
func (w *world) transmit(from *node, m *protocol.Message) {
	for _, to := range w.nodes {
		if to.name != m.To {
			continue
		}
		copies := 1
		if !w.calm && w.chance(1) {
			copies = 0
		} else if !w.calm && w.chance(1) {
			copies = 2
		}
		for range copies {
			w.carry(from, to, m)
		}
	}
}

func (w *world) carry(from, to *node, m *protocol.Message) {
	if !w.linked(from, to) || w.lose != nil && w.lose(m) {
		return
	}
	d := w.between(200*time.Microsecond, 2*time.Millisecond)
	if !w.calm {
		switch {
		case w.chance(1):
			d += w.between(0, 3*time.Second) // stuck somewhere, and still arrives
		case w.chance(5):
			d += w.between(0, 50*time.Millisecond)
		}
	}
	w.after(d, func() {
		if to.alive {
			to.at(to.life, func() { to.repl.Receive(to.clock(), m) })
		}
	})
}
