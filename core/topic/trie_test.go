package topic

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot-mq/entrepot/core/message"
)

func matched[T comparable](t *Trie[T], name string) []T {
	var got []T
	t.Match(name, func(v T) { got = append(got, v) })
	return got
}

func TestTrieFindsEveryPatternThatSelectsTheName(t *testing.T) {
	patterns := []string{
		"A", "A.B", "A.B.C", "A.*", "*.B", "*", "*.*", "A.>", "A.B.>", ">", "*.>", "A.*.C", "A.>.C", "B.>", "", "A.", "A..B",
	}
	trie := NewTrie[string]()
	for _, p := range patterns {
		trie.Insert(p, p)
	}
	for _, c := range []struct {
		name string
		want []string
	}{
		{"A", []string{"A", "*", "A.>", ">", "*.>", "A.>.C"}},
		{"A.B", []string{"A.B", "A.*", "*.B", "*.*", "A.>", "A.B.>", ">", "*.>", "A.>.C"}},
		{"A.B.C", []string{"A.B.C", "A.*.C", "A.>", "A.B.>", ">", "*.>", "A.>.C"}},
		{"A.X.C", []string{"A.*.C", "A.>", ">", "*.>", "A.>.C"}},
		{"B", []string{"*", "B.>", ">", "*.>"}},
		{"", []string{"", "*", ">", "*.>"}},
		{"A.", []string{"A.", "A.*", "*.*", "A.>", ">", "*.>", "A.>.C"}},
		{"A..B", []string{"A..B", "A.>", ">", "*.>", "A.>.C"}},
		{"A.*", []string{"A.*", "*.*", "A.>", ">", "*.>", "A.>.C"}},
		{">", []string{"*", ">", "*.>"}},
	} {
		got := matched(trie, c.name)
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("Match(%q) = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTrieCallsAValueOnceForEachOfItsPatterns(t *testing.T) {
	trie := NewTrie[int]()
	for _, p := range []string{"A.B", "A.*", "A.>", "A.B", "A.>.ignored"} {
		trie.Insert(p, 1)
	}
	if got := matched(trie, "A.B"); len(got) != 3 || trie.Len() != 3 {
		t.Errorf("called %d times, Len %d, want 3: the same pair twice is one", len(got), trie.Len())
	}
}

func TestTrieRemoveTakesOnlyThatPair(t *testing.T) {
	trie := NewTrie[int]()
	trie.Insert("A.*", 1)
	trie.Insert("A.*", 2)
	trie.Insert("A.>", 1)
	for _, c := range []struct {
		pattern string
		v       int
		want    bool
	}{
		{"A.*", 3, false},
		{"A", 1, false},
		{"*.A", 1, false},
		{"A.*.C", 1, false},
		{"B.>", 1, false},
		{"A.*", 1, true},
		{"A.*", 1, false},
	} {
		if got := trie.Remove(c.pattern, c.v); got != c.want {
			t.Errorf("Remove(%q, %d) = %v, want %v", c.pattern, c.v, got, c.want)
		}
	}
	if got := matched(trie, "A.B"); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("left %v, want 1 (of A.>) and 2", got)
	}
}

func TestTrieDoesNotKeepTheBufferThatAPatternWasReadInto(t *testing.T) {
	whole := strings.Repeat("x", 1<<10) + "A.B"
	trie := NewTrie[int]()
	trie.Insert(whole[1<<10:], 1)
	for key := range trie.exact {
		if len(key) != 3 {
			t.Fatalf("key %q", key)
		}
	}
	if n := testing.AllocsPerRun(10, func() { trie.Insert("A.B", 1) }); n != 0 {
		t.Errorf("inserting a pair again allocates %v times", n)
	}
}

func TestTrieSetStaysRightWhenItGetsAndLosesItsIndex(t *testing.T) {
	trie := NewTrie[int]()
	const n = 5 * indexed
	for i := range n {
		trie.Insert("one.topic", i)
		trie.Insert("one.topic", i/2) // there already
	}
	for i := range n {
		if i%3 != 0 && !trie.Remove("one.topic", i) {
			t.Fatalf("%d is not there", i)
		}
	}
	got := matched(trie, "one.topic")
	slices.Sort(got)
	for i, v := range got {
		if v != 3*i {
			t.Fatalf("left %v", got)
		}
	}
	for _, v := range got {
		trie.Remove("one.topic", v)
	}
	if trie.Len() != 0 || len(trie.exact) != 0 {
		t.Errorf("Len %d, %d names left", trie.Len(), len(trie.exact))
	}
}

// The model is the list of pairs, and message.Matches.
func TestTrieAgreesWithMatchesOfEachPattern(t *testing.T) {
	type pair struct {
		pattern string
		v       int
	}
	rapid.Check(t, func(t *rapid.T) {
		element := rapid.SampledFrom([]string{"a", "b", "", "*", ">", "a*"})
		path := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(element, 1, 5).Draw(t, "elements"), ".")
		})
		trie, model := NewTrie[int](), []pair{}
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				p := pair{path.Draw(t, "pattern"), rapid.IntRange(0, 2).Draw(t, "value")}
				trie.Insert(p.pattern, p.v)
				if p.pattern = canonical(p.pattern); !slices.Contains(model, p) {
					model = append(model, p)
				}
			},
			"remove": func(t *rapid.T) {
				p := pair{path.Draw(t, "pattern"), rapid.IntRange(0, 2).Draw(t, "value")}
				if len(model) > 0 && rapid.Bool().Draw(t, "existing") {
					p = rapid.SampledFrom(model).Draw(t, "pair")
				}
				got := trie.Remove(p.pattern, p.v)
				p.pattern = canonical(p.pattern)
				i := slices.Index(model, p)
				if got != (i >= 0) {
					t.Fatalf("Remove(%q, %d) = %v", p.pattern, p.v, got)
				}
				if i >= 0 {
					model = slices.Delete(model, i, i+1)
				}
			},
			"match": func(t *rapid.T) {
				name, want := path.Draw(t, "name"), []int{}
				for _, p := range model {
					if message.Matches(p.pattern, name) {
						want = append(want, p.v)
					}
				}
				got := matched(trie, name)
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("Match(%q) = %v, want %v of %v", name, got, want, model)
				}
			},
			"": func(t *rapid.T) {
				if trie.Len() != len(model) {
					t.Fatalf("Len %d, want %d", trie.Len(), len(model))
				}
				for _, n := range nodes(&trie.root) {
					if n != &trie.root && n.empty() {
						t.Fatal("an empty node was not pruned")
					}
				}
				if len(model) == 0 && (!trie.root.empty() || len(trie.exact) > 0) {
					t.Fatal("something is left of an empty trie")
				}
			},
		})
	})
}

