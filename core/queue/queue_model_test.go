package queue

import (
	"errors"
	"flag"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
)

// modelOps is for make model.
var modelOps = flag.Int("model.ops", 0, "go on until the model test has done so many operations; 0: one round of rapid's checks")

// TestQueueDoesWhatTheModelSays drives two queues, which share some of their
// messages and consumers, by random operations.
func TestQueueDoesWhatTheModelSays(t *testing.T) {
	done := modelRound(t)
	for done < *modelOps {
		done += modelRound(t)
	}
	t.Logf("%d operations without a difference", done)
}

// modelRound returns how many operations a round of rapid's checks did.
func modelRound(t *testing.T) (done int) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.SampledFrom([]int64{1, 50_000, 1 << 40}).Draw(t, "memory"))
		w.packing = rapid.SampledFrom([]uint64{0, packBehind}).Draw(t, "packing")
		w.fresh()
		w.eager = rapid.Bool().Draw(t, "eager")
		w.groups = GroupSettings{Most: 1 << 20}
		w.policies = rapid.Bool().Draw(t, "policies")
		m := &machine{world: w, grouping: rapid.IntRange(0, 2).Draw(t, "grouping") == 0}
		t.Repeat(map[string]func(*rapid.T){
			"":           func(*rapid.T) { w.check(); done++ },
			"publish":    m.publishSome,
			"flood":      m.flood,
			"apply":      m.applySome,
			"load":       m.loadSome,
			"consume":    m.consume,
			"grant":      m.grant,
			"settle":     m.settleOne,
			"through":    m.settleThrough,
			"close":      m.closeOne,
			"begin":      m.enlist,
			"end":        m.endTx,
			"browse":     m.browse,
			"pause":      m.pause,
			"tick":       m.tick,
			"sweep":      m.sweep,
			"purge":      m.purge,
			"drop":       m.drop,
			"move":       m.move,
			"checkpoint": m.checkpoint,
			"relieve":    m.relieve,
			"summarize":  m.summarize,
			"restart":    m.restartNow,
		})
		m.drain()
	})
	return done
}

// machine is the operations of the model test.
type machine struct {
	*world
	grouping bool // some messages are of groups
	txs      [][]InTx
}

func (m *machine) targets(t *rapid.T) []int {
	return rapid.SampledFrom([][]int{{0}, {1}, {0, 1}}).Draw(t, "to")
}

func (m *machine) draw(t *rapid.T) (durable bool, priority uint8, size int, expiry int64) {
	durable = rapid.Bool().Draw(t, "durable")
	priority = rapid.SampledFrom([]uint8{4, 4, 4, 4, 0, 9}).Draw(t, "priority")
	size = rapid.SampledFrom([]int{8, 8, 600, 9000}).Draw(t, "size")
	if rapid.IntRange(0, 5).Draw(t, "expires") == 0 {
		expiry = m.now + rapid.Int64Range(0, 100).Draw(t, "after")
	}
	return durable, priority, size, expiry
}

func (m *machine) publishSome(t *rapid.T) {
	for range rapid.IntRange(1, 10).Draw(t, "n") {
		durable, priority, size, expiry := m.draw(t)
		m.publish(m.inGroup(t, m.message(durable, priority, size, expiry)), m.targets(t)...)
	}
}

// flood fills pages.
func (m *machine) flood(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "really") != 0 {
		t.Skip("seldom")
	}
	durable, priority, size, expiry := m.draw(t)
	to := m.targets(t)
	group := ""
	if m.grouping {
		group = rapid.SampledFrom([]string{"", "a", "e"}).Draw(t, "group")
	}
	for range rapid.IntRange(64, 1000).Draw(t, "n") {
		msg := m.message(durable, priority, min(size, 600), expiry)
		if group != "" {
			msg = grouped(msg, group, 0)
		}
		m.publish(msg, to...)
	}
}

// inGroup makes msg one of a group, if there are any.
func (m *machine) inGroup(t *rapid.T, msg *message.Message) *message.Message {
	if !m.grouping {
		return msg
	}
	if id := rapid.SampledFrom([]string{"", "a", "b", "c", "d"}).Draw(t, "group"); id != "" {
		return grouped(msg, id, rapid.SampledFrom([]int32{0, 0, 1, -1}).Draw(t, "group seq"))
	}
	return msg
}

