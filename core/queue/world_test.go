package queue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// failer is a test, or one run of rapid.
type failer interface {
	Fatalf(format string, args ...any)
}

// world is queues, the broker around them without threads, and the model.
// What the log would do happens when apply is called, what the loader would
// do when load is called: so operations meet in every order.
type world struct {
	t       failer
	now     int64
	numbers uint64
	eager   bool // pages are loaded at once
	packing uint64
	groups  GroupSettings

	policies bool // failed deliveries are not all tried again at once
	delays   []testDelay

	queues    []*testQueue
	consumers []*modelConsumer
	budget    *store.Budget
	pages     *pages.Memory
	scratch   *store.Scratch
	log       []store.Request // committed, not applied
	done      []store.Op      // applied
	loads     []func() error
	under     *checkpoint // frozen, not written

	delivered, loaded, restarts int
}

// testQueue is a queue and its model.
type testQueue struct {
	*Queue
	model *modelQueue
}

type checkpoint struct {
	index  uint64
	frozen []*Frozen
}

func newWorld(t failer, memory int64) *world {
	w := &world{t: t, now: 1000, pages: pages.NewMemory(), eager: true, packing: packBehind}
	w.budget = store.NewBudget(memory)
	w.openScratch(1 << 30)
	for i := range 2 {
		w.queues = append(w.queues, &testQueue{model: newModelQueue(i)})
	}
	w.fresh()
	return w
}

func (w *world) openScratch(size int64) {
	s, err := store.OpenScratch(disk.NewFake(), "scratch", size)
	w.must(err)
	w.scratch = s
}

func (w *world) must(err error) {
	if err != nil {
		w.t.Fatalf("%v", err)
	}
}

func (w *world) fresh() {
	for i, q := range w.queues {
		q.Queue = New(message.Queue(fmt.Sprint("q", i)), w, w.budget)
		q.SetID(uint64(i + 1))
		q.packBehind = w.packing
	}
}

// Commit implements Broker.
func (w *world) Commit(r store.Request) { w.log = append(w.log, r) }

// NowMs implements Broker.
func (w *world) NowMs() int64 { return w.now }

// GroupSettings implements Broker.
func (w *world) GroupSettings(*Queue) GroupSettings { return w.groups }

// StartSettings implements Broker.
func (w *world) StartSettings(*Queue) StartSettings { return StartSettings{} }

// Converters implements Broker.
func (w *world) Converters() message.Converters { return numbered }

// numbered reads the messages of these tests: their number is a property.
var numbered = message.Converters{message.EncodingHub: numberedView{}}

type numberedView struct{}

// View implements message.Converter.
func (numberedView) View(m *message.Message) (*message.View, error) {
	n := int64(number(m))
	return &message.View{Properties: []message.Property{
		{Name: "n", Value: message.Int64Value(n)}, {Name: "hundreds", Value: message.StringValue(fmt.Sprint(n / 100))},
	}}, nil
}

// Pressed implements Broker.
func (w *world) Pressed() {}

// Unsummed implements Broker.
func (w *world) Unsummed(*Queue) {}

// Load implements Broker.
func (w *world) Load(q *Queue, lane uint8, seq uint64) {
	w.loaded++
	f := func() error { return q.LoadPage(w.pages, lane, seq) }
	if w.eager {
		w.must(f())
		return
	}
	w.loads = append(w.loads, f)
}

// Reject implements Broker: there are no dead letters here.
func (w *world) Reject(q *Queue, ds []Held, reason string, done store.Done, token uint64) {
	for _, d := range ds {
		if reason != Expired {
			continue // the model knows
		}
		x := w.model(q).byPos[d.Pos]
		if x == nil || number(d.Message) != x.n {
			w.t.Fatalf("%s: message %d at %x is not what stands there", reason, number(d.Message), d.Pos)
		}
		if x.state != waiting || !x.expired(w.now) {
			w.t.Fatalf("message %d expired in state %d at %d", x.n, x.state, w.now)
		}
		x.state = ending
		if isTransient(d.Pos) {
			x.q.remove(x)
		}
	}
	if ops := q.Remove(nil, ds); len(ops) > 0 || done != nil {
		w.Commit(store.Request{Ops: ops, Done: done, Token: token})
	}
}

