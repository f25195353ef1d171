package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// keys returns how many keys of a kind are stored, and the bytes of their values.
func (w *world) keys(prefix byte) (n, size int) {
	w.must(w.pages.Scan([]byte{prefix}, func(_, value []byte) error {
		n++
		size += len(value)
		return nil
	}))
	return n, size
}

func (w *world) checkpoint() {
	w.freeze()
	if w.under != nil {
		w.write(false)
	}
}

const (
	pageKeys = 0x04
	bodyKeys = 0x05
	refKeys  = 0x06
)

func TestABodyThatTwoQueuesWaitForIsStoredOnceAndGoesWithTheLast(t *testing.T) {
	w := newWorld(t, 1<<40)
	m := w.message(true, 4, 2000, 0)
	w.publish(m, 0, 1)
	w.apply(1)
	w.checkpoint()
	if n, size := w.keys(bodyKeys); n != 1 || size != len(m.Raw()) {
		t.Fatalf("%d bodies of %d bytes, want one of %d", n, size, len(m.Raw()))
	}
	if _, size := w.keys(pageKeys); size > 100 {
		t.Fatalf("pages take %d bytes beside it", size)
	}
	for i := range w.queues {
		if n, _ := w.keys(bodyKeys); n != 1 {
			t.Fatalf("%d bodies before queue %d is empty", n, i)
		}
		w.queues[i].ApplyAck(4<<laneShift, 0)
		w.done = append(w.done, store.Op{})
		w.checkpoint()
	}
	for _, kind := range []byte{pageKeys, bodyKeys, refKeys} {
		if n, _ := w.keys(kind); n != 0 {
			t.Fatalf("%d keys of kind %d are left", n, kind)
		}
	}
}

// The page was rewritten after a restart without looking at its older value:
// the reference in it was never given back.
func TestAReferenceIsGivenBackAfterARestart(t *testing.T) {
	w := newWorld(t, 1<<40)
	w.publish(w.message(true, 4, 20_000, 0), 0)
	w.publish(w.message(true, 4, 10, 0), 0)
	w.apply(2)
	w.checkpoint()
	x := w.queues[0].model.all[0]
	x.state = ending
	w.Commit(store.Request{Op: store.Op{Kind: store.OpAck, Queue: 1, Pos: x.pos}})
	w.apply(1)
	w.checkpoint()
	w.restart()
	w.publish(w.message(true, 4, 10, 0), 0)
	w.apply(1)
	w.checkpoint()
	if n, _ := w.keys(bodyKeys); n != 0 {
		t.Fatalf("%d parts of a body that nobody refers to", n)
	}
}

func TestABodyOf5MiBIsStoredInPartsAndReadBack(t *testing.T) {
	w := newWorld(t, 1)
	for range 3 {
		w.publish(w.message(true, 4, 5<<20, 0), 0)
	}
	for range pageSize {
		w.publish(w.message(true, 4, 8, 0), 0)
	}
	w.apply(len(w.log))
	w.checkpoint()
	if n, _ := w.keys(bodyKeys); n != 3*21 {
		t.Fatalf("%d parts, want 3 times 21 of 256 KiB", n)
	}
	w.restart()
	if used := w.budget.Used(); used != 0 {
		t.Fatalf("%d bytes in memory after a restart", used)
	}
	c := w.subscribe(1)
	if c.last != 1 || w.budget.Used() > 6<<20 {
		t.Fatalf("%d deliveries, %d bytes in memory; one load brings one such body", c.last, w.budget.Used())
	}
}

// subscribe adds a consumer of the first queue.
func (w *world) subscribe(window uint32) *modelConsumer {
	c := newModelConsumer(w)
	c.window = window
	c.c = NewConsumer(w, ConsumerOptions{Window: window, Target: c})
	w.consumers = append(w.consumers, c)
	w.queues[0].model.attach(&modelAttachment{c: c})
	w.queues[0].Subscribe(c.c, nil, 0, false)
	return c
}

