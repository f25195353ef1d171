package wire

import (
	"encoding/binary"

	"github.com/entrepot-mq/entrepot/core/store/log"
)

// Header begins a snapshot: the state at Position, sent by the master of Epoch to the receiver's incarnation Inc.
type Header struct {
	Epoch    uint64
	Inc      uint64
	Position log.Position
	Format   uint32 // of the state
}

// End ends a snapshot. Sum is the sum of the pairs' hashes.
type End struct {
	Pairs uint64
	Sum   uint64
}

// AppendHeader appends h as a packet.
func AppendHeader(b []byte, h Header) []byte {
	start := len(b)
	b = begin(b, TypeHeader)
	b = binary.AppendUvarint(b, h.Epoch)
	b = binary.AppendUvarint(b, h.Inc)
	b = appendPosition(b, h.Position)
	return finish(binary.LittleEndian.AppendUint32(b, h.Format), start)
}

// ParseHeader reads the body of a header.
func ParseHeader(body []byte) (Header, error) {
	r := reader{b: body}
	h := Header{Epoch: r.uvarint(), Inc: r.uvarint(), Position: r.position(), Format: r.uint32()}
	return h, r.done()
}

// AppendPair appends a key and its value as a packet.
func AppendPair(b, key, value []byte) []byte {
	start := len(b)
	b = begin(b, TypePair)
	b = append(binary.AppendUvarint(b, uint64(len(key))), key...)
	b = append(binary.AppendUvarint(b, uint64(len(value))), value...)
	return finish(b, start)
}

// ParsePair reads the body of a pair; both point into it.
func ParsePair(body []byte) (key, value []byte, err error) {
	r := reader{b: body}
	key, value = r.bytes(), r.bytes()
	return key, value, r.done()
}

// AppendEnd appends e as a packet.
func AppendEnd(b []byte, e End) []byte {
	start := len(b)
	b = begin(b, TypeEnd)
	b = binary.AppendUvarint(b, e.Pairs)
	return finish(binary.LittleEndian.AppendUint64(b, e.Sum), start)
}

// ParseEnd reads the body of an end.
func ParseEnd(body []byte) (End, error) {
	r := reader{b: body}
	e := End{Pairs: r.uvarint()}
	e.Sum = uint64(r.uint32())
	e.Sum |= uint64(r.uint32()) << 32
	return e, r.done()
}
