package topic

import (
	"slices"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Trie finds values by pattern.
type Trie[T comparable] struct {
	items map[string][]T
}

// NewTrie returns an empty trie.
func NewTrie[T comparable]() *Trie[T] { return &Trie[T]{items: map[string][]T{}} }

// Insert adds v.
func (t *Trie[T]) Insert(pattern string, v T) { t.items[pattern] = append(t.items[pattern], v) }

// Remove removes v.
func (t *Trie[T]) Remove(pattern string, v T) bool {
	i := slices.Index(t.items[pattern], v)
	if i < 0 {
		return false
	}
	t.items[pattern] = slices.Delete(t.items[pattern], i, i+1)
	return true
}

// Match calls fn for each value whose pattern selects name.
func (t *Trie[T]) Match(name string, fn func(T)) {
	for p, vs := range t.items {
		if message.Matches(p, name) {
			for _, v := range vs {
				fn(v)
			}
		}
	}
}
