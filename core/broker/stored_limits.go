package broker

import (
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// bound has the oldest messages of q removed if it is a session's and beyond
// a limit. Bytes are summed up only where so many messages could have them.
func (p *storedSessions) bound(q *queue.Queue) {
	if !isStoredQueue(q) {
		return
	}
	limits, n := &p.b.o.Stored, q.Available()
	if n <= limits.Messages && (int64(n)*int64(p.b.o.MaxMessage) <= limits.Bytes || q.Load().Bytes <= limits.Bytes) {
		return
	}
	p.dueMu.Lock()
	p.full[q] = struct{}{}
	p.dueMu.Unlock()
	p.poke()
}

// trim removes the oldest messages of backlogs beyond their limits, and waits
// until they are gone: until then they count.
func (p *storedSessions) trim() {
	p.dueMu.Lock()
	full := p.full
	p.full = make(map[*queue.Queue]struct{})
	p.dueMu.Unlock()
	committed := false
	for q := range full {
		held := p.holdOldest(q)
		if len(held) == 0 {
			continue
		}
		p.b.counts.discarded.Add(uint64(len(held)))
		q.EndTransient(held)
		if ops := q.AppendAcks(nil, held); len(ops) > 0 {
			p.b.store.Commit(store.Request{Ops: ops, Durability: store.Soon})
			committed = true
		}
	}
	if committed {
		w := make(waiter, 1)
		p.b.store.Commit(store.Request{Durability: store.Lazy, Done: w})
		select {
		case <-w: //nolint:errcheck // an error is the store's end, which others tell
		case <-p.quit:
		}
	}
}

// holdOldest takes what is beyond the limits of q out of circulation. What the
// client has stays.
func (p *storedSessions) holdOldest(q *queue.Queue) (held []uint64) {
	limits := &p.b.o.Stored
	over := q.Load().Bytes - limits.Bytes
	for q.Available() > limits.Messages || over > 0 {
		pos, size, ok := q.HoldOldest()
		if !ok {
			break
		}
		over -= size
		held = append(held, pos)
	}
	return held
}
