package store

// applyLoop turns committed records into state, has the effects carried out,
// and tells those who wait.
func (s *Store) applyLoop() {
	for b := range s.batches {
		s.applyBatch(b)
		s.free <- b
	}
}

func (s *Store) applyBatch(b *batch) {
	if s.group != nil {
		if err := s.awaitQuorum(b); err != nil {
			s.refuseBatch(b, err)
			return
		}
	}
	for i := range b.reqs {
		if r := &b.reqs[i]; r.Err == nil {
			s.apply(r)
		}
	}
	// Producers first: what they send next can be on its way to the disk
	// while consumers are served.
	for i := range b.reqs {
		b.reqs[i].complete(b.reqs[i].Err)
		b.reqs[i] = Request{}
	}
	s.counts.confirmed(b)
	s.waiting.Add(-b.size)
	s.machine.Settle()
	s.maybeCheckpoint(b)
}

func (s *Store) apply(r *Request) {
	if r.Ops == nil {
		if r.Op.Kind != 0 {
			s.machine.Apply(&r.Op)
		}
		return
	}
	for i := range r.Ops {
		s.machine.Apply(&r.Ops[i])
	}
}

// refuseBatch completes what a leader that was deposed can't promise any more.
func (s *Store) refuseBatch(b *batch, err error) {
	b.refuse(err)
	for i := range b.reqs {
		b.reqs[i].complete(b.reqs[i].Err)
		b.reqs[i] = Request{}
	}
	s.waiting.Add(-b.size)
}
