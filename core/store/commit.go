package store

import (
	"errors"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/log"
)

// batch is what one write and one sync make safe.
type batch struct {
	reqs []Request
	size int64
	pos  log.Position // of the log's end behind it
}

// writeLoop turns queued requests into records. While one batch is being
// synced the next one gathers: that is all the waiting there is.
func (s *Store) writeLoop() {
	defer close(s.batches)
	for {
		b := <-s.free
		sync, ok := s.take(b)
		if !ok {
			return
		}
		s.write(b, sync)
		s.batches <- b
	}
}

// take moves what is pending into b and waits until there is something. sync
// says that old unsynced bytes are due.
func (s *Store) take(b *batch) (sync, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending) == 0 && !s.syncDue {
		if s.closing {
			return false, false
		}
		s.wake.Wait()
	}
	b.reqs, s.pending = s.pending, b.reqs[:0]
	sync, s.syncDue = s.syncDue, false
	return sync, true
}

// write appends b's requests to the log and makes them as safe as the most
// demanding of them asks.
func (s *Store) write(b *batch, sync bool) {
	b.size = 0
	room := s.log.Room()
	soon := false
	for i := range b.reqs {
		r := &b.reqs[i]
		b.size += r.size()
		if err := s.Failed(); err != nil {
			r.Err = err
		}
		if r.Err != nil {
			continue
		}
		sync = sync || r.Durability == Synced
		if !r.logged() {
			continue
		}
		if r.storesMessage() && int64(s.log.Buffered())+r.size() > room {
			r.Err = ErrFull
			continue
		}
		s.append(r)
		soon = soon || r.Durability == Soon
	}
	if s.Failed() == nil {
		s.commit(b, sync, soon)
	}
	b.pos = s.log.Last()
}

func (s *Store) commit(b *batch, sync, soon bool) {
	n := s.log.Buffered()
	began := time.Now()
	err := s.log.Commit(sync)
	if errors.Is(err, log.ErrFull) {
		err = s.commitSmall(b, sync)
	}
	if err != nil {
		s.refuse(b, err)
		return
	}
	s.counts.bytes.Add(uint64(n))
	s.counts.records.Add(uint64(len(b.reqs)))
	if sync {
		s.counts.syncs.Add(1)
		s.counts.lastSync.Store(int64(time.Since(began)))
	}
	s.mu.Lock()
	s.unsynced = !sync && (s.unsynced || soon)
	s.mu.Unlock()
}

// commitSmall writes a batch again without what stores messages: the disk is
// full, and acknowledgements still have room.
func (s *Store) commitSmall(b *batch, sync bool) error {
	s.log.Discard()
	for i := range b.reqs {
		r := &b.reqs[i]
		switch {
		case r.Err != nil || !r.logged():
		case r.storesMessage():
			r.Err = ErrFull
		default:
			s.append(r)
		}
	}
	return s.log.Commit(sync)
}

// refuse ends the requests of a batch that could not be written. If not even
// the room kept for acknowledgements was enough, the disk is just full.
func (s *Store) refuse(b *batch, err error) {
	if errors.Is(err, log.ErrFull) {
		s.log.Discard()
		err = ErrFull
	} else {
		s.fail(err)
		err = s.Failed()
	}
	for i := range b.reqs {
		if r := &b.reqs[i]; r.Err == nil && r.logged() {
			r.Err = err
		}
	}
}

func (s *Store) append(r *Request) {
	if r.Ops == nil && r.Op.Kind == OpPublish {
		s.head = r.Op.appendHead(s.head[:0])
		s.log.Append(s.head, r.Op.Msg.Raw())
		return
	}
	if r.Ops == nil {
		s.head = r.Op.appendHead(s.head[:0])
	} else {
		s.head = AppendOps(s.head[:0], r.Ops)
	}
	s.log.Append(s.head)
	if cap(s.head) > 1<<20 {
		s.head = nil // a transaction of this size is rare
	}
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

// tickLoop asks for a sync when bytes have waited for SyncInterval, and for a
// checkpoint when CheckpointInterval has passed.
func (s *Store) tickLoop() {
	sync := time.NewTicker(s.o.SyncInterval)
	defer sync.Stop()
	checkpoint := time.NewTicker(s.o.CheckpointInterval)
	defer checkpoint.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-sync.C:
			s.mu.Lock()
			due := s.unsynced
			s.syncDue = s.syncDue || due
			s.mu.Unlock()
			if due {
				s.wake.Signal()
			}
		case <-checkpoint.C:
			s.cp.due.Store(true)
			s.Commit(Request{Durability: Lazy}) // wakes the applier
		}
	}
}
