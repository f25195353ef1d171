package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/entrepot-mq/entrepot/core/message"
)

// A queue's own value: version, kind, uvarint-prefixed name and extra, five
// counters, then for each durable lane its priority and next seq. The base
// follows from the directory.
const metaVersion = 1

var errMeta = errors.New("stored queue is malformed")

func (q *Queue) appendMeta(b []byte) []byte {
	b = append(b, metaVersion, byte(q.dest.Kind))
	b = append(binary.AppendUvarint(b, uint64(len(q.dest.Name))), q.dest.Name...)
	b = append(binary.AppendUvarint(b, uint64(len(q.Extra))), q.Extra...)
	for _, n := range q.counters.all() {
		b = binary.AppendUvarint(b, *n)
	}
	b = append(b, byte(len(q.levels)))
	for _, lv := range q.levels {
		b = append(b, lv.priority)
		b = binary.AppendUvarint(b, lv.durable.next)
	}
	return b
}

func (c *Counters) all() [5]*uint64 {
	return [...]*uint64{&c.Enqueued, &c.Dequeued, &c.Dispatched, &c.Expired, &c.DeadLettered}
}

// fields reads a stored value; after a failure everything reads as zero.
type fields struct {
	b      []byte
	failed bool
}

func (f *fields) uvarint() uint64 {
	v, n := binary.Uvarint(f.b)
	if n <= 0 {
		f.failed, f.b = true, nil
		return 0
	}
	f.b = f.b[n:]
	return v
}

func (f *fields) byte() byte {
	if len(f.b) == 0 {
		f.failed = true
		return 0
	}
	c := f.b[0]
	f.b = f.b[1:]
	return c
}

func (f *fields) uint64() uint64 {
	if len(f.b) < 8 {
		f.failed, f.b = true, nil
		return 0
	}
	v := binary.BigEndian.Uint64(f.b)
	f.b = f.b[8:]
	return v
}

func (f *fields) bytes() []byte {
	n := f.uvarint()
	if n > uint64(len(f.b)) {
		f.failed, f.b = true, nil
		return nil
	}
	p := f.b[:n:n]
	f.b = f.b[n:]
	return p
}

// Restore sets an empty queue to what its stored value says; the directory
// follows by RestoreChunk. The value is copied.
func (q *Queue) Restore(id uint64, value []byte) error {
	f := fields{b: value}
	if v := f.byte(); v != metaVersion {
		return fmt.Errorf("%w: version %d", errMeta, v)
	}
	q.dest.Kind = message.Kind(f.byte())
	q.dest.Name = string(f.bytes())
	q.Extra = append([]byte(nil), f.bytes()...)
	for _, n := range q.counters.all() {
		*n = f.uvarint()
	}
	for range f.byte() {
		l := &q.level(f.byte()).durable
		l.next = f.uvarint()
		l.base = l.next >> pageShift
		if l.next&pageMask != 0 {
			l.pages = []page{{}}
		}
	}
	if f.failed {
		return errMeta
	}
	q.id.Store(id)
	return nil
}

// A chunk's value: version, number of the first page described, then for it
// and each one behind it: what follows, live bits, and as announced stored
// bits, by-reference bits, earliest expiry, and the delivery counts. The
// stored bits matter: references in a page's value are given back when the
// value is replaced, also those of messages that ended long before.
const chunkVersion = 1

const (
	pageEmpty     = 1 << iota // nothing follows
	pageHasRefs               // by-reference bits
	pageHasTime               // earliest expiry
	pageHasTries              // uvarint count, then slot and count of failed deliveries
	pageHasStored             // messages that the page's value holds, if those aren't the live ones
)

func (l *lane) appendChunk(b []byte, chunk uint64) []byte {
	first := max(chunk<<chunkShift, l.base)
	end := min((chunk+1)<<chunkShift, l.base+uint64(len(l.pages)))
	b = binary.AppendUvarint(append(b, chunkVersion), first)
	for n := first; n < end; n++ {
		b = l.appendPage(b, n)
	}
	return b
}