// 64 bodies just below the size from which on they are stored beside their
// page made a value that the page store refuses.
func TestAPageOfTheLargestInlineBodiesFits(t *testing.T) {
	w := newWorld(t, 1<<40)
	m := w.message(true, 4, 100, 0)
	body := largeBody - 1 - (len(m.Raw()) - 100)
	for range 2 * pageSize {
		m := w.message(true, 4, body, 0)
		if len(m.Raw()) != largeBody-1 || ByReference(m, 1) {
			t.Fatalf("%d bytes, want %d", len(m.Raw()), largeBody-1)
		}
		w.publish(m, 0)
	}
	w.apply(len(w.log))
	w.checkpoint()
	if n, size := w.keys(pageKeys); n != 2 || size > 2*pages.MaxValue || size < 2*pageSize*(largeBody-1) {
		t.Fatalf("%d pages of %d bytes", n, size)
	}
}

func TestTransientMessagesSpillAndComeBack(t *testing.T) {
	w := newWorld(t, 1)
	const n = 40 * pageSize
	for range n {
		w.publish(w.message(false, 4, 100, 0), 0)
	}
	q := w.queues[0]
	before := w.budget.Used()
	w.must(q.Relieve(w.scratch, false))
	// What stays: the pages that a consumer would come to first, and the last.
	if used := w.budget.Used(); used > before*(keepPages+3)/40 {
		t.Fatalf("%d of %d bytes stay in memory", used, before)
	}
	if w.scratch.Used() == 0 {
		t.Fatal("nothing is in the scratch")
	}
	w.must(q.Relieve(w.scratch, false))
	c := w.subscribe(10)
	for len(c.held) > 0 {
		last := c.last
		for tag := range c.held {
			c.settle(tag, Accepted)
		}
		w.must(c.c.SettleThrough(last, Accepted, nil, 0))
		w.check()
	}
	if c.last != n || w.scratch.Used() != 0 || w.budget.Used() != 0 {
		t.Fatalf("%d of %d came; %d bytes of scratch and %d of memory are left", c.last, n, w.scratch.Used(), w.budget.Used())
	}
}

// Pages that consumers would want next stayed in memory even if there was
// nothing else to let go: with many queues, producers waited for ever.
func TestEverythingThatIsStoredCanLeaveMemory(t *testing.T) {
	w := newWorld(t, 1)
	for i := range 10*pageSize + 5 {
		w.publish(w.message(true, uint8(i%10), 100, 0), 0)
	}
	for range pageSize {
		w.publish(w.message(false, 4, 100, 0), 0)
	}
	w.apply(len(w.log))
	w.checkpoint()
	w.must(w.queues[0].Relieve(w.scratch, false))
	if w.budget.Used() == 0 {
		t.Fatal("what comes next did not stay")
	}
	w.must(w.queues[0].Relieve(w.scratch, true))
	if used := w.budget.Used(); used != 0 {
		t.Fatalf("%d bytes stay", used)
	}
	c := w.subscribe(10_000)
	w.publish(w.message(true, 4, 100, 0), 0)
	w.apply(1)
	w.check()
	if c.last != 10*pageSize+5+pageSize+1 {
		t.Fatalf("%d deliveries", c.last)
	}
}

func TestTransientMessagesStayWhenTheScratchIsFull(t *testing.T) {
	w := newWorld(t, 1)
	w.openScratch(1000)
	for range 20 * pageSize {
		w.publish(w.message(false, 4, 100, 0), 0)
	}
	before := w.budget.Used()
	if err := w.queues[0].Relieve(w.scratch, false); !errors.Is(err, store.ErrScratchFull) {
		t.Fatalf("relieved: %v", err)
	}
	if w.budget.Used() != before {
		t.Fatalf("%d bytes in memory, want %d", w.budget.Used(), before)
	}
	w.check()
}

