package queue

import (
	"github.com/entrepot-mq/entrepot/core/store"
)

// Fate is what becomes of a message whose delivery failed.
type Fate struct {
	Dead bool  // nobody is to get it again
	Due  int64 // when it may be delivered again, milliseconds since the epoch; 0 at once
}

// Attempts returns how many deliveries of pos from this queue have failed.
func (q *Queue) Attempts(pos uint64) uint32 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l, _ := q.lane(pos); l != nil {
		return l.attempts[seqOf(pos)]
	}
	return 0
}

// retry ends a delivery that its consumer says has failed. delay, in
// milliseconds, stands for what the policy says; a negative one leaves it to
// that.
func (q *Queue) retry(h held, delay int64, done store.Done, token uint64) {
	n, fate := q.fate(h, delay)
	switch {
	case fate.Dead:
		q.broker.Reject(q, []Held{{h.pos, h.msg}}, TooManyRedeliveries, done, token)
	case fate.Due == 0:
		q.modify(h.pos, done, token)
	case isTransient(h.pos):
		q.comesBack(h.pos)
		q.delayTransient(h.pos, n, fate.Due)
		tell(q.broker, done, token)
	default:
		q.comesBack(h.pos)
		q.broker.Commit(store.Request{
			Op: q.broker.DelayOp(q, h.pos, n, fate.Due), Durability: ackDurability(done), Done: done, Token: token,
		})
	}
}

// fate asks the policy. n counts the failure that is the reason.
func (q *Queue) fate(h held, delay int64) (n uint32, fate Fate) {
	n = q.Attempts(h.pos) + 1
	fate = q.broker.FateOf(q, h.msg, n)
	if delay >= 0 && !fate.Dead {
		fate.Due = 0
		if delay > 0 {
			fate.Due = q.broker.NowMs() + delay
		}
	}
	return n, fate
}

// retryOps adds what the log has to know of a delivery that failed in a
// transaction; a transient message follows when that commits.
func (q *Queue) retryOps(ops []store.Op, h held, b Rejecter) []store.Op {
	n, fate := q.fate(h, -1)
	switch {
	case fate.Dead:
		return b.DeadLetterOps(appendAck(ops, q.ID(), h.pos), q, Held{h.pos, h.msg}, TooManyRedeliveries)
	case fate.Due == 0:
		return append(ops, q.attemptOp(h.pos))
	}
	q.comesBack(h.pos)
	return append(ops, q.broker.DelayOp(q, h.pos, n, fate.Due))
}

// comesBack notes that a message is on its way back, in its own time.
func (q *Queue) comesBack(pos uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failing(pos)
}

// delayTransient keeps a message that the log doesn't know until due.
func (q *Queue) delayTransient(pos uint64, n uint32, due int64) {
	q.mu.Lock()
	q.setAttempts(pos, n)
	q.mu.Unlock()
	q.broker.Delay(q, pos, due)
}

// ApplyDelay records that delivering pos failed n times, and keeps the
// message back until GiveBack. It does nothing if the message is gone.
func (q *Queue) ApplyDelay(pos uint64, n uint32) {
	q.mu.Lock()
	q.setAttempts(pos, n)
	q.changed = true
	q.mu.Unlock()
	q.Hold(pos)
}
