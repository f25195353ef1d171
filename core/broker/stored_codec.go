package broker

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
)

// storedKind is a kind of change of a stored session: the first byte of an op
// of part 'm'.
type storedKind uint8

const (
	storedOpen        storedKind = iota + 1 // a connection takes the session, made if there is none
	storedClose                             // that connection has ended
	storedEnd                               // the session has ended
	storedWillSent                          // its will was published
	storedSubscribe                         // subscriptions were added or changed
	storedUnsubscribe                       // subscriptions were removed
	storedIn                                // a publish of that number was taken
	storedInDone                            // its number is free
	storedOut                               // a delivery of that number was received
	storedOutDone                           // its number is free
)

// storedChange is one change. Which fields count depends on kind.
//
// Format: kind, client id (uvarint length and bytes), then
//
//	open:        id, flags, expiry (uint32), now (varint), owner (string), will to the end
//	close:       id, flags, expiry (uint32), now (varint)
//	end:         flags, now (varint): when its last connection ended
//	will sent:   id, of the will
//	subscribe, unsubscribe: id, then to the end: subscriptions
//	in, in done, out, out done: number (uint16)
//
// Integers are big-endian, an id is 16 bytes. A will is delay and expiry
// (uint32 each) and a message's raw bytes. A subscription is flags, options,
// id (uvarint), topic and group (strings).
type storedChange struct {
	kind     storedKind
	clientID string
	id       message.ID
	owner    string
	expiry   uint32
	now      int64
	clean    bool // open: an older session of the client id ends
	dropWill bool // close: the will is not published
	force    bool // end: whether there is a connection or not
	will     *storedWill
	subs     []StoredSubscription
	recover  []bool // of subs: what topics remember is delivered
	number   uint16
}

const (
	storedClean = 1 << iota
	storedDropWill
	storedForce
)

const (
	storedSubQueued = 1 << iota
	storedSubNoLocal
	storedSubRecover
)

func (c *storedChange) flags() (f byte) {
	if c.clean {
		f |= storedClean
	}
	if c.dropWill {
		f |= storedDropWill
	}
	if c.force {
		f |= storedForce
	}
	return f
}

func (c *storedChange) encode() []byte {
	b := appendLong([]byte{byte(c.kind)}, c.clientID)
	switch c.kind {
	case storedOpen, storedClose:
		b = append(appendID(b, c.id), c.flags())
		b = binary.AppendVarint(binary.BigEndian.AppendUint32(b, c.expiry), c.now)
		if c.kind == storedOpen {
			b = appendLong(b, c.owner)
			b = c.will.append(b)
		}
	case storedEnd:
		b = binary.AppendVarint(append(b, c.flags()), c.now)
	case storedWillSent:
		b = appendID(b, c.id)
	case storedSubscribe, storedUnsubscribe:
		b = appendID(b, c.id)
		for i := range c.subs {
			b = c.subs[i].append(b, i < len(c.recover) && c.recover[i])
		}
	case storedIn, storedInDone, storedOut, storedOutDone:
		b = binary.BigEndian.AppendUint16(b, c.number)
	}
	return b
}

func appendLong(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendID(b []byte, id message.ID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, id.Hi), id.Lo)
}

func (w *storedWill) append(b []byte) []byte {
	if w == nil {
		return b
	}
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, w.delay), w.expiry)
	return append(b, w.message.Raw()...)
}

func (s *StoredSubscription) append(b []byte, retained bool) []byte {
	var f byte
	if s.Queued {
		f |= storedSubQueued
	}
	if s.NoLocal {
		f |= storedSubNoLocal
	}
	if retained {
		f |= storedSubRecover
	}
	b = binary.AppendUvarint(append(b, f, s.Options), uint64(s.ID))
	return appendLong(appendLong(b, s.Topic), s.Group)
}

// storedReader reads what the log and the page store hold of sessions. Strings
// are copies.
type storedReader struct {
	b      []byte
	failed bool
}

