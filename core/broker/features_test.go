package broker

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// brokerOps is for make model.
var brokerOps = flag.Int("model.ops", 0, "go on until the model test has done so many operations; 0: a few")

const brokerOpsOfTests = 300 // without the flag

// TestBrokerDoesWhatTheModelSays drives a broker by random operations, one at a
// time, and loses power now and then.
func TestBrokerDoesWhatTheModelSays(t *testing.T) {
	done := featuresRound(t)
	for done < *brokerOps {
		done += featuresRound(t)
	}
	t.Logf("%d operations without a difference", done)
}

func featuresRound(t *testing.T) (done int) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		if *brokerOps == 0 && done >= brokerOpsOfTests {
			return
		}
		f := newFeatures(t, rt)
		defer func() {
			gone, cancel := context.WithCancel(context.Background())
			cancel()
			_ = f.Close(gone)
		}()
		rt.Repeat(map[string]func(*rapid.T){
			"":         func(rt *rapid.T) { f.rt = rt; f.check(); done++ },
			"publish":  f.publishSome,
			"send":     f.publishSome, // as often again
			"consume":  f.consume,
			"settle":   f.settleOne,
			"answer":   f.settleOne,
			"through":  f.settleThrough,
			"end":      f.endOne,
			"transact": f.transact,
			"transfer": f.transferSome,
			"purge":    f.purge,
			"pause":    f.pause,
			"tick":     f.tick,
			"sweep":    f.sweep,
			"restart": func(rt *rapid.T) {
				rapid.SampledFrom([]func(*rapid.T){f.restartNow, f.killNow, f.cut}).Draw(rt, "how")(rt)
			},
		})
	})
	return done
}

// features is a broker and its model.
type features struct {
	*rig
	*model
	rt      *rapid.T
	clock   atomic.Int64 // model.now, for the broker
	p       *client      // produces
	numbers int
}

func newFeatures(t *testing.T, rt *rapid.T) *features {
	t.Helper()
	f := &features{rt: rt, model: newModel(sizeOfOne())}
	f.rig = newClosedRig(t)
	f.clock.Store(f.now)
	f.o.Now = func() time.Time { return time.UnixMilli(f.clock.Load()) }
	f.o.Policies, f.o.Store.CheckpointBytes, f.o.ExpirePeriod = f.policies(), 4<<10, time.Hour
	f.open()
	f.p = connect(t, f.Broker, "")
	return f
}

// policies are those that the model's queues stand for.
func (m *model) policies() (all []policy.Entry) {
	for _, q := range m.queues {
		all = append(all, policy.Entry{Pattern: message.Queue(q.name), Apply: func(p *policy.Policy) {
			p.Redelivery.Maximum, p.Limit, p.Duplicates.Window = int(q.most), q.limit, q.window
			switch grave(q.name) {
			case "":
				p.DeadLetter.Strategy = policy.Discard
			case plainGrave:
				p.DeadLetter.Strategy, p.DeadLetter.QueuePrefix = policy.Individual, "dead."
			}
		}})
	}
	return all
}

func oneMessage(id message.ID, to, body string, edit func(*message.Envelope)) *message.Message {
	e := message.Envelope{ID: id, Destination: message.Queue(to), Durable: true, Priority: message.DefaultPriority, Timestamp: 1}
	edit(&e)
	return message.New(&e, message.EncodingSTOMP, []byte(body))
}

// sizeOfOne is the size of the messages that go to queues with limits in bytes.
func sizeOfOne() int64 {
	return int64(len(oneMessage(message.ID{Hi: 1, Lo: 1}, "bytes.reject", fmt.Sprintf("%08d", 0), func(*message.Envelope) {}).Raw()))
}

