package selector

import "unicode/utf8"

// How tightly operators bind, from the loosest.
const (
	levelOr = iota + 1
	levelAnd
	levelNot
	levelEquality // = <> IS
	levelOrder    // < <= > >= LIKE IN BETWEEN
	levelAdd
	levelMultiply
	levelUnary
	levelPrimary
)

// infix tells how tightly the operators between operands bind, and what they
// do; 0 stands for none.
var infix = [...]struct {
	level int
	op    op
}{
	tokenOr: {levelOr, opOr}, tokenAnd: {levelAnd, opAnd},
	tokenEqual: {levelEquality, opEqual}, tokenNotEqual: {levelEquality, opNotEqual}, tokenIs: {levelEquality, opIsNull},
	tokenLess: {levelOrder, opLess}, tokenLessEqual: {levelOrder, opLessEqual},
	tokenGreater: {levelOrder, opGreater}, tokenGreaterEqual: {levelOrder, opGreaterEqual},
	tokenLike: {levelOrder, opLike}, tokenIn: {levelOrder, opIn}, tokenBetween: {levelOrder, opBetween},
	tokenNot:  {levelOrder, opNot}, // NOT LIKE, NOT IN, NOT BETWEEN
	tokenPlus: {levelAdd, opAdd}, tokenMinus: {levelAdd, opSubtract},
	tokenStar: {levelMultiply, opMultiply}, tokenSlash: {levelMultiply, opDivide}, tokenPercent: {levelMultiply, opModulo},
	tokenXQuery: {},
}

// parser is a Pratt parser with one token of look-ahead. After an error it
// does nothing more: err is the first one, and the look-ahead is the end.
type parser struct {
	lex   lexer
	ahead token
	depth int // of recursion
	err   *Error
}

func parse(text string) (*node, *Error) {
	p := &parser{lex: lexer{text: text}}
	p.advance()
	if p.err == nil && p.ahead.kind == tokenEnd {
		p.fail(0, "the selector is empty")
	}
	n := p.expression(levelOr)
	p.condition(n)
	if p.ahead.kind != tokenEnd {
		p.unexpected("the end or an operator")
	}
	if p.err != nil {
		return nil, p.err
	}
	return n, nil
}

func (p *parser) advance() token {
	t := p.ahead
	if p.err == nil {
		var err *Error
		if p.ahead, err = p.lex.next(); err != nil {
			p.fail(err.Offset, err.Reason)
		}
	}
	return t
}

func (p *parser) fail(pos int, reason string) {
	if p.err == nil {
		p.err = p.lex.fail(pos, reason)
	}
	p.ahead = token{kind: tokenEnd, pos: len(p.lex.text)}
}

func (p *parser) unexpected(wanted string) {
	switch p.ahead.kind {
	case tokenXPath, tokenXQuery:
		p.fail(p.ahead.pos, p.ahead.text+" is not supported: select by properties and headers")
	case tokenEnd:
		p.fail(p.ahead.pos, "the selector ends where "+wanted+" is expected")
	default:
		p.fail(p.ahead.pos, wanted+" is expected")
	}
}

func (p *parser) accept(k kind) bool {
	if p.ahead.kind != k {
		return false
	}
	p.advance()
	return true
}

func (p *parser) expect(k kind, wanted string) (token, bool) {
	if p.ahead.kind != k {
		p.unexpected(wanted)
		return token{}, false
	}
	return p.advance(), p.err == nil
}

// grown checks the depth of a tree to which a node was added.
func (p *parser) grown(n *node) *node {
	if n.depth > MaxDepth {
		p.fail(n.pos, tooDeep)
	}
	return n
}

// expression reads operators that bind at least as tightly as level. It
// never returns nil.
func (p *parser) expression(level int) *node {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > MaxDepth {
		p.fail(p.ahead.pos, tooDeep)
	}
	left := p.prefix(level)
	for int(p.ahead.kind) < len(infix) {
		i := infix[p.ahead.kind]
		if i.level == 0 || i.level < level {
			break
		}
		left = p.grown(p.infix(left, i.level, i.op))
	}
	return left
}

// prefix reads an operand with the operators before it.
func (p *parser) prefix(level int) *node {
	t := p.ahead
	switch t.kind {
	case tokenNot:
		p.advance()
		n := p.expression(max(level, levelEquality))
		p.condition(n)
		return p.grown(newNode(opNot, t.pos, n))
	case tokenMinus:
		p.advance()
		if p.ahead.kind == tokenNumber {
			return p.number(t.pos, true)
		}
		return p.sign(opNegate, t.pos)
	case tokenPlus:
		p.advance()
		return p.sign(opPlus, t.pos)
	case tokenOpen:
		p.advance()
		n := p.expression(levelOr)
		p.expect(tokenClose, "a closing parenthesis")
		return n
	}
	return p.primary()
}

func (p *parser) sign(op op, pos int) *node {
	n := p.expression(levelUnary)
	p.numeric(n)
	return p.grown(newNode(op, pos, n))
}

