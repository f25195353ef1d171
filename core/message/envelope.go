package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Errors of Decode and DecodeView.
var (
	ErrTruncated = errors.New("message is truncated")
	ErrVersion   = errors.New("message format is unknown")
	ErrCorrupt   = errors.New("message is corrupt")
)

// The format (version 1) of a message:
//
//	version     byte
//	encoding    byte: of the payload
//	flags       2 bytes, big-endian; all are taken
//	kind        byte: of the destination
//	ID          16 bytes, big-endian: Hi, Lo
//	timestamp   varint
//	fields      those that flags announce, in the order of the flags
//	name        string: of the destination
//	payload     up to the end
//
// Varints are zig-zag, counts and lengths uvarints; a string is its length
// and its bytes. A destination among the fields is its kind in a byte, which
// is not 0, and its name.
const formatVersion = 1

const (
	flagDurable       = 1 << iota
	flagRetain        //
	flagPriority      // byte; absent: DefaultPriority
	flagExpiry        // varint
	flagDeliverAt     // varint
	flagOrigin        // destination
	flagReplyTo       // destination
	flagGroup         // id: string; sequence: varint
	flagRedeliveries  // uvarint
	flagMessageID     // string
	flagCorrelationID // string
	flagType          // string
	flagContentType   // string
	flagUserID        // string
	flagAnnotations   // count, then name and value of each: strings
	flagPublisher     // string
)

const fixedSize = 1 + 1 + 2 + 1 + 16

func (e *Envelope) flags() (f uint16) {
	f = bit(e.Durable, flagDurable) | bit(e.Retain, flagRetain)
	f |= bit(e.Priority != DefaultPriority, flagPriority)
	f |= bit(e.Expiry != 0, flagExpiry) | bit(e.DeliverAt != 0, flagDeliverAt)
	f |= bit(!e.Origin.IsZero(), flagOrigin) | bit(!e.ReplyTo.IsZero(), flagReplyTo)
	f |= bit(e.GroupID != "" || e.GroupSeq != 0, flagGroup)
	f |= bit(e.Redeliveries != 0, flagRedeliveries)
	f |= bit(e.MessageID != "", flagMessageID) | bit(e.CorrelationID != "", flagCorrelationID)
	f |= bit(e.Type != "", flagType) | bit(e.ContentType != "", flagContentType)
	f |= bit(e.UserID != "", flagUserID) | bit(e.Publisher != "", flagPublisher)
	return f | bit(len(e.Annotations) > 0, flagAnnotations)
}

func bit(on bool, b uint16) uint16 {
	if on {
		return b
	}
	return 0
}

// encodedSize returns the number of bytes that appendTo appends.
func (e *Envelope) encodedSize(f uint16) int {
	n := fixedSize + varintSize(e.Timestamp) + stringSize(e.Destination.Name)
	if f&flagPriority != 0 {
		n++
	}
	if f&flagExpiry != 0 {
		n += varintSize(e.Expiry)
	}
	if f&flagDeliverAt != 0 {
		n += varintSize(e.DeliverAt)
	}
	if f&flagOrigin != 0 {
		n += 1 + stringSize(e.Origin.Name)
	}
	if f&flagReplyTo != 0 {
		n += 1 + stringSize(e.ReplyTo.Name)
	}
	if f&flagGroup != 0 {
		n += stringSize(e.GroupID) + varintSize(int64(e.GroupSeq))
	}
	if f&flagRedeliveries != 0 {
		n += uvarintSize(uint64(e.Redeliveries))
	}
	n += fieldSize(e.MessageID) + fieldSize(e.CorrelationID) + fieldSize(e.Type) +
		fieldSize(e.ContentType) + fieldSize(e.UserID) + fieldSize(e.Publisher)
	if f&flagAnnotations != 0 {
		n += uvarintSize(uint64(len(e.Annotations)))
		for i := range e.Annotations {
			n += stringSize(e.Annotations[i].Name) + stringSize(e.Annotations[i].Value)
		}
	}
	return n
}

func uvarintSize(u uint64) int { return (bits.Len64(u|1) + 6) / 7 }

func varintSize(n int64) int { return uvarintSize(uint64(n<<1) ^ uint64(n>>63)) }

func stringSize(s string) int { return uvarintSize(uint64(len(s))) + len(s) }

// fieldSize is the size of a string that has a flag of its own.
func fieldSize(s string) int {
	if s == "" {
		return 0
	}
	return stringSize(s)
}