func (m *machine) applySome(t *rapid.T) {
	if len(m.log) == 0 {
		t.Skip("nothing to apply")
	}
	n := len(m.log)
	if rapid.Bool().Draw(t, "some") {
		n = rapid.IntRange(1, n).Draw(t, "n")
	}
	m.apply(n)
}

func (m *machine) loadSome(t *rapid.T) {
	if len(m.loads) == 0 {
		t.Skip("nothing to load")
	}
	m.load(rapid.IntRange(1, len(m.loads)).Draw(t, "n"))
}

func (m *machine) newConsumer(t *rapid.T, browse bool) *modelConsumer {
	c := newModelConsumer(m.world)
	c.browse = browse
	if rapid.Bool().Draw(t, "windowed") {
		c.window = rapid.SampledFrom([]uint32{1, 5, 100, 2000}).Draw(t, "window")
	}
	c.c = NewConsumer(m, ConsumerOptions{Window: c.window, Target: c, Browse: browse})
	m.consumers = append(m.consumers, c)
	return c
}

var filters = []Filter{
	nil, nil, nil,
	modulo{2, 1},
	modulo{3, 0},
	modulo{1000, 7},
	newSelecting("JMSPriority = 4"),
	newSelecting("JMSDeliveryMode IN ('NON_PERSISTENT') AND JMSPriority < 9"),
	newSelecting("hundreds = '7'"), newSelecting("n > 300 AND n < 320"), newSelecting("n BETWEEN 500 AND 5000 AND JMSPriority > 4"),
}

func (m *machine) consume(t *rapid.T) {
	if len(m.consumers) > 8 {
		t.Skip("enough")
	}
	c := m.newConsumer(t, false)
	filter := rapid.SampledFrom(filters).Draw(t, "filter")
	for _, i := range m.targets(t) {
		a := &modelAttachment{c: c, filter: filter}
		a.priority = rapid.SampledFrom([]int{0, 0, 5}).Draw(t, "consumer priority")
		a.exclusive = rapid.IntRange(0, 9).Draw(t, "exclusive") == 0
		m.queues[i].model.attach(a)
		if !m.queues[i].Subscribe(c.c, a.filter, a.priority, a.exclusive) {
			t.Fatalf("refused")
		}
	}
}

func (m *machine) browse(t *rapid.T) {
	c := m.newConsumer(t, true)
	q := m.queues[rapid.IntRange(0, 1).Draw(t, "queue")]
	c.q, c.filter, c.until = q.model, rapid.SampledFrom(filters).Draw(t, "filter"), q.model.order
	q.Browse(c.c, c.filter)
}

func (m *machine) some(t *rapid.T, want func(*modelConsumer) bool) *modelConsumer {
	var fit []*modelConsumer
	for _, c := range m.consumers {
		if want(c) {
			fit = append(fit, c)
		}
	}
	if len(fit) == 0 {
		t.Skip("no such consumer")
	}
	return rapid.SampledFrom(fit).Draw(t, "consumer")
}

func (m *machine) grant(t *rapid.T) {
	c := m.some(t, func(c *modelConsumer) bool { return c.window == 0 })
	n := rapid.SampledFrom([]int{1, 3, 200}).Draw(t, "credit")
	c.credit = max(0, c.credit) + n
	c.c.Grant(uint32(n))
}

func holding(c *modelConsumer) bool { return len(c.held) > 0 }

var outcomes = []Outcome{Accepted, Accepted, Rejected, Released, Modified}

// settle changes the model as the outcome says.
func (c *modelConsumer) settle(tag uint64, o Outcome) {
	x := c.held[tag]
	delete(c.held, tag)
	if x != nil {
		x.settle(o)
	}
}

// fail is Modified by the redelivery policy.
func (c *modelConsumer) fail(tag uint64) {
	x := c.held[tag]
	if x == nil {
		c.settle(tag, Modified)
		return
	}
	switch f := c.w.fateOf(x.n, x.attempts+1); {
	case f.Dead:
		c.settle(tag, Rejected)
	case f.Due != 0 && !x.m.Durable:
		delete(c.held, tag)
		x.state = delayed
		x.attempts++
		x.fail()
	default:
		c.settle(tag, Modified)
	}
}

