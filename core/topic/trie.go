package topic

import (
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Trie finds the values that were inserted under patterns that select a name,
// as message.Matches says: '*' selects one element, '>' the element before it
// and everything below. Exact names cost one look-up in a map, however many
// there are; patterns cost a walk along the elements of the name.
//
// A wildcard in the name that is looked up is an element like any other, which
// only wildcards select; see message.Matches for why.
//
// A Trie is not safe for concurrent use; its owner locks. Matches may run at
// the same time as each other.
type Trie[T comparable] struct {
	exact map[string]*set[T]
	root  node[T]
	size  int
}

// node stands for the elements of patterns up to a depth.
type node[T comparable] struct {
	children map[string]*node[T]
	star     *node[T] // the child for '*'
	here     set[T]   // of patterns that end here
	below    set[T]   // of patterns that go on with '>'
}

// NewTrie returns an empty trie.
func NewTrie[T comparable]() *Trie[T] {
	return &Trie[T]{exact: map[string]*set[T]{}}
}

// Len returns the number of pairs of pattern and value.
func (t *Trie[T]) Len() int { return t.size }

// Insert adds v under pattern. A pair that is there already is not added a
// second time. What stands behind '>' in pattern is ignored.
func (t *Trie[T]) Insert(pattern string, v T) {
	var s *set[T]
	if message.IsPattern(pattern) {
		s = t.root.grow(pattern)
	} else if s = t.exact[pattern]; s == nil {
		s = &set[T]{}
		t.exact[strings.Clone(pattern)] = s
	}
	if s.add(v) {
		t.size++
	}
}

// Remove takes v away from pattern, and reports whether it was there.
func (t *Trie[T]) Remove(pattern string, v T) bool {
	removed := false
	if message.IsPattern(pattern) {
		removed = t.root.prune(pattern, v)
	} else if s := t.exact[pattern]; s != nil {
		removed = s.remove(v)
		if len(s.list) == 0 {
			delete(t.exact, pattern)
		}
	}
	if removed {
		t.size--
	}
	return removed
}

// Count returns how many values there are under exactly that pattern.
func (t *Trie[T]) Count(pattern string) int {
	if !message.IsPattern(pattern) {
		if s := t.exact[pattern]; s != nil {
			return len(s.list)
		}
		return 0
	}
	n := &t.root
	for element := range strings.SplitSeq(pattern, ".") {
		switch element {
		case ">":
			return len(n.below.list)
		case "*":
			n = n.star
		default:
			n = n.children[element]
		}
		if n == nil {
			return 0
		}
	}
	return len(n.here.list)
}

// Match calls fn with each value whose pattern selects name, in no particular
// order; with a value that is there under several such patterns, once for
// each. fn must not change the trie. Match does not allocate.
//
// A wildcard in the first place does not select names that begin with '$':
// they are the broker's own, and who wants to see all that applications publish
// doesn't mean them (MQTT 5.0, 4.7.2).
func (t *Trie[T]) Match(name string, fn func(T)) {
	if s := t.exact[name]; s != nil {
		s.each(fn)
	}
	if name != "" && name[0] == '$' {
		element, rest, more := strings.Cut(name, ".")
		if child := t.root.children[element]; child != nil {
			child.match(rest, more, fn)
		}
		return
	}
	t.root.match(name, true, fn)
}

// match calls fn for the patterns below n that select rest, what is left of
// the name; more is false if nothing is left, which is not an empty element.
func (n *node[T]) match(rest string, more bool, fn func(T)) {
	n.below.each(fn)
	if !more {
		n.here.each(fn)
		return
	}
	element, rest, more := strings.Cut(rest, ".")
	if child := n.children[element]; child != nil {
		child.match(rest, more, fn)
	}
	if n.star != nil {
		n.star.match(rest, more, fn)
	}
}

// grow returns the set for pattern, which it makes if needed.
func (n *node[T]) grow(pattern string) *set[T] {
	for more := true; more; {
		var element string
		element, pattern, more = strings.Cut(pattern, ".")
		if element == ">" {
			return &n.below
		}
		n = n.child(element)
	}
	return &n.here
}

func (n *node[T]) child(element string) *node[T] {
	if element == "*" {
		if n.star == nil {
			n.star = &node[T]{}
		}
		return n.star
	}
	child := n.children[element]
	if child == nil {
		child = &node[T]{}
		if n.children == nil {
			n.children = map[string]*node[T]{}
		}
		n.children[strings.Clone(element)] = child
	}
	return child
}

// prune removes v from the set for pattern, and the nodes that nothing needs
// any more.
func (n *node[T]) prune(pattern string, v T) bool {
	element, rest, more := strings.Cut(pattern, ".")
	if element == ">" {
		return n.below.remove(v)
	}
	child := n.star
	if element != "*" {
		child = n.children[element]
	}
	if child == nil {
		return false
	}
	var removed bool
	if more {
		removed = child.prune(rest, v)
	} else {
		removed = child.here.remove(v)
	}
	if child.empty() {
		n.drop(element)
	}
	return removed
}

func (n *node[T]) drop(element string) {
	if element == "*" {
		n.star = nil
		return
	}
	delete(n.children, element)
	if len(n.children) == 0 {
		n.children = nil
	}
}

func (n *node[T]) empty() bool {
	return n.star == nil && len(n.children) == 0 && len(n.here.list) == 0 && len(n.below.list) == 0
}

// set is a set of values that is quick to go through. A long one has an index,
// so that many thousands of clients can leave one topic at once.
type set[T comparable] struct {
	list []T
	at   map[T]int // where each value is in list; nil while list is short
}

// indexed is the length from which a set has an index: below, looking at all
// values is as fast.
const indexed = 32

func (s *set[T]) each(fn func(T)) {
	for _, v := range s.list {
		fn(v)
	}
}

func (s *set[T]) find(v T) int {
	if s.at != nil {
		if i, ok := s.at[v]; ok {
			return i
		}
		return -1
	}
	for i := range s.list {
		if s.list[i] == v {
			return i
		}
	}
	return -1
}

func (s *set[T]) add(v T) bool {
	if s.find(v) >= 0 {
		return false
	}
	s.list = append(s.list, v)
	switch {
	case s.at != nil:
		s.at[v] = len(s.list) - 1
	case len(s.list) == indexed:
		s.at = make(map[T]int, 2*indexed)
		for i, w := range s.list {
			s.at[w] = i
		}
	}
	return true
}

// remove fills the gap with the last value.
func (s *set[T]) remove(v T) bool {
	i := s.find(v)
	if i < 0 {
		return false
	}
	last := len(s.list) - 1
	s.list[i] = s.list[last]
	if s.at != nil {
		s.at[s.list[i]] = i
		delete(s.at, v)
	}
	var zero T
	s.list[last] = zero // for the garbage collector
	s.list = s.list[:last]
	if last == 0 {
		*s = set[T]{}
	}
	return true
}
