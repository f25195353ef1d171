package stomp

import (
	"bytes"
	"strings"
)

// Escapes (STOMP 1.2, Value Encoding): \r \n \c \\; 1.1 has no \r; 1.0 has
// none. CONNECT and CONNECTED are never escaped.

// checkEscapes reports whether p holds only escapes that v defines, and
// otherwise what stood behind the backslash.
func checkEscapes(p []byte, v version) (byte, bool) {
	for {
		i := bytes.IndexByte(p, '\\')
		if i < 0 {
			return 0, true
		}
		if i+1 == len(p) {
			return '\n', false
		}
		switch c := p[i+1]; c {
		case 'n', 'c', '\\':
		case 'r':
			if v < v12 {
				return c, false
			}
		default:
			return c, false
		}
		p = p[i+2:]
	}
}

func knownEscapes(v version) string {
	if v < v12 {
		return `\n, \c and \\`
	}
	return `\r, \n, \c and \\`
}

// unescapeInPlace decodes checked escapes and returns the shorter value.
func unescapeInPlace(p []byte) []byte {
	i := bytes.IndexByte(p, '\\')
	if i < 0 {
		return p
	}
	out := p[:i]
	for ; i < len(p); i++ {
		c := p[i]
		if c == '\\' && i+1 < len(p) {
			i++
			c = unescaped(p[i])
		}
		out = append(out, c)
	}
	return out
}

func unescaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 'c':
		return ':'
	}
	return c
}

// appendStored appends a key or value in the form that messages keep, which is
// STOMP 1.2's. literal tells what a backslash in p means: itself, or the start
// of an escape that was checked and can stay.
func appendStored(dst, p []byte, literal bool) []byte {
	for _, c := range p {
		switch {
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == ':':
			dst = append(dst, '\\', 'c')
		case c == '\\' && literal:
			dst = append(dst, '\\', '\\')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendValue appends a header value as v escapes it. What 1.0 can't say at
// all (a line end) is written as 1.2 would, because as it is it would become
// another header.
func appendValue(dst []byte, s string, v version) []byte {
	if !hasSpecial(s) {
		return append(dst, s...)
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r' && v != v11:
			dst = append(dst, '\\', 'r')
		case c == ':' && v != v10:
			dst = append(dst, '\\', 'c')
		case c == '\\' && v != v10:
			dst = append(dst, '\\', '\\')
		case c == 0:
			dst = append(dst, "\uFFFD"...) // a NUL would end the frame for some clients
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func hasSpecial(s string) bool {
	for i := range len(s) {
		switch s[i] {
		case '\n', '\r', ':', '\\', 0:
			return true
		}
	}
	return false
}

// appendName appends a header name. A name with a colon stays escaped for 1.0,
// which could not tell where it ends.
func appendName(dst []byte, s string, v version) []byte {
	if v == v10 && strings.Contains(s, ":") {
		v = v12
	}
	return appendValue(dst, s, v)
}

// appendBlock appends stored header lines as v escapes them. For 1.2, and for
// lines without backslash, that is a copy.
func appendBlock(dst, block []byte, v version) []byte {
	if v == v12 || bytes.IndexByte(block, '\\') < 0 {
		return append(dst, block...)
	}
	for len(block) > 0 {
		line, rest, _ := bytes.Cut(block, newline)
		key, value, _ := bytes.Cut(line, colonByte)
		dst = append(append(dst, key...), ':')
		dst = append(appendRewritten(dst, value, v), '\n')
		block = rest
	}
	return dst
}

var newline = []byte{'\n'}

// appendRewritten turns 1.2's escapes into those of an older version.
func appendRewritten(dst, value []byte, v version) []byte {
	for i := 0; i < len(value); i++ {
		c := value[i]
		if c != '\\' || i+1 == len(value) {
			dst = append(dst, c)
			continue
		}
		i++
		switch next := value[i]; {
		case next == 'r' && v == v11:
			dst = append(dst, '\r')
		case v == v10 && (next == 'c' || next == '\\'):
			dst = append(dst, unescaped(next))
		default:
			dst = append(dst, '\\', next)
		}
	}
	return dst
}