// draw makes a message and what the model has to know of it.
func (f *features) draw(rt *rapid.T, names []string) (*message.Message, *send) {
	s := &send{q: f.queue(rapid.SampledFrom(names).Draw(rt, "queue"))}
	f.numbers++
	s.x = kept{body: fmt.Sprintf("%08d", f.numbers), durable: true, priority: message.DefaultPriority}
	if !strings.HasPrefix(s.q.name, "bytes.") { // all of the same size, so that a restart doesn't forget it
		s.x.durable = rapid.IntRange(0, 3).Draw(rt, "durable") > 0
		s.x.priority = rapid.SampledFrom([]uint8{4, 4, 4, 0, 9}).Draw(rt, "priority")
		if rapid.IntRange(0, 5).Draw(rt, "expires") == 0 {
			s.x.expiry = f.now + rapid.Int64Range(0, 60).Draw(rt, "after")
		}
	}
	if s.q.window > 0 {
		s.known = rapid.StringMatching("[a-k]").Draw(rt, "id")
	}
	m := oneMessage(f.p.NewID(), s.q.name, s.x.body, func(e *message.Envelope) {
		e.Durable, e.Priority, e.Expiry, e.MessageID = s.x.durable, s.x.priority, s.x.expiry, s.known
	})
	s.x.size = int64(len(m.Raw()))
	// What isn't logged and is known by its id only is forgotten with the broker.
	if s.x.durable && s.known == "" && rapid.IntRange(0, 3).Draw(rt, "repeatable") == 0 {
		s.id = SendID{"p", rapid.Uint64Range(0, 60).Draw(rt, "seq")}
	}
	if s.known != "" && !s.x.durable {
		s.x.durable = true
		m = m.With(func(e *message.Envelope) { e.Durable = true })
	}
	return m, s
}

var targets = []string{"plain", "plain", "plain", "shared", "shared", "reject", "drop", "block", "bytes.reject", "bytes.drop", "once", "once"}

func (f *features) publishSome(rt *rapid.T) {
	for range rapid.IntRange(1, 4).Draw(rt, "n") {
		m, s := f.draw(rt, targets)
		w := make(waiter, 1)
		wait := f.p.PublishOnce(m, s.id, w, 0)
		err := <-w
		ok, full := f.publish([]*send{s})
		if ok != (err == nil) || !ok && CodeOf(err) != CodeFull || wait != full {
			rt.Fatalf("publish to %s: %v, wait %v; want %v, wait %v", s.q.name, err, wait, ok, full)
		}
		f.pumpAll()
	}
}

func (f *features) exists(q *modelQueue) bool {
	return f.Broker.queues.get(message.Queue(q.name)) != nil
}

// one returns a queue that fits.
func (f *features) one(rt *rapid.T, fits func(*modelQueue) bool) *modelQueue {
	var names []string
	for _, q := range f.queues {
		if fits(q) {
			names = append(names, q.name)
		}
	}
	if names == nil {
		rt.Skip("there is none")
	}
	return f.queue(rapid.SampledFrom(names).Draw(rt, "queue"))
}

func (f *features) consume(rt *rapid.T) {
	q := f.one(rt, func(q *modelQueue) bool { return q.taker == nil })
	t := &modelTaker{c: connect(f.rig.t, f.Broker, ""), q: q, held: map[uint64]*kept{}}
	t.window = rapid.SampledFrom([]int{1, 3, 20}).Draw(rt, "window")
	t.k = t.c.subscribe(Subscription{Destination: message.Queue(q.name), Window: uint32(t.window)})
	q.taker = t
	f.pumpAll()
}

// some returns a consumer that holds something, and one of its deliveries.
func (f *features) some(rt *rapid.T) (*modelTaker, *kept) {
	var all []*modelTaker
	for _, q := range f.queues {
		if q.taker != nil && len(q.taker.held) > 0 {
			all = append(all, q.taker)
		}
	}
	if len(all) == 0 {
		rt.Skip("no consumer holds anything")
	}
	t := all[rapid.IntRange(0, len(all)-1).Draw(rt, "consumer")]
	return t, t.held[rapid.SampledFrom(t.tags()).Draw(rt, "tag")]
}

