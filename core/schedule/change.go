package schedule

import (
	"encoding/binary"
	"strconv"

	"github.com/entrepot-mq/entrepot/core/message"
)

// A change, as it stands in the log: its kind in one byte, then
//
//	added    due and deliveries left as uvarints, the job's record
//	fired    per job: id, due and left after it; due 0 says that it is done
//	removed  ids
const (
	changeAdded byte = iota + 1
	changeFired
	changeRemoved
)

// Entry is where a job stands: when it is due next, in ms since 1970, and how
// many deliveries follow that one.
type Entry struct {
	ID   message.ID
	Due  int64
	Left uint32
}

// String returns due time and id, by which the order of jobs goes.
func (e Entry) String() string { return strconv.FormatInt(e.Due, 10) + "@" + e.ID.String() }

// AppendAdded appends the change that takes j in.
func AppendAdded(b []byte, j *Job, due int64, left uint32) []byte {
	b = binary.AppendUvarint(append(b, changeAdded), uint64(due))
	return j.Append(binary.AppendUvarint(b, uint64(left)))
}

// AppendFired appends the change that says where jobs stand after they were
// sent. A due time of 0 ends a job.
func AppendFired(b []byte, after []Entry) []byte {
	b = append(b, changeFired)
	for _, e := range after {
		b = binary.AppendUvarint(appendID(b, e.ID), uint64(e.Due))
		b = binary.AppendUvarint(b, uint64(e.Left))
	}
	return b
}

// AppendRemoved appends the change that removes jobs.
func AppendRemoved(b []byte, ids []message.ID) []byte {
	b = append(b, changeRemoved)
	for _, id := range ids {
		b = appendID(b, id)
	}
	return b
}

// Apply makes one change. What makes no sense is ignored. A Table keeps data.
// sooner reports whether something is due before what was due first.
func (t *Table) Apply(data []byte) (sooner bool) {
	if len(data) == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	first := t.first()
	switch r := (decoder{b: data[1:]}); data[0] {
	case changeAdded:
		t.applyAdded(&r)
	case changeFired:
		for len(r.b) > 0 && !r.bad {
			t.applyFired(Entry{ID: r.id(), Due: r.time(), Left: r.uint32()}, r.bad)
		}
	case changeRemoved:
		for len(r.b) > 0 && !r.bad {
			if id := r.id(); !r.bad {
				t.applyRemoved(id)
			}
		}
	}
	return t.first() < first
}

func (t *Table) applyAdded(r *decoder) {
	due, left, record := r.time(), r.uint32(), r.b
	if r.byte() != recordVersion {
		return
	}
	id := r.id()
	if _, known := t.index.find(t, id); r.bad || known {
		return
	}
	t.insert(t.lowestFree(), Entry{ID: id, Due: due, Left: left})
	t.keep(&t.fresh, id, record)
	if parts := partsOf(record); parts > 1 {
		t.large[id] = parts
	}
}

func (t *Table) applyFired(e Entry, bad bool) {
	n, ok := t.index.find(t, e.ID)
	switch {
	case bad || !ok:
	case e.Due == 0:
		t.remove(n)
	default:
		s := t.slot(n)
		if e.Due-s.due > nearTime || t.near.bytes > nearBytes {
			t.drop(&t.near, e.ID)
		}
		s.due, s.left = e.Due, e.Left
		t.touch(n)
		t.queueUp(n)
	}
}

func (t *Table) applyRemoved(id message.ID) {
	if n, ok := t.index.find(t, id); ok {
		t.remove(n)
	}
}
