package schedule

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Kinds of stored values.
const (
	KindDirectory = 's' // by number of 256 slots
	KindRecord    = 'S' // by id
)

// Put takes one value to be stored, or removed if value is nil.
type Put func(kind byte, name string, value []byte)

// Freeze gives put what changed since the last Freeze. Records stay in memory
// until Written.
func (t *Table) Freeze(put Put) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(t.dirty)) {
		put(KindDirectory, string(binary.BigEndian.AppendUint32(nil, n)), t.directory(n))
	}
	clear(t.dirty)
	for _, g := range t.gone {
		for part := range g.parts {
			put(KindRecord, RecordName(g.id, part), nil)
		}
	}
	t.gone = nil
	for _, id := range slices.SortedFunc(maps.Keys(t.fresh.of), byID) {
		record := t.fresh.of[id]
		for part := range partsOf(record) {
			put(KindRecord, RecordName(id, part), record[part*partSize:min((part+1)*partSize, len(record))])
		}
	}
	t.writing, t.fresh = t.fresh, newRecords()
}

func byID(a, b message.ID) int { return cmp.Or(cmp.Compare(a.Hi, b.Hi), cmp.Compare(a.Lo, b.Lo)) }

// partSize is the length of a record's parts, in bytes. Most records have one.
const partSize = 256 << 10

func partsOf(record []byte) int { return max(1, (len(record)+partSize-1)/partSize) }

// RecordName is the name under which a part of a job's record is stored.
func RecordName(id message.ID, part int) string {
	b := appendID(make([]byte, 0, 20), id)
	if part > 0 {
		b = binary.BigEndian.AppendUint32(b, uint32(part))
	}
	return string(b)
}

// Parts returns in how many parts a job's record is stored.
func (t *Table) Parts(id message.ID) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.parts(id)
}

func (t *Table) parts(id message.ID) int { return max(1, t.large[id]) }

// Written says that what the last Freeze gave is stored.
func (t *Table) Written() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resident(-t.writing.bytes)
	t.writing = newRecords()
}

const (
	directoryVersion = 1
	maxChunks        = 1 << 20
	maxParts         = 1 << 12
)

// directory encodes 256 slots: the version, then for each that is taken its
// number among them, its id, due time, repeats left and its record's parts. It is
// nil for none.
func (t *Table) directory(n uint32) []byte {
	if int(n) >= len(t.chunks) || t.chunks[n] == nil {
		return nil
	}
	var b []byte
	for i := range t.chunks[n] {
		k := int(n)*chunkSize + i
		if t.live[k/64]&(1<<(k%64)) == 0 {
			continue
		}
		if b == nil {
			b = append(make([]byte, 0, 1+chunkSize*25), directoryVersion)
		}
		s := &t.chunks[n][i]
		b = appendID(append(b, byte(i)), s.id)
		b = binary.AppendUvarint(b, uint64(s.due))
		b = binary.AppendUvarint(b, uint64(s.left))
		b = binary.AppendUvarint(b, uint64(t.parts(s.id)))
	}
	return b
}

// Load takes in a stored directory.
func (t *Table) Load(name string, value []byte) error {
	if len(name) != 4 || len(value) == 0 || value[0] != directoryVersion {
		return fmt.Errorf("%w: directory %x", ErrRecord, name)
	}
	first := binary.BigEndian.Uint32([]byte(name))
	if first >= maxChunks {
		return fmt.Errorf("%w: directory number %d", ErrRecord, first)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for r := (decoder{b: value[1:]}); len(r.b) > 0; {
		n := first*chunkSize + uint32(r.byte())
		e := Entry{ID: r.id(), Due: r.time(), Left: r.uint32()}
		parts := r.uint32()
		_, known := t.index.find(t, e.ID)
		if r.bad || known || t.taken(n) || parts > maxParts {
			return fmt.Errorf("%w: directory %d, slot %d", ErrRecord, first, n)
		}
		t.insert(n, e)
		if parts > 1 {
			t.large[e.ID] = int(parts)
		}
	}
	delete(t.dirty, first)
	return nil
}

func (t *Table) taken(n uint32) bool {
	return int(n/64) < len(t.live) && t.live[n/64]&(1<<(n%64)) != 0
}
