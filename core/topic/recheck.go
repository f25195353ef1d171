package topic

// Recheck drops what waits and the filter does not select any more: the right
// to read it is gone.
func (s *Subscriber) Recheck() {
	if s.filter == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.pending[:0]
	s.bytes = 0
	for _, m := range s.pending[s.head:] {
		if s.filter.Matches(m) {
			kept = append(kept, m)
			s.bytes += m.Size()
		}
	}
	clear(s.pending[len(kept):])
	s.pending, s.head = kept, 0
}
