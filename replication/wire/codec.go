package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/replication/protocol"
)

// Version is of everything in this package. Nodes of different versions don't talk.
const Version = 1

// MaxPacket is the size in bytes that no packet exceeds: a message carries frames of one chunk, or one large frame.
const MaxPacket = 8 << 20

const (
	magic     = "ENTREPOT-R"
	maxName   = 255
	maxEpochs = 1 << 16
)

// Type says what a packet is.
type Type uint8

// The types.
const (
	TypeHello Type = iota + 1
	TypeMessage
	TypeHeader
	TypePair
	TypeEnd
)

// ErrMalformed is wrapped by every error about a packet's content.
var ErrMalformed = errors.New("malformed replication packet")

// ReadPacket reads one packet into buf, which is made larger as needed, and returns its type and body. The body is valid
// until buf is used again.
func ReadPacket(r io.Reader, buf []byte) (Type, []byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, buf, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n < 1 || n > MaxPacket {
		return 0, nil, buf, fmt.Errorf("%w: %d bytes", ErrMalformed, n)
	}
	n--
	// Memory grows with what has come, not with what was announced.
	body := buf[:0]
	for len(body) < int(n) {
		more := min(int(n)-len(body), max(64<<10, len(body)))
		at := len(body)
		if cap(body) < at+more {
			body = append(body, make([]byte, more)...)
		}
		body = body[:at+more]
		if _, err := io.ReadFull(r, body[at:]); err != nil {
			return 0, nil, buf, fmt.Errorf("%w: cut off: %w", ErrMalformed, err)
		}
	}
	return Type(head[4]), body, body, nil
}

// begin appends a packet's head; finish completes it.
func begin(b []byte, t Type) []byte { return append(b, 0, 0, 0, 0, byte(t)) }

func finish(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// Purpose is what a connection is for.
type Purpose uint8

// The purposes.
const (
	ForMessages Purpose = iota + 1
	ForSnapshot
)

// Hello opens a connection.
type Hello struct {
	Version  uint64
	Purpose  Purpose
	Group    string // GroupID
	Node     string // that opened it
	Receiver string // that it takes the other side for
}

// AppendHello appends h as a packet.
func AppendHello(b []byte, h Hello) []byte {
	start := len(b)
	b = begin(b, TypeHello)
	b = append(b, magic...)
	b = binary.AppendUvarint(b, h.Version)
	b = append(b, byte(h.Purpose))
	b = appendString(b, h.Group)
	b = appendString(b, h.Node)
	return finish(appendString(b, h.Receiver), start)
}

// ParseHello reads the body of a hello.
func ParseHello(body []byte) (h Hello, err error) {
	if len(body) < len(magic) || string(body[:len(magic)]) != magic {
		return h, fmt.Errorf("%w: not a node of a group", ErrMalformed)
	}
	r := reader{b: body[len(magic):]}
	h.Version = r.uvarint()
	h.Purpose = Purpose(r.byte())
	h.Group, h.Node, h.Receiver = r.string(), r.string(), r.string()
	return h, r.done()
}

// AppendMessage appends m as a packet, but for its frames: the packet is what is appended, followed by m.Raw.
func AppendMessage(b []byte, m *protocol.Message) []byte {
	start := len(b)
	b = begin(b, TypeMessage)
	flags := byte(0)
	if m.Reply {
		flags = 1
	}
	b = append(b, byte(m.Kind), flags)
	b = appendString(b, m.From.Node)
	for _, v := range [...]uint64{m.From.Inc, m.Epoch, m.Promised, m.Seq} {
		b = binary.AppendUvarint(b, v)
	}
	b = appendPosition(b, m.Prev)
	b = appendPosition(b, m.End)
	b = appendPosition(b, m.Last)
	for _, v := range [...]uint64{m.First, m.Commit, m.Mem, m.Durable} {
		b = binary.AppendUvarint(b, v)
	}
	b = binary.AppendVarint(b, int64(m.Weight))
	b = appendEpochs(b, m.Epochs)
	b = binary.AppendUvarint(b, uint64(len(m.Raw)))
	b = finish(b, start)
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-4+len(m.Raw)))
	return b
}

// ParseMessage reads the body of a message. Raw points into body.
func ParseMessage(body []byte) (*protocol.Message, error) {
	r := reader{b: body}
	m := &protocol.Message{Kind: protocol.Kind(r.byte())}
	flags := r.byte()
	m.Reply = flags == 1
	m.From.Node = r.string()
	m.From.Inc, m.Epoch, m.Promised, m.Seq = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	m.Prev, m.End, m.Last = r.position(), r.position(), r.position()
	m.First, m.Commit, m.Mem, m.Durable = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	m.Weight = int(r.varint())
	m.Epochs = r.epochs()
	m.Raw = r.bytes()
	if flags > 1 || m.Kind < protocol.Status || m.Kind > protocol.TakeOver {
		r.failed = true
	}
	return m, r.done()
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendPosition(b []byte, p log.Position) []byte {
	b = binary.AppendUvarint(b, p.Epoch)
	b = binary.AppendUvarint(b, p.Index)
	return binary.LittleEndian.AppendUint32(b, p.Chain)
}

func appendEpochs(b []byte, epochs []log.EpochStart) []byte {
	b = binary.AppendUvarint(b, uint64(len(epochs)))
	for _, e := range epochs {
		b = binary.AppendUvarint(b, e.Epoch)
		b = binary.AppendUvarint(b, e.Index)
	}
	return b
}
