package schedule

import "github.com/entrepot-mq/entrepot/core/message"

// First returns when a job is due first; ok is false if none is waiting.
func (t *Table) First() (due int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.first(), len(t.heap) > 0
}

// TakeDue appends the jobs that are due at now, at most to the capacity of
// into. They are held: not due again until a change says when, or Return.
func (t *Table) TakeDue(into []Entry, now int64) []Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(into) < cap(into) && t.first() <= now {
		n := t.heap[0]
		t.unqueue(n)
		s := t.slot(n)
		into = append(into, Entry{s.id, s.due, s.left})
	}
	return into
}

// Take holds one job. free is false for a job that is held already; ok for one
// that isn't there, or is being removed.
func (t *Table) Take(id message.ID) (e Entry, free, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.index.find(t, id)
	if _, leaving := t.cancelled[id]; !ok || leaving {
		return Entry{}, false, false
	}
	s := t.slot(n)
	free = s.place != noPlace
	t.unqueue(n)
	return Entry{s.id, s.due, s.left}, free, true
}

// Return lets held jobs be due again: nothing became of them.
func (t *Table) Return(held []Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range held {
		if n, ok := t.index.find(t, e.ID); ok {
			t.queueUp(n)
		}
	}
}

// Cancel marks a job whose removal is about to be committed, so that it isn't
// sent after that. It reports whether the job was there and not marked yet.
func (t *Table) Cancel(id message.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.index.find(t, id)
	if _, leaving := t.cancelled[id]; !ok || leaving {
		return false
	}
	t.cancelled[id] = struct{}{}
	t.unqueue(n)
	return true
}

// Restore takes the mark off jobs whose removal failed.
func (t *Table) Restore(ids []message.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		delete(t.cancelled, id)
		if n, ok := t.index.find(t, id); ok {
			t.queueUp(n)
		}
	}
}

// Waits reports whether the job exists and is not being removed.
func (t *Table) Waits(id message.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.index.find(t, id)
	_, leaving := t.cancelled[id]
	return ok && !leaving
}

// Find returns where a job stands.
func (t *Table) Find(id message.ID) (Entry, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.index.find(t, id)
	if !ok {
		return Entry{}, false
	}
	s := t.slot(n)
	return Entry{s.id, s.due, s.left}, true
}

// Record returns a job's record if it is in memory. It must not be changed.
func (t *Table) Record(id message.ID) ([]byte, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.record(id)
}

func (t *Table) record(id message.ID) ([]byte, bool) {
	for _, r := range [...]*records{&t.near, &t.fresh, &t.writing} {
		if b, ok := r.of[id]; ok {
			return b, true
		}
	}
	return nil, false
}

const (
	// nearBytes is the memory for records that were read before they are due.
	nearBytes = 8 << 20
	// nearTime is how soon, in ms, a job must be due again for its record to
	// stay in memory.
	nearTime = 5000
)

// Missing returns jobs that are due until until and whose records are not in
// memory, as long as there is room for them.
func (t *Table) Missing(until int64, most int) (ids []message.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.near.bytes >= nearBytes {
		return nil
	}
	t.within(&until, func(s *slot) bool {
		if _, ok := t.record(s.id); !ok {
			ids = append(ids, s.id)
		}
		return len(ids) < most
	})
	return ids
}

// Bring keeps a record that was read from the store until its job was sent.
// full says that there is no room for another one.
func (t *Table) Bring(id message.ID, record []byte) (full bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.index.find(t, id); ok {
		if _, ok := t.record(id); !ok {
			t.keep(&t.near, id, record)
		}
	}
	return t.near.bytes >= nearBytes
}
