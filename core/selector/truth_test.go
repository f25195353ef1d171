package selector

import (
	"fmt"
	"math"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

// The operands of truth tables: conditions by what they are.
var operands = map[string]string{"T": "TRUE", "F": "FALSE", "U": "missing = 1"}

func TestTruthTables(t *testing.T) {
	m := newMessage(message.EncodingAMQP, nil)
	for _, row := range []struct{ a, op, b, want string }{
		{"T", "AND", "T", "T"},
		{"T", "AND", "F", "F"},
		{"T", "AND", "U", "U"},
		{"F", "AND", "T", "F"},
		{"F", "AND", "F", "F"},
		{"F", "AND", "U", "F"},
		{"U", "AND", "T", "U"},
		{"U", "AND", "F", "F"},
		{"U", "AND", "U", "U"},
		{"T", "OR", "T", "T"},
		{"T", "OR", "F", "T"},
		{"T", "OR", "U", "T"},
		{"F", "OR", "T", "T"},
		{"F", "OR", "F", "F"},
		{"F", "OR", "U", "U"},
		{"U", "OR", "T", "T"},
		{"U", "OR", "F", "U"},
		{"U", "OR", "U", "U"},
		{"", "NOT", "T", "F"},
		{"", "NOT", "F", "T"},
		{"", "NOT", "U", "U"},
		{"T", "=", "T", "T"},
		{"T", "=", "F", "F"},
		{"T", "=", "U", "U"},
		{"U", "=", "U", "U"},
		{"U", "<>", "F", "U"},
	} {
		text := fmt.Sprintf("(%s) %s (%s)", operands[row.a], row.op, operands[row.b])
		if row.op == "NOT" {
			text = fmt.Sprintf("NOT (%s)", operands[row.b])
		}
		wantTruth(t, text, m, row.want)
	}
}

func wantTruth(t *testing.T, text string, m *message.Message, want string) {
	t.Helper()
	wantMatch(t, text, Options{}, m, want == "T")
	wantMatch(t, "NOT ("+text+")", Options{}, m, want == "F")
	wantMatch(t, "("+text+") IS NULL", Options{}, m, want == "U")
}

func TestWhatNullAndOtherTypesGive(t *testing.T) {
	m := newMessage(message.EncodingAMQP, props{"s": "x", "n": 1, "b": true}.list())
	for text, want := range map[string]string{
		"missing > 1": "U", "missing LIKE 'x'": "U", "missing NOT LIKE 'x'": "U", "missing IN ('x')": "U", "missing NOT IN ('x')": "U",
		"missing BETWEEN 1 AND 2": "U", "n BETWEEN 2 AND missing": "F", "n BETWEEN 0 AND missing": "U",
		"n NOT BETWEEN 2 AND missing": "T", "n + missing = 1": "U", "-missing = 1": "U", "n / 0 = 1": "U", "n % 0 = 1": "U",
		"s = 1": "F", "s <> 1": "F", "s > n": "F", "b > n": "F", "b = 's'": "F", "s": "F", "n": "F", "missing": "U",
		"n LIKE '1'": "F", "n NOT LIKE '1'": "F", "n IN ('1')": "F", "n NOT IN ('1')": "F", "s + 1 = 2": "U",
	} {
		wantTruth(t, text, m, want)
	}
}

func TestIntegersThatDoNotFitBecomeFloats(t *testing.T) {
	const least, most = math.MinInt64, math.MaxInt64
	for _, row := range []struct {
		op         op
		x, y, want int64
		fits       bool
	}{
		{opAdd, most, 0, most, true},
		{opAdd, most, 1, 0, false},
		{opAdd, least, -1, 0, false},
		{opAdd, least, most, -1, true},
		{opAdd, 0, least, least, true},
		{opSubtract, least, 1, 0, false},
		{opSubtract, 0, least, 0, false},
		{opSubtract, -1, least, most, true},
		{opSubtract, most, -1, 0, false},
		{opSubtract, 5, 0, 5, true},
		{opMultiply, least, -1, 0, false},
		{opMultiply, -1, least, 0, false},
		{opMultiply, least, 1, least, true},
		{opMultiply, 1 << 32, 1 << 31, 0, false},
		{opMultiply, 1 << 31, 1 << 31, 1 << 62, true},
		{opMultiply, 0, least, 0, true},
		{opDivide, least, -1, 0, false},
		{opDivide, -7, 2, -3, true},
		{opModulo, least, -1, 0, true},
		{opModulo, -7, 2, -1, true},
	} {
		v, ok := calculateInts(row.op, row.x, row.y)
		if ok != row.fits || ok && v != intOf(row.want) {
			t.Errorf("%d%s%d: %d, %v", row.x, opText[row.op], row.y, int64(v.bits), ok)
		}
		whole := calculate(row.op, intOf(row.x), intOf(row.y))
		if !row.fits && whole.class != classFloat {
			t.Errorf("%d%s%d is of class %d, want a float", row.x, opText[row.op], row.y, whole.class)
		}
	}
	if v := negate(intOf(least)); v != floatOf(1<<63) {
		t.Errorf("-(least) = %v", v)
	}
}

func TestNotANumberIsUnequalToEverything(t *testing.T) {
	m := newMessage(message.EncodingAMQP, props{"x": math.NaN()}.list())
	for text, want := range map[string]string{
		"x = x": "F", "x <> x": "T", "x < 1": "F", "x >= 1": "F", "x > 1": "F", "x <= 1": "F", "x BETWEEN 0 AND 9": "F",
	} {
		wantTruth(t, text, m, want)
	}
}
