package openwire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"unsafe"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// The payload of message.EncodingOpenWire holds what the envelope doesn't:
//
//	version 1 | type | flags
//	the message id: connection id (length, bytes), value, session, sequence
//	of a BlobMessage: URL and MIME type (length + 1 and bytes, 0 for null)
//	properties (length, bytes), if flagProperties
//	content, the rest, if flagContent
//
// Numbers are varints, those of the id zig-zagged. Properties and content are
// the client's own bytes.
const payloadVersion = 1

const (
	flagCompressed = 1 << iota
	flagProperties
	flagContent
	flagDroppable
	flagDeleted // deletedByBroker of a BlobMessage
)

var errPayload = errors.New("openwire payload: damaged")

// payload is a payload taken apart. It points into it.
type payload struct {
	kind       wire.Type
	flags      byte
	connection string
	value      int64 // of the producer id
	session    int64
	sequence   int64
	url, mime  wire.String
	properties []byte // nil for null
	content    []byte // nil for null
}

// appendHead appends a payload up to its properties' length.
func (p *payload) appendHead(dst []byte) []byte {
	dst = append(dst, payloadVersion, byte(p.kind), p.flags)
	dst = binary.AppendUvarint(dst, uint64(len(p.connection)))
	dst = append(dst, p.connection...)
	dst = binary.AppendVarint(dst, p.value)
	dst = binary.AppendVarint(dst, p.session)
	dst = binary.AppendVarint(dst, p.sequence)
	if p.kind == wire.TypeActiveMQBlobMessage {
		dst = appendNullable(dst, p.url)
		dst = appendNullable(dst, p.mime)
	}
	if p.flags&flagProperties != 0 {
		dst = binary.AppendUvarint(dst, uint64(len(p.properties)))
	}
	return dst
}

func appendNullable(dst []byte, s wire.String) []byte {
	if s.IsNull() {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.String()))+1)
	return append(dst, s.String()...)
}

// parsePayload takes b apart.
func parsePayload(b []byte) (p payload, err error) {
	if len(b) < 3 || b[0] != payloadVersion {
		return p, errPayload
	}
	p.kind, p.flags = wire.Type(b[1]), b[2]
	r := scanner{b: b[3:]}
	p.connection = alias(r.take(r.uvarint()))
	p.value, p.session, p.sequence = r.varint(), r.varint(), r.varint()
	if p.kind == wire.TypeActiveMQBlobMessage {
		p.url, p.mime = r.nullable(), r.nullable()
	}
	if p.flags&flagProperties != 0 {
		p.properties = r.take(r.uvarint())
	}
	if p.flags&flagContent != 0 {
		p.content = r.b
	}
	if r.bad || p.kind < wire.TypeActiveMQMessage || p.kind > wire.TypeActiveMQBlobMessage {
		return p, errPayload
	}
	return p, nil
}

// scanner reads a payload's numbers.
type scanner struct {
	b   []byte
	bad bool
}

func (r *scanner) uvarint() uint64 {
	x, n := binary.Uvarint(r.b)
	r.skip(n)
	return x
}

func (r *scanner) varint() int64 {
	x, n := binary.Varint(r.b)
	r.skip(n)
	return x
}

func (r *scanner) skip(n int) {
	if n <= 0 {
		r.bad, r.b = true, nil
		return
	}
	r.b = r.b[n:]
}

func (r *scanner) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *scanner) nullable() wire.String {
	n := r.uvarint()
	if n == 0 {
		return wire.String{}
	}
	return wire.Text(string(r.take(n - 1)))
}

// alias returns p as a string that shares its memory.
func alias(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }

// id is a message id as clients compare it.
type id struct {
	connection     string
	value, session int64
	sequence       int64
}

// idOf returns the id under which OpenWire clients see m: their own, or for
// messages of others one of a producer that is made up of the broker's id. It
// may point into m.
//
// Clients keep a window of sequences for each producer and don't like wide
// gaps in it, so a made-up producer has a million numbers.
func idOf(m *message.Message) id {
	if m.Encoding() == message.EncodingOpenWire {
		if p, err := parsePayload(m.Payload()); err == nil {
			return id{p.connection, p.value, p.session, p.sequence}
		}
	}
	const span = 1 << 20
	return id{
		connection: string(strconv.AppendUint([]byte("ID:entrepot-"), m.ID.Hi, 16)),
		value:      int64(m.ID.Lo/span) + 1, session: 1, sequence: int64(m.ID.Lo%span) + 1,
	}
}

// appendText appends the text form of i: what JMS shows as JMSMessageID.
func (i id) appendText(dst []byte) []byte {
	dst = append(dst, i.connection...)
	for _, n := range [...]int64{i.session, i.value, i.sequence} {
		dst = strconv.AppendInt(append(dst, ':'), n, 10)
	}
	return dst
}

// is reports whether x names the same message.
func (i *id) is(x *wire.MessageID) bool {
	p := x.ProducerID
	return p != nil && i.sequence == x.ProducerSequenceID && i.value == p.Value &&
		i.session == p.SessionID && i.connection == p.ConnectionID.String()
}

// brokerSequence is the number by which clients refer to the order of
// deliveries: it rises with the message's age in a run of the broker.
func brokerSequence(m *message.Message) int64 { return int64(m.ID.Lo & (1<<62 - 1)) }

// schedulePrefix begins the names of properties that schedule a message.
const schedulePrefix = "AMQ_SCHEDULED_"

// cutSchedule takes the properties out of list that schedule the message. They
// become annotations, from which the broker schedules.
func cutSchedule(list []message.Property) (rest []message.Property, cut []message.Annotation) {
	for _, p := range list {
		if len(p.Name) > len(schedulePrefix) && p.Name[:len(schedulePrefix)] == schedulePrefix {
			cut = append(cut, message.Annotation{Name: p.Name, Value: p.Value.String()})
			continue
		}
		rest = append(rest, p)
	}
	return rest, cut
}

func schedules(properties []byte) bool { return bytes.Contains(properties, []byte(schedulePrefix)) }
