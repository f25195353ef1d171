package protocols

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Limits of PROXY protocol headers, in bytes.
const (
	proxyV1Limit = 107                 // the specification's longest line, with CR LF
	proxyV2Fixed = 16                  // signature, command, family, length
	proxyV2Limit = proxyV2Fixed + 2048 // addresses and TLVs that proxies send take a few hundred
)

const (
	proxyV1Signature = "PROXY "
	proxyV2Signature = "\r\n\r\n\x00\r\nQUIT\n"
)

// proxyHeader is what a proxy says of a connection. Without addresses
// (LOCAL, UNKNOWN: the proxy's own health check) the socket's own count.
type proxyHeader struct {
	source, target netip.AddrPort
	sealed         bool // by another node of the group
}

var (
	errShort   = errors.New("incomplete")               // more bytes may help
	errNoProxy = errors.New("no PROXY protocol header") // none of its signatures
)

// parseProxy reads a header of version 1 or 2 at the start of b and returns
// its length. errShort asks for more bytes, errNoProxy says that b begins
// something else; after any other error the connection makes no sense.
func parseProxy(b []byte) (proxyHeader, int, error) {
	v1, v2 := matchPrefix(b, proxyV1Signature), matchPrefix(b, proxyV2Signature)
	switch max(v1, v2) {
	case no:
		return proxyHeader{}, 0, errNoProxy
	case maybe:
		return proxyHeader{}, 0, errShort
	case yes:
	}
	if v1 == yes {
		return parseProxyV1(b)
	}
	return parseProxyV2(b)
}

// parseProxyV1 reads "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n".
func parseProxyV1(b []byte) (proxyHeader, int, error) {
	end := bytes.Index(b[:min(len(b), proxyV1Limit)], []byte("\r\n"))
	if end < 0 {
		if len(b) >= proxyV1Limit {
			return proxyHeader{}, 0, fmt.Errorf("PROXY line of more than %d bytes", proxyV1Limit)
		}
		return proxyHeader{}, 0, errShort
	}
	words := strings.Split(string(b[:end]), " ")
	if words[1] == "UNKNOWN" {
		return proxyHeader{}, end + 2, nil
	}
	if len(words) != 6 || words[1] != "TCP4" && words[1] != "TCP6" {
		return proxyHeader{}, 0, fmt.Errorf("PROXY line %q: want PROXY TCP4|TCP6 SOURCE TARGET PORT PORT", b[:end])
	}
	source, err1 := parseProxyAddr(words[1], words[2], words[4])
	target, err2 := parseProxyAddr(words[1], words[3], words[5])
	if err := errors.Join(err1, err2); err != nil {
		return proxyHeader{}, 0, fmt.Errorf("PROXY line %q: %w", b[:end], err)
	}
	return proxyHeader{source: source, target: target}, end + 2, nil
}

func parseProxyAddr(family, addr, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if a.Zone() != "" || a.Is4() != (family == "TCP4") {
		return netip.AddrPort{}, fmt.Errorf("%s is no address of %s", addr, family)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || port != strconv.FormatUint(n, 10) {
		return netip.AddrPort{}, fmt.Errorf("bad port %q", port)
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}

// parseProxyV2 reads the binary header; TLVs are passed over.
func parseProxyV2(b []byte) (proxyHeader, int, error) {
	if len(b) < proxyV2Fixed {
		return proxyHeader{}, 0, errShort
	}
	version, family := b[12], b[13]
	length := int(binary.BigEndian.Uint16(b[14:]))
	size := proxyV2Fixed + length
	if size > proxyV2Limit {
		return proxyHeader{}, 0, fmt.Errorf("PROXY header of %d bytes, the most is %d", size, proxyV2Limit)
	}
	if version != 0x20 && version != 0x21 {
		return proxyHeader{}, 0, fmt.Errorf("PROXY header with version and command %#x", version)
	}
	if len(b) < size {
		return proxyHeader{}, 0, errShort
	}
	if version == 0x20 || family == 0x00 { // LOCAL; UNSPEC
		return proxyHeader{}, size, nil
	}
	h, err := proxyV2Addresses(family, b[proxyV2Fixed:size])
	return h, size, err
}

func proxyV2Addresses(family byte, b []byte) (proxyHeader, error) {
	var width int
	switch family {
	case 0x11: // TCP over IPv4
		width = 4
	case 0x21: // TCP over IPv6
		width = 16
	default:
		return proxyHeader{}, fmt.Errorf("PROXY header for address family and transport %#x, only TCP is served", family)
	}
	if len(b) < 2*width+4 {
		return proxyHeader{}, fmt.Errorf("PROXY header with %d bytes of addresses, want %d", len(b), 2*width+4)
	}
	source, _ := netip.AddrFromSlice(b[:width]) // 4 or 16 bytes are always an address
	target, _ := netip.AddrFromSlice(b[width : 2*width])
	ports := b[2*width:]
	return proxyHeader{
		source: netip.AddrPortFrom(source, binary.BigEndian.Uint16(ports)),
		target: netip.AddrPortFrom(target, binary.BigEndian.Uint16(ports[2:])),
	}, nil
}
