package pages

import "sync"

// readers knows which checkpoints are being read, so that Badger keeps the versions they need until
// the last reader has gone.
type readers struct {
	mu      sync.Mutex
	current uint64
	active  map[uint64]int // readers per index
}

// enter returns the index to read at; leave must follow.
func (r *readers) enter() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active[r.current]++
	return r.current
}

// leave ends a read at index and reports whether a version that is not the current one became free.
func (r *readers) leave(index uint64) (freed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active[index]--; r.active[index] > 0 {
		return false
	}
	delete(r.active, index)
	return index != r.current
}

// advance makes index the one that new readers read at.
func (r *readers) advance(index uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = index
}

// oldest is the lowest index that is or may be read.
func (r *readers) oldest() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	low := r.current
	for index := range r.active {
		low = min(low, index)
	}
	return low
}
