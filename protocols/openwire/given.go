package openwire

import (
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// given is what a consumer was given and has not acknowledged, in that order.
// Clients acknowledge about in order, so looking from the front finds a
// message at once, and there is no map.
type given struct {
	list []delivery
	head int // list[:head] is settled
}

type delivery struct {
	tag     uint64
	message *message.Message // nil when settled out of order
	tx      *transaction     // that acknowledges it
}

func (g *given) add(tag uint64, m *message.Message) {
	if g.head > 0 && len(g.list) == cap(g.list) {
		n := copy(g.list, g.list[g.head:])
		clear(g.list[n:])
		g.list, g.head = g.list[:n], 0
	}
	g.list = append(g.list, delivery{tag: tag, message: m})
}

// find returns where the message named x is, from a place on, or -1.
func (g *given) find(x *wire.MessageID, from int) int {
	if x == nil {
		return -1
	}
	for i := from; i < len(g.list); i++ {
		if m := g.list[i].message; m != nil {
			if id := idOf(m); id.is(x) {
				return i
			}
		}
	}
	return -1
}

// span returns the part of the list that an acknowledgement from first to last
// means; first nil is the oldest. It is empty if last is not there.
func (g *given) span(first, last *wire.MessageID) (from, to int) {
	from = g.head
	if first != nil {
		if i := g.find(first, g.head); i >= 0 {
			from = i
		}
	}
	to = g.find(last, from)
	if to < 0 {
		return from, from
	}
	return from, to + 1
}

// oldest returns the part of the list that its n oldest messages are.
func (g *given) oldest(n int) (from, to int) {
	to = g.head
	for to < len(g.list) && n > 0 {
		if g.list[to].message != nil {
			n--
		}
		to++
	}
	return g.head, to
}

// settle forgets the delivery at i.
func (g *given) settle(i int) {
	g.list[i] = delivery{}
	for g.head < len(g.list) && g.list[g.head].message == nil {
		g.head++
	}
	if g.head == len(g.list) {
		g.list, g.head = g.list[:0], 0
	}
}

// settleOf forgets what tx acknowledged, or with keep puts it back.
func (g *given) settleOf(tx *transaction, keep bool) {
	for i := g.head; i < len(g.list); i++ {
		if g.list[i].tx != tx {
			continue
		}
		g.list[i].tx = nil
		if !keep {
			g.list[i] = delivery{}
		}
	}
	for g.head < len(g.list) && g.list[g.head].message == nil {
		g.head++
	}
	if g.head == len(g.list) {
		g.list, g.head = g.list[:0], 0
	}
}
