package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/selector"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// Bodies of this size or more are stored beside their page, those that
// several queues share from the smaller size on: then a body exists once.
const (
	largeBody  = pages.MaxValue/pageSize - 16 // 64 of them and what stands before each fit into a page's value
	sharedBody = 512
)

// ByReference reports whether a message that n queues get is stored beside
// its pages.
func ByReference(m *message.Message, n int) bool {
	size := len(m.Raw())
	return size >= largeBody || n > 1 && size >= sharedBody
}

// Frozen is what changed in a queue up to some record of the log.
type Frozen struct {
	q       *Queue
	gen     uint32
	deleted bool
	meta    []byte
	pages   []frozenPage
	chunks  []frozenChunk
	dead    []frozenDead
	gone    []laneNumber // chunks to delete
}

type laneNumber struct {
	lane   uint8
	number uint64
}

type frozenPage struct {
	laneNumber
	live, stored, byRef uint64
	msgs                [pageSize]*message.Message
	summary             []byte  // if there is one already
	packed              *packed // nil, or with what isn't in msgs
}

type frozenChunk struct {
	laneNumber
	value []byte
}

type frozenDead struct {
	laneNumber
	byRef bool
}

// Freeze returns what changed since the last Freeze, nil if nothing did. The
// applier calls it.
func (q *Queue) Freeze() *Frozen {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.changed {
		return nil
	}
	q.changed = false
	q.gen++
	f := &Frozen{q: q, gen: q.gen, deleted: q.deleted, meta: q.encodeMeta()}
	for _, lv := range q.levels {
		lv.durable.freeze(f)
	}
	return f
}

func (l *lane) freeze(f *Frozen) {
	for _, n := range l.unstored {
		p := l.page(n << pageShift)
		if p == nil {
			continue
		}
		p.unstored = false
		if p.live&^p.stored == 0 {
			continue
		}
		fp := frozenPage{laneNumber: laneNumber{l.number(), n}, live: p.live, stored: p.stored, byRef: p.byRef}
		if p.win != nil {
			fp.msgs, fp.summary = p.win.msg, p.win.summary
		}
		if p.packed {
			fp.packed = l.packed[n]
		}
		f.pages = append(f.pages, fp)
		p.stored, p.storedGen = p.live, f.gen
	}
	l.unstored = nil
	for c := range l.dirty {
		if value := l.appendChunk(nil, c); value != nil {
			f.chunks = append(f.chunks, frozenChunk{laneNumber{l.number(), c}, value})
		} else {
			f.gone = append(f.gone, laneNumber{l.number(), c})
		}
	}
	l.dirty = nil
	for _, d := range l.dead {
		f.dead = append(f.dead, frozenDead{laneNumber{l.number(), d.number}, d.byRef})
	}
	l.dead = nil
}

// Write hands the changes to w. refs collects what happens to bodies kept by
// reference, over all queues of the checkpoint.
func (f *Frozen) Write(p pages.Store, w pages.Writer, refs *Refs) error {
	id := f.q.ID()
	for _, d := range f.dead { // first: a page that was emptied may have been filled again
		key := store.PageKey(nil, id, d.lane, d.number)
		if d.byRef {
			if err := refs.drop(p, key); err != nil {
				return err
			}
		}
		if err := w.Delete(key); err != nil {
			return err
		}
	}
	made := make(map[laneNumber][]byte, len(f.pages))
	e := pageEncoder{pages: p, refs: refs, converters: f.q.broker.Converters()}
	for i := range f.pages {
		fp := &f.pages[i]
		key := store.PageKey(nil, id, fp.lane, fp.number)
		value, summary, err := e.encode(fp, key)
		if err != nil {
			return fmt.Errorf("page %d of %s: %w", fp.number, f.q.dest, err)
		}
		if err := w.Put(key, value); err != nil {
			return err
		}
		made[fp.laneNumber] = summary
	}
	if err := f.writeSummaries(p, w, id, made); err != nil {
		return err
	}
	return f.writeDirectory(w, id)
}

func (f *Frozen) writeDirectory(w pages.Writer, id uint64) error {
	for _, c := range f.gone {
		if err := w.Delete(store.ChunkKey(nil, id, c.lane, c.number)); err != nil {
			return err
		}
		if err := w.Delete(store.SummariesKey(nil, id, c.lane, c.number)); err != nil {
			return err
		}
	}
	if f.deleted {
		return w.Delete(store.QueueKey(nil, id))
	}
	for _, c := range f.chunks {
		if err := w.Put(store.ChunkKey(nil, id, c.lane, c.number), c.value); err != nil {
			return err
		}
	}
	return w.Put(store.QueueKey(nil, id), f.meta)
}

// Written says that the checkpoint is complete: the queue can let go of bodies
// that it can read again.
func (f *Frozen) Written() {
	f.q.mu.Lock()
	defer f.q.mu.Unlock()
	f.q.written = f.gen
}