// canonical leaves out what stands behind '>'.
func canonical(pattern string) string {
	elements := strings.Split(pattern, ".")
	if i := slices.Index(elements, ">"); i >= 0 {
		elements = elements[:i+1]
	}
	return strings.Join(elements, ".")
}

// nodes returns n and all nodes below it.
func nodes[T comparable](n *node[T]) []*node[T] {
	all := []*node[T]{n}
	if n.star != nil {
		all = append(all, nodes(n.star)...)
	}
	for _, child := range n.children {
		all = append(all, nodes(child)...)
	}
	return all
}

func TestTrieMatchDoesNotAllocate(t *testing.T) {
	trie := patternTrie(100)
	count := 0
	fn := func(int) { count++ }
	if n := testing.AllocsPerRun(100, func() { trie.Match("site.7.sensor.7.temperature", fn) }); n != 0 || count == 0 {
		t.Errorf("%v allocations, %d calls", n, count)
	}
}

// patternTrie has n exact names and n patterns of several shapes.
func patternTrie(n int) *Trie[int] {
	trie := NewTrie[int]()
	for i := range n {
		trie.Insert(fmt.Sprintf("site.%d.sensor.%d.temperature", i%100, i), i)
		switch i % 4 {
		case 0:
			trie.Insert(fmt.Sprintf("site.%d.sensor.%d.>", i%100, i), i)
		case 1:
			trie.Insert(fmt.Sprintf("site.*.sensor.%d.*", i), i)
		case 2:
			trie.Insert(fmt.Sprintf("*.%d.*.%d.temperature", i%100, i), i)
		case 3:
			trie.Insert(fmt.Sprintf("site.%d.*.%d.temperature", i%100, i), i)
		}
	}
	return trie
}

func BenchmarkTrieMatch10kPatterns(b *testing.B) {
	trie := patternTrie(10_000)
	count := 0
	fn := func(int) { count++ }
	b.ReportAllocs()
	for b.Loop() {
		trie.Match("site.7.sensor.4007.temperature", fn)
	}
	if count == 0 {
		b.Fatal("nothing matched")
	}
}

func BenchmarkTrieMatchExact(b *testing.B) {
	trie := NewTrie[int]()
	for i := range 10_000 {
		trie.Insert(fmt.Sprintf("site.%d.sensor.%d.temperature", i%100, i), i)
	}
	fn := func(int) {}
	b.ReportAllocs()
	for b.Loop() {
		trie.Match("site.7.sensor.4007.temperature", fn)
	}
}

func BenchmarkTrieInsertRemove(b *testing.B) {
	trie := patternTrie(10_000)
	b.ReportAllocs()
	for b.Loop() {
		trie.Insert("site.*.sensor.12345.>", 1)
		trie.Remove("site.*.sensor.12345.>", 1)
	}
}
