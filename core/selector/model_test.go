package selector

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot-mq/entrepot/core/message"
)

// term is an expression that evaluates itself in the slow and obvious way:
// values are nil, bool, string, *big.Rat and other Go values.
type term struct {
	text string // in parentheses where there could be doubt
	eval func(props) any
}

func combine(op string, a, b term, f func(x, y any) any) term {
	return term{fmt.Sprintf("(%s %s %s)", a.text, op, b.text), func(p props) any { return f(a.eval(p), b.eval(p)) }}
}

// naiveCompare is JMS's rule: NULL gives UNKNOWN, unlike types give FALSE.
func naiveCompare(op string) func(x, y any) any {
	return func(x, y any) any {
		if x == nil || y == nil {
			return nil
		}
		c, ok := 0, false
		switch x := x.(type) {
		case *big.Rat:
			if y, same := y.(*big.Rat); same {
				c, ok = x.Cmp(y), true
			}
		case string:
			if y, same := y.(string); same {
				c, ok = strings.Compare(x, y), true
			}
		case bool:
			if y, same := y.(bool); same && (op == "=" || op == "<>") {
				if ok = true; x != y {
					c = 1
				}
			}
		}
		return ok && map[string]bool{"=": c == 0, "<>": c != 0, "<": c < 0, "<=": c <= 0, ">": c > 0, ">=": c >= 0}[op]
	}
}

func naiveAnd(x, y any) any {
	x, y = naiveCondition(x), naiveCondition(y)
	switch {
	case x == false || y == false:
		return false
	case x == nil || y == nil:
		return nil
	}
	return true
}

func naiveNot(x any) any {
	if x = naiveCondition(x); x == nil {
		return nil
	}
	return x == false
}

func naiveOr(x, y any) any { return naiveNot(naiveAnd(naiveNot(x), naiveNot(y))) }

func naiveCondition(x any) any {
	if x == nil {
		return nil
	}
	return x == true
}

func naiveCalculate(op string) func(x, y any) any {
	return func(x, y any) any {
		a, isA := x.(*big.Rat)
		b, isB := y.(*big.Rat)
		if !isA || !isB {
			return nil
		}
		switch op {
		case "+":
			return new(big.Rat).Add(a, b)
		case "-":
			return new(big.Rat).Sub(a, b)
		case "*":
			return new(big.Rat).Mul(a, b)
		}
		if b.Sign() == 0 {
			return nil
		}
		q := new(big.Int).Quo(a.Num(), b.Num()) // integers only: see numbers
		if op == "%" {
			return new(big.Rat).SetInt(new(big.Int).Rem(a.Num(), b.Num()))
		}
		return new(big.Rat).SetInt(q)
	}
}

var names = []string{"n1", "n2", "n3", "s1", "s2", "b1", "b2", "absent"}

func drawMessage(t *rapid.T) props {
	p := props{}
	for _, n := range names[:3] {
		p[n] = rapid.IntRange(-3, 3).Draw(t, n)
	}
	for _, n := range names[3:5] {
		p[n] = rapid.SampledFrom([]string{"", "a", "b", "ab", "5"}).Draw(t, n)
	}
	for _, n := range names[5:7] {
		p[n] = rapid.Bool().Draw(t, n)
	}
	return p
}

func drawName(t *rapid.T) term {
	n := rapid.SampledFrom(names).Draw(t, "name")
	return term{n, func(p props) any {
		if i, ok := p[n].(int); ok {
			return new(big.Rat).SetInt64(int64(i))
		}
		return p[n]
	}}
}

// drawNumber makes small integers, so that floats are exact where they come
// in.
func drawNumber(t *rapid.T, depth int) term {
	if depth == 0 || rapid.Bool().Draw(t, "leaf") {
		if rapid.Bool().Draw(t, "name") {
			return drawName(t)
		}
		i := rapid.IntRange(-3, 3).Draw(t, "number")
		return term{strconv.Itoa(i), func(props) any { return new(big.Rat).SetInt64(int64(i)) }}
	}
	op := rapid.SampledFrom([]string{"+", "-", "*", "/", "%"}).Draw(t, "op")
	return combine(op, drawNumber(t, depth-1), drawNumber(t, depth-1), naiveCalculate(op))
}

