package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/entrepot-mq/entrepot/core/message"
)

// A queue's own value: version, kind, uvarint-prefixed name and extra, five
// counters, the number of priorities and for each one it and its durable
// lane's next seq, then a byte of flags, left out if there are none.
const metaVersion = 1

var errMeta = errors.New("stored queue is malformed")

func (q *Queue) encodeMeta() []byte {
	b := []byte{metaVersion, byte(q.dest.Kind)}
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
	if q.stopped {
		b = append(b, metaStopped)
	}
	return b
}

const metaStopped = 1 // flag: an administrator paused the queue

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
		priority := f.byte()
		if priority > message.MaxPriority {
			return fmt.Errorf("%w: priority %d", errMeta, priority)
		}
		if q.level(priority).durable.next = f.uvarint(); q.level(priority).durable.next > seqMask {
			return fmt.Errorf("%w: priority %d ends beyond all bounds", errMeta, priority)
		}
	}
	if len(f.b) > 0 {
		flags := f.byte()
		if flags != metaStopped || len(f.b) > 0 {
			return fmt.Errorf("%w: flags %d", errMeta, flags)
		}
		q.paused, q.stopped = true, true
	}
	if f.failed {
		return errMeta
	}
	q.id.Store(id)
	return nil
}

// A chunk's value: version, number of the first page described, then for it
// and each one behind it: what follows, live bits, and as announced stored
// bits, by-reference bits, earliest expiry, size, and the delivery counts. The
// stored bits matter: references in a page's value are given back when the
// value is replaced, also those of messages that ended long before.
const chunkVersion = 1

const (
	pageEmpty     = 1 << iota // nothing follows
	pageHasRefs               // by-reference bits
	pageHasTime               // earliest expiry
	pageHasTries              // uvarint count, then slot and count of failed deliveries
	pageHasStored             // messages that the page's value holds, if those aren't the live ones
	pageHasBytes              // uvarint size of the live messages
)

func (l *lane) appendChunk(b []byte, chunk uint64) []byte {
	empty := true
	next := uint64(0)
	for at, _ := l.find(chunk << chunkShift); at < len(l.pages) && l.pages[at].number>>chunkShift == chunk; at++ {
		p := &l.pages[at]
		if p.live == 0 {
			continue
		}
		if empty {
			b = binary.AppendUvarint(append(b, chunkVersion), p.number)
			empty, next = false, p.number
		}
		for ; next < p.number; next++ {
			b = append(b, pageEmpty)
		}
		b = l.appendPage(b, p)
		next++
	}
	return b
}

func (l *lane) appendPage(b []byte, p *page) []byte {
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
	if expiry := p.earliestExpiry(); expiry != 0 {
		b[at] |= pageHasTime
		b = binary.BigEndian.AppendUint64(b, uint64(expiry))
	}
	if p.bytes != 0 {
		b[at] |= pageHasBytes
		b = binary.AppendUvarint(b, p.bytes)
	}
	if len(l.attempts) == 0 {
		return b
	}
	var tries []byte
	count := 0
	for m := p.live; m != 0; m &= m - 1 {
		slot := uint64(bits.TrailingZeros64(m))
		if k := l.attempts[p.number<<pageShift|slot]; k != 0 {
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

// earliestExpiry is minExpiry, and of messages that are with consumers, which
// a sweep leaves out.
func (p *page) earliestExpiry() int64 {
	earliest := p.minExpiry
	for m := p.acquired; m != 0; m &= m - 1 {
		if msg := p.message(uint64(bits.TrailingZeros64(m))); msg != nil && msg.Expiry != 0 && (earliest == 0 || msg.Expiry < earliest) {
			earliest = msg.Expiry
		}
	}
	return earliest
}

// RestoreChunk adds chunk number chunk of a lane's stored directory. Chunks of
// a lane come in their order. The value is copied.
func (q *Queue) RestoreChunk(laneNumber uint8, chunk uint64, value []byte) error {
	l, _ := q.lane(uint64(laneNumber) << laneShift)
	if l == nil || l.transient {
		return fmt.Errorf("%w: chunk of an unknown lane", errMeta)
	}
	f := fields{b: value}
	if v := f.byte(); v != chunkVersion {
		return fmt.Errorf("%w: chunk version %d", errMeta, v)
	}
	live := l.live
	for n := f.uvarint(); len(f.b) > 0 && !f.failed; n++ {
		if n>>chunkShift != chunk {
			f.failed = true
			break
		}
		l.restorePage(&f, n)
	}
	if f.failed {
		return fmt.Errorf("%w: chunk %d of %s", errMeta, chunk, q.dest)
	}
	q.free.Add(int64(l.live - live))
	return nil
}

func (l *lane) restorePage(f *fields, n uint64) {
	flags := f.byte()
	if flags&pageEmpty != 0 {
		return
	}
	p := page{number: n, live: f.uint64()}
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
	if flags&pageHasBytes != 0 {
		p.bytes = f.uvarint()
	}
	if f.failed = f.failed || !l.fits(&p); f.failed {
		return
	}
	if flags&pageHasTries != 0 {
		l.restoreAttempts(f, &p)
	}
	if p.live == 0 {
		l.unstore(&p)
		return
	}
	l.pages = append(l.pages, p)
	l.live += uint64(bits.OnesCount64(p.live))
	l.bytes += p.bytes
}

// fits reports whether p can be the lane's next page.
func (l *lane) fits(p *page) bool {
	if n := len(l.pages); n > 0 && l.pages[n-1].number >= p.number || p.live&^p.stored != 0 {
		return false
	}
	last := l.next >> pageShift
	return p.number < last || p.number == last && p.live>>(l.next&pageMask) == 0
}

func (l *lane) restoreAttempts(f *fields, p *page) {
	if l.attempts == nil {
		l.attempts = make(map[uint64]uint32)
	}
	for range min(f.uvarint(), pageSize) {
		slot, n := uint64(f.byte())&pageMask, uint32(f.uvarint())
		if p.live&(1<<slot) != 0 {
			l.attempts[p.number<<pageShift|slot] = n
		}
	}
}
