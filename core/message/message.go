package message

import (
	"fmt"
	"slices"
	"strings"
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

var encodingNames = [...]string{"unknown", "hub", "stomp", "mqtt", "amqp", "openwire"}

// String returns the encoding's name: "stomp".
func (e Encoding) String() string {
	if int(e) >= len(encodingNames) {
		return encodingNames[0]
	}
	return encodingNames[e]
}

// Default and limits of envelope fields.
const (
	DefaultPriority = 4
	MaxPriority     = 9
)

// Annotation is what a broker adds to a message after it was published, such
// as why it became a dead letter. Consumers see annotations as properties.
type Annotation struct{ Name, Value string }

// Envelope is what the broker itself needs to know of a message. Times are
// milliseconds since the Unix epoch, 0 for none. An Origin or ReplyTo without
// kind is none, whatever its name.
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

// New makes a message of e and a payload, given in parts that are joined.
// Everything is copied: neither e's strings nor parts are kept. A priority
// over MaxPriority becomes MaxPriority. Kinds and encodings that don't exist
// are the caller's fault and panic.
func New(e *Envelope, enc Encoding, parts ...[]byte) *Message {
	f := e.flags()
	head := e.encodedSize(f)
	n := head
	for _, p := range parts {
		n += len(p)
	}
	m, room := allocate(n)
	b := e.appendTo(room, f, enc)
	if len(b) != head {
		panic(fmt.Sprintf("message: envelope of %d bytes was counted as %d", len(b), head))
	}
	for _, p := range parts {
		b = append(b, p...)
	}
	// Reading it back makes the envelope's strings point into b, and proves
	// that what goes to the log can be read from it.
	if err := m.decode(b); err != nil || len(m.payload) != n-head {
		panic(fmt.Sprintf("message: own encoding of %d bytes does not decode: %v", n, err))
	}
	return m
}

// small and medium are messages with their bytes behind them: most messages of
// sensors and of control are one allocation instead of two.
type (
	small struct {
		Message
		room [smallRoom]byte
	}
	medium struct {
		Message
		room [mediumRoom]byte
	}
)

// With the message itself these fill classes of sizes that the runtime has.
const (
	smallRoom  = 448 - unsafe.Sizeof(Message{})
	mediumRoom = 576 - unsafe.Sizeof(Message{})
)

// allocate returns a message and room for its n bytes.
func allocate(n int) (m *Message, room []byte) {
	switch {
	case n <= int(smallRoom):
		s := &small{}
		return &s.Message, s.room[:0]
	case n > int(smallRoom)+64 && n <= int(mediumRoom):
		s := &medium{}
		return &s.Message, s.room[:0]
	}
	return &Message{}, uncleared(n)
}

// uncleared returns an empty slice with room for n bytes. A Builder is the one
// way to memory that isn't cleared before it is written to.
func uncleared(n int) []byte {
	var s strings.Builder
	s.Grow(n)
	s.WriteByte(0)
	return unsafe.Slice(unsafe.StringData(s.String()), n)[:0]
}

// Decode reads what Raw returned. The message keeps raw: the caller must not
// change it. Errors are ErrVersion, ErrTruncated and ErrCorrupt.
func Decode(raw []byte) (*Message, error) {
	m := &Message{}
	if err := m.Decode(raw); err != nil {
		return nil, err
	}
	return m, nil
}

// Decode makes m, a new Message, what the function Decode returns. Who reads
// many at a time makes them together.
func (m *Message) Decode(raw []byte) error { return m.decode(raw) }

// With returns a copy of m whose envelope was changed by edit, with the same
// payload: how a message is moved, dead-lettered or rescheduled. The envelope
// that edit gets is its own, m's does not change with it.
func (m *Message) With(edit func(*Envelope)) *Message {
	e := m.Envelope
	e.Annotations = slices.Clone(e.Annotations)
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

// Size is the memory in bytes that m is counted with: itself and its encoding,
// without a view.
func (m *Message) Size() int { return int(unsafe.Sizeof(Message{})) + len(m.raw) }

// Expired reports whether m must not be delivered any more at nowMs.
func (m *Message) Expired(nowMs int64) bool { return m.Expiry != 0 && m.Expiry <= nowMs }
