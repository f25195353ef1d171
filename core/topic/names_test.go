package topic

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot-mq/entrepot/core/message"
)

func TestNamesFindsWhatMatchesSays(t *testing.T) {
	element := rapid.SampledFrom([]string{"a", "b", "c"})
	name := rapid.Custom(func(t *rapid.T) string {
		s := element.Draw(t, "e")
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			s += "." + element.Draw(t, "e")
		}
		return s
	})
	patternElement := rapid.SampledFrom([]string{"a", "b", "*", ">"})
	pattern := rapid.Custom(func(t *rapid.T) string {
		s := patternElement.Draw(t, "e")
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			s += "." + patternElement.Draw(t, "e")
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		var names Names[string]
		model := map[string]bool{}
		for range rapid.IntRange(0, 30).Draw(t, "ops") {
			n := name.Draw(t, "name")
			if rapid.Bool().Draw(t, "delete") {
				if _, had := names.Delete(n); had != model[n] {
					t.Fatalf("delete %q: had %v", n, had)
				}
				delete(model, n)
			} else {
				if _, had := names.Set(n, n); had != model[n] {
					t.Fatalf("set %q: had %v", n, had)
				}
				model[n] = true
			}
			if _, ok := names.Get(n); ok != model[n] {
				t.Fatalf("get %q: %v", n, ok)
			}
		}
		p := pattern.Draw(t, "pattern")
		var got, want []string
		names.Match(p, func(s string) { got = append(got, s) })
		for n := range model {
			if message.Matches(p, n) {
				want = append(want, n)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || names.Len() != len(model) {
			t.Fatalf("%q: got %q, want %q; %d names of %d", p, got, want, names.Len(), len(model))
		}
	})
}
