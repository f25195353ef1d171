package store

import (
	"sync/atomic"
	"time"
)

// Done learns when a request is safe and applied, or why it failed. Complete
// is called on the applier's goroutine and must not block. (After Close it is
// called with ErrClosed on the goroutine that commits.)
type Done interface {
	Complete(token uint64, err error)
}

// Durability says when a request counts as safe.
type Durability uint8

// The durabilities.
const (
	Synced Durability = iota // when it is on disk
	Soon                     // when it is with the operating system; on disk within Options.SyncInterval
	Lazy                     // when it is with the operating system, which writes it when it likes
)

// Request is what happens together: one record of the log.
type Request struct {
	Op         Op   // one op, if Ops is nil; none at all waits for what came before
	Ops        []Op // not changed by the store
	Durability Durability
	Done       Done // may be nil
	Token      uint64
	// Pending, if set, counts down when the request has completed.
	Pending *atomic.Int64
	// Err fails the request in its turn: nothing of it is done.
	Err error
}

// Commit queues r. It never blocks; r.Done is completed in the order of the
// calls.
func (s *Store) Commit(r Request) {
	if s.group != nil && !s.group.leads.Load() {
		r.complete(ErrNotLeader)
		return
	}
	size := r.size()
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		r.complete(ErrClosed)
		return
	}
	s.waiting.Add(size)
	s.pending = append(s.pending, r)
	if r.Done != nil && s.asked.IsZero() {
		s.asked = time.Now()
	}
	wake := false
	switch {
	case s.urgent:
	case !r.patient() || len(s.pending) >= maxPatient:
		s.urgent, wake = true, true
	case !s.waitsForCompany:
		s.waitsForCompany = true
		s.company.Reset(patience)
	}
	s.mu.Unlock()
	if wake {
		s.wake.Signal()
	}
}

// size counts r for flow control, in bytes.
func (r *Request) size() int64 {
	if r.Ops == nil {
		return r.Op.size()
	}
	var n int64
	for i := range r.Ops {
		n += r.Ops[i].size()
	}
	return n
}

func (r *Request) logged() bool {
	if r.Ops == nil {
		return r.Op.logged()
	}
	for i := range r.Ops {
		if r.Ops[i].logged() {
			return true
		}
	}
	return false
}

func (r *Request) storesMessage() bool {
	if r.Ops == nil {
		return r.Op.storesMessage()
	}
	for i := range r.Ops {
		if r.Ops[i].storesMessage() {
			return true
		}
	}
	return false
}

func (r *Request) complete(err error) {
	if r.Pending != nil {
		r.Pending.Add(-1)
	}
	if r.Done != nil {
		r.Done.Complete(r.Token, err)
	}
}
