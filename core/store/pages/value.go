package pages

import (
	"encoding/binary"
	"hash/crc32"
)

// A value in Badger is sealed: a checksum, a byte that says where the value stands, and the value
// itself or its place.
const (
	sealSize = 4 + 1 // what is longer than the value or place in it

	standsHere  = 0 // in Badger
	standsApart = 1 // in a value file: what follows is its place
)

// appendSealed appends v, which stands as said, sealed.
func appendSealed(dst, key []byte, stands byte, v []byte, version uint64) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, stands)
	dst = append(dst, v...)
	binary.BigEndian.PutUint32(dst[start:], checksum(key, dst[start+4:], version))
	return dst
}

// unseal returns what is inside sealed (not a copy), and false if it isn't what was sealed.
func unseal(key, sealed []byte, version uint64) (stands byte, v []byte, ok bool) {
	if len(sealed) < sealSize || binary.BigEndian.Uint32(sealed) != checksum(key, sealed[4:], version) {
		return 0, nil, false
	}
	stands, v = sealed[4], sealed[sealSize:]
	return stands, v, stands == standsHere || stands == standsApart && len(v) == placeSize
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, value []byte, version uint64) uint32 {
	var v [8]byte
	binary.BigEndian.PutUint64(v[:], version)
	sum := crc32.Update(0, castagnoli, key)
	sum = crc32.Update(sum, castagnoli, v[:])
	return crc32.Update(sum, castagnoli, value)
}

// place is where a value stands that is not in Badger. The zero place is none: files have numbers from
// one on.
type place struct {
	file uint64
	off  uint32 // of the record in the file
	size uint32 // of the record in bytes
}

const placeSize = 8 + 4 + 4

func (p place) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, p.file)
	b = binary.BigEndian.AppendUint32(b, p.off)
	return binary.BigEndian.AppendUint32(b, p.size)
}

// decodePlace reads a place; b has placeSize bytes.
func decodePlace(b []byte) place {
	return place{binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])}
}

// A record of a value file: CRC-32C of what follows, length of the value (4 bytes), length of the key
// (2 bytes), two zero bytes, version (8 bytes), key, value; integers are big-endian.
const recordHead = 4 + 4 + 2 + 2 + 8

func recordSize(key, value []byte) int { return recordHead + len(key) + len(value) }

func appendRecord(b, key, value []byte, version uint64) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(key)))
	b = append(b, 0, 0)
	b = binary.BigEndian.AppendUint64(b, version)
	b = append(append(b, key...), value...)
	binary.BigEndian.PutUint32(b[start:], crc32.Checksum(b[start+4:], castagnoli))
	return b
}

// record is a whole record that was read.
type record struct {
	version    uint64
	key, value []byte // in the bytes it was read from
}

// recordLength returns the length that the head of a record says it has, and false if it can't be one.
func recordLength(head []byte) (int, bool) {
	if len(head) < recordHead {
		return 0, false
	}
	value, key := binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint16(head[8:])
	if value > MaxValue || key == 0 || key > MaxKey || head[10]|head[11] != 0 {
		return 0, false
	}
	return recordHead + int(key) + int(value), true
}

// parseRecord reads b, which is a record from its first byte to its last, and returns false if it isn't.
func parseRecord(b []byte) (r record, ok bool) {
	n, ok := recordLength(b)
	if !ok || n != len(b) || binary.BigEndian.Uint32(b) != crc32.Checksum(b[4:], castagnoli) {
		return record{}, false
	}
	key := recordHead + int(binary.BigEndian.Uint16(b[8:]))
	return record{version: binary.BigEndian.Uint64(b[12:]), key: b[recordHead:key:key], value: b[key:]}, true
}