// DeadLetterOps implements Rejecter.
func (w *world) DeadLetterOps(ops []store.Op, _ *Queue, _ Held, _ string) []store.Op { return ops }

// FateOf implements Broker.
func (w *world) FateOf(_ *Queue, m *message.Message, n uint32) Fate { return w.fateOf(number(m), n) }

// fateOf is the redelivery policy: most messages come back at once, some after
// a time, and some become dead letters.
func (w *world) fateOf(message uint64, n uint32) Fate {
	switch {
	case !w.policies:
		return Fate{}
	case message%5 == 1 && n > 2:
		return Fate{Dead: true}
	case message%3 == 1:
		return Fate{Due: w.now + 30}
	}
	return Fate{}
}

// DelayOp implements Broker.
func (w *world) DelayOp(q *Queue, pos uint64, n uint32, due int64) store.Op {
	return store.Op{Kind: store.OpState, Queue: q.ID(), Pos: pos, N: n, Data: binary.BigEndian.AppendUint64(nil, uint64(due))}
}

// Delay implements Broker.
func (w *world) Delay(q *Queue, pos uint64, due int64) {
	w.delays = append(w.delays, testDelay{w.model(q), pos, due})
}

// testDelay is a message that waits for its time.
type testDelay struct {
	q   *modelQueue
	pos uint64
	due int64
}

// due gives back what has waited long enough.
func (w *world) due() {
	var later, now []testDelay
	for _, d := range w.delays {
		if d.due > w.now {
			later = append(later, d)
		} else {
			now = append(now, d)
		}
	}
	w.delays = later
	back := make([][]uint64, len(w.queues))
	for _, d := range now {
		if x := d.q.byPos[d.pos]; x != nil && x.state == delayed {
			x.state, x.limbo = waiting, true
			x.leave()
		}
		back[d.q.index] = append(back[d.q.index], d.pos)
	}
	for i, all := range back {
		if all != nil {
			w.queues[i].GiveBack(all)
		}
	}
}

func (w *world) model(q *Queue) *modelQueue {
	for _, t := range w.queues {
		if t.Queue == q {
			return t.model
		}
	}
	w.t.Fatalf("a queue of an earlier run")
	return nil
}

// expects returns the model's message if m is what the consumer is to get
// next from the queue.
func (w *world) expects(q *testQueue, a *modelAttachment, m *message.Message) *modelMessage {
	// Among messages of different groups there is no order.
	same := func(x *modelMessage) bool { return x.m.GroupID == m.GroupID }
	for _, late := range []bool{false, true} {
		skip := late
		if late && m.GroupID != "" { // nothing is overtaken but what is of a group that ended
			skip = false
			same = func(x *modelMessage) bool { return x.m.GroupID == m.GroupID && (!x.limbo || !x.late) }
		}
		if x := q.model.first(a, w.now, skip, same); x != nil && x.n == number(m) {
			if !bytes.Equal(x.m.Raw(), m.Raw()) {
				w.t.Fatalf("message %d has changed", x.n)
			}
			return x
		}
	}
	return nil
}

// message makes a message for the queues to; several mean a topic.
func (w *world) message(durable bool, priority uint8, size int, expiry int64) *message.Message {
	w.numbers++
	body := make([]byte, max(8, size))
	for i := range 8 {
		body[i] = byte(w.numbers >> (56 - 8*i))
	}
	e := message.Envelope{ID: message.ID{Hi: 1, Lo: w.numbers}, Destination: message.Queue("q"), Durable: durable, Priority: priority, Timestamp: 1, Expiry: expiry}
	return message.New(&e, message.EncodingHub, body)
}

