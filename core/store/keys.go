package store

import (
	"encoding/binary"
	"fmt"
)

// The first byte of a key in the page store says what stands there.
// Integers are big-endian so that keys sort by them.
const (
	keyQueue byte = 0x02 // queue -> its name, options, lanes, counters
	keyChunk byte = 0x03 // queue, lane, chunk -> directory of 256 pages
	keyPage  byte = 0x04 // queue, lane, page -> up to 64 messages
	keyBody  byte = 0x05 // message id, part -> part of a body kept by reference
	keyRefs  byte = 0x06 // message id -> how many pages refer to it, its size
	keyState byte = 0x07 // kind, name -> other state of the machine
	keySums  byte = 0x08 // queue, lane, chunk -> what the messages of 256 pages have in their properties
)

// QueueKey is where a queue's own state stands; QueuePrefix finds them all.
func QueueKey(b []byte, queue uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, keyQueue), queue)
}

// ChunkKey is where the directory of pages chunk*256 and on stands.
func ChunkKey(b []byte, queue uint64, lane uint8, chunk uint64) []byte {
	return laneKey(b, keyChunk, queue, lane, chunk)
}

// PageKey is where a page's messages stand.
func PageKey(b []byte, queue uint64, lane uint8, page uint64) []byte {
	return laneKey(b, keyPage, queue, lane, page)
}

// SummariesKey is where the summaries of pages chunk*256 and on stand.
func SummariesKey(b []byte, queue uint64, lane uint8, chunk uint64) []byte {
	return laneKey(b, keySums, queue, lane, chunk)
}

func laneKey(b []byte, kind byte, queue uint64, lane uint8, n uint64) []byte {
	b = binary.BigEndian.AppendUint64(append(b, kind), queue)
	return binary.BigEndian.AppendUint64(append(b, lane), n)
}

// BodyKey is where part n of a body kept by reference stands.
func BodyKey(b []byte, hi, lo uint64, part uint32) []byte {
	b = binary.BigEndian.AppendUint64(append(b, keyBody), hi)
	b = binary.BigEndian.AppendUint64(b, lo)
	return binary.BigEndian.AppendUint32(b, part)
}

// RefsKey is where the reference count of a body stands.
func RefsKey(b []byte, hi, lo uint64) []byte {
	b = binary.BigEndian.AppendUint64(append(b, keyRefs), hi)
	return binary.BigEndian.AppendUint64(b, lo)
}

// StateKey is where state of another kind stands.
func StateKey(b []byte, kind byte, name string) []byte {
	return append(append(b, keyState, kind), name...)
}

// holdsMessages reports whether messages stand under a key: what is read one by one when it is needed,
// not with all others at start.
func holdsMessages(k []byte) bool { return k[0] == keyPage || k[0] == keyBody }

// Prefixes for Scan.
var (
	QueuePrefix = []byte{keyQueue}
	ChunkPrefix = []byte{keyChunk}
	StatePrefix = []byte{keyState}
)

// ParseQueueKey reads what QueueKey wrote.
func ParseQueueKey(k []byte) (queue uint64, ok bool) {
	if len(k) != 9 {
		return 0, false
	}
	return binary.BigEndian.Uint64(k[1:]), true
}

// ParseChunkKey reads what ChunkKey wrote.
func ParseChunkKey(k []byte) (queue uint64, lane uint8, chunk uint64, ok bool) {
	if len(k) != 18 {
		return 0, 0, 0, false
	}
	return binary.BigEndian.Uint64(k[1:]), k[9], binary.BigEndian.Uint64(k[10:]), true
}

// Key is what a key of the page store says. Only the fields that Kind names
// are used.
type Key struct {
	Kind   string // queue, chunk, summaries, page, body, references, state, or unknown
	Queue  uint64 // queue, chunk, summaries, page
	Lane   uint8  // chunk, summaries, page: the priority
	Number uint64 // chunk, summaries, page; body: the part
	ID     string // body, references: the message's id, two hexadecimal numbers
	Part   byte   // state: the letter of the machine's part
	Name   string // state
}

// ParseKey reads any key, for people: what is not one is of kind unknown.
func ParseKey(k []byte) Key {
	if len(k) == 0 {
		return Key{Kind: "unknown"}
	}
	switch kind := k[0]; {
	case kind == keyQueue && len(k) == 9:
		return Key{Kind: "queue", Queue: binary.BigEndian.Uint64(k[1:])}
	case kind == keyChunk && len(k) == 18:
		return Key{Kind: "chunk", Queue: binary.BigEndian.Uint64(k[1:]), Lane: k[9], Number: binary.BigEndian.Uint64(k[10:])}
	case kind == keySums && len(k) == 18:
		return Key{Kind: "summaries", Queue: binary.BigEndian.Uint64(k[1:]), Lane: k[9], Number: binary.BigEndian.Uint64(k[10:])}
	case kind == keyPage && len(k) == 18:
		return Key{Kind: "page", Queue: binary.BigEndian.Uint64(k[1:]), Lane: k[9], Number: binary.BigEndian.Uint64(k[10:])}
	case kind == keyBody && len(k) == 21:
		return Key{Kind: "body", ID: idOf(k), Number: uint64(binary.BigEndian.Uint32(k[17:]))}
	case kind == keyRefs && len(k) == 17:
		return Key{Kind: "references", ID: idOf(k)}
	case kind == keyState && len(k) >= 2:
		return Key{Kind: "state", Part: k[1], Name: string(k[2:])}
	}
	return Key{Kind: "unknown"}
}

func idOf(k []byte) string {
	return fmt.Sprintf("%x-%x", binary.BigEndian.Uint64(k[1:]), binary.BigEndian.Uint64(k[9:]))
}
