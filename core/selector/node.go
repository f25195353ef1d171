package selector

import "slices"

// op is what a node does.
type op uint8

const (
	opLiteral op = iota
	opProperty
	opOr
	opAnd
	opNot
	opEqual
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opIsNull
	opLike
	opIn
	opBetween
	opAdd
	opSubtract
	opMultiply
	opDivide
	opModulo
	opNegate
	opPlus
)

var opText = [...]string{
	opOr: " OR ", opAnd: " AND ", opNot: "NOT ", opEqual: " = ", opNotEqual: " <> ", opLess: " < ",
	opLessEqual: " <= ", opGreater: " > ", opGreaterEqual: " >= ", opIsNull: " IS NULL", opLike: " LIKE ",
	opIn: " IN ", opBetween: " BETWEEN ", opAdd: " + ", opSubtract: " - ", opMultiply: " * ",
	opDivide: " / ", opModulo: " % ", opNegate: "-", opPlus: "+",
}

// sort is what a node's value can be, as far as it is known when parsing.
type sort uint8

const (
	sortAny sort = iota // a property: the message decides
	sortBool
	sortNumber
	sortText
)

// node is an expression. It is not changed after parsing.
type node struct {
	op      op
	negated bool // NOT LIKE, NOT IN, NOT BETWEEN, IS NOT NULL
	sort    sort
	header  header // of opProperty: 0 is a property of the message
	depth   int    // of the tree below, from 1
	pos     int    // where it begins in the text
	name    string // of opProperty
	value   value  // of opLiteral
	kids    []*node
	pattern *pattern            // of opLike
	list    []string            // of opIn
	set     map[string]struct{} // of a long opIn
}

// longList is the length from which a list is looked up by hash.
const longList = 8

func newNode(op op, pos int, kids ...*node) *node {
	n := &node{op: op, pos: pos, depth: 1, kids: kids, sort: sortBool}
	switch {
	case op >= opAdd:
		n.sort = sortNumber
	case op == opProperty:
		n.sort = sortAny
	}
	for _, k := range kids {
		n.depth = max(n.depth, k.depth+1)
	}
	return n
}

// joined is left op right for AND and OR. Chains become one node, so that a
// thousand alternatives are not a thousand levels.
func joined(op op, left, right *node) *node {
	if left.op == op {
		left.kids = append(left.kids, right)
		left.depth = max(left.depth, right.depth+1)
		return left
	}
	return newNode(op, left.pos, left, right)
}

func (n *node) contains(s string) bool {
	if n.set != nil {
		_, ok := n.set[s]
		return ok
	}
	return slices.Contains(n.list, s)
}

// walk calls f for n and everything below.
func (n *node) walk(f func(*node)) {
	f(n)
	for _, k := range n.kids {
		k.walk(f)
	}
}
