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

// transaction is a local transaction of the connection, or an XA branch.
type transaction struct {
	core     *broker.Transaction
	failed   error // it can only be rolled back
	prepared bool
	acks     []txAck

	// Of the command that ends or prepares it; guarded by conn.mu.
	commandID int32
	asked     bool
	how       txEnding
}

// txEnding is what is done with a transaction.
type txEnding uint8

const (
	localCommit txEnding = iota
	xaPrepare
	xaCommit
	xaRollback
)

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
	if id, ok := x.(*wire.XATransactionID); ok {
		name, err := xidName(id)
		if err != nil {
			return nil, err
		}
		if t := c.branches[name]; t != nil && !t.prepared {
			return t, nil
		}
	}
	return nil, xaError(xaErrUnknown, "the transaction is not open on this connection")
}

// transaction carries out a TransactionInfo.
func (c *conn) transaction(x *wire.TransactionInfo) (answered bool, err error) {
	if x.Type == txRecover {
		c.recover(&x.BaseCommand)
		return true, nil
	}
	if branch, ok := x.TransactionID.(*wire.XATransactionID); ok {
		return c.global(branch, x)
	}
	id, ok := x.TransactionID.(*wire.LocalTransactionID)
	if !ok {
		return false, refuse(classState, "TransactionInfo has no transaction id")
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
	n := c.startsEnding(t, base, localCommit)
	c.perform(heldOp{commit: t.core, token: tokenCommit | n})
	for _, a := range t.acks {
		a.consumer.credit.settle(a.n)
		a.consumer.allow()
	}
	return true, nil
}

// startsEnding notes what is done with t, and returns the number of its token.
func (c *conn) startsEnding(t *transaction, base *wire.BaseCommand, how txEnding) (n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.commandID, t.asked, t.how = base.CommandID, base.ResponseRequired, how
	c.commits++
	if c.committing == nil {
		c.committing = make(map[uint64]*transaction)
	}
	c.committing[c.commits] = t
	c.unfinished++
	return c.commits
}

// notEnding takes back what startsEnding noted: nothing was begun.
func (c *conn) notEnding(n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.committing, n)
	c.unfinished--
}

// committed tells the client what became of what startsEnding noted. c.mu is held.
func (c *conn) committed(n uint64, err error) {
	t := c.committing[n]
	delete(c.committing, n)
	c.unfinished--
	if t.how != xaPrepare {
		for _, a := range t.acks {
			a.consumer.given.settleOf(t, err != nil || t.how == xaRollback)
		}
	}
	switch {
	case err != nil && t.how == localCommit:
		c.queueFailure(t.commandID, t.asked, &exception{class: classRolledBack, text: toException(err).text})
	case err != nil:
		c.queueFailure(t.commandID, t.asked, toException(xaError(xaErrResource, "%v", err)))
	case !t.asked:
	case t.how == xaPrepare:
		x := &wire.IntegerResponse{Result: xaOK}
		x.CorrelationID = t.commandID
		c.queue(outItem{structure: x})
	default:
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
