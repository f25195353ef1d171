package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/log"
)

// batch is what one write and one sync make safe.
type batch struct {
	reqs   []Request
	size   int64        // of the messages, for flow control
	pos    log.Position // of the log's end behind it
	logged int64        // Store.logged at pos
	synced bool         // pos is on disk
	asked  time.Time    // when the first request came that somebody waits for; zero: nobody does
}

// keepRequests is the capacity, in requests, that a batch keeps when it has
// been served.
const keepRequests = 16 << 10

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
	for !s.urgent && !s.syncDue && !s.closing || s.heldBack() && !s.closing {
		s.wake.Wait()
	}
	if len(s.pending) == 0 && !s.syncDue {
		return false, false // closing
	}
	s.urgent = false
	if cap(b.reqs) > keepRequests {
		b.reqs = nil
	}
	b.reqs, s.pending = s.pending, b.reqs[:0]
	sync, s.syncDue = s.syncDue, false
	b.asked, s.asked = s.asked, time.Time{}
	return sync, true
}

// patience is how long acknowledgements that nobody waits for are kept, so
// that they ride along with a message's record instead of costing a write of
// their own; maxPatient is how many are.
const (
	patience   = 2 * time.Millisecond
	maxPatient = 1024
)

// patient reports whether r may wait for company.
func (r *Request) patient() bool {
	if r.Done != nil || r.Pending != nil || r.Durability == Synced {
		return false
	}
	if r.Ops == nil {
		return r.Op.Kind == OpAck
	}
	for i := range r.Ops {
		if r.Ops[i].Kind != OpAck {
			return false
		}
	}
	return true
}

// patienceEnds has the writer take what has waited for company.
func (s *Store) patienceEnds() {
	s.mu.Lock()
	s.waitsForCompany = false
	wake := len(s.pending) > 0 && !s.urgent
	s.urgent = s.urgent || wake
	s.mu.Unlock()
	if wake {
		s.wake.Signal()
	}
}

// syncNow has the writer sync what it wrote, and then call the applier.
func (s *Store) syncNow() {
	s.mu.Lock()
	s.syncDue = true
	s.mu.Unlock()
	s.wake.Signal()
}

// write appends b's requests to the log and makes them as safe as the most
// demanding of them asks.
func (s *Store) write(b *batch, sync bool) {
	b.size, b.synced = 0, false
	for i := range b.reqs {
		r := &b.reqs[i]
		b.size += r.size()
		sync = sync || r.Err == nil && r.Durability == Synced
	}
	err := s.Failed()
	switch {
	case err != nil:
	case s.group != nil:
		err = s.writeInGroup(b, sync)
	default:
		err = s.commit(b, sync)
	}
	if err != nil {
		b.refuse(err)
	}
	b.pos, b.logged = s.log.Last(), s.logged()
}

// refuse fails every request of b, those too that wait for what came before:
// that may not be safe.
func (b *batch) refuse(err error) {
	for i := range b.reqs {
		if r := &b.reqs[i]; r.Err == nil {
			r.Err = err
		}
	}
}

// commit makes b's records and syncs if asked. With an error nothing of the
// batch counts as done.
func (s *Store) commit(b *batch, sync bool) error {
	soon := s.appendAll(b)
	n := s.log.Buffered()
	began := time.Now()
	err := s.log.Commit(sync)
	if errors.Is(err, log.ErrFull) {
		s.withoutMessages(b)
		n = s.log.Buffered()
		err = s.commitWhenThereIsRoom(sync)
	}
	if err != nil {
		if !errors.Is(err, ErrFull) {
			s.fail(err)
			err = fmt.Errorf("%w: %w", ErrUncertain, s.Failed())
		}
		return err
	}
	s.counts.bytes.Add(uint64(n))
	if sync {
		b.synced = true
		s.counts.synced(time.Since(began))
	}
	s.mu.Lock()
	s.unsynced = !sync && (s.unsynced || soon)
	s.mu.Unlock()
	return nil
}

// appendAll puts b's records into the log's buffer; soon says that one of
// them is to be synced soon.
func (s *Store) appendAll(b *batch) (soon bool) {
	room := s.log.Room()
	if s.crowded() {
		room = 0
	}
	for i := range b.reqs {
		r := &b.reqs[i]
		switch {
		case r.Err != nil || !r.logged():
		case r.storesMessage() && int64(s.log.Buffered())+r.size() > room:
			r.Err = ErrFull
		default:
			s.append(r)
			soon = soon || r.Durability == Soon
		}
	}
	return soon
}

// withoutMessages makes the log's buffer again without what stores messages:
// the disk is full, and acknowledgements still have room.
func (s *Store) withoutMessages(b *batch) {
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
}

// fullPause is the time between attempts to write to a full disk.
const fullPause = 50 * time.Millisecond

// commitWhenThereIsRoom writes acknowledgements. If not even the log's
// reserve has room for them everything waits: a lost acknowledgement would
// leave its message in limbo until the next start. Close ends the waiting.
func (s *Store) commitWhenThereIsRoom(sync bool) error {
	defer s.full.Store(false)
	for {
		err := s.log.Commit(sync)
		if !errors.Is(err, log.ErrFull) {
			return err
		}
		if !s.full.Swap(true) {
			s.o.Logger.Error("the disk is full to the last byte: everything waits for space", "error", err)
		}
		select {
		case <-time.After(fullPause):
		case <-s.life.Done():
			s.log.Discard()
			return ErrFull
		}
	}
}

func (s *Store) append(r *Request) {
	s.counts.records.Add(1)
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

// tickLoop asks for a sync when bytes have waited for SyncInterval, and for a
// checkpoint when CheckpointInterval has passed.
func (s *Store) tickLoop() {
	sync := time.NewTicker(s.o.SyncInterval)
	defer sync.Stop()
	checkpoint := time.NewTicker(s.o.CheckpointInterval)
	defer checkpoint.Stop()
	for {
		select {
		case <-s.life.Done():
			return
		case <-sync.C:
			s.mu.Lock()
			due := s.unsynced
			s.mu.Unlock()
			if due {
				s.syncNow()
			}
		case <-checkpoint.C:
			s.cp.due.Store(true)
			s.wakeApplier()
		}
	}
}

// wakeApplier sends an empty batch through, so that the applier looks whether
// a checkpoint is due.
func (s *Store) wakeApplier() { s.Commit(Request{Durability: Lazy}) }
