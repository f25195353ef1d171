package protocols

import (
	"encoding/binary"
	"net/netip"
)

// Relays are the other nodes of the broker's group. A node that isn't the
// master passes its clients' connections on to it, behind a PROXY header that
// says whose they are; the header is sealed with the group's secret, so that it
// is believed from nobody else.
type Relays interface {
	// Knows reports whether a may be a node. Connections from other addresses
	// are not asked for a header. It is called for each connection.
	Knows(a netip.Addr) bool
	// Seal returns SealSize bytes that only nodes of the group can make for head.
	Seal(head []byte) []byte
	// Opens reports whether seal is what a node made for head.
	Opens(head, seal []byte) bool
}

// SealSize is the length of a seal, in bytes.
const SealSize = 32

// The seal is in a TLV of a type that the PROXY protocol leaves to
// applications. It is the header's last.
const (
	sealType = 0xE5
	sealTLV  = 3 + SealSize // type, length, seal
)

// relayHeader makes the sealed header of version 2 for a client's connection.
func relayHeader(source, target netip.AddrPort, r Relays) []byte {
	from, to := source.Addr().Unmap(), target.Addr().Unmap()
	family := byte(0x11)
	if !from.Is4() || !to.Is4() {
		family = 0x21
	}
	b := append(make([]byte, 0, 128), proxyV2Signature...)
	b = append(b, 0x21, family, 0, 0)
	for _, a := range []netip.Addr{from, to} {
		if family == 0x11 {
			b = append(b, a.AsSlice()...)
			continue
		}
		wide := a.As16()
		b = append(b, wide[:]...)
	}
	b = binary.BigEndian.AppendUint16(b, source.Port())
	b = binary.BigEndian.AppendUint16(b, target.Port())
	binary.BigEndian.PutUint16(b[14:], uint16(len(b)-proxyV2Fixed+sealTLV))
	b = append(b, sealType, 0, SealSize)
	return append(b, r.Seal(b)...)
}

// sealed reports whether b, a whole header of version 2, carries the seal of a
// node.
func sealed(b []byte, r Relays) bool {
	n := len(b) - SealSize
	return n >= proxyV2Fixed+3 && b[n-3] == sealType && binary.BigEndian.Uint16(b[n-2:]) == SealSize && r.Opens(b[:n], b[n:])
}