func (t *modelTaker) tags() (tags []uint64) {
	for tag := range t.held {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	return tags
}

// told waits until an operation is safe.
func (f *features) told(do func(done Done) error) {
	w := make(waiter, 1)
	err := do(w)
	if err == nil {
		err = <-w
	}
	if err != nil {
		f.rt.Fatalf("%v", err)
	}
}

func (f *features) settleOne(rt *rapid.T) {
	t, x := f.some(rt)
	o := rapid.SampledFrom([]Outcome{Accepted, Accepted, Rejected, Released, Modified, Modified}).Draw(rt, "outcome")
	if o == Modified && t.q.next() != nil {
		o = Released // what comes first then, this one or the next one, is a race of the log and the disk
	}
	f.told(func(done Done) error { return t.k.Settle(x.tag, o, done, 0) })
	f.settle(t, x, o)
	f.pumpAll()
}

func (f *features) settleThrough(rt *rapid.T) {
	t, last := f.some(rt)
	o := rapid.SampledFrom([]Outcome{Accepted, Released}).Draw(rt, "outcome")
	f.told(func(done Done) error { return t.k.SettleThrough(last.tag, o, done, 0) })
	for _, tag := range t.tags() {
		if tag <= last.tag {
			f.settle(t, t.held[tag], o)
		}
	}
	f.pumpAll()
}

// endOne closes a consumer: what it holds goes back, and counts as delivered.
func (f *features) endOne(rt *rapid.T) {
	f.leave(f.one(rt, func(q *modelQueue) bool { return q.taker != nil }))
}

func (f *features) leave(q *modelQueue) {
	t := q.taker
	q.taker = nil
	for _, tag := range t.tags() {
		t.held[tag].attempts++
		t.back(t.held[tag])
	}
	t.c.Close()
}

// transact sends and settles, all or nothing.
func (f *features) transact(rt *rapid.T) {
	tx := f.p.Begin()
	var sends []*send
	for range rapid.IntRange(0, 3).Draw(rt, "sends") {
		m, s := f.draw(rt, targets)
		if err := tx.PublishOnce(m, s.id); err != nil {
			rt.Fatalf("%v", err)
		}
		sends = append(sends, s)
	}
	t, in, outcomes := f.enlist(rt, tx)
	f.pumpAll()
	f.check() // before the end
	commit := rapid.IntRange(0, 3).Draw(rt, "commit") > 0
	ok := commit
	if commit {
		w := make(waiter, 1)
		tx.Commit(w, 0)
		err := <-w
		if ok, _ = f.publish(sends); ok != (err == nil) || !ok && CodeOf(err) != CodeFull {
			rt.Fatalf("commit: %v, want %v", err, ok)
		}
	} else {
		tx.Rollback()
	}
	for i, x := range in {
		if t.held[x.tag] = x; ok {
			f.settle(t, x, outcomes[i])
		} else {
			x.inTx = false
		}
	}
	f.pumpAll()
}

// enlist settles some of a consumer's deliveries in a transaction.
func (f *features) enlist(rt *rapid.T, tx *Transaction) (t *modelTaker, in []*kept, outcomes []Outcome) {
	if rapid.Bool().Draw(rt, "no settlements") || !slices.ContainsFunc(f.queues, func(q *modelQueue) bool { return q.taker != nil && len(q.taker.held) > 0 }) {
		return nil, nil, nil
	}
	t, x := f.some(rt)
	for _, tag := range t.tags() {
		if tag != x.tag && rapid.Bool().Draw(rt, "not this one") {
			continue
		}
		y := t.held[tag]
		o := rapid.SampledFrom([]Outcome{Accepted, Accepted, Rejected, Modified}).Draw(rt, "outcome")
		if o == Modified && !y.durable {
			o = Accepted // when it comes back depends on when the client is told
		}
		if err := tx.Settle(t.k, tag, o); err != nil {
			rt.Fatalf("%v", err)
		}
		delete(t.held, tag)
		y.inTx = true
		in, outcomes = append(in, y), append(outcomes, o)
	}
	return t, in, outcomes
}

// transferSome moves, copies, retries or deletes one message, or all.
func (f *features) transferSome(rt *rapid.T) {
	q := f.one(rt, func(q *modelQueue) bool { return len(q.all) > 0 })
	t := Transfer{From: q.name, All: true, Create: true}
	t.Action = rapid.SampledFrom([]Action{Move, Copy, Retry, Delete}).Draw(rt, "action")
	var to *modelQueue
	if t.Action == Move || t.Action == Copy {
		to = f.queue(rapid.SampledFrom([]string{"plain", "shared", "reject", "drop", "once"}).Draw(rt, "to"))
		t.To = message.Queue(to.name)
		if to == q || t.Action == Move && strings.HasPrefix(q.name, "bytes.") {
			rt.Skip("not there")
		}
	}
	var one *kept
	if rapid.Bool().Draw(rt, "one") {
		at := rapid.IntRange(0, len(q.all)-1).Draw(rt, "at")
		page, err := f.Browse(q.name, Browse{Limit: MaxPage})
		if err != nil || len(page.Messages) != len(q.all) {
			rt.Fatalf("browse: %d messages, %v", len(page.Messages), err)
		}
		t.Refs, one = []MessageRef{page.Messages[at].Ref}, q.listing()[at]
	}
	got, err := f.Transfer(t)
	if want := f.transfer(t.Action, q, one, to); err != nil || got.Done != want {
		rt.Fatalf("%v of %s: %+v, %v; want %d", t.Action, q.name, got, err, want)
	}
	f.pumpAll()
}

func (f *features) purge(rt *rapid.T) {
	q := f.one(rt, func(q *modelQueue) bool { return len(q.all) > 5 })
	want := 0
	for _, x := range slices.Clone(q.all) {
		if x.with == nil {
			q.remove(x)
			want++
		}
	}
	if n, err := f.Purge(q.name); err != nil || n != want {
		rt.Fatalf("%d are purged, %v, want %d", n, err, want)
	}
}

func (f *features) pause(rt *rapid.T) {
	q := f.one(rt, f.exists)
	q.paused = !q.paused
	if err := f.SetPaused(q.name, q.paused); err != nil {
		rt.Fatalf("%v", err)
	}
	f.pumpAll()
}

func (f *features) tick(rt *rapid.T) {
	f.now += rapid.Int64Range(1, 30).Draw(rt, "ms")
	f.clock.Store(f.now)
}

// sweep ends what has expired in one queue.
func (f *features) sweep(rt *rapid.T) {
	f.sweepOne(f.one(rt, f.exists))
}

func (f *features) sweepOne(q *modelQueue) {
	at := f.Broker.queues.get(message.Queue(q.name))
	f.unread(at.Sweep(f.store.Pages(), func() bool { return true }))
	for _, x := range q.listing() {
		if x.with == nil && x.expired(f.now) {
			f.model.end(q, x, true)
		}
	}
	f.pumpAll()
}

// synced waits until all that was done is on the disk.
func (f *features) synced() {
	f.told(func(done Done) error {
		f.store.Commit(store.Request{Durability: store.Synced, Done: done})
		return nil
	})
}

// restartNow ends the broker in order.
func (f *features) restartNow(*rapid.T) {
	for _, q := range f.queues {
		if q.taker != nil {
			f.leave(q)
		}
	}
	f.check()
	f.restart()
	f.begin()
}

// killNow loses power between two operations.
func (f *features) killNow(rt *rapid.T) {
	f.synced()
	f.kill(rapid.Uint64().Draw(rt, "seed"))
	f.begin()
}

func (f *features) begin() {
	f.crash()
	f.p = connect(f.rig.t, f.Broker, "")
}

// cut loses power in the midst of sends and acknowledgements: what is there then
// is what the first so many of them did.
func (f *features) cut(rt *rapid.T) {
	q := f.queue("plain")
	if f.exists(q) {
		f.sweepOne(q) // what expires would be gone in between
	}
	f.check()
	f.synced()
	versions := []string{f.durable(q)}
	steps := []func(){}
	for range rapid.IntRange(1, 30).Draw(rt, "steps") {
		if q.taker != nil && len(q.taker.held) > 0 && rapid.Bool().Draw(rt, "accept") {
			x := q.taker.held[q.taker.tags()[0]]
			if err := q.taker.k.Settle(x.tag, Accepted, nil, 0); err != nil {
				rt.Fatalf("%v", err)
			}
			delete(q.taker.held, x.tag)
			steps = append(steps, func() { q.remove(x) })
			continue
		}
		f.numbers++
		x := kept{body: fmt.Sprintf("%08d", f.numbers), durable: true, priority: message.DefaultPriority}
		f.p.Publish(oneMessage(f.p.NewID(), q.name, x.body, func(*message.Envelope) {}), nil, 0)
		steps = append(steps, func() { f.add(q, x) })
	}
	f.kill(rapid.Uint64().Draw(rt, "seed"))
	got := f.bodies(q)
	for _, step := range steps {
		if got == versions[len(versions)-1] {
			break
		}
		step()
		versions = append(versions, f.durable(q))
	}
	if got != versions[len(versions)-1] {
		rt.Fatalf("after the crash: %s, want one of\n%s", got, strings.Join(versions, "\n"))
	}
	f.begin()
}

// durable is which durable messages the model has in q.
func (f *features) durable(q *modelQueue) string {
	var all []string
	for _, x := range q.all {
		if x.durable {
			all = append(all, x.body)
		}
	}
	return strings.Join(all, " ")
}

// bodies is which messages q has.
func (f *features) bodies(q *modelQueue) string {
	var all []string
	f.scan(q, func(e queue.Entry) { all = append(all, string(e.Message.Payload())) })
	return strings.Join(all, " ")
}

func (f *features) scan(q *modelQueue, fn func(queue.Entry)) {
	at := f.Broker.queues.get(message.Queue(q.name))
	if at == nil {
		return
	}
	_, more, err := at.Scan(f.store.Pages(), 0, true, func(e queue.Entry) bool { fn(e); return true })
	if err != nil || more {
		f.rt.Fatalf("scan: %v, %v", more, err)
	}
}

// check waits until the broker has come to what the model says.
func (f *features) check() {
	deadline := time.Now().Add(30 * time.Second)
	for _, q := range f.queues {
		want := f.describe(q)
		for got := f.described(q); got != want; got = f.described(q) {
			if time.Now().After(deadline) {
				f.rt.Fatalf("%s has\n%sand should have\n%s", q.name, got, want)
			}
			time.Sleep(20 * time.Microsecond)
		}
		if q.taker != nil {
			f.compare(q.taker, deadline)
		}
	}
}

func (f *features) describe(q *modelQueue) string {
	var b strings.Builder
	for _, x := range q.listing() {
		fmt.Fprintf(&b, "%s %d durable %v failed %d, %d before; out %v, from %s\n",
			x.body, x.priority, x.durable, x.attempts, x.redeliveries, x.with != nil, x.origin)
	}
	n, _ := q.load()
	fmt.Fprintln(&b, n, q.paused)
	return b.String()
}

func (f *features) described(q *modelQueue) string {
	var b strings.Builder
	f.scan(q, func(e queue.Entry) {
		m := e.Message
		fmt.Fprintf(&b, "%s %d durable %v failed %d, %d before; out %v, from %s\n",
			m.Payload(), m.Priority, m.Durable, e.Attempts, m.Redeliveries, e.InFlight, m.Origin.Name)
	})
	n, paused := 0, q.paused && f.Broker.queues.get(message.Queue(q.name)) == nil
	if at := f.Broker.queues.get(message.Queue(q.name)); at != nil {
		st := at.Stats()
		n, paused = st.Messages, st.Paused
	}
	fmt.Fprintln(&b, n, paused)
	return b.String()
}

// compare holds a consumer's deliveries against the model's.
func (f *features) compare(t *modelTaker, deadline time.Time) {
	for t.c.received() < t.seen+len(t.want) {
		if time.Now().After(deadline) {
			f.rt.Fatalf("a consumer of %s has %d deliveries, want %d: %v", t.q.name, t.c.received(), t.seen+len(t.want), t.want)
		}
		time.Sleep(20 * time.Microsecond)
	}
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	for i, d := range t.c.got[t.seen:] {
		got := fmt.Sprintf("%s redelivered %d", d.Message.Payload(), d.Redeliveries)
		if i >= len(t.want) || got != t.want[i] {
			f.rt.Fatalf("a consumer of %s got %s (delivery %d), want %v", t.q.name, got, t.seen+i+1, t.want[min(i, len(t.want)):])
		}
	}
	t.seen, t.want = t.seen+len(t.want), t.want[:0]
}