// publish sends m to queues by index.
func (w *world) publish(m *message.Message, to ...int) {
	if m.Durable {
		op := store.Op{Kind: store.OpPublish, Msg: m}
		for _, i := range to {
			op.N |= 1 << i // the log has no such field; the replay here needs it
		}
		w.Commit(store.Request{Op: op})
		return
	}
	for _, i := range to {
		w.queues[i].model.add(m)
		w.queues[i].EnqueueTransient(m)
	}
}

// apply applies n requests of the log as one batch.
func (w *world) apply(n int) {
	batch := slices.Clone(w.log[:n])
	w.log = slices.Delete(w.log, 0, n)
	for _, r := range batch {
		ops := r.Ops
		if ops == nil && r.Op.Kind != 0 {
			ops = []store.Op{r.Op}
		}
		for _, op := range ops {
			w.applyModel(&op)
			w.applyReal(&op)
			w.done = append(w.done, op)
		}
		if r.Done != nil {
			r.Done.Complete(r.Token, r.Err)
		}
	}
	for _, q := range w.queues {
		q.Pump()
	}
}

func (w *world) applyReal(op *store.Op) {
	switch op.Kind {
	case store.OpPublish:
		for i, q := range w.queues {
			if op.N&(1<<i) != 0 {
				q.ApplyPublish(op.Msg, ByReference(op.Msg, bits.OnesCount32(op.N)))
			}
		}
	case store.OpAck:
		w.queues[op.Queue-1].ApplyAck(op.Pos, op.N)
	case store.OpAttempt:
		w.queues[op.Queue-1].ApplyAttempt(op.Pos, op.N)
	case store.OpState:
		w.queues[op.Queue-1].ApplyDelay(op.Pos, op.N)
	}
}

func (w *world) applyModel(op *store.Op) {
	switch op.Kind {
	case store.OpPublish:
		for i, q := range w.queues {
			if op.N&(1<<i) != 0 {
				q.model.add(op.Msg)
			}
		}
	case store.OpAck:
		for i := range uint64(op.N) + 1 {
			if x := w.queues[op.Queue-1].model.byPos[op.Pos+i]; x != nil {
				if x.state != ending {
					w.t.Fatalf("message %d is removed in state %d", x.n, x.state)
				}
				x.q.remove(x)
			}
		}
	case store.OpAttempt:
		if x := w.queues[op.Queue-1].model.byPos[op.Pos]; x != nil {
			x.attempts++
			if op.N != x.attempts {
				w.t.Fatalf("message %d: attempt %d, want %d", x.n, op.N, x.attempts)
			}
			x.state = waiting
			x.leave()
		}
	case store.OpState:
		if x := w.queues[op.Queue-1].model.byPos[op.Pos]; x != nil {
			x.attempts, x.state = op.N, delayed
			w.delays = append(w.delays, testDelay{x.q, op.Pos, int64(binary.BigEndian.Uint64(op.Data))})
		}
	}
}

// load carries out the n oldest requests for pages.
func (w *world) load(n int) {
	now := w.loads[:n]
	w.loads = w.loads[n:]
	for _, f := range now {
		w.must(f())
	}
}

// settleDown lets everything that is under way happen.
func (w *world) settleDown() {
	for len(w.log)+len(w.loads) > 0 {
		w.apply(len(w.log))
		w.load(len(w.loads))
	}
}

// freeze begins a checkpoint.
func (w *world) freeze() {
	index := uint64(len(w.done)) + 1
	if w.under != nil || index <= w.pages.Mark().Index {
		return
	}
	w.under = &checkpoint{index: index}
	for _, q := range w.queues {
		if f := q.Freeze(); f != nil {
			w.under.frozen = append(w.under.frozen, f)
		}
	}
}

