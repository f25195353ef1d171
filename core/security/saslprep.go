package security

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// saslPrepared returns password as SCRAM's clients prepare it (RFC 4013): in
// normalization form KC, with unusual blanks as blanks and without characters
// that nobody sees. A password that the rules forbid is taken as it is: who
// chose it can't be asked any more, and most clients don't refuse it either.
func saslPrepared(password string) string {
	if isASCII(password) {
		return password
	}
	prepared := norm.NFKC.String(strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(mappedToNothing, r):
			return -1
		case unicode.Is(unicode.Zs, r), r == '\u180e':
			return ' '
		}
		return r
	}, password))
	if prepared == "" || strings.ContainsFunc(prepared, forbidden) {
		return password
	}
	return prepared
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

// forbidden reports what RFC 4013, 2.3 does of single characters: controls,
// private and surrogate ones, and those that are none.
func forbidden(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Co, unicode.Cs) || r == unicode.ReplacementChar || r&0xfffe == 0xfffe
}

// mappedToNothing is RFC 3454's table B.1.
var mappedToNothing = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x00ad, Hi: 0x00ad, Stride: 1},
		{Lo: 0x034f, Hi: 0x034f, Stride: 1},
		{Lo: 0x1806, Hi: 0x1806, Stride: 1},
		{Lo: 0x180b, Hi: 0x180d, Stride: 1},
		{Lo: 0x200b, Hi: 0x200d, Stride: 1},
		{Lo: 0x2060, Hi: 0x2060, Stride: 1},
		{Lo: 0xfe00, Hi: 0xfe0f, Stride: 1},
		{Lo: 0xfeff, Hi: 0xfeff, Stride: 1},
	},
	LatinOffset: 1,
}