func (r *storedReader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.failed, r.b = true, nil
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *storedReader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *storedReader) uint16() uint16 {
	if p := r.take(2); p != nil {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

func (r *storedReader) uint32() uint32 {
	if p := r.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (r *storedReader) id() (id message.ID) {
	if p := r.take(16); p != nil {
		id.Hi, id.Lo = binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])
	}
	return id
}

func (r *storedReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *storedReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *storedReader) text() string { return string(r.take(r.uvarint())) }

// will reads a will up to the end.
func (r *storedReader) will() *storedWill {
	if len(r.b) == 0 {
		return nil
	}
	w := &storedWill{delay: r.uint32(), expiry: r.uint32()}
	m, err := message.Decode(append([]byte(nil), r.b...)) // it lives longer than the record
	if err != nil {
		r.failed = true
		return nil
	}
	w.message, r.b = m, nil
	return w
}

func (r *storedReader) subscription() (s StoredSubscription, retained bool) {
	f := r.byte()
	s.Queued, s.NoLocal = f&storedSubQueued != 0, f&storedSubNoLocal != 0
	s.Options, s.ID = r.byte(), uint32(r.uvarint())
	s.Topic, s.Group = r.text(), r.text()
	if s.Topic == "" || message.ValidateName(s.Topic) != nil {
		r.failed = true
	}
	return s, f&storedSubRecover != 0
}

func parseStoredChange(data []byte) (c storedChange, err error) {
	r := storedReader{b: data}
	c.kind, c.clientID = storedKind(r.byte()), r.text()
	flags := func() {
		f := r.byte()
		c.clean, c.dropWill, c.force = f&storedClean != 0, f&storedDropWill != 0, f&storedForce != 0
	}
	switch c.kind {
	case storedOpen, storedClose:
		c.id = r.id()
		flags()
		c.expiry, c.now = r.uint32(), r.varint()
		if c.kind == storedOpen {
			c.owner = r.text()
			c.will = r.will()
		}
	case storedEnd:
		flags()
		c.now = r.varint()
	case storedWillSent:
		c.id = r.id()
	case storedSubscribe, storedUnsubscribe:
		c.id = r.id()
		for len(r.b) > 0 {
			s, again := r.subscription()
			c.subs, c.recover = append(c.subs, s), append(c.recover, again)
		}
	case storedIn, storedInDone, storedOut, storedOutDone:
		c.number = r.uint16()
	default:
		return c, errSpec
	}
	if r.failed || len(r.b) > 0 || c.clientID == "" {
		return c, errSpec
	}
	return c, nil
}

// storedVersion is the version of a session's stored value: connection (id),
// expiry (uint32), since (varint), owner (string), subscriptions with their
// count before them, in and out (uvarint count, uint16 each), will to the end.
const storedVersion = 1

func (s *storedSession) append(b []byte) []byte {
	b = appendID(append(b, storedVersion), s.connection)
	b = binary.AppendVarint(binary.BigEndian.AppendUint32(b, s.expiry), s.since)
	b = appendLong(b, s.owner)
	b = binary.AppendUvarint(b, uint64(len(s.subs)))
	for i := range s.subs {
		b = s.subs[i].append(b, false)
	}
	for _, set := range []numberSet{s.in, s.out} {
		b = binary.AppendUvarint(b, uint64(len(set)))
		for _, v := range set {
			b = binary.BigEndian.AppendUint16(b, v)
		}
	}
	return s.will.append(b)
}

func parseStored(clientID string, b []byte) (*storedSession, error) {
	r := storedReader{b: b}
	if v := r.byte(); v != storedVersion {
		return nil, fmt.Errorf("stored session %q: version %d: %w", clientID, v, errSpec)
	}
	s := &storedSession{clientID: clientID, connection: r.id(), expiry: r.uint32(), since: r.varint(), owner: r.text()}
	for range r.uvarint() {
		sub, _ := r.subscription()
		if r.failed {
			break
		}
		s.subs = append(s.subs, sub)
	}
	for _, set := range []*numberSet{&s.in, &s.out} {
		for range r.uvarint() {
			v := r.uint16()
			if r.failed {
				break
			}
			set.add(v)
		}
	}
	s.will = r.will()
	if r.failed {
		return nil, fmt.Errorf("stored session %q: %w", clientID, errSpec)
	}
	s.filter.clientID = clientID
	return s, nil
}

// storedPart is the largest value in the page store; a session's is in as many
// as it takes. Names are the client id, NUL, and the part's number; the first
// part begins with how many there are.
const storedPart = 256 << 10

func storedName(clientID string, part int) string {
	return string(binary.BigEndian.AppendUint32([]byte(clientID+"\x00"), uint32(part)))
}

// freeze implements part.
func (p *storedSessions) freeze(changes []stateChange) []stateChange {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for clientID := range p.dirty {
		parts := 0
		if s := p.byClient[clientID]; s != nil {
			value := s.append(make([]byte, 4))
			parts = (len(value) + storedPart - 1) / storedPart
			binary.BigEndian.PutUint32(value, uint32(parts))
			for i := range parts {
				changes = append(changes, stateChange{
					kind: 'm', name: storedName(clientID, i), value: value[i*storedPart : min((i+1)*storedPart, len(value))],
				})
			}
		}
		for i := parts; i < max(1, p.parts[clientID]); i++ {
			changes = append(changes, stateChange{kind: 'm', name: storedName(clientID, i), remove: true})
		}
		if delete(p.parts, clientID); parts > 1 {
			p.parts[clientID] = parts
		}
	}
	clear(p.dirty)
	return changes
}

// load implements part. The parts of a value come in order.
func (p *storedSessions) load(key string, value []byte) error {
	clientID, part, ok := strings.Cut(key, "\x00")
	if !ok || len(part) != 4 {
		return fmt.Errorf("malformed name %q", key)
	}
	i := binary.BigEndian.Uint32([]byte(part))
	if i == 0 {
		p.half = nil
	}
	p.half = append(p.half, value...)
	if len(p.half) < 4 {
		return fmt.Errorf("stored session %q: %w", clientID, errSpec)
	}
	parts := binary.BigEndian.Uint32(p.half)
	if i+1 < parts {
		return nil
	}
	if parts > 1 {
		p.parts[clientID] = int(parts)
	}
	s, err := parseStored(clientID, p.half[4:])
	p.half = nil
	if err != nil {
		return err
	}
	s.queue = p.queues[clientID]
	delete(p.queues, clientID)
	p.restore(s)
	return nil
}

// restore makes a loaded session known.
func (p *storedSessions) restore(s *storedSession) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byClient[s.clientID] = s
	for i := range s.subs {
		p.join(&s.subs[i])
	}
	p.rebind(s)
}

var _ queue.Filter = (*storedFilter)(nil)
