package selector

// test returns what a condition is for the message.
func (e *env) test(n *node) truth {
	switch n.op {
	case opAnd:
		return e.testAll(n, isFalse, isTrue)
	case opOr:
		return e.testAll(n, isTrue, isFalse)
	case opNot:
		return e.test(n.kids[0]).not()
	case opIsNull:
		return truthOf((e.value(n.kids[0]).class == classNull) != n.negated)
	case opLike, opIn:
		return e.testText(n)
	case opBetween:
		return e.testBetween(n)
	case opLiteral, opProperty:
		return e.value(n).condition(e.convert)
	}
	return compare(n.op, e.value(n.kids[0]), e.value(n.kids[1]), e.convert)
}

// testAll is AND and OR: one decisive condition settles it, and otherwise one
// UNKNOWN leaves it open.
func (e *env) testAll(n *node, decisive, otherwise truth) truth {
	result := otherwise
	for _, k := range n.kids {
		switch e.test(k) {
		case decisive:
			return decisive
		case unknown:
			result = unknown
		}
	}
	return result
}

// testText is LIKE and IN, which are FALSE for what isn't a string, with NOT
// or without.
func (e *env) testText(n *node) truth {
	v := e.value(n.kids[0])
	switch {
	case v.class == classNull:
		return unknown
	case v.class != classText:
		return isFalse
	case n.op == opLike:
		return truthOf(n.pattern.matches(v.text) != n.negated)
	}
	return truthOf(n.contains(v.text) != n.negated)
}

// testBetween is two comparisons.
func (e *env) testBetween(n *node) truth {
	v := e.value(n.kids[0])
	low, high := e.value(n.kids[1]), e.value(n.kids[2])
	if n.negated {
		a, b := compare(opLess, v, low, e.convert), compare(opGreater, v, high, e.convert)
		return and(a.not(), b.not()).not()
	}
	return and(compare(opGreaterEqual, v, low, e.convert), compare(opLessEqual, v, high, e.convert))
}

func and(a, b truth) truth {
	switch {
	case a == isFalse || b == isFalse:
		return isFalse
	case a == unknown || b == unknown:
		return unknown
	}
	return isTrue
}

// value returns what an expression is worth for the message.
func (e *env) value(n *node) value {
	switch n.op {
	case opLiteral:
		return n.value
	case opProperty:
		if n.header != headerNone {
			return e.header(n.header)
		}
		return e.property(n.name)
	case opPlus:
		return e.value(n.kids[0]).number(e.convert)
	case opNegate:
		return negate(e.value(n.kids[0]).number(e.convert))
	case opAdd, opSubtract, opMultiply, opDivide, opModulo:
		return calculate(n.op, e.value(n.kids[0]).number(e.convert), e.value(n.kids[1]).number(e.convert))
	}
	return e.test(n).value()
}