func (p *parser) primary() *node {
	t := p.ahead
	n := newNode(opLiteral, t.pos)
	switch t.kind {
	case tokenIdent:
		n = newNode(opProperty, t.pos)
		n.name, n.header = t.text, headerOf(t.text)
	case tokenString:
		n.value, n.sort = textOf(t.text), sortText
	case tokenTrue, tokenFalse:
		n.value = boolOf(t.kind == tokenTrue)
	case tokenNumber:
		return p.number(t.pos, false)
	case tokenNull:
		p.fail(t.pos, "NULL can't be compared or computed with: write IS NULL or IS NOT NULL")
	default:
		p.unexpected("a name, a value or a parenthesis")
	}
	p.advance()
	return n
}

func (p *parser) number(pos int, minus bool) *node {
	n := newNode(opLiteral, pos)
	n.sort = sortNumber
	m, reason := parseNumber(p.ahead.text)
	if reason != "" {
		p.fail(p.ahead.pos, reason)
		return n
	}
	var ok bool
	if n.value, ok = m.signed(minus); !ok {
		p.fail(p.ahead.pos, "the number does not fit 64 bits; write it with a decimal point")
	}
	p.advance()
	return n
}

// infix reads an operator and what follows it.
func (p *parser) infix(left *node, level int, op op) *node {
	p.advance()
	switch op {
	case opOr, opAnd:
		p.condition(left)
		right := p.expression(level + 1)
		p.condition(right)
		return joined(op, left, right)
	case opIsNull:
		return p.isNull(left)
	case opNot:
		return p.negated(left)
	case opLike:
		return p.like(left)
	case opIn:
		return p.in(left)
	case opBetween:
		return p.between(left)
	}
	right := p.expression(level + 1)
	switch {
	case op >= opAdd:
		p.numeric(left)
		p.numeric(right)
	case op >= opLess:
		p.orderly(left)
		p.orderly(right)
	}
	return newNode(op, left.pos, left, right)
}

func (p *parser) isNull(left *node) *node {
	n := newNode(opIsNull, left.pos, left)
	n.negated = p.accept(tokenNot)
	p.expect(tokenNull, "NULL")
	return n
}

func (p *parser) negated(left *node) *node {
	var n *node
	switch p.ahead.kind {
	case tokenLike:
		p.advance()
		n = p.like(left)
	case tokenIn:
		p.advance()
		n = p.in(left)
	case tokenBetween:
		p.advance()
		n = p.between(left)
	default:
		p.unexpected("LIKE, IN or BETWEEN")
		return left
	}
	n.negated = true
	return n
}

func (p *parser) like(left *node) *node {
	p.property(left, "LIKE")
	n := newNode(opLike, left.pos, left)
	t, _ := p.expect(tokenString, "a pattern in quotes")
	escape := ""
	if p.accept(tokenEscape) {
		e, ok := p.expect(tokenString, "a character in quotes")
		if r, _ := utf8.DecodeRuneInString(e.text); ok && (utf8.RuneCountInString(e.text) != 1 || r == utf8.RuneError) {
			p.fail(e.pos, "what follows ESCAPE must be one character")
		}
		escape = e.text
	}
	n.pattern = newPattern(t.text, escape)
	return n
}

func (p *parser) in(left *node) *node {
	p.property(left, "IN")
	n := newNode(opIn, left.pos, left)
	p.expect(tokenOpen, "a list in parentheses")
	for {
		t, ok := p.expect(tokenString, "a string in quotes")
		if !ok {
			return n
		}
		if n.list = append(n.list, t.text); len(n.list) > MaxList {
			p.fail(t.pos, tooMany)
		}
		if !p.accept(tokenComma) {
			break
		}
	}
	p.expect(tokenClose, "a comma or a closing parenthesis")
	if len(n.list) >= longList {
		n.set = make(map[string]struct{}, len(n.list))
		for _, s := range n.list {
			n.set[s] = struct{}{}
		}
	}
	return n
}

func (p *parser) between(left *node) *node {
	low := p.expression(levelAdd)
	p.expect(tokenAnd, "AND")
	high := p.expression(levelAdd)
	for _, n := range []*node{left, low, high} {
		p.orderly(n)
	}
	return newNode(opBetween, left.pos, left, low, high)
}

// condition refuses what can't be TRUE.
func (p *parser) condition(n *node) {
	switch n.sort {
	case sortNumber:
		p.fail(n.pos, "this is a number where a condition is expected")
	case sortText:
		p.fail(n.pos, "this is a string where a condition is expected")
	}
}

// numeric refuses what can't be a number.
func (p *parser) numeric(n *node) {
	switch n.sort {
	case sortBool:
		p.fail(n.pos, "this is a condition where a number is expected")
	case sortText:
		p.fail(n.pos, "this is a string where a number is expected")
	}
}

// orderly refuses what JMS gives no order.
func (p *parser) orderly(n *node) {
	switch n.sort {
	case sortBool:
		p.fail(n.pos, "a condition can't be compared by order: use = and <>")
	case sortText:
		p.fail(n.pos, "a string can't be compared by order: use = and <>, LIKE or IN")
	}
}

func (p *parser) property(n *node, operator string) {
	if n.op != opProperty {
		p.fail(n.pos, "a name is expected before "+operator)
	}
}
