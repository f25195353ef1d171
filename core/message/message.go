package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Encoding names the format of a message's payload: the protocol that its
// publisher spoke. The numbers are part of stored formats.
type Encoding uint8

// The encodings.
const (
	EncodingHub Encoding = iota + 1 // a marshalled View: made by the broker itself, the API, the CLI
	EncodingSTOMP
	EncodingMQTT
	EncodingAMQP
	EncodingOpenWire
)

// Default and limits of envelope fields.
const (
	DefaultPriority = 4
	MaxPriority     = 9
)

// ID identifies a message in a group of brokers: Hi is unique to a run of a
// broker, Lo counts. IDs of one broker sort by age.
type ID struct{ Hi, Lo uint64 }

// Annotation is what a broker adds to a message after it was published, such
// as why it became a dead letter. Consumers see annotations as properties.
type Annotation struct{ Name, Value string }

// Envelope is what the broker itself needs to know of a message. Times are
// milliseconds since the Unix epoch, 0 for none.
type Envelope struct {
	ID            ID
	Destination   Destination
	Origin        Destination // where it was published first, if it was moved since
	ReplyTo       Destination
	Durable       bool
	Retain        bool  // a topic remembers it as its last message
	Priority      uint8 // 0 to 9
	GroupSeq      int32
	Redeliveries  uint32 // deliveries that failed before the message came to Destination
	Timestamp     int64
	Expiry        int64
	DeliverAt     int64
	MessageID     string // the publisher's own, "" if its protocol has none
	CorrelationID string
	GroupID       string
	Type          string
	ContentType   string
	UserID        string // the authenticated publisher
	Publisher     string // its client id, kept where a subscriber wants none of its own messages
	Annotations   []Annotation
}

// Message is an immutable message. See the package comment.
type Message struct {
	Envelope
	encoding Encoding
	raw      []byte
	payload  []byte
	view     atomic.Pointer[View]
}

// Errors of Decode, wrapped with the field concerned.
var (
	ErrTruncated = errors.New("message is truncated")
	ErrVersion   = errors.New("message format is unknown")
	ErrCorrupt   = errors.New("message is corrupt")
)

// The format (version 1): version, encoding, flags, destination kind, ID,
// timestamp, then the fields that flags announce in the order of the flags,
// the destination's name, and the payload up to the end. Integers are
// uvarints, zig-zag where they can be negative; strings and names have a
// uvarint length before them.
const formatVersion = 1

const (
	flagDurable = 1 << iota
	flagRetain
	flagPriority // absent: DefaultPriority
	flagExpiry
	flagDeliverAt
	flagOrigin
	flagReplyTo
	flagGroup // id and sequence
	flagRedeliveries
	flagMessageID
	flagCorrelationID
	flagType
	flagContentType
	flagUserID
	flagAnnotations
	flagPublisher
)

const fixedSize = 1 + 1 + 2 + 1 + 16

// New makes a message of e and a payload, given in parts that are joined.
// Everything is copied: neither e's strings nor parts are kept.
func New(e *Envelope, enc Encoding, parts ...[]byte) *Message {
	n := fixedSize + binary.MaxVarintLen64 + e.variableSize()
	for _, p := range parts {
		n += len(p)
	}
	b := appendEnvelope(make([]byte, 0, n), e, enc)
	head := len(b)
	for _, p := range parts {
		b = append(b, p...)
	}
	m := &Message{}
	if err := m.decode(b); err != nil || len(m.payload) != len(b)-head {
		panic(fmt.Sprintf("message: own encoding of %d bytes does not decode: %v", len(b), err))
	}
	return m
}

// Decode reads what Raw returned. The message keeps raw: the caller must not
// change it.
func Decode(raw []byte) (*Message, error) {
	m := &Message{}
	if err := m.decode(raw); err != nil {
		return nil, err
	}
	return m, nil
}

// With returns a copy of m whose envelope was changed by edit, with the same
// payload: how a message is moved, dead-lettered or rescheduled.
func (m *Message) With(edit func(*Envelope)) *Message {
	e := m.Envelope
	edit(&e)
	return New(&e, m.encoding, m.payload)
}

// Raw returns the message's encoded bytes. The caller must not change them.
func (m *Message) Raw() []byte { return m.raw }

// Payload returns what the publisher sent, in its encoding. The caller must
// not change it.
func (m *Message) Payload() []byte { return m.payload }

// Encoding names the payload's format.
func (m *Message) Encoding() Encoding { return m.encoding }

// Size is the memory in bytes that m is counted with.
func (m *Message) Size() int { return int(unsafe.Sizeof(Message{})) + len(m.raw) }

// Expired reports whether m must not be delivered any more at nowMs.
func (m *Message) Expired(nowMs int64) bool { return m.Expiry != 0 && m.Expiry <= nowMs }

