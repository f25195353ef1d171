package wire

import (
	"errors"
	"unicode/utf8"
	"unsafe"
)

// Java's modified UTF-8: U+0000 is two bytes, and a character above U+FFFF is
// two surrogates of three bytes each. Readers here take the standard forms as
// well, which C++ clients send.

var errText = errors.New("a string is not valid UTF-8, modified or not")

// appendModified appends s, UTF-8 with surrogates of their own allowed, in
// modified UTF-8.
func appendModified(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == 0:
			dst = append(dst, 0xC0, 0x80)
			i++
		case c < 0xF0:
			dst = append(dst, c)
			i++
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError {
				dst = append(dst, "\uFFFD"...)
				i++
				break
			}
			r -= 0x10000
			dst = appendSurrogate(dst, 0xD800+r>>10)
			dst = appendSurrogate(dst, 0xDC00+r&0x3FF)
			i += n
		}
	}
	return dst
}

func appendSurrogate(dst []byte, r rune) []byte {
	return append(dst, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0xBF, 0x80|byte(r)&0xBF)
}

// modifiedLen returns how long s is in modified UTF-8.
func modifiedLen(s string) int {
	n := len(s)
	for i := range len(s) {
		switch c := s[i]; {
		case c == 0:
			n++
		case c >= 0xF0:
			n += 2
		}
	}
	return n
}

// ascii reports whether each character of s is U+0001 to U+007F.
func ascii[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i]-1 >= 0x7F {
			return false
		}
	}
	return true
}

// fromModified returns b, modified or standard UTF-8, as a string of standard
// UTF-8. Halves of surrogate pairs without the other half stay.
func fromModified(b []byte) (string, error) {
	if ascii(b) {
		return string(b), nil
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		c := b[i]
		n := sequenceLen(c)
		if n == 0 || i+n > len(b) || !continued(b[i+1:i+n]) {
			return "", errText
		}
		switch {
		case n == 1:
			out = append(out, c)
		case n == 2 && c == 0xC0 && b[i+1] == 0x80:
			out = append(out, 0)
		case n == 3 && c == 0xED && b[i+1] >= 0xA0: // a surrogate
			if low := b[i+3:]; b[i+1] < 0xB0 && len(low) >= 3 && low[0] == 0xED && low[1] >= 0xB0 && continued(low[1:3]) {
				hi := rune(b[i+1]&0x0F)<<6 | rune(b[i+2]&0x3F)
				lo := rune(low[1]&0x0F)<<6 | rune(low[2]&0x3F)
				out = utf8.AppendRune(out, 0x10000+hi<<10+lo)
				n = 6
				break
			}
			out = append(out, b[i:i+3]...)
		default:
			if r, size := utf8.DecodeRune(b[i : i+n]); r == utf8.RuneError && size != n {
				return "", errText
			}
			out = append(out, b[i:i+n]...)
		}
		i += n
	}
	return unsafe.String(unsafe.SliceData(out), len(out)), nil
}

// sequenceLen returns how many bytes a character has that begins with c, 0 if
// none does.
func sequenceLen(c byte) int {
	switch {
	case c < 0x80:
		return 1
	case c < 0xC0:
		return 0
	case c < 0xE0:
		return 2
	case c < 0xF0:
		return 3
	case c < 0xF8:
		return 4
	}
	return 0
}

func continued(b []byte) bool {
	for _, c := range b {
		if c&0xC0 != 0x80 {
			return false
		}
	}
	return true
}

// fromLatin1 returns the string whose characters are the bytes of b.
func fromLatin1(b []byte) string {
	if ascii(b) {
		return string(b)
	}
	out := make([]rune, len(b))
	for i, c := range b {
		out[i] = rune(c)
	}
	return string(out)
}
