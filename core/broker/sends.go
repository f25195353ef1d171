package broker

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// sends is what is remembered of sends: of each producer the numbers of its
// sends, of each destination the ids of its last messages. What was used the
// longest time ago goes first.
type sends struct {
	order     uint64 // rises with each change
	producers map[string]*producerSends
	ids       map[sentID]*sentMessage
	scopes    map[uint64]*sentScope
	oldest    entry[*producerSends] // a ring: next is the one that was used the longest time ago
	first     entry[*sentMessage]   // the same, of messages
	dirty     map[string]struct{}   // names of what changed since the last freeze
}

// entry is a place in a ring.
type entry[T any] struct {
	prev, next *entry[T]
	of         T
}

func (e *entry[T]) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

// before puts e before at.
func (e *entry[T]) before(at *entry[T]) {
	e.prev, e.next = at.prev, at
	e.prev.next, at.prev = e, e
}

// producerSends are a producer's sends as ranges of numbers: mostly there is
// one. Sends that were rolled back leave gaps, in which a send may still come
// while another transaction was quicker.
type producerSends struct {
	entry[*producerSends]
	name   string
	order  uint64
	ranges []seqRange // ascending, not touching each other
}

type seqRange struct{ low, high uint64 }

// maxRanges bounds a producer's ranges: beyond it the oldest gap is closed.
const maxRanges = 64

type sentID struct {
	scope uint64
	id    [16]byte
}

type sentMessage struct {
	entry[*sentMessage]
	sentID
	order uint64
	later *sentMessage // of the same scope
}

// sentScope is a destination's messages, oldest first.
type sentScope struct {
	first, last *sentMessage
	n           int
}

func newSends() sends {
	s := sends{
		producers: make(map[string]*producerSends), ids: make(map[sentID]*sentMessage),
		scopes: make(map[uint64]*sentScope), dirty: make(map[string]struct{}),
	}
	return s
}

func (s *sends) has(k sendKey) bool {
	if k.producer == "" {
		return s.ids[sentID{k.scope, k.id}] != nil
	}
	p := s.producers[k.producer]
	return p != nil && p.has(k.seq)
}

// add notes a send; it reports whether it is new.
func (s *sends) add(k sendKey) bool {
	s.order++
	if k.producer == "" {
		return s.addMessage(sentID{k.scope, k.id}, int(k.window))
	}
	p := s.producers[k.producer]
	if p == nil {
		p = s.producer(k.producer)
		if len(s.producers) > maxProducers {
			s.forget(s.oldest.next.of)
		}
	}
	p.order = s.order
	p.unlink()
	p.before(&s.oldest)
	s.dirty[p.key()] = struct{}{}
	return p.add(k.seq)
}

func (s *sends) producer(name string) *producerSends {
	if s.oldest.next == nil {
		s.oldest.next, s.oldest.prev = &s.oldest, &s.oldest
	}
	p := &producerSends{name: name}
	p.of = p
	s.producers[name] = p
	p.before(&s.oldest)
	return p
}

func (s *sends) forget(p *producerSends) {
	p.unlink()
	delete(s.producers, p.name)
	s.dirty[p.key()] = struct{}{}
}

// search returns the first range that ends at seq or behind it.
func (p *producerSends) search(seq uint64) int {
	if n := len(p.ranges); n > 0 && seq > p.ranges[n-1].high {
		return n
	}
	at, _ := slices.BinarySearchFunc(p.ranges, seq, func(r seqRange, seq uint64) int { return cmp.Compare(r.high, seq) })
	return at
}

func (p *producerSends) has(seq uint64) bool {
	at := p.search(seq)
	return at < len(p.ranges) && p.ranges[at].low <= seq
}

// add reports whether seq is new.
func (p *producerSends) add(seq uint64) bool {
	at := p.search(seq)
	joinsNext := at < len(p.ranges) && p.ranges[at].low == seq+1
	joinsLast := at > 0 && p.ranges[at-1].high+1 == seq
	switch {
	case at < len(p.ranges) && p.ranges[at].low <= seq:
		return false
	case joinsLast && joinsNext:
		p.ranges[at-1].high = p.ranges[at].high
		p.ranges = slices.Delete(p.ranges, at, at+1)
	case joinsLast:
		p.ranges[at-1].high = seq
	case joinsNext:
		p.ranges[at].low = seq
	default:
		p.ranges = slices.Insert(p.ranges, at, seqRange{seq, seq})
	}
	if len(p.ranges) > maxRanges {
		p.ranges[1].low = p.ranges[0].low
		p.ranges = slices.Delete(p.ranges, 0, 1)
	}
	return true
}

