package broker

import (
	"sync"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// Transaction collects sends and settlements, which happen all or not at all:
// they are one record of the log. It belongs to the goroutine of its session,
// which may be ended by another one.
type Transaction struct {
	s *Session

	mu       sync.Mutex
	msgs     []*message.Message
	once     []identified
	settled  []queue.InTx
	finished bool // nothing changes any more

	// Owned by who finished it.
	done  Done
	token uint64
}

// Begin opens a local transaction. Any number can be open. That of a closed
// session is finished.
func (s *Session) Begin() *Transaction {
	t := &Transaction{s: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		t.finished = true
		return t
	}
	if s.open == nil {
		s.open = make(map[*Transaction]struct{})
	}
	s.open[t] = struct{}{}
	return t
}

// finish makes t's end final; it reports whether it had not come before.
func (t *Transaction) finish() bool {
	t.mu.Lock()
	before := t.finished
	t.finished = true
	t.mu.Unlock()
	if before {
		return false
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	delete(t.s.open, t)
	return true
}

var errFinished = fail(CodeState, "transaction", "it was committed or rolled back already")

// Publish adds a send.
func (t *Transaction) Publish(m *message.Message) error { return t.publish(m, SendID{}) }

func (t *Transaction) publish(m *message.Message, id SendID) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.finished {
		return errFinished
	}
	m = t.s.stamp(m)
	if err := t.s.admit(m); err != nil {
		return err
	}
	if asksStatistics(m.Destination) {
		return fail(CodeNotSupported, "ask for statistics", "not in a transaction")
	}
	if t.s.b.schedules.managesSchedules(m.Destination) {
		return fail(CodeNotSupported, "manage schedules", "not in a transaction")
	}
	t.s.b.counts.published.Add(1)
	t.s.sent.Add(1)
	from := len(t.msgs)
	if !m.Destination.IsComposite() {
		t.msgs = append(t.msgs, m)
	} else {
		units, err := t.s.unitsOf(m)
		if err != nil {
			return err
		}
		t.msgs = append(t.msgs, units...)
	}
	if id.Producer != "" {
		t.once = append(t.once, identified{id, from, len(t.msgs)})
	}
	return nil
}

// Settle adds the settlement of one delivery.
func (t *Transaction) Settle(c *Consumer, tag uint64, o Outcome) error {
	return t.settle(c, tag, o, false)
}

// SettleThrough adds the settlement of all unsettled deliveries up to tag.
func (t *Transaction) SettleThrough(c *Consumer, tag uint64, o Outcome) error {
	return t.settle(c, tag, o, true)
}

func (t *Transaction) settle(c *Consumer, tag uint64, o Outcome, through bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.finished {
		return errFinished
	}
	in, ok := c.Enlist(tag, o, through)
	if !ok {
		return fail(CodeNotFound, "acknowledge", "no such unsettled delivery")
	}
	t.settled = append(t.settled, in...)
	return nil
}

// Commit makes it happen; done, which may be nil, is completed when it is
// safe, or with an error and nothing has happened.
func (t *Transaction) Commit(done Done, token uint64) {
	if !t.finish() {
		t.s.refuse(errFinished, done, token)
		return
	}
	t.done, t.token = done, token
	var ops []store.Op
	var complete Done = t
	msgs := t.s.b.forwards.expand(t.msgs)
	if t.s.b.limits.on.Load() {
		p, err := t.s.b.limits.pass(t.s.b.forwards.expand(t.notKnown())...)
		if err != nil {
			t.s.commit(store.Request{Durability: store.Lazy, Done: t, Err: err})
			return
		}
		if p != nil {
			p.done, complete = t, p
			ops = p.ops()
		}
	}
	if t.once != nil || t.s.b.watchful.Load() {
		ops = t.sendOps(ops)
	} else {
		ops = t.s.b.publishOps(ops, msgs)
	}
	for i := range t.settled {
		ops = t.settled[i].Ops(ops, t.s.b)
	}
	durability := store.Lazy
	for i := range ops {
		if ops[i].Kind != store.OpTransient {
			durability = store.Synced
		}
	}
	if len(ops) == 0 {
		ops = nil
	}
	t.s.commit(store.Request{Ops: ops, Durability: durability, Done: complete})
}

// Complete implements store.Done.
func (t *Transaction) Complete(_ uint64, err error) {
	if err == nil {
		queue.Commit(t.settled)
	} else {
		rollback(t.settled)
	}
	if t.done != nil {
		t.done.Complete(t.token, err)
	}
}

// Rollback forgets it. Deliveries settled in it are unsettled again and stay
// with their consumers.
func (t *Transaction) Rollback() {
	if !t.finish() {
		return
	}
	rollback(t.settled)
}

func rollback(in []queue.InTx) {
	for i := range in {
		in[i].Rollback()
	}
}