func (x *modelMessage) settle(o Outcome) {
	switch {
	case o == Released:
		x.state, x.limbo = waiting, true
		x.leave()
	case x.m.Durable:
		if x.state = ending; o == Modified {
			x.fail()
		}
	case o == Modified:
		x.state, x.limbo = waiting, true
		x.attempts++
		x.leave()
	default:
		x.q.remove(x)
	}
}

func (m *machine) settleOne(t *rapid.T) {
	c := m.some(t, holding)
	tag := rapid.SampledFrom(c.tags()).Draw(t, "tag")
	o := rapid.SampledFrom(outcomes).Draw(t, "outcome")
	c.end(tag, o)
	m.must(c.c.Settle(tag, o, nil, 0))
	if err := c.c.Settle(tag, o, nil, 0); !errors.Is(err, ErrNoDelivery) {
		t.Fatalf("settled again: %v", err)
	}
}

// end is what the client says of a delivery.
func (c *modelConsumer) end(tag uint64, o Outcome) {
	if o == Modified {
		c.fail(tag)
	} else {
		c.settle(tag, o)
	}
}

func (m *machine) settleThrough(t *rapid.T) {
	c := m.some(t, holding)
	tags := c.tags()
	tag := rapid.SampledFrom(tags).Draw(t, "tag")
	o := rapid.SampledFrom(outcomes).Draw(t, "outcome")
	for _, x := range tags {
		if x <= tag {
			c.end(x, o)
		}
	}
	m.must(c.c.SettleThrough(tag, o, nil, 0))
}

func (m *machine) closeOne(t *rapid.T) {
	c := m.some(t, func(*modelConsumer) bool { return true })
	m.close(c)
}

func (m *machine) close(c *modelConsumer) {
	for _, tag := range c.tags() {
		c.settle(tag, Modified)
	}
	for _, q := range m.queues {
		if a := q.model.of(c); a != nil {
			for i, b := range q.model.present {
				if a == b {
					q.model.present = append(q.model.present[:i:i], q.model.present[i+1:]...)
				}
			}
			q.model.served()
		}
	}
	for i, k := range m.consumers {
		if k == c {
			m.consumers = append(m.consumers[:i:i], m.consumers[i+1:]...)
		}
	}
	c.stopped = true
	c.c.Close()
}

// enlist opens a transaction, or adds to one.
func (m *machine) enlist(t *rapid.T) {
	c := m.some(t, func(c *modelConsumer) bool { return holding(c) && !c.browse })
	tags := c.tags()
	tag := rapid.SampledFrom(tags).Draw(t, "tag")
	o := rapid.SampledFrom(outcomes).Draw(t, "outcome")
	through := rapid.Bool().Draw(t, "through")
	for _, x := range tags {
		if x == tag || through && x < tag {
			c.enlist(x)
		}
	}
	in, ok := c.c.Enlist(tag, o, through)
	if !ok {
		t.Fatalf("tag %d is not open", tag)
	}
	if len(m.txs) == 0 || rapid.Bool().Draw(t, "new") {
		m.txs = append(m.txs, nil)
	}
	m.txs[len(m.txs)-1] = append(m.txs[len(m.txs)-1], in...)
}

func (c *modelConsumer) enlist(tag uint64) {
	x := c.held[tag]
	delete(c.held, tag)
	c.inTx[tag] = x
	x.state = inTx
}

// delist takes a delivery out of its transaction.
func (c *modelConsumer) delist(tag uint64) *modelMessage {
	x := c.inTx[tag]
	delete(c.inTx, tag)
	return x
}

// txDone ends a transaction when its record is applied.
type txDone struct {
	m  *machine
	in []InTx
}

// Complete implements store.Done.
func (d *txDone) Complete(uint64, error) {
	for i := range d.in {
		t := &d.in[i]
		if x := d.m.of(t.c).delist(t.tag); !x.m.Durable || t.o == Released { // otherwise the ops have changed it
			x.settle(t.o)
		}
	}
	Commit(d.in)
}