func (e *Envelope) variableSize() int {
	n := len(e.Destination.Name) + len(e.Origin.Name) + len(e.ReplyTo.Name) + len(e.MessageID) +
		len(e.CorrelationID) + len(e.GroupID) + len(e.Type) + len(e.ContentType) + len(e.UserID) + len(e.Publisher) + 64
	for _, a := range e.Annotations {
		n += len(a.Name) + len(a.Value) + 2*binary.MaxVarintLen32
	}
	return n
}

func (e *Envelope) flags() (f uint16) {
	set := func(on bool, bit uint16) {
		if on {
			f |= bit
		}
	}
	set(e.Durable, flagDurable)
	set(e.Retain, flagRetain)
	set(e.Priority != DefaultPriority, flagPriority)
	set(e.Expiry != 0, flagExpiry)
	set(e.DeliverAt != 0, flagDeliverAt)
	set(!e.Origin.IsZero(), flagOrigin)
	set(!e.ReplyTo.IsZero(), flagReplyTo)
	set(e.GroupID != "" || e.GroupSeq != 0, flagGroup)
	set(e.Redeliveries != 0, flagRedeliveries)
	set(e.MessageID != "", flagMessageID)
	set(e.CorrelationID != "", flagCorrelationID)
	set(e.Type != "", flagType)
	set(e.ContentType != "", flagContentType)
	set(e.UserID != "", flagUserID)
	set(len(e.Annotations) > 0, flagAnnotations)
	set(e.Publisher != "", flagPublisher)
	return f
}

func appendEnvelope(b []byte, e *Envelope, enc Encoding) []byte {
	f := e.flags()
	b = append(b, formatVersion, byte(enc))
	b = binary.BigEndian.AppendUint16(b, f)
	b = append(b, byte(e.Destination.Kind))
	b = binary.BigEndian.AppendUint64(b, e.ID.Hi)
	b = binary.BigEndian.AppendUint64(b, e.ID.Lo)
	b = binary.AppendVarint(b, e.Timestamp)
	if f&flagPriority != 0 {
		b = append(b, e.Priority)
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
	for _, s := range [...]struct {
		bit uint16
		s   string
	}{
		{flagMessageID, e.MessageID},
		{flagCorrelationID, e.CorrelationID},
		{flagType, e.Type},
		{flagContentType, e.ContentType},
		{flagUserID, e.UserID},
		{flagPublisher, e.Publisher},
	} {
		if f&s.bit != 0 {
			b = appendString(b, s.s)
		}
	}
	if f&flagAnnotations != 0 {
		b = binary.AppendUvarint(b, uint64(len(e.Annotations)))
		for _, a := range e.Annotations {
			b = appendString(appendString(b, a.Name), a.Value)
		}
	}
	return appendString(b, e.Destination.Name)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (m *Message) decode(raw []byte) error {
	if len(raw) < fixedSize {
		return ErrTruncated
	}
	if raw[0] != formatVersion {
		return fmt.Errorf("%w: version %d", ErrVersion, raw[0])
	}
	m.raw, m.encoding = raw, Encoding(raw[1])
	f := binary.BigEndian.Uint16(raw[2:])
	m.Durable, m.Retain = f&flagDurable != 0, f&flagRetain != 0
	m.Destination.Kind = Kind(raw[4])
	m.ID = ID{binary.BigEndian.Uint64(raw[5:]), binary.BigEndian.Uint64(raw[13:])}
	r := reader{b: raw[fixedSize:]}
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
		m.GroupID, m.GroupSeq = r.string(), int32(r.varint())
	}
	if f&flagRedeliveries != 0 {
		m.Redeliveries = uint32(r.uvarint())
	}
	m.decodeStrings(&r, f)
	m.Destination.Name = r.string()
	m.payload = r.b
	return r.check(m)
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
	if f&flagPublisher != 0 {
		m.Publisher = r.string()
	}
	if f&flagAnnotations == 0 {
		return
	}
	// Two lengths a pair at least: a claimed count can't ask for more memory
	// than the bytes that are there.
	n := r.uvarint()
	if n > uint64(len(r.b)/2) {
		r.failed = true
		return
	}
	m.Annotations = make([]Annotation, n)
	for i := range m.Annotations {
		m.Annotations[i] = Annotation{r.string(), r.string()}
	}
}

// reader takes fields off a message; after a failure everything reads as zero.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.failed = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.failed, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// string returns a string that points into the message.
func (r *reader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.failed, r.b = true, nil
		return ""
	}
	if n == 0 {
		return ""
	}
	s := unsafe.String(&r.b[0], int(n))
	r.b = r.b[n:]
	return s
}

func (r *reader) check(m *Message) error {
	switch {
	case r.failed:
		return ErrTruncated
	case m.Priority > MaxPriority,
		m.Destination.Kind > KindTempTopic, m.Origin.Kind > KindTempTopic, m.ReplyTo.Kind > KindTempTopic,
		m.encoding == 0 || m.encoding > EncodingOpenWire:
		return ErrCorrupt
	}
	return nil
}