// write completes the checkpoint, or with crash leaves it half written.
func (w *world) write(crash bool) {
	c := w.under
	w.under = nil
	wr, err := w.pages.Begin(pages.Mark{Index: c.index})
	w.must(err)
	refs := NewRefs()
	for _, f := range c.frozen {
		w.must(f.Write(w.pages, wr, refs))
	}
	w.must(refs.Write(w.pages, wr))
	if crash {
		wr.Abort()
		return
	}
	w.must(wr.Commit())
	for _, f := range c.frozen {
		f.Written()
	}
}

// restart loses what is in memory and not in the log.
func (w *world) restart() {
	w.restarts++
	if w.under != nil {
		w.write(true)
	}
	w.pages.Crash()
	w.budget = store.NewBudget(w.budget.Limit())
	w.openScratch(1 << 30)
	w.log, w.loads, w.consumers = nil, nil, nil
	for _, q := range w.queues {
		q.model.restart()
	}
	w.fresh()
	from := 0
	if mark := w.pages.Mark().Index; mark != 0 {
		from = int(mark) - 1
		w.restore()
	}
	for i := from; i <= len(w.done); i++ {
		if intent := w.pages.Intent(); intent == uint64(i)+1 {
			w.under = &checkpoint{index: intent}
			for _, q := range w.queues {
				if f := q.Freeze(); f != nil {
					w.under.frozen = append(w.under.frozen, f)
				}
			}
			w.write(false)
		}
		if i < len(w.done) {
			w.applyReal(&w.done[i])
		}
	}
	// What waits for its time after a restart: here it has come.
	for _, op := range w.done {
		if op.Kind == store.OpState {
			w.queues[op.Queue-1].GiveBack([]uint64{op.Pos})
		}
	}
	w.delays = nil
}

// restore loads the queues as the broker does.
func (w *world) restore() {
	w.must(w.pages.Scan(store.QueuePrefix, func(key, value []byte) error {
		id, _ := store.ParseQueueKey(key)
		return w.queues[id-1].Restore(id, value)
	}))
	w.must(w.pages.Scan(store.ChunkPrefix, func(key, value []byte) error {
		id, lane, chunk, _ := store.ParseChunkKey(key)
		return w.queues[id-1].RestoreChunk(lane, chunk, value)
	}))
}

// restart: durable messages wait again, the others are gone.
func (q *modelQueue) restart() {
	q.paused, q.present, q.groups = false, nil, map[string]*modelGroup{}
	for _, x := range slices.Clone(q.all) {
		x.state, x.limbo, x.g, x.failing = waiting, false, nil, false
		if !x.m.Durable {
			q.remove(x)
		}
	}
	for lane := range q.next {
		if lane&0x80 != 0 {
			q.next[lane] = 0
		}
	}
}

// check holds the queues against their invariants, and against the model.
func (w *world) check() {
	memory := 0
	for _, q := range w.queues {
		memory += q.invariants(w.t)
		for _, x := range q.model.all {
			x.limbo = false
		}
		for _, x := range q.model.all {
			l, _ := q.lane(x.pos)
			if p := l.page(seqOf(x.pos)); p == nil || (p.acquired&(1<<(x.pos&pageMask)) == 0) != (x.state == waiting) {
				w.t.Fatalf("%v is in circulation: %v", x, x.state != waiting)
			}
		}
		st := q.Stats()
		if st.Messages != len(q.model.all) {
			w.t.Fatalf("%d messages, want %d", st.Messages, len(q.model.all))
		}
		flight := 0
		for _, x := range q.model.all {
			if x.state != waiting {
				flight++
			}
		}
		if st.InFlight != flight {
			w.t.Fatalf("%d in flight, want %d", st.InFlight, flight)
		}
		if w.restarts == 0 && int(st.Enqueued-st.Dequeued) != st.Messages {
			w.t.Fatalf("%d came, %d went, %d are there", st.Enqueued, st.Dequeued, st.Messages)
		}
	}
	if int64(memory) != w.budget.Used() {
		w.t.Fatalf("windows hold %d bytes, the budget counts %d", memory, w.budget.Used())
	}
	if len(w.loads) == 0 {
		w.nobodyIsStuck()
	}
}

