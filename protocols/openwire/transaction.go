package openwire

import (
	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// What TransactionInfo asks for.
const (
	txBegin          = 0
	txPrepare        = 1
	txCommitOnePhase = 2
	txCommitTwoPhase = 3
	txRollback       = 4
	txRecover        = 5
	txForget         = 6
	txEnd            = 7
)

// transaction is a local transaction of the connection.
type transaction struct {
	core   *broker.Transaction
	failed error // it can only be rolled back
	acks   []txAck
	// of its commit
	commandID int32
	asked     bool
}

// txAck counts what a transaction acknowledges of a consumer.
type txAck struct {
	consumer *consumer
	n        int
}

func (t *transaction) acknowledged(r *consumer, n int) {
	for i := range t.acks {
		if t.acks[i].consumer == r {
			t.acks[i].n += n
			return
		}
	}
	t.acks = append(t.acks, txAck{r, n})
}

// fail makes a rollback all that is left, and returns err.
func (t *transaction) fail(err error) error {
	if t.failed == nil {
		t.failed = err
	}
	return err
}

// transactionOf finds an open transaction.
func (c *conn) transactionOf(x wire.TransactionID) (*transaction, error) {
	switch id := x.(type) {
	case *wire.LocalTransactionID:
		if id.ConnectionID == nil {
			return nil, refuse(classState, "the transaction has no connection id")
		}
		if err := c.owns(id.ConnectionID.Value); err != nil {
			return nil, err
		}
		if t := c.local[id.Value]; t != nil {
			return t, nil
		}
		return nil, refuse(classJMS, "transaction %d is not open", id.Value)
	}
	return nil, errXA
}

var errXA = refuse(classXA, "this broker does not offer XA transactions; use local ones. xaErrorCode:-3")

// transaction carries out a TransactionInfo.
func (c *conn) transaction(x *wire.TransactionInfo) (answered bool, err error) {
	if x.Type == txRecover { // nothing is ever prepared
		if x.ResponseRequired {
			list := &wire.DataArrayResponse{Data: []wire.Structure{}}
			list.CorrelationID = x.CommandID
			c.post(list)
		}
		return true, nil
	}
	id, ok := x.TransactionID.(*wire.LocalTransactionID)
	if !ok {
		return false, errXA
	}
	if x.Type == txBegin {
		return false, c.begin(id)
	}
	t, err := c.transactionOf(id)
	if err != nil {
		return false, err
	}
	switch x.Type {
	case txCommitOnePhase, txCommitTwoPhase:
		delete(c.local, id.Value)
		return c.commit(t, &x.BaseCommand)
	case txRollback:
		delete(c.local, id.Value)
		c.rollback(t)
	case txEnd, txForget:
	default:
		return false, refuse(classJMS, "a local transaction can't be asked for %d", x.Type)
	}
	return false, nil
}

func (c *conn) begin(id *wire.LocalTransactionID) error {
	if id.ConnectionID == nil {
		return refuse(classState, "the transaction has no connection id")
	}
	if err := c.owns(id.ConnectionID.Value); err != nil {
		return err
	}
	if c.local[id.Value] != nil {
		return nil
	}
	if len(c.local) >= c.set.transactions {
		return refuse(classResources, "the connection has %d open transactions; the listener option %s is the limit",
			len(c.local), optTransactions)
	}
	c.local[id.Value] = &transaction{core: c.session.Begin()}
	return nil
}

// commit ends a transaction, or rolls it back if something in it failed.
func (c *conn) commit(t *transaction, base *wire.BaseCommand) (answered bool, err error) {
	if t.failed != nil {
		c.rollback(t)
		return false, refuse(classRolledBack, "the transaction was rolled back, because something in it failed: %v", t.failed)
	}
	t.commandID, t.asked = base.CommandID, base.ResponseRequired
	c.mu.Lock()
	c.commits++
	n := c.commits
	if c.committing == nil {
		c.committing = make(map[uint64]*transaction)
	}
	c.committing[n] = t
	c.unfinished++
	c.mu.Unlock()
	c.perform(heldOp{commit: t.core, token: tokenCommit | n})
	for _, a := range t.acks {
		a.consumer.credit.settle(a.n)
		a.consumer.allow()
	}
	return true, nil
}

// committed tells the client what became of a commit. c.mu is held.
func (c *conn) committed(n uint64, err error) {
	t := c.committing[n]
	delete(c.committing, n)
	c.unfinished--
	for _, a := range t.acks {
		a.consumer.given.settleOf(t, err != nil)
	}
	switch {
	case err != nil:
		e := toException(err)
		c.queueFailure(t.commandID, t.asked, &exception{class: classRolledBack, text: e.text})
	case t.asked:
		c.queue(outItem{structure: &wire.Response{CorrelationID: t.commandID}})
	}
}

// rollback undoes a transaction. What it acknowledged stays with the client,
// which delivers it again by itself.
func (c *conn) rollback(t *transaction) {
	t.core.Rollback()
	c.mu.Lock()
	for _, a := range t.acks {
		a.consumer.given.settleOf(t, true)
	}
	c.mu.Unlock()
	for _, a := range t.acks {
		a.consumer.credit.shorten(a.n)
		a.consumer.allow()
	}
}
