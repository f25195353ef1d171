package queue

import (
	"math/bits"
	"slices"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
)

const (
	pageShift = 6
	pageSize  = 1 << pageShift // messages of a page: one bit of a bitmap each
	pageMask  = pageSize - 1

	chunkShift = 8 // pages of a chunk of the stored directory: 256
)

// page is what is always in memory of 64 messages: 72 bytes.
type page struct {
	number    uint64
	live      uint64  // messages that exist
	acquired  uint64  // of those: with a consumer, or their removal is on its way to the log
	stored    uint64  // messages that the page store holds, as of the checkpoint storedGen
	byRef     uint64  // messages whose body the page store keeps by reference
	win       *window // nil when no body is in memory
	minExpiry int64   // the earliest expiry of a live message, milliseconds, 0 for none; it may have ended
	bytes     uint64  // of the live messages; where one went that wasn't in memory, the average of those there
	storedGen uint32
	loading   bool
	unstored  bool // listed in lane.unstored
	packed    bool // it has an entry in lane.packed
}

// window holds the messages of a page that are in memory; of the others the
// slots are nil.
type window struct {
	msg     [pageSize]*message.Message
	after   []uint64 // transient lanes: the durable seq that each message stands before
	summary []byte   // of a page that is complete, see Queue.Summarize; nil: none
	bytes   int      // memory counted in the budget
}

// lane is an ordered list of messages of one priority. One message that
// nobody takes keeps one page, however many came and went behind it.
type lane struct {
	priority  uint8
	transient bool
	next      uint64            // the seq that the next message gets
	pages     []page            // by number; those without live messages go sooner or later
	empty     int               // of those, how many have no live messages
	live      uint64            // messages that exist
	bytes     uint64            // of them: the sum of page.bytes
	attempts  map[uint64]uint32 // seq -> failed deliveries, where there were any
	summed    uint64            // number of the page from which on Summarize has not looked at any

	// What the next checkpoint has to write; durable lanes only.
	unstored []uint64            // pages with messages that aren't stored
	dirty    map[uint64]struct{} // chunks whose directory changed
	dead     []deadPage          // stored pages without live messages

	packed map[uint64]*packed // by page; durable lanes only

	// Pages that are in the scratch; transient lanes only.
	spilled map[uint64]spilledPage
}

