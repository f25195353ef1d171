package selector

import (
	"math"
	"strconv"
	"strings"
)

// level tells how tightly what n prints holds together.
func (n *node) level() int {
	switch n.op {
	case opOr:
		return levelOr
	case opAnd:
		return levelAnd
	case opNot:
		return levelNot
	case opEqual, opNotEqual, opIsNull:
		return levelEquality
	case opLess, opLessEqual, opGreater, opGreaterEqual, opLike, opIn, opBetween:
		return levelOrder
	case opAdd, opSubtract:
		return levelAdd
	case opMultiply, opDivide, opModulo:
		return levelMultiply
	case opNegate, opPlus:
		return levelUnary
	case opLiteral:
		if n.value.class == classInt && int64(n.value.bits) < 0 || n.value.class == classFloat && math.Signbit(n.value.float()) {
			return levelUnary
		}
	}
	return levelPrimary
}

// print appends n's canonical text, in parentheses if it holds together less
// tightly than level.
func (n *node) print(b []byte, level int) []byte {
	own := n.level()
	if own < level {
		return append(n.print(append(b, '('), 0), ')')
	}
	switch n.op {
	case opLiteral:
		return n.value.print(b)
	case opProperty:
		return printName(b, n.name)
	case opNot:
		return n.kids[0].print(append(b, "NOT "...), levelNot)
	case opNegate, opPlus: // two minuses would begin a comment
		return n.kids[0].print(append(b, opText[n.op]...), levelPrimary)
	case opIsNull:
		b = n.kids[0].print(b, own)
		if n.negated {
			return append(b, " IS NOT NULL"...)
		}
		return append(b, " IS NULL"...)
	case opLike, opIn, opBetween:
		return n.printTest(b)
	}
	b = n.kids[0].print(b, own)
	for _, k := range n.kids[1:] {
		b = k.print(append(b, opText[n.op]...), own+1)
	}
	return b
}

func (n *node) printTest(b []byte) []byte {
	b = n.kids[0].print(b, levelAdd)
	if n.negated {
		b = append(b, " NOT"...)
	}
	b = append(b, opText[n.op]...)
	switch n.op {
	case opLike:
		b = printQuoted(b, n.pattern.text, "'")
		if n.pattern.escape != "" {
			b = printQuoted(append(b, " ESCAPE "...), n.pattern.escape, "'")
		}
		return b
	case opIn:
		b = append(b, '(')
		for i, s := range n.list {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = printQuoted(b, s, "'")
		}
		return append(b, ')')
	}
	b = append(n.kids[1].print(b, levelAdd), " AND "...)
	return n.kids[2].print(b, levelAdd)
}

func (v value) print(b []byte) []byte {
	switch v.class {
	case classBool:
		if v.bits != 0 {
			return append(b, "TRUE"...)
		}
		return append(b, "FALSE"...)
	case classInt:
		return strconv.AppendInt(b, int64(v.bits), 10)
	case classFloat:
		start := len(b)
		b = strconv.AppendFloat(b, v.float(), 'g', -1, 64)
		if !strings.ContainsAny(string(b[start:]), ".e") {
			b = append(b, ".0"...)
		}
		return b
	}
	return printQuoted(b, v.text, "'")
}

// printName quotes what is no identifier.
func printName(b []byte, name string) []byte {
	if _, reserved := keyword(name); reserved || identifierPrefix(name) != len(name) {
		return printQuoted(b, name, `"`)
	}
	return append(b, name...)
}

func printQuoted(b []byte, s, quote string) []byte {
	b = append(b, quote...)
	b = append(b, strings.ReplaceAll(s, quote, quote+quote)...)
	return append(b, quote...)
}
