package policy

import (
	"fmt"
	"strings"
	"sync"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Entry says what holds for the destinations that a pattern selects.
type Entry struct {
	Pattern message.Destination
	// Apply sets what the entry decides and leaves the rest alone.
	Apply func(*Policy)
}

// Set is compiled entries.
type Set struct {
	fallback Policy
	roots    [message.KindTempTopic + 1]*node

	mu    sync.RWMutex
	known map[message.Destination]*Policy // of destinations that were asked for
}

// maxKnown bounds the memory of names that come and go.
const maxKnown = 1 << 16

// node is an element of patterns.
type node struct {
	names map[string]*node
	any   *node           // '*'
	here  []func(*Policy) // patterns that end here
	rest  []func(*Policy) // patterns that end with '>' here
}

// New compiles entries over what fallback says of every destination. Errors
// name the entry's pattern.
func New(fallback Policy, entries []Entry) (*Set, error) {
	s := &Set{fallback: fallback, known: make(map[message.Destination]*Policy)}
	for _, e := range entries {
		k := e.Pattern.Kind
		if k == message.KindNone || k > message.KindTempTopic {
			return nil, fmt.Errorf("policy for %s: neither queues nor topics", e.Pattern)
		}
		if err := message.ValidateName(e.Pattern.Name); err != nil {
			return nil, fmt.Errorf("policy for %s: %w", e.Pattern, err)
		}
		if e.Pattern.IsComposite() {
			return nil, fmt.Errorf("policy for %s: one pattern for each entry, without commas", e.Pattern)
		}
		if s.roots[k] == nil {
			s.roots[k] = &node{}
		}
		s.roots[k].insert(e.Pattern.Name, e.Apply)
	}
	return s, nil
}

func (n *node) insert(pattern string, apply func(*Policy)) {
	for e := range strings.SplitSeq(pattern, ".") {
		switch e {
		case ">":
			n.rest = append(n.rest, apply)
			return
		case "*":
			if n.any == nil {
				n.any = &node{}
			}
			n = n.any
		default:
			if n.names[e] == nil {
				if n.names == nil {
					n.names = make(map[string]*node)
				}
				n.names[e] = &node{}
			}
			n = n.names[e]
		}
	}
	n.here = append(n.here, apply)
}

// merge applies what selects name, the least specific first: so the most
// specific has the last word. more is false behind the last element.
func (n *node) merge(p *Policy, name string, more bool) {
	if n == nil {
		return
	}
	for _, apply := range n.rest {
		apply(p)
	}
	if !more {
		for _, apply := range n.here {
			apply(p)
		}
		return
	}
	e, rest, more := strings.Cut(name, ".")
	n.any.merge(p, rest, more)
	n.names[e].merge(p, rest, more)
}

// For returns what holds for d, which the caller must not change. It is quick:
// what was found before is remembered.
func (s *Set) For(d message.Destination) *Policy {
	if d.Kind > message.KindTempTopic || s.roots[d.Kind] == nil {
		return &s.fallback
	}
	s.mu.RLock()
	p := s.known[d]
	s.mu.RUnlock()
	if p != nil {
		return p
	}
	found := s.fallback
	s.roots[d.Kind].merge(&found, d.Name, true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxKnown {
		clear(s.known)
	}
	d.Name = strings.Clone(d.Name)
	s.known[d] = &found
	return &found
}
