package selector

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind uint8

// The kinds of tokens. The keywords stand between tokenAnd and tokenXQuery.
const (
	tokenEnd kind = iota
	tokenIdent
	tokenNumber
	tokenString
	tokenOpen
	tokenClose
	tokenComma
	tokenPlus
	tokenMinus
	tokenStar
	tokenSlash
	tokenPercent
	tokenEqual
	tokenNotEqual
	tokenLess
	tokenLessEqual
	tokenGreater
	tokenGreaterEqual
	tokenAnd
	tokenBetween
	tokenEscape
	tokenFalse
	tokenIn
	tokenIs
	tokenLike
	tokenNot
	tokenNull
	tokenOr
	tokenTrue
	tokenXPath
	tokenXQuery
)

var keywords = [...]struct {
	word string
	kind kind
}{
	{"AND", tokenAnd},
	{"BETWEEN", tokenBetween},
	{"ESCAPE", tokenEscape},
	{"FALSE", tokenFalse},
	{"IN", tokenIn},
	{"IS", tokenIs},
	{"LIKE", tokenLike},
	{"NOT", tokenNot},
	{"NULL", tokenNull},
	{"OR", tokenOr},
	{"TRUE", tokenTrue},
	{"XPATH", tokenXPath},
	{"XQUERY", tokenXQuery},
}

// keyword returns the kind of a word that is reserved, in any case.
func keyword(word string) (kind, bool) {
	for _, k := range keywords {
		if len(k.word) == len(word) && strings.EqualFold(k.word, word) {
			return k.kind, true
		}
	}
	return tokenIdent, false
}

// token is one lexical element. text is what stands in the selector, without
// quotes and with doubled quotes undone for strings and quoted identifiers.
type token struct {
	kind kind
	pos  int
	text string
}

// lexer cuts a selector into tokens.
type lexer struct {
	text string
	pos  int
}

func (l *lexer) fail(pos int, reason string) *Error {
	return &Error{Text: l.text, Offset: pos, Reason: reason}
}

// next returns the next token.
func (l *lexer) next() (token, *Error) {
	if err := l.skip(); err != nil {
		return token{}, err
	}
	start := l.pos
	if start == len(l.text) {
		return token{kind: tokenEnd, pos: start}, nil
	}
	c := l.text[start]
	switch {
	case c == '\'' || c == '"':
		return l.quoted(c)
	case isDigit(c), c == '.' && start+1 < len(l.text) && isDigit(l.text[start+1]):
		return l.number()
	}
	if k, n := symbol(l.text[start:]); n > 0 {
		l.pos += n
		return token{kind: k, pos: start, text: l.text[start:l.pos]}, nil
	}
	if n := identifierPrefix(l.text[start:]); n > 0 {
		l.pos += n
		word := l.text[start:l.pos]
		k, _ := keyword(word)
		return token{kind: k, pos: start, text: word}, nil
	}
	return token{}, l.fail(start, "unexpected character"+advice(l.text[start:]))
}

// advice names the operator of other languages that somebody may have meant.
func advice(rest string) string {
	for _, a := range [...][2]string{{"!=", "<>"}, {"!", "NOT"}, {"&&", "AND"}, {"||", "OR"}} {
		if strings.HasPrefix(rest, a[0]) {
			return " '" + a[0] + "': write " + a[1]
		}
	}
	return ""
}

// skip passes white space and comments.
func (l *lexer) skip() *Error {
	for l.pos < len(l.text) {
		switch rest := l.text[l.pos:]; {
		case strings.IndexByte(" \t\n\r\f", rest[0]) >= 0:
			l.pos++
		case strings.HasPrefix(rest, "--"):
			n := strings.IndexAny(rest, "\r\n")
			if n < 0 {
				n = len(rest)
			}
			l.pos += n
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return l.fail(l.pos, "the comment that begins here has no end: */ is missing")
			}
			l.pos += n + 4
		default:
			return nil
		}
	}
	return nil
}

// symbol returns the operator or punctuation at the start of s and its length.
func symbol(s string) (kind, int) {
	if len(s) > 1 {
		switch s[:2] {
		case "<>":
			return tokenNotEqual, 2
		case "<=":
			return tokenLessEqual, 2
		case ">=":
			return tokenGreaterEqual, 2
		}
	}
	i := strings.IndexByte("(),+-*/%=<>", s[0])
	if i < 0 {
		return tokenEnd, 0
	}
	return [...]kind{
		tokenOpen, tokenClose, tokenComma, tokenPlus, tokenMinus, tokenStar, tokenSlash, tokenPercent,
		tokenEqual, tokenLess, tokenGreater,
	}[i], 1
}

// quoted reads a string 'it”s' or an identifier "content-type".
func (l *lexer) quoted(quote byte) (token, *Error) {
	start := l.pos
	for i := start + 1; i < len(l.text); i++ {
		if l.text[i] != quote {
			continue
		}
		if i+1 < len(l.text) && l.text[i+1] == quote {
			i++
			continue
		}
		l.pos = i + 1
		q := string(quote)
		t := token{kind: tokenString, pos: start, text: strings.ReplaceAll(l.text[start+1:i], q+q, q)}
		if quote == '"' {
			t.kind = tokenIdent
			if t.text == "" {
				return t, l.fail(start, "a property name is empty")
			}
		}
		return t, nil
	}
	return token{}, l.fail(start, "the quote that begins here has no end")
}

// number reads everything that belongs to a number or sticks to it; what it
// is worth is parseNumber's matter.
func (l *lexer) number() (token, *Error) {
	start := l.pos
	i := start
	for i < len(l.text) {
		c := l.text[i]
		sign := (c == '+' || c == '-') && i > start && (l.text[i-1] == 'e' || l.text[i-1] == 'E') && !isHex(l.text[start:])
		if !isDigit(c) && c != '.' && !sign && !isWordByte(c) {
			break
		}
		i++
	}
	l.pos = i
	return token{kind: tokenNumber, pos: start, text: l.text[start:i]}, nil
}

func isHex(s string) bool { return len(s) > 1 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWordByte(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || isDigit(c) || c == '_' || c == '$' || c >= utf8.RuneSelf
}

// identifierPrefix returns the length of the identifier at the start of s: a
// letter, _ or $, then those and digits, as Java has them.
func identifierPrefix(s string) int {
	for i, r := range s {
		if r == '_' || r == '$' || r != utf8.RuneError && unicode.IsLetter(r) || i > 0 && unicode.IsDigit(r) {
			continue
		}
		return i
	}
	return len(s)
}
