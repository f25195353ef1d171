package queue

import (
	"math/bits"

	"github.com/entrepot-mq/entrepot/core/message"
)

const (
	pageShift = 6
	pageSize  = 1 << pageShift // messages of a page: one bit of a bitmap each
	pageMask  = pageSize - 1

	chunkShift = 8 // pages of a chunk of the stored directory: 256
)

// page is what is always in memory of 64 messages.
type page struct {
	live      uint64  // messages that exist
	acquired  uint64  // of those: with a consumer, or their removal is on its way to the log
	stored    uint64  // messages that the page store holds, as of the checkpoint storedGen
	byRef     uint64  // messages whose body the page store keeps by reference
	win       *window // nil when no body is in memory
	minExpiry int64   // the earliest expiry of a live message, milliseconds, 0 for none
	storedGen uint32
	loading   bool
	unstored  bool // listed in lane.unstored
}

// window holds the messages of a page that are in memory; of the others the
// slots are nil.
type window struct {
	msg   [pageSize]*message.Message
	after []uint64 // transient lanes: the durable seq that each message stands before
	bytes int      // memory counted in the budget
}

// lane is an ordered list of messages of one priority.
type lane struct {
	priority  uint8
	transient bool
	base      uint64 // number of pages[0]
	next      uint64 // the seq that the next message gets
	pages     []page
	live      uint64            // messages that exist
	attempts  map[uint64]uint32 // seq -> failed deliveries, where there were any

	// What the next checkpoint has to write; durable lanes only.
	unstored   []uint64            // pages with messages that aren't stored
	dirty      map[uint64]struct{} // chunks whose directory changed
	dead       []deadPage          // stored pages without live messages
	deadChunks []uint64
}

// deadPage is a page to be removed from the page store.
type deadPage struct {
	number uint64
	byRef  bool // it holds references to bodies
}

func (l *lane) number() uint8 {
	if l.transient {
		return l.priority | 0x80
	}
	return l.priority
}

// page returns the page of seq, nil if it is gone or not there yet.
func (l *lane) page(seq uint64) *page {
	n := seq >> pageShift
	if n < l.base || n-l.base >= uint64(len(l.pages)) {
		return nil
	}
	return &l.pages[n-l.base]
}

// append adds m at the end and returns its seq.
func (l *lane) append(m *message.Message, byRef bool, after uint64) uint64 {
	seq := l.next
	if seq&pageMask == 0 || len(l.pages) == 0 {
		l.pages = append(l.pages, page{})
	}
	l.next++
	p := &l.pages[len(l.pages)-1]
	bit := uint64(1) << (seq & pageMask)
	p.live |= bit
	if byRef {
		p.byRef |= bit
	}
	if m.Expiry != 0 && (p.minExpiry == 0 || m.Expiry < p.minExpiry) {
		p.minExpiry = m.Expiry
	}
	l.live++
	if p.win == nil {
		p.win = &window{}
	}
	p.win.put(seq, m)
	if l.transient {
		if p.win.after == nil {
			p.win.after = make([]uint64, pageSize)
		}
		p.win.after[seq&pageMask] = after
		return seq
	}
	l.touch(seq)
	if !p.unstored {
		p.unstored = true
		l.unstored = append(l.unstored, seq>>pageShift)
	}
	return seq
}

func (w *window) put(seq uint64, m *message.Message) {
	w.msg[seq&pageMask] = m
	w.bytes += m.Size()
}

// touch notes that the directory chunk of seq's page changed.
func (l *lane) touch(seq uint64) {
	if l.transient {
		return
	}
	if l.dirty == nil {
		l.dirty = make(map[uint64]struct{})
	}
	l.dirty[seq>>(pageShift+chunkShift)] = struct{}{}
}

// remove takes seq out of the lane. It returns the memory given back.
func (l *lane) remove(seq uint64) (freed int, ok bool) {
	p := l.page(seq)
	bit := uint64(1) << (seq & pageMask)
	if p == nil || p.live&bit == 0 {
		return 0, false
	}
	p.live &^= bit
	p.acquired &^= bit
	l.live--
	l.touch(seq)
	delete(l.attempts, seq)
	if p.win != nil {
		freed = p.win.drop(seq)
	}
	if p.live == 0 && seq>>pageShift != l.next>>pageShift {
		freed += l.bury(seq >> pageShift)
	}
	return freed, true
}

func (w *window) drop(seq uint64) (freed int) {
	if m := w.msg[seq&pageMask]; m != nil {
		freed = m.Size()
		w.msg[seq&pageMask] = nil
		w.bytes -= freed
	}
	return freed
}

// bury forgets a full page without live messages, and the pages at the head
// of the lane that were waiting for it.
func (l *lane) bury(number uint64) (freed int) {
	p := &l.pages[number-l.base]
	if p.win != nil {
		freed, p.win = p.win.bytes, nil
	}
	if p.stored != 0 {
		l.dead = append(l.dead, deadPage{number, p.byRef&p.stored != 0})
		p.stored = 0
	}
	for len(l.pages) > 0 && l.pages[0].live == 0 && l.base < l.next>>pageShift {
		l.pages[0] = page{}
		l.pages = l.pages[1:]
		l.base++
		if l.base&(1<<chunkShift-1) == 0 && !l.transient {
			old := l.base>>chunkShift - 1
			delete(l.dirty, old)
			l.deadChunks = append(l.deadChunks, old)
		}
	}
	return freed
}

// firstFree returns the first seq from on that is live and not acquired.
func (l *lane) firstFree(from uint64) (seq uint64, ok bool) {
	n := max(from>>pageShift, l.base)
	if n > from>>pageShift {
		from = n << pageShift
	}
	mask := ^uint64(0) << (from & pageMask)
	for ; n-l.base < uint64(len(l.pages)); n++ {
		p := &l.pages[n-l.base]
		if free := p.live &^ p.acquired & mask; free != 0 {
			return n<<pageShift + uint64(bits.TrailingZeros64(free)), true
		}
		mask = ^uint64(0)
	}
	return l.next, false
}

// evict lets go of the bodies of stored pages, from the end of the lane to
// the page number keep, and returns the memory given back. gen is the last
// completed checkpoint.
func (l *lane) evict(keep uint64, gen uint32) (freed int) {
	for i := len(l.pages) - 1; i >= 0 && l.base+uint64(i) > keep; i-- {
		p := &l.pages[i]
		if p.win == nil || p.unstored || p.storedGen > gen || p.live&^p.stored != 0 || l.base+uint64(i) == l.next>>pageShift {
			continue
		}
		freed += p.win.bytes
		p.win = nil
	}
	return freed
}

// clear removes everything and returns the memory given back.
func (l *lane) clear() (freed int) {
	for i := range l.pages {
		p := &l.pages[i]
		if p.win != nil {
			freed += p.win.bytes
		}
		if p.stored != 0 {
			l.dead = append(l.dead, deadPage{l.base + uint64(i), p.byRef&p.stored != 0})
		}
	}
	for c := l.base >> chunkShift; c <= l.next>>(pageShift+chunkShift); c++ {
		l.deadChunks = append(l.deadChunks, c)
	}
	l.pages, l.unstored, l.dirty, l.attempts = nil, nil, nil, nil
	l.base, l.live = l.next>>pageShift, 0
	if l.next&pageMask != 0 {
		l.pages = append(l.pages, page{})
	}
	return freed
}