type spilledPage struct {
	place   store.Place
	summary []byte
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

// find returns where page number n is, or where it would be.
func (l *lane) find(n uint64) (at int, ok bool) {
	if len(l.pages) == 0 || n < l.pages[0].number {
		return 0, false
	}
	// Mostly there are no gaps, before it or behind it.
	if at := n - l.pages[0].number; at < uint64(len(l.pages)) && l.pages[at].number == n {
		return int(at), true
	}
	end := len(l.pages) - 1
	if back := l.pages[end].number - n; back <= uint64(end) && l.pages[end-int(back)].number == n {
		return end - int(back), true
	}
	return slices.BinarySearchFunc(l.pages, n, func(p page, n uint64) int {
		switch {
		case p.number < n:
			return -1
		case p.number > n:
			return 1
		}
		return 0
	})
}

// page returns the page of seq, nil if it is gone or not there yet.
func (l *lane) page(seq uint64) *page {
	at, ok := l.find(seq >> pageShift)
	if !ok {
		return nil
	}
	return &l.pages[at]
}

// tail returns the page that the next message goes to.
func (l *lane) tail() *page {
	if n := l.next >> pageShift; len(l.pages) == 0 || l.pages[len(l.pages)-1].number != n {
		l.pages = append(l.pages, page{number: n})
		l.empty++
	}
	return &l.pages[len(l.pages)-1]
}

// append adds m at the end and returns its seq.
func (l *lane) append(m *message.Message, byRef bool, after uint64) uint64 {
	p := l.tail()
	seq := l.next
	l.next++
	bit := uint64(1) << (seq & pageMask)
	if p.live == 0 {
		l.empty--
	}
	p.live |= bit
	if byRef {
		p.byRef |= bit
	}
	p.expires(m)
	l.live++
	p.bytes += uint64(len(m.Raw()))
	l.bytes += uint64(len(m.Raw()))
	if p.win == nil {
		p.win = &window{}
	}
	p.win.put(seq, m)
	if l.transient {
		p.win.setAfter(seq, after)
		return seq
	}
	l.touch(seq)
	if !p.unstored {
		p.unstored = true
		l.unstored = append(l.unstored, p.number)
	}
	return seq
}

// expires notes that m, which is live, may expire.
func (p *page) expires(m *message.Message) {
	if m.Expiry != 0 && (p.minExpiry == 0 || m.Expiry < p.minExpiry) {
		p.minExpiry = m.Expiry
	}
}

func (w *window) put(seq uint64, m *message.Message) {
	w.msg[seq&pageMask] = m
	w.bytes += m.Size()
}

func (w *window) setAfter(seq, after uint64) {
	if w.after == nil {
		w.after = make([]uint64, pageSize)
	}
	w.after[seq&pageMask] = after
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
	at, ok := l.find(seq >> pageShift)
	if !ok {
		return 0, false
	}
	p, bit := &l.pages[at], uint64(1)<<(seq&pageMask)
	if p.live&bit == 0 {
		return 0, false
	}
	l.uncount(p, seq)
	p.live &^= bit
	p.acquired &^= bit
	l.live--
	l.touch(seq)
	if l.attempts != nil {
		delete(l.attempts, seq)
	}
	if p.win != nil {
		freed = p.win.drop(seq)
	}
	if p.live == 0 {
		freed += l.unpack(p)
		l.emptied(at)
	}
	return freed, true
}

// uncount takes the bytes of seq, which is about to go, out of the sums.
func (l *lane) uncount(p *page, seq uint64) {
	n := p.size(seq)
	p.bytes -= n
	l.bytes -= n
}

// size is the message's size in bytes, or what it is taken to be.
func (p *page) size(seq uint64) uint64 {
	n := p.bytes / uint64(bits.OnesCount64(p.live))
	if m := p.message(seq); m != nil && p.live&(p.live-1) != 0 {
		n = min(uint64(len(m.Raw())), p.bytes)
	}
	return n
}

func (w *window) drop(seq uint64) (freed int) {
	if m := w.msg[seq&pageMask]; m != nil {
		freed = m.Size()
		w.msg[seq&pageMask] = nil
		w.bytes -= freed
	}
	return freed
}

// emptied notes that a page has no live messages any more. What is stored of
// it is to be removed. The page that messages are being added to stays.
func (l *lane) emptied(at int) {
	p := &l.pages[at]
	l.empty++
	p.minExpiry = 0
	l.unstore(p)
	if p.number == l.next>>pageShift {
		return
	}
	p.win = nil
	for len(l.pages) > 0 && l.pages[0].live == 0 && l.pages[0].number != l.next>>pageShift {
		l.pages = l.pages[1:]
		l.empty--
	}
	if l.empty > 32 && l.empty > len(l.pages)/2 {
		l.pages = slices.DeleteFunc(l.pages, func(p page) bool { return p.live == 0 && p.number != l.next>>pageShift })
		l.empty = 0
		if n := len(l.pages); n > 0 && l.pages[n-1].live == 0 {
			l.empty = 1
		}
	}
}

// unstore has what is kept of p outside of memory removed.
func (l *lane) unstore(p *page) {
	if p.stored != 0 {
		l.dead = append(l.dead, deadPage{p.number, p.byRef&p.stored != 0})
		p.stored = 0
	}
	if s, ok := l.spilled[p.number]; ok {
		s.place.Free()
		delete(l.spilled, p.number)
	}
}

// firstFree returns the first seq from on that is live and not acquired.
func (l *lane) firstFree(from uint64) (seq uint64, ok bool) {
	return l.first(from, func(p *page) uint64 { return p.live &^ p.acquired })
}

// firstLive returns the first seq from on that is live.
func (l *lane) firstLive(from uint64) (seq uint64, ok bool) {
	return l.first(from, func(p *page) uint64 { return p.live })
}

func (l *lane) first(from uint64, of func(*page) uint64) (seq uint64, ok bool) {
	at, there := l.find(from >> pageShift)
	mask := ^uint64(0)
	if there {
		mask <<= from & pageMask
	}
	for ; at < len(l.pages); at++ {
		p := &l.pages[at]
		if some := of(p) & mask; some != 0 {
			return p.number<<pageShift + uint64(bits.TrailingZeros64(some)), true
		}
		mask = ^uint64(0)
	}
	return l.next, false
}

// firstFreePage returns the first page that has messages from seq from on that
// can be delivered, and those; nil if there is none.
func (l *lane) firstFreePage(from uint64) (p *page, free uint64) {
	at, there := l.find(from >> pageShift)
	mask := ^uint64(0)
	if there {
		mask <<= from & pageMask
	}
	for ; at < len(l.pages); at++ {
		if p := &l.pages[at]; p.free()&mask != 0 {
			return p, p.free() & mask
		}
		mask = ^uint64(0)
	}
	return nil, 0
}

// missing returns the live messages of p, from slot on, that are not in
// memory.
func (p *page) missing(slot uint64) uint64 {
	m := p.live & (^uint64(0) << slot)
	if p.win == nil {
		return m
	}
	for k := m; k != 0; k &= k - 1 {
		if slot := bits.TrailingZeros64(k); p.win.msg[slot] != nil {
			m &^= 1 << slot
		}
	}
	return m
}

// letGo drops the bodies of p, which are stored or spilled, but for those that
// consumers hold in memory anyway. It returns the memory given back.
func (l *lane) letGo(p *page) (freed int) {
	freed = l.drop(p)
	if p.win == nil {
		return freed
	}
	if p.acquired == 0 {
		freed += p.win.bytes
		p.win = nil
		return freed
	}
	for m := p.live &^ p.acquired; m != 0; m &= m - 1 {
		freed += p.win.drop(uint64(bits.TrailingZeros64(m)))
	}
	return freed
}

// readable reports whether every message of p can be read again: it is in the
// page store as of checkpoint gen, or in the scratch.
func (l *lane) readable(p *page, gen uint32) bool {
	if l.transient {
		_, ok := l.spilled[p.number]
		return ok
	}
	return !p.unstored && p.storedGen <= gen && p.live&^p.stored == 0
}

// evict lets go of the bodies that can be read again, from the end of the lane
// on, while the budget is tight. gen is the last completed checkpoint; pages
// that are near, because a cursor will come to them soon, stay.
func (l *lane) evict(near func(number uint64) bool, gen uint32, budget *store.Budget) {
	for i := len(l.pages) - 1; i >= 0 && budget.Tight(); i-- {
		if p := &l.pages[i]; (p.win != nil || p.packed) && l.readable(p, gen) && !near(p.number) {
			budget.Add(-l.letGo(p))
		}
	}
}

// clear removes everything and returns the memory given back.
func (l *lane) clear() (freed int) {
	for i := range l.pages {
		p := &l.pages[i]
		if p.win != nil {
			freed += p.win.bytes
		}
		freed += l.unpack(p)
		l.touch(p.number << pageShift)
		l.unstore(p)
	}
	l.pages, l.unstored, l.attempts = nil, nil, nil
	l.empty, l.live, l.bytes = 0, 0, 0
	return freed
}