func drawCondition(t *rapid.T, depth int) term {
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	if depth == 0 {
		kind = kind%6 + 4
	}
	switch kind {
	case 0, 1:
		return combine("AND", drawCondition(t, depth-1), drawCondition(t, depth-1), naiveAnd)
	case 2:
		return combine("OR", drawCondition(t, depth-1), drawCondition(t, depth-1), naiveOr)
	case 3:
		a := drawCondition(t, depth-1)
		return term{"(NOT " + a.text + ")", func(p props) any { return naiveNot(a.eval(p)) }}
	case 4, 5:
		op := rapid.SampledFrom([]string{"=", "<>", "<", "<=", ">", ">="}).Draw(t, "op")
		return combine(op, drawNumber(t, 2), drawNumber(t, 2), naiveCompare(op))
	case 6:
		s := rapid.SampledFrom([]string{"", "a", "ab", "it's"}).Draw(t, "string")
		literal := term{"'" + strings.ReplaceAll(s, "'", "''") + "'", func(props) any { return s }}
		op := rapid.SampledFrom([]string{"=", "<>"}).Draw(t, "op")
		return combine(op, drawName(t), literal, naiveCompare(op))
	case 7:
		return drawBetween(t)
	case 8:
		return drawTextTest(t)
	}
	a, not := drawNumber(t, 1), rapid.Bool().Draw(t, "not")
	word := map[bool]string{false: " IS NULL)", true: " IS NOT NULL)"}[not]
	return term{"(" + a.text + word, func(p props) any { return (a.eval(p) == nil) != not }}
}

func drawBetween(t *rapid.T) term {
	v, low, high := drawNumber(t, 1), drawNumber(t, 1), drawNumber(t, 1)
	if rapid.Bool().Draw(t, "not") {
		return term{fmt.Sprintf("(%s NOT BETWEEN %s AND %s)", v.text, low.text, high.text), func(p props) any {
			return naiveOr(naiveCompare("<")(v.eval(p), low.eval(p)), naiveCompare(">")(v.eval(p), high.eval(p)))
		}}
	}
	return term{fmt.Sprintf("(%s BETWEEN %s AND %s)", v.text, low.text, high.text), func(p props) any {
		return naiveAnd(naiveCompare(">=")(v.eval(p), low.eval(p)), naiveCompare("<=")(v.eval(p), high.eval(p)))
	}}
}

// drawTextTest makes an IN, or a LIKE that says the same as a function of Go.
func drawTextTest(t *rapid.T) term {
	tests := []struct {
		text string
		f    func(string) bool
	}{
		{"IN ('a', '5')", func(s string) bool { return s == "a" || s == "5" }},
		{"LIKE 'a%'", func(s string) bool { return strings.HasPrefix(s, "a") }},
		{"LIKE '%b'", func(s string) bool { return strings.HasSuffix(s, "b") }},
		{"LIKE '_'", func(s string) bool { return len(s) == 1 }},
	}
	v, c := drawName(t), rapid.SampledFrom(tests).Draw(t, "test")
	not := rapid.Bool().Draw(t, "not")
	word := map[bool]string{false: " ", true: " NOT "}[not]
	return term{"(" + v.text + word + c.text + ")", func(p props) any {
		switch s := v.eval(p).(type) {
		case nil:
			return nil
		case string:
			return c.f(s) != not
		}
		return false
	}}
}

func TestRandomSelectorsAreWhatTheObviousEvaluatorSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCondition(t, 4)
		s, err := Parse(c.text, Options{})
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(s.String(), Options{})
		if err != nil || again.String() != s.String() {
			t.Fatalf("canonical text %s: %v, then %v", s, err, again)
		}
		for range 4 {
			p := drawMessage(t)
			m := newMessage(message.EncodingAMQP, p.list())
			want := c.eval(p) == true
			if got := s.Matches(m, converters); got != want {
				t.Fatalf("%s of %v: %v, want %v", c.text, p, got, want)
			}
			if got := again.Matches(m, converters); got != want {
				t.Fatalf("%s of %v: %v, want %v", again, p, got, want)
			}
			wantKeyHolds(t, s, m)
		}
	})
}

// wantKeyHolds checks that a message that is selected has the key.
func wantKeyHolds(t *rapid.T, s *Selector, m *message.Message) {
	k, ok := s.Key()
	if !ok || !s.Matches(m, converters) {
		return
	}
	got, ok := k.Field.Value(m, converters)
	in := slices.Contains(k.Values, got) || k.Ranged() && k.Low <= got.Number() && got.Number() <= k.High
	if !ok || !in {
		t.Fatalf("%s is true, but its key %v is %v", s, k, got)
	}
	var sum Summary
	for range rapid.IntRange(0, 3).Draw(t, "others") {
		sum.mustAdd(t, newMessage(message.EncodingAMQP, drawMessage(t).list()))
	}
	sum.mustAdd(t, m)
	if text := sum.Append(nil); !k.MayMatch(text) {
		t.Fatalf("%s is true for a message in the summary %x, which rules it out", s, text)
	}
}