func (m *machine) of(c *Consumer) *modelConsumer { return c.target.(*modelConsumer) }

func (m *machine) endTx(t *rapid.T) {
	if len(m.txs) == 0 {
		t.Skip("no transaction")
	}
	in := m.txs[0]
	m.txs = m.txs[1:]
	if rapid.Bool().Draw(t, "rollback") {
		m.rollback(in)
		return
	}
	var ops []store.Op
	for i := range in {
		if x := m.of(in[i].c).inTx[in[i].tag]; x.m.Durable && in[i].o != Released {
			if x.state = ending; in[i].o == Modified {
				x.fail()
			}
		}
		ops = in[i].Ops(ops, m)
	}
	m.Commit(store.Request{Ops: ops, Done: &txDone{m, in}})
}

func (m *machine) rollback(in []InTx) {
	for i := range in {
		c := m.of(in[i].c)
		x := c.delist(in[i].tag)
		c.held[in[i].tag] = x
		if x.state = withConsumer; c.stopped {
			c.settle(in[i].tag, Modified)
		}
		in[i].Rollback()
	}
}

func (m *machine) pause(t *rapid.T) {
	q := m.queues[rapid.IntRange(0, 1).Draw(t, "queue")]
	q.model.paused = !q.model.paused
	q.SetPaused(q.model.paused)
}

func (m *machine) tick(t *rapid.T) {
	m.now += rapid.Int64Range(1, 60).Draw(t, "ms")
	m.due()
}

// purge removes all that waits.
func (m *machine) purge(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "really") != 0 {
		t.Skip("seldom")
	}
	q := m.queues[rapid.IntRange(0, 1).Draw(t, "queue")]
	m.apply(len(m.log)) // nothing is delivered between what follows
	want := 0
	for _, x := range slices.Clone(q.model.all) {
		switch {
		case x.state != waiting:
		case x.m.Durable:
			x.state = ending
			want++
		default:
			q.model.remove(x)
		}
	}
	ops, n := q.PurgeOps()
	if n != want {
		t.Fatalf("%d messages are to be purged, want %d", n, want)
	}
	q.PurgeTransient()
	if len(ops) > 0 {
		m.Commit(store.Request{Ops: ops})
		m.apply(len(m.log))
	}
}

// drop makes room, as a full queue does.
func (m *machine) drop(t *rapid.T) {
	q := m.queues[rapid.IntRange(0, 1).Draw(t, "queue")]
	var oldest *modelMessage
	for _, x := range q.model.all {
		if x.state == waiting && (oldest == nil || x.m.Priority < oldest.m.Priority) {
			oldest = x
		}
	}
	pos, _, ok := q.HoldOldest()
	if ok != (oldest != nil) {
		t.Fatalf("there is an oldest message: %v", ok)
	}
	if ok {
		m.endHeld(t, q, pos, oldest)
	}
}

// move takes a message out, as administrators do.
func (m *machine) move(t *rapid.T) {
	q := m.queues[rapid.IntRange(0, 1).Draw(t, "queue")]
	if len(q.model.all) == 0 {
		t.Skip("empty")
	}
	x := rapid.SampledFrom(q.model.all).Draw(t, "message")
	if got := q.Hold(x.pos); got != (x.state == waiting) {
		t.Fatalf("%v was held: %v", x, got)
	}
	if x.state == waiting {
		m.endHeld(t, q, x.pos, x)
	}
}

// endHeld ends a message that was taken out, or gives it back.
func (m *machine) endHeld(t *rapid.T, q *testQueue, pos uint64, x *modelMessage) {
	if x.pos != pos && isTransient(pos) == isTransient(x.pos) {
		t.Fatalf("%x is held, want %v", pos, x)
	}
	if x = q.model.byPos[pos]; x == nil || x.state != waiting {
		t.Fatalf("%x is held: %v", pos, x)
	}
	x.state = ending
	switch {
	case rapid.Bool().Draw(t, "give back"):
		x.state, x.limbo = waiting, true
		q.GiveBack([]uint64{pos})
	case isTransient(pos):
		q.model.remove(x)
		q.EndTransient([]uint64{pos})
	default:
		m.Commit(store.Request{Ops: q.AppendAcks(nil, []uint64{pos})})
	}
}