// nobodyIsStuck: no consumer with credit is idle while a message waits that
// it could have.
func (w *world) nobodyIsStuck() {
	for _, q := range w.queues {
		if q.model.paused {
			continue
		}
		for _, a := range q.model.present {
			if s := q.model.sole(); s != nil && s != a || !a.c.ready() {
				continue
			}
			if x := q.model.first(a, w.now, false, all); x != nil {
				w.t.Fatalf("message %d waits in %d, and a consumer for it", x.n, q.model.index)
			}
		}
	}
	for _, c := range w.consumers {
		if c.browse && !c.ended && !c.stopped && c.ready() {
			w.t.Fatalf("a browser with credit is not done")
		}
	}
}

// invariants checks what must always be true of a queue's own bookkeeping. It
// returns the memory of its windows.
func (q *Queue) invariants(t failer) (memory int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	free := 0
	for _, lv := range q.levels {
		for _, l := range []*lane{&lv.durable, &lv.transient} {
			live, empty, size := 0, 0, uint64(0)
			for i := range l.pages {
				p := &l.pages[i]
				if i > 0 && l.pages[i-1].number >= p.number {
					t.Fatalf("pages %d and %d out of order", l.pages[i-1].number, p.number)
				}
				if p.acquired&^p.live != 0 {
					t.Fatalf("page %d: acquired %x of live %x", p.number, p.acquired, p.live)
				}
				live += bits.OnesCount64(p.live)
				free += bits.OnesCount64(p.free())
				if p.live == 0 {
					empty++
				}
				memory += p.window(t) + l.packing(t, p)
				size += p.bytes
				if p.live == 0 && p.bytes != 0 {
					t.Fatalf("page %d is empty and counts %d bytes", p.number, p.bytes)
				}
			}
			if size != l.bytes {
				t.Fatalf("lane %x counts %d bytes, its pages %d", l.number(), l.bytes, size)
			}
			if uint64(live) != l.live || empty != l.empty {
				t.Fatalf("lane %x: %d live, counted %d; %d empty, counted %d", l.number(), live, l.live, empty, l.empty)
			}
			for n := range l.packed {
				if p := l.page(n << pageShift); p == nil || p.live == 0 || !p.packed {
					t.Fatalf("page %d is gone, or not packed, and still listed", n)
				}
			}
			for n := range l.spilled {
				if p := l.page(n << pageShift); p == nil || p.live == 0 {
					t.Fatalf("page %d is gone and still in the scratch", n)
				}
			}
		}
	}
	if int64(free) != q.free.Load() {
		t.Fatalf("%d messages are free, counted %d", free, q.free.Load())
	}
	return memory
}

// packing checks what p is packed in, and that what isn't stored is in memory.
func (l *lane) packing(t failer, p *page) (memory int) {
	there := p.stored
	if k := l.packed[p.number]; k != nil {
		memory = k.size()
		there |= k.live
	}
	if p.packed != (memory > 0) {
		t.Fatalf("page %d is packed: %v, in %d bytes", p.number, p.packed, memory)
	}
	if gone := p.missing(0) &^ there; gone != 0 && !l.transient {
		t.Fatalf("page %d has lost %x", p.number, gone)
	}
	return memory
}

func (p *page) window(t failer) (memory int) {
	if p.win == nil {
		return 0
	}
	for slot, m := range p.win.msg {
		if m == nil {
			continue
		}
		memory += m.Size()
		if p.live&(1<<slot) == 0 {
			t.Fatalf("page %d keeps slot %d in memory, which is gone", p.number, slot)
		}
	}
	if memory != p.win.bytes {
		t.Fatalf("page %d holds %d bytes, counted %d", p.number, memory, p.win.bytes)
	}
	return memory
}
