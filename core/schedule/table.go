package schedule

import (
	"math"
	"math/bits"
	"sync"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Table holds every job. See the package comment. Its methods may be called
// from any goroutine.
type Table struct {
	// resident is told how the memory for messages changes, in bytes.
	resident func(delta int)

	mu     sync.Mutex
	chunks []*chunk
	live   []uint64 // bit n of word w: slot 64w+n is taken
	low    int      // no word before it has a free slot
	count  int
	index  index
	heap   []uint32 // slots by due time
	dirty  map[uint32]struct{}

	// Records in memory. fresh ones came since the last Freeze, writing ones
	// are being stored, near ones are stored and soon due.
	fresh, writing, near records
	gone                 []goneRecord
	large                map[message.ID]int // jobs whose records are stored in several parts

	cancelled map[message.ID]struct{} // leader: removal is on its way
}

// goneRecord is a record to be removed from the store.
type goneRecord struct {
	id    message.ID
	parts int
}

// records are jobs in their stored form.
type records struct {
	of    map[message.ID][]byte
	bytes int
}

const (
	chunkSize  = 256
	chunkWords = chunkSize / 64
)

type chunk [chunkSize]slot

// slot is one job.
type slot struct {
	id    message.ID
	due   int64
	left  uint32
	place uint32 // in heap, or noPlace
}

// noPlace is the place of a job that is being sent or removed: it is not due
// until that is decided.
const noPlace = math.MaxUint32

// NewTable returns an empty table. resident, which may be nil, is called with
// the table's lock held.
func NewTable(resident func(delta int)) *Table {
	if resident == nil {
		resident = func(int) {}
	}
	return &Table{
		resident: resident, dirty: make(map[uint32]struct{}), cancelled: make(map[message.ID]struct{}),
		large: make(map[message.ID]int), fresh: newRecords(), writing: newRecords(), near: newRecords(),
	}
}

func newRecords() records { return records{of: make(map[message.ID][]byte)} }

func (t *Table) slot(n uint32) *slot { return &t.chunks[n/chunkSize][n%chunkSize] }

// lowestFree returns the number of the lowest slot that is free.
func (t *Table) lowestFree() uint32 {
	for ; t.low < len(t.live); t.low++ {
		if free := ^t.live[t.low]; free != 0 {
			return uint32(t.low*64 + bits.TrailingZeros64(free))
		}
	}
	return uint32(t.low * 64)
}

// insert puts a job into slot n, which is free.
func (t *Table) insert(n uint32, e Entry) {
	for int(n/chunkSize) >= len(t.chunks) {
		t.chunks = append(t.chunks, nil)
		t.live = append(t.live, make([]uint64, chunkWords)...)
	}
	if t.chunks[n/chunkSize] == nil {
		t.chunks[n/chunkSize] = new(chunk)
	}
	t.live[n/64] |= 1 << (n % 64)
	*t.slot(n) = slot{id: e.ID, due: e.Due, left: e.Left, place: noPlace}
	t.count++
	t.index.add(t, n)
	t.touch(n)
	t.queueUp(n)
}

// remove ends the job in slot n.
func (t *Table) remove(n uint32) {
	s := t.slot(n)
	id := s.id
	t.unqueue(n)
	t.index.remove(t, n)
	*s = slot{}
	t.live[n/64] &^= 1 << (n % 64)
	t.low = min(t.low, int(n/64))
	t.count--
	t.touch(n)
	delete(t.cancelled, id)
	t.drop(&t.near, id)
	if !t.drop(&t.fresh, id) {
		t.gone = append(t.gone, goneRecord{id, t.parts(id)}) // stored, or about to be
	}
	delete(t.large, id)
	t.shrink(n)
}

// shrink gives back the chunk of slot n if nothing lives in it any more, and
// what is empty at the end.
func (t *Table) shrink(n uint32) {
	if c := n / chunkSize; t.isEmpty(int(c)) {
		t.chunks[c] = nil
	}
	for last := len(t.chunks) - 1; last >= 0 && t.chunks[last] == nil; last-- {
		t.chunks, t.live = t.chunks[:last], t.live[:last*chunkWords]
	}
	t.low = min(t.low, len(t.live))
	if t.count == 0 {
		t.chunks, t.live, t.heap, t.index = nil, nil, nil, index{}
	}
}

func (t *Table) isEmpty(chunk int) bool {
	for _, w := range t.live[chunk*chunkWords : (chunk+1)*chunkWords] {
		if w != 0 {
			return false
		}
	}
	return true
}

func (t *Table) touch(n uint32) { t.dirty[n/chunkSize] = struct{}{} }

func (t *Table) keep(in *records, id message.ID, record []byte) {
	in.of[id] = record
	in.bytes += len(record)
	t.resident(len(record))
}

func (t *Table) drop(from *records, id message.ID) bool {
	record, ok := from.of[id]
	if !ok {
		return false
	}
	delete(from.of, id)
	from.bytes -= len(record)
	t.resident(-len(record))
	return true
}

// Len returns the number of jobs.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// Resident returns the bytes of records in memory.
func (t *Table) Resident() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fresh.bytes + t.writing.bytes + t.near.bytes
}