// sweep leaves no expired message behind.
func (m *machine) sweep(t *rapid.T) {
	for _, q := range m.queues {
		m.must(q.Sweep(m.pages, func() bool { return true }))
		for _, x := range q.model.all {
			if x.state == waiting && x.expired(m.now) {
				t.Fatalf("message %d expired at %d and still waits at %d", x.n, x.m.Expiry, m.now)
			}
		}
		if again := q.overdueOnlyHeld(m.now); again != 0 {
			t.Fatalf("page %d would be swept again", again-1)
		}
	}
}

// overdueOnlyHeld returns a page's number + 1 that a sweep would look at in
// vain.
func (q *Queue) overdueOnlyHeld(now int64) uint64 {
	for _, n := range q.overdue(now) {
		_, p := q.pageOf(n)
		if p.missing(0)&p.acquired == 0 { // of what is held on disk nothing else would say when it expires
			return n.number + 1
		}
	}
	return 0
}

func (m *machine) checkpoint(t *rapid.T) {
	if m.under != nil {
		m.write(false)
		return
	}
	m.freeze()
	if m.under != nil && rapid.Bool().Draw(t, "at once") {
		m.write(false)
	}
}

func (m *machine) relieve(t *rapid.T) {
	all := rapid.Bool().Draw(t, "all")
	for _, q := range m.queues {
		m.must(q.Relieve(m.scratch, all))
	}
}

func (m *machine) summarize(*rapid.T) {
	for _, q := range m.queues {
		for q.Summarize() {
		}
	}
}

func (m *machine) restartNow(t *rapid.T) {
	if rapid.IntRange(0, 2).Draw(t, "really") != 0 {
		t.Skip("seldom")
	}
	m.txs = nil
	m.restart()
}

// drain consumes everything: then nothing may be left anywhere.
func (m *machine) drain() {
	for len(m.txs) > 0 {
		m.rollback(m.txs[0])
		m.txs = m.txs[1:]
		m.check()
	}
	m.settleDown()
	m.now += 1000
	m.due()
	m.check()
	for len(m.consumers) > 0 {
		m.close(m.consumers[0])
		m.check()
	}
	c := newModelConsumer(m.world)
	c.window = 300
	c.c = NewConsumer(m, ConsumerOptions{Window: c.window, Target: c})
	m.consumers = append(m.consumers, c)
	for _, q := range m.queues {
		q.model.paused = false
		q.SetPaused(false)
		q.model.attach(&modelAttachment{c: c})
		q.Subscribe(c.c, nil, 0, false)
	}
	for m.settleDown(); len(c.held) > 0; m.settleDown() {
		tags := c.tags()
		for _, tag := range tags {
			c.settle(tag, Accepted)
		}
		m.must(c.c.SettleThrough(tags[len(tags)-1], Accepted, nil, 0))
		for _, q := range m.queues {
			m.must(q.Relieve(m.scratch, m.delivered%2 == 0))
		}
	}
	m.check()
	m.nothingIsLeft()
}

func (m *machine) nothingIsLeft() {
	for _, q := range m.queues {
		if n := len(q.model.all); n != 0 {
			m.t.Fatalf("%d messages are left", n)
		}
		for _, lv := range q.levels {
			if len(lv.durable.pages)+len(lv.transient.pages) > 2 {
				m.t.Fatalf("pages are left")
			}
			if len(lv.durable.attempts)+len(lv.transient.attempts) > 0 {
				m.t.Fatalf("attempts are left")
			}
		}
	}
	if m.budget.Used() != 0 || m.scratch.Used() != 0 {
		m.t.Fatalf("%d bytes of memory and %d of scratch are left", m.budget.Used(), m.scratch.Used())
	}
	if m.under != nil {
		m.write(false)
	}
	m.freeze()
	if m.under != nil {
		m.write(false)
	}
	for _, prefix := range []byte{0x03, 0x04, 0x05, 0x06} {
		m.must(m.pages.Scan([]byte{prefix}, func(key, value []byte) error {
			m.t.Fatalf("key %x is left: %d bytes", key, len(value))
			return nil
		}))
	}
}