// A page's value: version, then for each live message its slot, how it is
// kept, and inline: uvarint length and raw bytes; by reference: its id and
// uvarint length.
const (
	pageVersion = 1
	keptInline  = 0
	keptByRef   = 1
)

var errPage = errors.New("stored page is malformed")

// pageEncoder makes the values of pages, in memory that it uses again.
type pageEncoder struct {
	pages      pages.Store
	refs       *Refs
	converters message.Converters
	buf, old   []byte
	sum        selector.Summary
}

// encode returns the page's value and summary, the value until the next call.
func (e *pageEncoder) encode(fp *frozenPage, key []byte) (value, summary []byte, err error) {
	if k := fp.packed; k != nil {
		if k.live != fp.live {
			e.buf, err = fp.append(e.buf[:0], k.value, e.refs)
			return e.buf, k.summary, err // it may know too much, never too little
		}
		return k.value, k.summary, nil
	}
	if e.old, err = fp.before(e.pages, key, e.old[:0]); err != nil {
		return nil, nil, err
	}
	if e.buf, err = fp.append(e.buf[:0], e.old, e.refs); err != nil {
		return nil, nil, err
	}
	return e.buf, fp.summarize(&e.sum, e.old, e.converters), nil
}

// before reads the page's older value if something in it is still needed.
func (fp *frozenPage) before(p pages.Store, key, buf []byte) ([]byte, error) {
	needed := fp.stored&fp.byRef&^fp.live != 0
	for m := fp.stored & fp.live; m != 0; m &= m - 1 {
		needed = needed || fp.msgs[bits.TrailingZeros64(m)] == nil
	}
	if !needed {
		return buf[:0], nil
	}
	return p.Get(buf, key)
}

// append appends the page's value, in the order of slots: what is in memory,
// and of the older value what isn't.
func (fp *frozenPage) append(b, old []byte, refs *Refs) ([]byte, error) {
	var carried [pageSize][]byte
	err := eachEntry(old, func(slot uint8, entry []byte, ref *bodyRef) error {
		carried[slot] = entry
		if fp.live&(1<<slot) == 0 && ref != nil {
			refs.add(ref.id, -1, nil)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b = append(b, pageVersion)
	for m := fp.live; m != 0; m &= m - 1 {
		slot := bits.TrailingZeros64(m)
		if msg := fp.msgs[slot]; msg != nil {
			b = fp.appendEntry(b, slot, msg, refs)
		} else {
			b = append(b, carried[slot]...)
		}
	}
	return b, nil
}

// size is at least the size of the page's value, if all is in memory.
func (fp *frozenPage) size() int {
	n := 1
	for m := fp.live; m != 0; m &= m - 1 {
		n += 2 + binary.MaxVarintLen32 + len(fp.msgs[bits.TrailingZeros64(m)].Raw())
	}
	return n
}

func (fp *frozenPage) appendEntry(b []byte, slot int, msg *message.Message, refs *Refs) []byte {
	b = append(b, byte(slot))
	if fp.byRef&(1<<slot) == 0 {
		b = binary.AppendUvarint(append(b, keptInline), uint64(len(msg.Raw())))
		return append(b, msg.Raw()...)
	}
	if fp.stored&(1<<slot) == 0 {
		refs.add(msg.ID, 1, msg)
	}
	b = binary.BigEndian.AppendUint64(append(b, keptByRef), msg.ID.Hi)
	b = binary.BigEndian.AppendUint64(b, msg.ID.Lo)
	return binary.AppendUvarint(b, uint64(len(msg.Raw())))
}

// bodyRef is a reference in a page.
type bodyRef struct {
	id   message.ID
	size int
}

// eachEntry calls fn for each entry of a page's value: ref is nil for inline
// ones, whose raw bytes end the entry.
func eachEntry(value []byte, fn func(slot uint8, entry []byte, ref *bodyRef) error) error {
	if len(value) == 0 {
		return nil
	}
	if value[0] != pageVersion {
		return fmt.Errorf("%w: version %d", errPage, value[0])
	}
	for b := value[1:]; len(b) > 0; {
		entry, ref, err := cutEntry(b)
		if err != nil {
			return err
		}
		if err := fn(b[0], entry, ref); err != nil {
			return err
		}
		b = b[len(entry):]
	}
	return nil
}

func cutEntry(b []byte) (entry []byte, ref *bodyRef, err error) {
	if len(b) < 3 || b[0] >= pageSize {
		return nil, nil, errPage
	}
	at := 2
	if b[1] == keptByRef {
		if len(b) < at+17 {
			return nil, nil, errPage
		}
		ref = &bodyRef{id: message.ID{Hi: binary.BigEndian.Uint64(b[at:]), Lo: binary.BigEndian.Uint64(b[at+8:])}}
		at += 16
	}
	size, n := binary.Uvarint(b[at:])
	if n <= 0 {
		return nil, nil, errPage
	}
	at += n
	if ref != nil {
		ref.size = int(size)
		return b[:at], ref, nil
	}
	if size > uint64(len(b)-at) {
		return nil, nil, errPage
	}
	return b[:at+int(size)], nil, nil
}
