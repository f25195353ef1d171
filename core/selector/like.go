package selector

import (
	"strings"
	"unicode/utf8"
)

// pattern is what stands after LIKE, compiled: pieces that follow one another
// with anything between them. Where each of the middle ones is found first is
// where it is best found, so nothing is tried again: matching takes at most
// the pattern's length times the text's.
type pattern struct {
	text, escape string // as written
	first        piece  // begins the text
	middle       []piece
	last         piece // ends the text
	exact        bool  // there is no %: first is all
}

// piece is a run of the pattern without %.
type piece struct {
	literal string // if it has no _
	runes   []rune // otherwise; anyRune stands for _
}

const anyRune = -1

// newPattern compiles a pattern. escape is "" or one character, which takes
// the meaning from a %, a _ or itself behind it.
func newPattern(text, escape string) *pattern {
	var pieces []piece
	var runes []rune
	for s := text; s != ""; {
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		next, size := utf8.DecodeRuneInString(s)
		switch {
		case escape != "" && string(r) == escape && size > 0 && (next == '%' || next == '_' || next == r):
			runes, s = append(runes, next), s[size:]
		case r == '%':
			pieces, runes = append(pieces, newPiece(runes)), nil
		case r == '_':
			runes = append(runes, anyRune)
		default:
			runes = append(runes, r)
		}
	}
	p := &pattern{text: text, escape: escape, last: newPiece(runes)}
	if len(pieces) == 0 {
		p.first, p.exact = p.last, true
		return p
	}
	p.first = pieces[0]
	for _, m := range pieces[1:] {
		if m.literal != "" || m.runes != nil {
			p.middle = append(p.middle, m)
		}
	}
	return p
}

func newPiece(runes []rune) piece {
	for _, r := range runes {
		if r == anyRune || r == utf8.RuneError {
			return piece{runes: runes}
		}
	}
	return piece{literal: string(runes)}
}

// matches reports whether the whole of s is of the pattern.
func (p *pattern) matches(s string) bool {
	n := p.first.prefix(s)
	if n < 0 {
		return false
	}
	s = s[n:]
	if p.exact {
		return s == ""
	}
	for i := range p.middle {
		end := p.middle[i].find(s)
		if end < 0 {
			return false
		}
		s = s[end:]
	}
	return p.last.suffix(s)
}

// prefix returns the length of the piece at the start of s, -1 if s begins
// otherwise.
func (p *piece) prefix(s string) int {
	if p.runes == nil {
		if !strings.HasPrefix(s, p.literal) {
			return -1
		}
		return len(p.literal)
	}
	n := 0
	for _, want := range p.runes {
		r, size := utf8.DecodeRuneInString(s[n:])
		if size == 0 || r != want && want != anyRune {
			return -1
		}
		n += size
	}
	return n
}

// find returns where the first occurrence of the piece ends, -1 if there is
// none.
func (p *piece) find(s string) int {
	if p.runes == nil {
		i := strings.Index(s, p.literal)
		if i < 0 {
			return -1
		}
		return i + len(p.literal)
	}
	for i := range s {
		if n := p.prefix(s[i:]); n >= 0 {
			return i + n
		}
	}
	return -1
}

// suffix reports whether s ends with the piece.
func (p *piece) suffix(s string) bool {
	if p.runes == nil {
		return strings.HasSuffix(s, p.literal)
	}
	start := len(s)
	for range p.runes {
		_, n := utf8.DecodeLastRuneInString(s[:start])
		if n == 0 {
			return false
		}
		start -= n
	}
	return p.prefix(s[start:]) == len(s)-start
}
