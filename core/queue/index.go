package queue

import (
	"slices"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/selector"
)

// A cursor with a filter that has seen all is indexed: it sleeps, and each
// message that comes, or comes back, is offered to the sleeping ones, which
// are found by what their filters demand instead of being asked one by one.
// So a message that few of a thousand consumers want costs little, and a
// dispatch looks at the cursors that are awake only.
//
// An indexed cursor has passed everything but what is in its heaps. When they
// grow long because its consumers have no credit, it stops being indexed and
// later goes on scanning from there.

// KeyedFilter is a Filter that may demand that a field is one of some values,
// or a number in a range.
type KeyedFilter interface {
	Filter
	// Key returns what the filter demands, if it does.
	Key() (selector.Key, bool)
	// Value returns what a field is in m, if it is there.
	Value(f selector.Field, m *message.Message) (selector.KeyValue, bool)
}

const (
	maxIndexed = 1024 // seqs in a heap of an indexed cursor
	maxParked  = 16   // cursors without consumers
)

// index finds the cursors that may want a message.
type index struct {
	fields []fieldIndex
	rest   []*cursor // those whose filters demand nothing
}

type fieldIndex struct {
	field  selector.Field
	reader KeyedFilter // reads the field
	by     map[selector.KeyValue][]*cursor
	ranges rangeIndex
}

func (x *index) add(c *cursor) {
	f, key, ok := keyOf(c.filter)
	if !ok {
		x.rest = append(x.rest, c)
		return
	}
	i := slices.IndexFunc(x.fields, func(e fieldIndex) bool { return e.field == key.Field })
	if i < 0 {
		i = len(x.fields)
		x.fields = append(x.fields, fieldIndex{field: key.Field, reader: f, by: make(map[selector.KeyValue][]*cursor)})
	}
	if key.Ranged() {
		x.fields[i].ranges.add(key.Low, key.High, c)
	}
	for _, v := range key.Values {
		if by := x.fields[i].by; !slices.Contains(by[v], c) {
			by[v] = append(by[v], c)
		}
	}
}

func (x *index) remove(c *cursor) {
	is := func(k *cursor) bool { return k == c }
	_, key, ok := keyOf(c.filter)
	if !ok {
		x.rest = slices.DeleteFunc(x.rest, is)
		return
	}
	i := slices.IndexFunc(x.fields, func(e fieldIndex) bool { return e.field == key.Field })
	by := x.fields[i].by
	for _, v := range key.Values {
		if by[v] = slices.DeleteFunc(by[v], is); len(by[v]) == 0 {
			delete(by, v)
		}
	}
	if key.Ranged() {
		x.fields[i].ranges.remove(c)
	}
	if len(by) == 0 && len(x.fields[i].ranges.all) == 0 {
		x.fields = slices.Delete(x.fields, i, i+1)
	}
}

func keyOf(f Filter) (KeyedFilter, selector.Key, bool) {
	k, ok := f.(KeyedFilter)
	if !ok {
		return nil, selector.Key{}, false
	}
	key, ok := k.Key()
	return k, key, ok
}

// offer shows a message that came, or came back, to the indexed cursors.
func (q *Queue) offer(l *lane, seq uint64, m *message.Message) {
	x := &q.index
	if len(x.rest) == 0 && len(x.fields) == 0 {
		return
	}
	level := q.levelOf(l)
	q.offerTo(x.rest, l, level, seq, m)
	for i := range x.fields {
		f := &x.fields[i]
		if v, ok := f.reader.Value(f.field, m); ok {
			q.offerTo(f.by[v], l, level, seq, m)
			q.offerToRanges(&f.ranges, v.Number(), l, level, seq, m)
		}
	}
}

func (q *Queue) offerTo(cursors []*cursor, l *lane, level int, seq uint64, m *message.Message) {
	for _, c := range cursors {
		if c.indexed && l.selects(c.filter, seq, m) {
			q.hand(c, l, level, seq)
		}
	}
}

// hand puts seq into the heap of an indexed cursor.
func (q *Queue) hand(c *cursor, l *lane, level int, seq uint64) {
	at := c.lane(l, level)
	at.push(l, seq)
	c.spent = 0 // it may have been, in the dispatch that hands it this
	if len(at.returned) > maxIndexed && !c.own {
		q.unindex(c)
	}
	q.wake(c)
}

// back makes seq available again to the cursors that have passed it. m is nil
// if the message isn't in memory.
func (q *Queue) back(l *lane, level int, seq uint64, m *message.Message) {
	for _, c := range q.cursors {
		switch {
		case !c.indexed:
			if at := c.lane(l, level); seq < at.seq { // it has passed it
				at.push(l, seq)
				c.spent = 0
			}
		case m == nil:
			q.hand(c, l, level, seq)
		}
	}
	if m != nil {
		q.offer(l, seq, m)
	}
}

// exhausted follows when a cursor found nothing more: its consumers are out of
// this round, and if it has a filter it sleeps until something is offered.
func (q *Queue) exhausted(c *cursor) {
	c.spent = q.round
	if c.filter != nil || c.own {
		c.indexed = true
		q.sleep(c)
	}
}

// unindex has a cursor scan from where the lanes end now.
func (q *Queue) unindex(c *cursor) {
	c.indexed = false
	for i, lv := range q.levels {
		c.at[i].durable.seq, c.at[i].transient.seq = lv.durable.next, lv.transient.next
	}
}

func (q *Queue) wake(c *cursor) {
	if c.slot < 0 {
		c.slot = len(q.awake)
		q.awake = append(q.awake, c)
		q.starved = false // its consumers were not asked
	}
}

func (q *Queue) sleep(c *cursor) {
	if c.slot < 0 {
		return
	}
	last := len(q.awake) - 1
	q.awake[c.slot] = q.awake[last]
	q.awake[c.slot].slot = c.slot
	q.awake[last] = nil
	q.awake, c.slot = q.awake[:last], -1
}

// park keeps the place of a cursor that has lost its last consumer: one with
// the same filter, that of the client when it connects again, needn't look at
// everything a second time. A few are kept; without a filter there is nothing
// to lose.
func (q *Queue) park(c *cursor) {
	q.sleep(c)
	if c.indexed {
		q.unindex(c)
	}
	q.cursors = slices.DeleteFunc(q.cursors, func(k *cursor) bool { return k == c })
	if c.filter == nil {
		return
	}
	q.cursors = append(q.cursors, c) // the latest one is last
	parked := 0
	for _, k := range q.cursors {
		if k.users == 0 {
			parked++
		}
	}
	if parked > maxParked {
		i := slices.IndexFunc(q.cursors, func(k *cursor) bool { return k.users == 0 })
		q.index.remove(q.cursors[i])
		q.cursors = slices.Delete(q.cursors, i, i+1)
	}
}
