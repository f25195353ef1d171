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
	bytes, extra := 0, 0
	for i, m := range s.pending[s.head:] {
		if !s.filter.Matches(m) {
			continue
		}
		kept = append(kept, m)
		bytes += m.Size()
		if i < s.extra {
			extra++
		}
	}
	clear(s.pending[len(kept):])
	s.pending, s.head, s.bytes, s.extra = kept, 0, bytes, extra
}
