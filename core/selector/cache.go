package selector

import (
	"runtime"
	"sync"
	"weak"
)

// Cache hands out selectors such that the same text with the same options is
// the same *Selector for as long as anybody holds it. It keeps none alive by
// itself: its size is bounded by the selectors in use. The zero value is
// ready; it is safe for concurrent use and must not be copied.
type Cache struct {
	mu      sync.Mutex
	entries map[cacheKey]weak.Pointer[Selector]
}

type cacheKey struct {
	text    string
	options Options
}

// Parse is the function Parse with the promise of the cache. Errors are not
// kept.
func (c *Cache) Parse(text string, o Options) (*Selector, error) {
	k := cacheKey{text, o}
	if s := c.get(k); s != nil {
		return s, nil
	}
	fresh, err := Parse(text, o)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.entries[k].Value(); s != nil {
		return s, nil
	}
	if c.entries == nil {
		c.entries = make(map[cacheKey]weak.Pointer[Selector])
	}
	c.entries[k] = weak.Make(fresh)
	runtime.AddCleanup(fresh, c.forget, k)
	return fresh, nil
}

func (c *Cache) get(k cacheKey) *Selector {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries[k].Value()
}

// forget drops an entry whose selector is gone, unless another one has taken
// its place.
func (c *Cache) forget(k cacheKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[k].Value() == nil {
		delete(c.entries, k)
	}
}

// Len returns how many selectors are in use, as far as the garbage collector
// knows.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}
