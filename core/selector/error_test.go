package selector

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestErrorsPointAtTheCharacter(t *testing.T) {
	for _, row := range []struct {
		text   string
		offset int
		reason string
	}{
		{"", 0, "empty"},
		{" -- nothing", 0, "empty"},
		{"a = ", 4, "ends where a name, a value or a parenthesis"},
		{"a > AND", 4, "a name, a value or a parenthesis is expected"},
		{"a = 1 b", 6, "the end or an operator is expected"},
		{"(a = 1", 6, "closing parenthesis"},
		{"a = 1)", 5, "the end or an operator"},
		{"a = 'x", 4, "has no end"},
		{`"a = 1`, 0, "has no end"},
		{"a /* b", 2, "has no end"},
		{`"" = 1`, 0, "is empty"},
		{"a != 1", 2, "write <>"},
		{"a && b", 2, "write AND"},
		{"a || b", 2, "write OR"},
		{"a == 1", 3, "is expected"},
		{"a # 1", 2, "unexpected character"},
		{"a.b = 1", 1, "unexpected character"},
		{"größe = 1 AND ö ? 2", 19, "unexpected character"},
		{"a = 1 OR 5", 9, "number where a condition"},
		{"'x'", 0, "string where a condition"},
		{"a AND -b", 6, "number where a condition"},
		{"NOT 5", 4, "number where a condition"},
		{"a > 'x'", 4, "by order"},
		{"'x' < a", 0, "by order"},
		{"a > TRUE", 4, "by order"},
		{"a < b < c", 0, "by order"},
		{"a BETWEEN 'x' AND 'y'", 10, "by order"},
		{"a + 'x' = 1", 4, "string where a number"},
		{"-TRUE = 1", 1, "condition where a number"},
		{"-'x' = 1", 1, "string where a number"},
		{"a = NULL", 4, "IS NULL"},
		{"NULL", 0, "IS NULL"},
		{"a IS 5", 5, "NULL is expected"},
		{"a IS NOT 5", 9, "NULL is expected"},
		{"a NOT 5", 6, "LIKE, IN or BETWEEN is expected"},
		{"a LIKE 5", 7, "a pattern in quotes"},
		{"a LIKE 'x' ESCAPE 'xy'", 18, "one character"},
		{"a LIKE 'x' ESCAPE ''", 18, "one character"},
		{"5 LIKE 'x'", 0, "a name is expected before LIKE"},
		{"a + 1 IN ('x')", 0, "a name is expected before IN"},
		{"a IN ()", 6, "a string in quotes"},
		{"a IN ('x', 5)", 11, "a string in quotes"},
		{"a IN ('x'", 9, "a comma or a closing parenthesis"},
		{"a IN 'x'", 5, "a list in parentheses"},
		{"a BETWEEN 1 OR 2", 12, "AND is expected"},
		{"XPATH '//a'", 0, "XPATH is not supported"},
		{"a = 1 OR xquery 'x'", 9, "xquery is not supported"},
		{"a = 1x", 4, "can't begin with a digit"},
		{"a = 09", 4, "octal"},
		{"a = 0xg", 4, "hexadecimal"},
		{"a = 0x", 4, "hexadecimal"},
		{"a = 1_0", 4, "not a number"},
		{"a = 1.2.3", 4, "not a number"},
		{"a = 1e", 4, "not a number"},
		{"a = 1.5L", 4, "not a number"},
		{"a = 9223372036854775808", 4, "64 bits"},
		{"a = -9223372036854775809", 5, "64 bits"},
		{"a = 99999999999999999999", 4, "64 bits"},
		{"a = 1e999", 4, "too large"},
		{"a = 1e39F", 4, "too large"},
		{"doors=5AND leased", 6, "can't begin with a digit"},
		{"convert_string_expressions:a = ", 31, "ends where"},
		{"a = 1 AND\n b = = 2", 15, "is expected"},
		{"\xff = 1", 0, "unexpected character"},
	} {
		_, err := Parse(row.text, Options{})
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Offset != row.offset || !strings.Contains(e.Reason, row.reason) || e.Text != row.text {
			t.Errorf("%q: offset %d wanted, %q wanted, got %#v", row.text, row.offset, row.reason, err)
		}
	}
}

func TestErrorQuotesTheLineWithACaret(t *testing.T) {
	_, err := Parse("größe > 1 AND\n\tname ? 'x'", Options{})
	if got, want := err.Error(), "unexpected character (line 2, column 7)\n   name ? 'x'\n        ^"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	_, err = Parse("a = 1 AND "+strings.Repeat("b = 2 AND ", 10)+"c ? 3 AND "+strings.Repeat("d = 4 AND ", 10)+"e", Options{})
	want := "unexpected character (line 1, column 113)\n" +
		"  ...= 2 AND b = 2 AND b = 2 AND b = 2 AND c ? 3 AND d = 4 AND d = 4 AND d = 4 AND d ...\n" +
		"                                             ^"
	if got := err.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLimits(t *testing.T) {
	list := func(n int) string { return "a IN (" + strings.Repeat("'x',", n-1) + "'x')" }
	for _, row := range []struct {
		name, good, bad, reason string
	}{
		{"length", "a" + strings.Repeat(" ", MaxLength-1), "a" + strings.Repeat(" ", MaxLength), "longer than 32768 bytes"},
		{"parentheses", strings.Repeat("(", MaxDepth-1) + "a" + strings.Repeat(")", MaxDepth-1), strings.Repeat("(", MaxLength), "deeper than 64"},
		{"NOT", strings.Repeat("NOT ", MaxDepth-1) + "a", strings.Repeat("NOT ", MaxDepth) + "a", "deeper than 64"},
		{"signs", strings.Repeat("- ", MaxDepth-2) + "a = 1", strings.Repeat("+", MaxDepth) + "a = 1", "deeper than 64"},
		{"sums", "1" + strings.Repeat("+1", MaxDepth-2) + " = a", "1" + strings.Repeat("+1", MaxDepth) + " = a", "deeper than 64"},
		{"list", list(MaxList), list(MaxList + 1), "more than 1000 strings"},
	} {
		if _, err := Parse(row.good, Options{}); err != nil {
			t.Errorf("%s: at the limit: %v", row.name, err)
		}
		if _, err := Parse(row.bad, Options{}); err == nil || !strings.Contains(err.Error(), row.reason) {
			t.Errorf("%s: above the limit: %v", row.name, err)
		}
	}
}

func TestAThousandAlternativesAreNotDeep(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "a = %d OR ", i)
	}
	s := mustParse(t, b.String()+"b AND c", Options{})
	if s.root.depth != 3 || len(s.root.kids) != 1001 {
		t.Errorf("depth %d, %d alternatives", s.root.depth, len(s.root.kids))
	}
}