// addMessage reports whether the id is new in its scope's window.
func (s *sends) addMessage(id sentID, window int) bool {
	if s.ids[id] != nil {
		return false
	}
	s.push(&sentMessage{sentID: id, order: s.order})
	for sc := s.scopes[id.scope]; sc.n > max(window, 1); {
		s.pop(sc)
	}
	if len(s.ids) > maxMessages {
		s.pop(s.scopes[s.first.next.of.scope])
	}
	return true
}

// push adds the newest message.
func (s *sends) push(m *sentMessage) {
	if s.first.next == nil {
		s.first.next, s.first.prev = &s.first, &s.first
	}
	m.of = m
	s.ids[m.sentID] = m
	m.before(&s.first)
	sc := s.scopes[m.scope]
	if sc == nil {
		sc = &sentScope{}
		s.scopes[m.scope] = sc
	}
	if sc.last == nil {
		sc.first = m
	} else {
		sc.last.later = m
	}
	sc.last = m
	sc.n++
	s.dirty[m.key()] = struct{}{}
}

// pop forgets a scope's oldest message.
func (s *sends) pop(sc *sentScope) {
	m := sc.first
	if sc.first = m.later; sc.first == nil {
		sc.last = nil
	}
	if sc.n--; sc.n == 0 {
		delete(s.scopes, m.scope)
	}
	m.unlink()
	delete(s.ids, m.sentID)
	s.dirty[m.key()] = struct{}{}
}

// Names in the page store: 'P' and the producer's name; 'M', scope (8 bytes),
// id (16 bytes). Their values: uvarint order, and of a producer the ranges:
// uvarint low and uvarint high - low of each.
const (
	producerName = 'P'
	messageName  = 'M'
)

func (p *producerSends) key() string { return string(producerName) + p.name }

func (m *sentMessage) key() string {
	return string(append(binary.BigEndian.AppendUint64([]byte{messageName}, m.scope), m.id[:]...))
}

func (s *sends) freeze(changes []stateChange) []stateChange {
	for name := range s.dirty {
		value, ok := s.value(name)
		changes = append(changes, stateChange{kind: duplicatesKind, name: name, value: value, remove: !ok})
	}
	clear(s.dirty)
	return changes
}

func (s *sends) value(name string) (value []byte, ok bool) {
	if name[0] == messageName {
		m := s.ids[sentID{binary.BigEndian.Uint64([]byte(name[1:])), [16]byte([]byte(name[9:]))}]
		if m == nil {
			return nil, false
		}
		return binary.AppendUvarint(nil, m.order), true
	}
	p := s.producers[name[1:]]
	if p == nil {
		return nil, false
	}
	value = binary.AppendUvarint(nil, p.order)
	for _, r := range p.ranges {
		value = binary.AppendUvarint(binary.AppendUvarint(value, r.low), r.high-r.low)
	}
	return value, true
}

func (s *sends) load(name string, value []byte) error {
	order, l := binary.Uvarint(value)
	if l <= 0 || name == "" {
		return errSends
	}
	value = value[l:]
	s.order = max(s.order, order)
	switch {
	case name[0] == producerName && len(name) > 1:
		p := s.producer(name[1:])
		p.order = order
		return p.load(value)
	case name[0] == messageName && len(name) == 1+8+16 && len(value) == 0:
		id := sentID{binary.BigEndian.Uint64([]byte(name[1:])), [16]byte([]byte(name[9:]))}
		s.ids[id] = &sentMessage{sentID: id, order: order}
		return nil
	}
	return errSends
}

func (p *producerSends) load(b []byte) error {
	for len(b) > 0 {
		low, l := binary.Uvarint(b)
		if l <= 0 {
			return errSends
		}
		more, m := binary.Uvarint(b[l:])
		if m <= 0 || low+more < low || len(p.ranges) > 0 && p.ranges[len(p.ranges)-1].high >= low || len(p.ranges) == maxRanges {
			return errSends
		}
		p.ranges = append(p.ranges, seqRange{low, low + more})
		b = b[l+m:]
	}
	return nil
}

// sort brings what was loaded into its order.
func (s *sends) sort() {
	producers := make([]*producerSends, 0, len(s.producers))
	for _, p := range s.producers {
		producers = append(producers, p)
	}
	slices.SortFunc(producers, func(a, b *producerSends) int { return cmp.Compare(a.order, b.order) })
	for _, p := range producers {
		p.unlink()
		p.before(&s.oldest)
	}
	messages := make([]*sentMessage, 0, len(s.ids))
	for _, m := range s.ids {
		messages = append(messages, m)
	}
	slices.SortFunc(messages, func(a, b *sentMessage) int { return cmp.Compare(a.order, b.order) })
	for _, m := range messages {
		s.push(m)
	}
	clear(s.dirty)
}