func TestTransientMessagesThatCannotBeReadAreLostAndTheQueueGoesOn(t *testing.T) {
	w := newWorld(t, 1)
	fs := disk.NewFake()
	scratch, err := store.OpenScratch(fs, "scratch", 1<<30)
	w.must(err)
	w.scratch = scratch
	const n = 20 * pageSize
	for range n {
		w.publish(w.message(false, 4, 100, 0), 0)
	}
	q := w.queues[0]
	w.must(q.Relieve(scratch, false))
	scratch.Close() // the files are gone
	var l *lane
	l, _ = q.lane(0x84 << laneShift)
	lost := len(l.spilled) * pageSize
	for number := range l.spilled {
		if err := q.LoadPage(nil, 0x84, number<<pageShift); !errors.Is(err, ErrLost) {
			t.Fatalf("loaded: %v", err)
		}
	}
	if st := q.Stats(); lost == 0 || st.Messages != n-lost {
		t.Fatalf("%d messages, want %d", st.Messages, n-lost)
	}
	q.invariants(t)
}

func TestSpilledPageIsReadAsItWasWritten(t *testing.T) {
	w := newWorld(t, 1)
	s := &spill{live: 1<<3 | 1<<63}
	for _, slot := range []int{3, 63} {
		s.msg[slot], s.after[slot] = w.message(false, 4, slot, 0), uint64(slot)<<40
	}
	var b bytes.Buffer
	w.must(s.write(&b))
	if int64(b.Len()) != s.size() {
		t.Fatalf("%d bytes, announced %d", b.Len(), s.size())
	}
	head := b.Bytes()
	if head[0] != 2 || head[1] != 3 || binary.BigEndian.Uint64(head[2:]) != 3<<40 || head[1+spillEntry] != 63 {
		t.Fatalf("head %x", head[:1+2*spillEntry])
	}
}

func TestSweepEndsExpiredMessagesOnDiskAndLooksNoSecondTime(t *testing.T) {
	w := newWorld(t, 1)
	const n = 20 * pageSize
	for i := range n {
		expiry := int64(0)
		switch i % 3 {
		case 1:
			expiry = w.now + 100
		case 2:
			expiry = w.now + 1_000_000
		}
		w.publish(w.message(i%2 == 0, 4, 100, expiry), 0)
	}
	w.apply(len(w.log))
	w.checkpoint()
	q := w.queues[0]
	w.must(q.Relieve(w.scratch, false))
	held := w.budget.Used()
	w.now += 100
	w.must(q.Sweep(w.pages, func() bool { return true }))
	if again := q.overdue(w.now); len(again) != 0 {
		t.Fatalf("pages %v would be looked at again", again)
	}
	w.apply(len(w.log))
	w.check()
	if st := q.Stats(); st.Messages != n-(n+1)/3 || int(st.Expired) != (n+1)/3 {
		t.Fatalf("%d messages, %d expired", st.Messages, st.Expired)
	}
	if w.budget.Used() > held {
		t.Fatalf("%d bytes in memory, %d before", w.budget.Used(), held)
	}
}

func TestSweepGoesOnWithWhatAConsumerGaveBack(t *testing.T) {
	w := newWorld(t, 1<<40)
	w.publish(w.message(false, 4, 8, w.now+10), 0)
	c := w.subscribe(1)
	w.now += 10
	q := w.queues[0]
	w.must(q.Sweep(w.pages, func() bool { return true }))
	if q.Stats().Messages != 1 {
		t.Fatal("a message that is with a consumer was ended")
	}
	w.queues[0].model.paused = true
	q.SetPaused(true)
	c.settle(1, Released)
	w.must(c.c.Settle(1, Released, nil, 0))
	w.must(q.Sweep(w.pages, func() bool { return true }))
	if n := q.Stats().Messages; n != 0 {
		t.Fatalf("%d messages after the sweep", n)
	}
}

// A body's count can't fall below zero: that would be a fault of ours, and is
// an error instead of a body that goes too early.
func TestReferencesNeverFallBelowZero(t *testing.T) {
	p := pages.NewMemory()
	w, err := p.Begin(pages.Mark{Index: 1})
	if err != nil {
		t.Fatal(err)
	}
	refs := NewRefs()
	refs.add(message.ID{Hi: 1, Lo: 1}, -1, nil)
	if err := refs.Write(p, w); err == nil {
		t.Fatal("no error")
	}
}
