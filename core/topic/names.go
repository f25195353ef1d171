package topic

import "strings"

// Names is a set of values by destination name, found by pattern: the other
// way round than Trie. It is not safe for concurrent use.
type Names[T any] struct {
	root nameNode[T]
	n    int
}

type nameNode[T any] struct {
	children map[string]*nameNode[T]
	value    T
	set      bool
}

// Len returns how many names there are.
func (t *Names[T]) Len() int { return t.n }

// Set gives name a value. It returns the one that it had.
func (t *Names[T]) Set(name string, v T) (old T, had bool) {
	n := &t.root
	for e := range strings.SplitSeq(name, ".") {
		next := n.children[e]
		if next == nil {
			if n.children == nil {
				n.children = make(map[string]*nameNode[T])
			}
			next = &nameNode[T]{}
			n.children[e] = next
		}
		n = next
	}
	old, had = n.value, n.set
	n.value, n.set = v, true
	if !had {
		t.n++
	}
	return old, had
}

// Get returns the value of name.
func (t *Names[T]) Get(name string) (v T, ok bool) {
	n := &t.root
	for e := range strings.SplitSeq(name, ".") {
		if n = n.children[e]; n == nil {
			return v, false
		}
	}
	return n.value, n.set
}

// Delete removes name and returns its value.
func (t *Names[T]) Delete(name string) (old T, had bool) {
	old, had = t.root.delete(name)
	if had {
		t.n--
	}
	return old, had
}

func (n *nameNode[T]) delete(name string) (old T, had bool) {
	e, rest, more := strings.Cut(name, ".")
	child := n.children[e]
	if child == nil {
		return old, false
	}
	if more {
		old, had = child.delete(rest)
	} else {
		old, had = child.value, child.set
		var zero T
		child.value, child.set = zero, false
	}
	if !child.set && len(child.children) == 0 {
		delete(n.children, e)
	}
	return old, had
}

// Match calls fn for each value whose name the pattern selects, as
// Trie.Match does, in no particular order.
func (t *Names[T]) Match(pattern string, fn func(T)) {
	e, rest, more := strings.Cut(pattern, ".")
	if e != ">" && e != "*" {
		t.root.match(pattern, true, fn)
		return
	}
	for name, child := range t.root.children {
		switch {
		case strings.HasPrefix(name, "$"):
		case e == ">":
			child.all(fn)
		default:
			child.match(rest, more, fn)
		}
	}
}

// match looks for pattern below n; more says that pattern isn't used up.
func (n *nameNode[T]) match(pattern string, more bool, fn func(T)) {
	if !more {
		if n.set {
			fn(n.value)
		}
		return
	}
	e, rest, more := strings.Cut(pattern, ".")
	switch e {
	case ">":
		n.all(fn) // what stands behind '>' is ignored; the name before it counts too
	case "*":
		for _, child := range n.children {
			child.match(rest, more, fn)
		}
	default:
		if child := n.children[e]; child != nil {
			child.match(rest, more, fn)
		}
	}
}

func (n *nameNode[T]) all(fn func(T)) {
	if n.set {
		fn(n.value)
	}
	for _, child := range n.children {
		child.all(fn)
	}
}
