package wire

import "errors"

// The cache of values that both ends of a direction keep. The writer decides
// what is in it; the reader does as it is told.

// DefaultCacheSize stands for a size of 0 in the negotiation.
const DefaultCacheSize = 16383

// minCacheSize is the least size that works: the writer keeps spareEntries
// free at the beginning of a frame.
const (
	minCacheSize = spareEntries + 1
	spareEntries = 100
	notCached    = -1 // index of a value that the reader is not to keep
)

var errCacheIndex = errors.New("a frame refers to a value that is not in the cache")

// readCache is the reader's side. A stored null is nil.
type readCache struct {
	size  int // 0: off
	slots []Structure
	used  []bool
}

func (r *reader) cacheStore(index int16, s Structure, null bool) {
	c := &r.cache
	if index == notCached {
		return
	}
	if index < 0 || int(index) >= c.size {
		r.fail(errCacheIndex)
		return
	}
	// Indexes are given in order, so this grows by what was received.
	if int(index) >= len(c.slots) {
		if int(index) > len(c.slots)+spareEntries {
			r.fail(errCacheIndex)
			return
		}
		more := int(index) + 1 - len(c.slots)
		c.slots = append(c.slots, make([]Structure, more)...)
		c.used = append(c.used, make([]bool, more)...)
	}
	if null {
		s = nil
	}
	c.slots[index], c.used[index] = s, true
}

func (r *reader) cached(index int16) Structure {
	c := &r.cache
	if index < 0 || int(index) >= len(c.slots) || !c.used[index] {
		r.fail(errCacheIndex)
		return nil
	}
	return c.slots[index]
}

// writeCache is the writer's side: a ring of the values' encodings, which are
// equal when the values are.
type writeCache struct {
	index map[string]int16
	ring  []string
	next  int // slot of the next new value
	old   int // slot of the oldest value
	key   writer
}

func newWriteCache(size int) *writeCache {
	return &writeCache{
		index: make(map[string]int16), ring: make([]string, size),
		key: writer{version: MaxVersion},
	}
}

// beginFrame makes room, so that nothing need go while a frame is written.
func (c *writeCache) beginFrame() {
	for len(c.index) > len(c.ring)-spareEntries {
		delete(c.index, c.ring[c.old])
		c.ring[c.old] = ""
		c.old = (c.old + 1) % len(c.ring)
	}
}

// keyOf returns what tells s from other values; it is valid until the next
// call. Null is a value like any other.
func (c *writeCache) keyOf(s Structure, null bool) []byte {
	c.key.data = append(c.key.data[:0], 0)
	if !null {
		c.key.structure(s, false)
	}
	return c.key.data
}

func (c *writeCache) find(key []byte) (int16, bool) {
	i, ok := c.index[string(key)]
	return i, ok
}

// add gives key the next index.
func (c *writeCache) add(key string) int16 {
	i := c.next
	c.index[key] = int16(i)
	c.ring[i] = key
	c.next = (i + 1) % len(c.ring)
	return int16(i)
}