func (e *Envelope) appendTo(b []byte, f uint16, enc Encoding) []byte {
	b = append(b, formatVersion, byte(enc), byte(f>>8), byte(f), byte(e.Destination.Kind))
	b = binary.BigEndian.AppendUint64(b, e.ID.Hi)
	b = binary.BigEndian.AppendUint64(b, e.ID.Lo)
	b = binary.AppendVarint(b, e.Timestamp)
	if f&flagPriority != 0 {
		b = append(b, min(e.Priority, MaxPriority))
	}
	if f&flagExpiry != 0 {
		b = binary.AppendVarint(b, e.Expiry)
	}
	if f&flagDeliverAt != 0 {
		b = binary.AppendVarint(b, e.DeliverAt)
	}
	if f&flagOrigin != 0 {
		b = appendString(append(b, byte(e.Origin.Kind)), e.Origin.Name)
	}
	if f&flagReplyTo != 0 {
		b = appendString(append(b, byte(e.ReplyTo.Kind)), e.ReplyTo.Name)
	}
	if f&flagGroup != 0 {
		b = binary.AppendVarint(appendString(b, e.GroupID), int64(e.GroupSeq))
	}
	if f&flagRedeliveries != 0 {
		b = binary.AppendUvarint(b, uint64(e.Redeliveries))
	}
	b = appendField(b, e.MessageID)
	b = appendField(b, e.CorrelationID)
	b = appendField(b, e.Type)
	b = appendField(b, e.ContentType)
	b = appendField(b, e.UserID)
	if f&flagAnnotations != 0 {
		b = binary.AppendUvarint(b, uint64(len(e.Annotations)))
		for i := range e.Annotations {
			b = appendString(appendString(b, e.Annotations[i].Name), e.Annotations[i].Value)
		}
	}
	b = appendField(b, e.Publisher)
	return appendString(b, e.Destination.Name)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendField(b []byte, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(b, s)
}

func (m *Message) decode(raw []byte) error {
	if len(raw) == 0 {
		return ErrTruncated
	}
	if raw[0] != formatVersion {
		return fmt.Errorf("%w: version %d", ErrVersion, raw[0])
	}
	if len(raw) < fixedSize {
		return ErrTruncated
	}
	m.raw, m.encoding = raw, Encoding(raw[1])
	f := binary.BigEndian.Uint16(raw[2:])
	m.Durable, m.Retain = f&flagDurable != 0, f&flagRetain != 0
	m.Destination.Kind = Kind(raw[4])
	m.ID = ID{binary.BigEndian.Uint64(raw[5:]), binary.BigEndian.Uint64(raw[13:])}
	r := reader{b: raw[fixedSize:len(raw):len(raw)]}
	m.decodeNumbers(&r, f)
	m.decodeStrings(&r, f)
	m.Destination.Name = r.string()
	m.payload = r.b
	if r.err != nil {
		return r.err
	}
	return m.check(f)
}

func (m *Message) decodeNumbers(r *reader, f uint16) {
	m.Timestamp = r.varint()
	m.Priority = DefaultPriority
	if f&flagPriority != 0 {
		m.Priority = r.byte()
	}
	if f&flagExpiry != 0 {
		m.Expiry = r.varint()
	}
	if f&flagDeliverAt != 0 {
		m.DeliverAt = r.varint()
	}
	if f&flagOrigin != 0 {
		m.Origin = Destination{Kind(r.byte()), r.string()}
	}
	if f&flagReplyTo != 0 {
		m.ReplyTo = Destination{Kind(r.byte()), r.string()}
	}
	if f&flagGroup != 0 {
		m.GroupID, m.GroupSeq = r.string(), int32(r.varintWidth(32))
	}
	if f&flagRedeliveries != 0 {
		m.Redeliveries = uint32(r.uvarintMax(1<<32 - 1))
	}
}

func (m *Message) decodeStrings(r *reader, f uint16) {
	if f&flagMessageID != 0 {
		m.MessageID = r.string()
	}
	if f&flagCorrelationID != 0 {
		m.CorrelationID = r.string()
	}
	if f&flagType != 0 {
		m.Type = r.string()
	}
	if f&flagContentType != 0 {
		m.ContentType = r.string()
	}
	if f&flagUserID != 0 {
		m.UserID = r.string()
	}
	if f&flagAnnotations != 0 {
		m.decodeAnnotations(r)
	}
	if f&flagPublisher != 0 {
		m.Publisher = r.string()
	}
}

func (m *Message) decodeAnnotations(r *reader) {
	m.Annotations = make([]Annotation, r.count(2))
	for i := range m.Annotations {
		r.paid(2)
		m.Annotations[i] = Annotation{r.string(), r.string()}
	}
}

func (m *Message) check(f uint16) error {
	switch {
	case m.Priority > MaxPriority,
		m.Destination.Kind > KindTempTopic, m.Origin.Kind > KindTempTopic, m.ReplyTo.Kind > KindTempTopic,
		f&flagOrigin != 0 && m.Origin.IsZero(), f&flagReplyTo != 0 && m.ReplyTo.IsZero(),
		m.encoding == 0 || m.encoding > EncodingOpenWire:
		return ErrCorrupt
	}
	return nil
}
