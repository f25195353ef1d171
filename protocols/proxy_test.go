package protocols

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func proxyV2(command, family byte, body string) string {
	b := append([]byte(proxyV2Signature), command, family)
	return string(binary.BigEndian.AppendUint16(b, uint16(len(body)))) + body
}

var (
	v4Body = "\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb"
	v6Body = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\xdc\x04\x01\xbb"
)

// proxyHeaders are headers and what they announce: "" nothing.
var proxyHeaders = []struct{ name, bytes, source, target string }{
	{"version 1, IPv4", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", "192.0.2.1:56324", "198.51.100.1:443"},
	{"version 1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", "[2001:db8::1]:56324", "[2001:db8::2]:443"},
	{"version 1, unknown", "PROXY UNKNOWN\r\n", "", ""},
	{"version 1, unknown with words", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "", ""},
	{"version 2, IPv4", proxyV2(0x21, 0x11, v4Body), "192.0.2.1:56324", "198.51.100.1:443"},
	{"version 2, IPv6", proxyV2(0x21, 0x21, v6Body), "[2001:db8::1]:56324", "[2001:db8::2]:443"},
	{"version 2 with TLVs", proxyV2(0x21, 0x11, v4Body+"\x03\x00\x04abcd"), "192.0.2.1:56324", "198.51.100.1:443"},
	{"version 2, local", proxyV2(0x20, 0x00, ""), "", ""},
	{"version 2, local with addresses", proxyV2(0x20, 0x11, v4Body), "", ""},
	{"version 2, unspecified", proxyV2(0x21, 0x00, "abc"), "", ""},
	{"version 2, the longest", proxyV2(0x21, 0x11, v4Body+strings.Repeat("x", 2048-12)), "192.0.2.1:56324", "198.51.100.1:443"},
}

func TestPROXYHeaders(t *testing.T) {
	for _, tt := range proxyHeaders {
		h, n, err := parseProxy([]byte(tt.bytes + "CONNECT\n"))
		if err != nil || n != len(tt.bytes) {
			t.Errorf("%s: length %d, %v, want %d", tt.name, n, err, len(tt.bytes))
		}
		var want proxyHeader
		if tt.source != "" {
			want = proxyHeader{source: netip.MustParseAddrPort(tt.source), target: netip.MustParseAddrPort(tt.target)}
		}
		if h != want {
			t.Errorf("%s: got %+v, want %+v", tt.name, h, want)
		}
		for cut := 1; cut < len(tt.bytes); cut++ {
			if _, _, err := parseProxy([]byte(tt.bytes[:cut])); !errors.Is(err, errShort) {
				t.Errorf("%s cut after %d bytes: %v", tt.name, cut, err)
			}
		}
	}
}

func TestFaultyPROXYHeadersAreErrors(t *testing.T) {
	for _, tt := range []struct{ name, bytes, want string }{
		{"no header", "CONNECT\n", "no PROXY protocol header"},
		{"lower case", "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "no PROXY protocol header"},
		{"a line without end", "PROXY TCP4 " + strings.Repeat("1", 100), "PROXY line of more than 107 bytes"},
		{"two blanks", "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "want PROXY TCP4|TCP6"},
		{"another family", "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "want PROXY TCP4|TCP6"},
		{"a missing port", "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "want PROXY TCP4|TCP6"},
		{"the wrong family's address", "PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n", "is no address of TCP4"},
		{"a zone", "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "is no address of TCP6"},
		{"a port too high", "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", `bad port "65536"`},
		{"a port with zero", "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", `bad port "01"`},
		{"an address that is none", "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n", "192.0.2"},
		{"version 2 with another command", proxyV2(0x22, 0x11, v4Body), "version and command 0x22"},
		{"version 3", proxyV2(0x31, 0x11, v4Body), "version and command 0x31"},
		{"version 2 over UDP", proxyV2(0x21, 0x12, v4Body), "family and transport 0x12"},
		{"version 2 with a Unix socket", proxyV2(0x21, 0x31, strings.Repeat("x", 216)), "family and transport 0x31"},
		{"version 2 with too few addresses", proxyV2(0x21, 0x21, v4Body), "12 bytes of addresses, want 36"},
		{"version 2 above the limit", proxyV2(0x21, 0x11, strings.Repeat("x", 2049)), "2065 bytes, the most is 2064"},
		{"version 2 above the limit, declared only", proxyV2Signature + "\x21\x11\xff\xff", "65551 bytes, the most is 2064"},
	} {
		_, _, err := parseProxy([]byte(tt.bytes))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}

func FuzzPROXY(f *testing.F) {
	for _, tt := range proxyHeaders {
		f.Add([]byte(tt.bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := parseProxy(b)
		switch {
		case errors.Is(err, errShort):
			if len(b) >= proxyV2Limit {
				t.Errorf("%d bytes are not enough", len(b))
			}
		case err != nil:
		case n <= 0 || n > len(b) || n > proxyV2Limit:
			t.Errorf("length %d of %d bytes", n, len(b))
		case h.source.IsValid() != h.target.IsValid():
			t.Errorf("half a header: %+v", h)
		case h.source.IsValid():
			encodeAgain(t, h)
		}
	})
}

// encodeAgain holds that what was decoded can be encoded, and says the same.
func encodeAgain(t *testing.T, h proxyHeader) {
	t.Helper()
	family, body := byte(0x11), h.source.Addr().AsSlice()
	if h.source.Addr().Is6() {
		family = 0x21
	}
	body = append(body, h.target.Addr().AsSlice()...)
	body = binary.BigEndian.AppendUint16(body, h.source.Port())
	body = binary.BigEndian.AppendUint16(body, h.target.Port())
	again, _, err := parseProxy([]byte(proxyV2(0x21, family, string(body))))
	if err != nil || again != h {
		t.Errorf("encoded again: %+v, %v, want %+v", again, err, h)
	}
}
