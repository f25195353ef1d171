package pages

import "sync"

// readers knows which versions are being read, each a completed checkpoint, so that Badger and
// the value files keep what they need until the last reader has gone.
type readers struct {
	mu      sync.Mutex
	current uint64
	active  map[uint64]int // how many of each
}

// enter returns the version to read at; leave must follow.
func (r *readers) enter() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active[r.current]++
	return r.current
}

// leave ends a read at version and reports whether a version that is not the current one became free.
func (r *readers) leave(version uint64) (freed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active[version]--; r.active[version] > 0 {
		return false
	}
	delete(r.active, version)
	return version != r.current
}

// advance makes version the one that new readers read at.
func (r *readers) advance(version uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = version
}

// newest is the version that new readers read at.
func (r *readers) newest() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// oldest is the lowest version that is or may be read.
func (r *readers) oldest() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	low := r.current
	for version := range r.active {
		low = min(low, version)
	}
	return low
}
