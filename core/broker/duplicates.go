package broker

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
)

// SendID names a send, so that it is known again when the client repeats it
// because it did not learn what became of it.
type SendID struct {
	Producer string // unique among all clients and all of their lives, up to MaxProducer bytes; "" is none
	Seq      uint64 // of the producer's sends; each has its own, higher than those before it
}

// MaxProducer is the length of the longest SendID.Producer in bytes.
const MaxProducer = 512

const duplicatesKind = 'u'

// Bounds of what is remembered, on every node the same.
const (
	maxProducers = 10_000
	maxMessages  = 500_000 // ids of messages, of all destinations; some 100 bytes each
)

// duplicates is the part of the state that knows which sends were made. A
// guard stands in the log before the ops of a send: if that was made before,
// the ops behind the guard are passed over. So it is the log that decides, also
// about a send that comes again while the first one is on its way.
//
// What isn't logged is guarded in the same way, by what only this node
// remembers.
type duplicates struct {
	b *Broker

	mu     sync.Mutex // only the applier changes logged and passed
	logged sends
	passed sends
}

func newDuplicates(b *Broker) *duplicates {
	return &duplicates{b: b, logged: newSends(), passed: newSends()}
}

// sendKey says what a guard asks for: a producer's send, or a message's id at
// a destination.
type sendKey struct {
	producer string
	seq      uint64
	scope    uint64   // without producer: of the destination
	id       [16]byte // a hash: clients' ids have any length
	window   uint32   // how many ids are remembered for the destination
}

// messageKey returns the key of m if its destination's policy wants ids to be
// looked at, and it has one.
func (d *duplicates) messageKey(m *message.Message) (k sendKey, ok bool) {
	p := d.b.policies.For(m.Destination).Duplicates
	if p.Window == 0 {
		return sendKey{}, false
	}
	id := m.MessageID
	if v, err := m.View(d.b.o.Converters); err == nil {
		if text, ok := v.Property(p.Property); ok {
			id = text.String()
		}
	}
	if id == "" {
		return sendKey{}, false
	}
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%d %s", m.Destination.Kind, m.Destination.Name) // never fails
	k.scope, k.window = binary.BigEndian.Uint64(h.Sum(nil)), uint32(p.Window)
	_, _ = h.Write(append([]byte{0}, id...))
	copy(k.id[:], h.Sum(nil))
	return k, true
}

// A guard: how many of the record's ops behind it it is for (uvarint), its
// level, then the key: uvarint length of the producer's name, the name, uvarint
// seq; or 0, scope (8 bytes), id (16 bytes), uvarint window.
func (k *sendKey) guard(ops int, level uint32) []byte {
	b := binary.AppendUvarint(nil, uint64(ops))
	b = binary.AppendUvarint(append(b, byte(level)), uint64(len(k.producer)))
	if k.producer != "" {
		return binary.AppendUvarint(append(b, k.producer...), k.seq)
	}
	b = append(binary.BigEndian.AppendUint64(b, k.scope), k.id[:]...)
	return binary.AppendUvarint(b, uint64(k.window))
}

func parseGuard(b []byte) (k sendKey, ops int, level uint32, ok bool) {
	n, l := binary.Uvarint(b)
	if l <= 0 || n > 1<<31 || len(b) < l+2 {
		return k, 0, 0, false
	}
	level, b = uint32(b[l]), b[l+1:]
	size, l := binary.Uvarint(b)
	if l <= 0 || size > MaxProducer || size > uint64(len(b)-l) {
		return k, 0, 0, false
	}
	b = b[l:]
	if size > 0 {
		k.producer = string(b[:size])
		k.seq, l = binary.Uvarint(b[size:])
		return k, int(n), level, l > 0 && l == len(b)-int(size)
	}
	if len(b) < 8+16+1 {
		return k, 0, 0, false
	}
	k.scope = binary.BigEndian.Uint64(b)
	copy(k.id[:], b[8:])
	w, l := binary.Uvarint(b[24:])
	k.window = uint32(min(w, maxMessages))
	return k, int(n), level, l > 0 && l == len(b)-24
}

// kind implements part.
func (d *duplicates) kind() byte { return duplicatesKind }

// apply implements part: it has the machine pass over the ops behind a guard
// whose send was made before.
func (d *duplicates) apply(data []byte) {
	k, ops, level, ok := parseGuard(data)
	if !ok {
		return
	}
	if d.add(&d.logged, k, level) {
		d.b.machine.skip = ops
	}
}

// pass is apply for a guard that isn't logged.
func (d *duplicates) pass(data []byte) {
	if k, _, level, ok := parseGuard(data); ok {
		d.add(&d.passed, k, level)
	}
}

func (d *duplicates) add(s *sends, k sendKey, level uint32) (again bool) {
	d.mu.Lock()
	again = !s.add(k)
	d.mu.Unlock()
	if d.b.machine.again &^= level; again {
		d.b.machine.again |= level
		d.b.counts.duplicates.Add(1)
	}
	return again
}

// known reports whether a send was made before and is safe, as far as is
// known now.
func (d *duplicates) known(k sendKey) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.logged.has(k) || d.passed.has(k)
}

// freeze implements part.
func (d *duplicates) freeze(changes []stateChange) []stateChange {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.logged.freeze(changes)
}

var errSends = errors.New("stored memory of sends is malformed")

// load implements part.
func (d *duplicates) load(name string, value []byte) error {
	return d.logged.load(name, value)
}

// loaded implements loadedPart.
func (d *duplicates) loaded() { d.logged.sort() }

// Levels of guards: that of a producer's send may hold those of its messages.
// An op that isn't logged says in N which guards it stands behind.
const (
	messageLevel uint32 = 1 << iota
	producerLevel
)

// guard makes the first one of ops, which is empty, the guard of the others.
func guard(ops []store.Op, k sendKey, level uint32) {
	logged := 0
	for i := range ops[1:] {
		if op := &ops[1+i]; op.Kind == store.OpTransient {
			op.N |= level
		} else {
			logged++
		}
	}
	ops[0] = store.Op{Kind: store.OpState, N: duplicatesKind, Data: k.guard(logged, level)}
	if logged == 0 {
		ops[0] = store.Op{Kind: store.OpTransient, Data: ops[0].Data}
	}
}

// guarded returns the ops that send units, which are one send of a client, or
// nothing of what was sent before.
func (b *Broker) guarded(ops []store.Op, units []*message.Message, id SendID) []store.Op {
	at := len(ops)
	if id.Producer != "" {
		ops = append(ops, store.Op{})
	}
	for _, m := range units {
		from := len(ops)
		k, ok := b.duplicates.messageKey(m)
		if ok {
			ops = append(ops, store.Op{})
		}
		if ops = b.publishOps(ops, b.forwards.expand([]*message.Message{m})); ok {
			guard(ops[from:], k, messageLevel)
		}
	}
	if id.Producer != "" {
		guard(ops[at:], sendKey{producer: id.Producer, seq: id.Seq}, producerLevel)
	}
	return ops
}

// guards reports whether a send to d has to be looked at.
func (b *Broker) guards(d message.Destination, id SendID) bool {
	return (id.Producer != "" || b.watchful.Load()) && !b.schedules.managesSchedules(d)
}
