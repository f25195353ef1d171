package selector

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// likeExpression is LIKE as ActiveMQ does it: by a regular expression.
func likeExpression(text string, escape rune) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	rs := []rune(text)
	for i := 0; i < len(rs); i++ {
		switch r := rs[i]; {
		case r == escape && i+1 < len(rs) && (rs[i+1] == '%' || rs[i+1] == '_' || rs[i+1] == escape):
			i++
			b.WriteString(regexp.QuoteMeta(string(rs[i])))
		case r == '%':
			b.WriteString(".*")
		case r == '_':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

func TestLikeIsWhatARegularExpressionSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alphabet := rapid.SampledFrom([]rune("ab%_é🐟!.\n"))
		text := string(rapid.SliceOfN(alphabet, 0, 8).Draw(t, "pattern"))
		s := string(rapid.SliceOfN(rapid.SampledFrom([]rune("aab%_é🐟!.\n")), 0, 10).Draw(t, "string"))
		escape := rapid.SampledFrom([]string{"", "!", "a", "%", "_", "🐟"}).Draw(t, "escape")
		r := rune(-1)
		for _, r = range escape {
		}
		want := likeExpression(text, r).MatchString(s)
		if got := newPattern(text, escape).matches(s); got != want {
			t.Fatalf("%q LIKE %q ESCAPE %q: %v, want %v", s, text, escape, got, want)
		}
	})
}

// A regular expression that backtracks would take until the end of time.
func TestLikeDoesNotBlowUp(t *testing.T) {
	s := strings.Repeat("a", 10_000)
	for _, text := range []string{strings.Repeat("%a", 500) + "b", strings.Repeat("%a_", 500) + "b%", strings.Repeat("_%", 1000) + "b"} {
		start := time.Now()
		if newPattern(text, "").matches(s) {
			t.Errorf("%.10s... matches", text)
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("%.10s... took %v", text, d)
		}
	}
}

func FuzzLike(f *testing.F) {
	f.Add("a%b_c", "!", "axxbyc")
	f.Add("%\xff_", "\xff", "\xfe\xff")
	f.Fuzz(func(t *testing.T, text, escape, s string) {
		p := newPattern(text, escape)
		all := newPattern(text+"%", "")
		if p.exact && escape == "" && p.matches(s) && !all.matches(s+"tail") {
			t.Errorf("%q matches %q, and with %% and a tail it does not", text, s)
		}
	})
}