func (l *lane) appendPage(b []byte, n uint64) []byte {
	p := &l.pages[n-l.base]
	if p.live == 0 && p.stored == 0 {
		return append(b, pageEmpty)
	}
	at := len(b)
	b = binary.BigEndian.AppendUint64(append(b, 0), p.live)
	if p.stored != p.live {
		b[at] |= pageHasStored
		b = binary.BigEndian.AppendUint64(b, p.stored)
	}
	if p.byRef != 0 {
		b[at] |= pageHasRefs
		b = binary.BigEndian.AppendUint64(b, p.byRef)
	}
	if p.minExpiry != 0 {
		b[at] |= pageHasTime
		b = binary.BigEndian.AppendUint64(b, uint64(p.minExpiry))
	}
	if len(l.attempts) == 0 {
		return b
	}
	var tries []byte
	count := 0
	for m := p.live; m != 0; m &= m - 1 {
		slot := uint64(bits.TrailingZeros64(m))
		if k := l.attempts[n<<pageShift|slot]; k != 0 {
			tries = binary.AppendUvarint(append(tries, byte(slot)), uint64(k))
			count++
		}
	}
	if count > 0 {
		b[at] |= pageHasTries
		b = append(binary.AppendUvarint(b, uint64(count)), tries...)
	}
	return b
}

// RestoreChunk adds a stored chunk of the directory. Chunks come in order.
func (q *Queue) RestoreChunk(laneNumber uint8, value []byte) error {
	l, _ := q.lane(uint64(laneNumber) << laneShift)
	if l == nil {
		return fmt.Errorf("%w: chunk of an unknown lane", errMeta)
	}
	f := fields{b: value}
	if v := f.byte(); v != chunkVersion {
		return fmt.Errorf("%w: chunk version %d", errMeta, v)
	}
	live := l.live
	for n := f.uvarint(); len(f.b) > 0 && !f.failed; n++ {
		l.restorePage(&f, n)
	}
	if f.failed {
		return fmt.Errorf("%w: chunk of %s", errMeta, q.dest)
	}
	q.free.Add(int64(l.live - live))
	return nil
}

func (l *lane) restorePage(f *fields, n uint64) {
	flags := f.byte()
	if flags&pageEmpty != 0 {
		return
	}
	p := page{live: f.uint64()}
	p.stored = p.live
	if flags&pageHasStored != 0 {
		p.stored = f.uint64()
	}
	if flags&pageHasRefs != 0 {
		p.byRef = f.uint64()
	}
	if flags&pageHasTime != 0 {
		p.minExpiry = int64(f.uint64())
	}
	if flags&pageHasTries != 0 {
		if l.attempts == nil {
			l.attempts = make(map[uint64]uint32)
		}
		for range min(f.uvarint(), pageSize) {
			slot := uint64(f.byte())
			l.attempts[n<<pageShift|slot] = uint32(f.uvarint())
		}
	}
	if f.failed || n > l.next>>pageShift {
		f.failed = true
		return
	}
	l.place(n, p)
	l.live += uint64(bits.OnesCount64(p.live))
}

// place puts a restored page at its number, which is higher than those
// placed before. Restore left room for the page at the lane's end only.
func (l *lane) place(n uint64, p page) {
	if l.live == 0 {
		l.base, l.pages = n, l.pages[:0]
	}
	for l.base+uint64(len(l.pages)) <= n {
		l.pages = append(l.pages, page{})
	}
	l.pages[n-l.base] = p
}

// Restored completes a restored queue: the lanes reach up to their next seq.
func (q *Queue) Restored() {
	for _, lv := range q.levels {
		l := &lv.durable
		if l.live == 0 {
			continue
		}
		last := (l.next - 1) >> pageShift
		for l.base+uint64(len(l.pages)) <= last {
			l.pages = append(l.pages, page{})
		}
	}
}
