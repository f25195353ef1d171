package pages

import (
	"encoding/binary"
	"hash/crc32"
)

// sealSize is what a value is longer by in Badger.
const sealSize = 4

// appendSealed appends value behind its checksum.
func appendSealed(dst, key, value []byte, version uint64) []byte {
	dst = binary.BigEndian.AppendUint32(dst, checksum(key, value, version))
	return append(dst, value...)
}

// unseal returns the value inside sealed (not a copy), and false if it isn't what was sealed.
func unseal(key, sealed []byte, version uint64) ([]byte, bool) {
	if len(sealed) < sealSize {
		return nil, false
	}
	value := sealed[sealSize:]
	return value, binary.BigEndian.Uint32(sealed) == checksum(key, value, version)
}

func checksum(key, value []byte, version uint64) uint32 {
	var v [8]byte
	binary.BigEndian.PutUint64(v[:], version)
	table := crc32.MakeTable(crc32.Castagnoli) // made once by the library, returned from then on
	sum := crc32.Update(0, table, key)
	sum = crc32.Update(sum, table, v[:])
	return crc32.Update(sum, table, value)
}
