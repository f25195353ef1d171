package stomp

import (
	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// transaction is one that BEGIN opened.
type transaction struct {
	tx     *broker.Transaction
	frames int
	bytes  int
	// failed is set when a frame of it was refused: committing the others
	// would not be all or nothing.
	failed *fault
	// tracked are acknowledgements by message-id, which COMMIT makes final.
	tracked []settlement
}

func (c *conn) begin(f *frame) error {
	name, err := transactionName(f)
	if err != nil {
		return err
	}
	if c.txs[name] != nil {
		return refuse("Choose another id, or COMMIT or ABORT the first one.", "transaction %q is open already", clip([]byte(name)))
	}
	if len(c.txs) >= c.set.transactions {
		return refuse("COMMIT or ABORT some; the listener option "+optTransactions+" is the limit.",
			"connection has %d open transactions", len(c.txs))
	}
	if c.txs == nil {
		c.txs = make(map[string]*transaction)
	}
	c.txs[name] = &transaction{tx: c.session.Begin()}
	c.receipt(f)
	return nil
}

func (c *conn) commit(f *frame) error {
	t, err := c.endTransaction(f)
	if err != nil {
		return err
	}
	if t.failed != nil {
		t.tx.Rollback()
		return refuse("Nothing of it has happened; send it again.", "transaction is rolled back, because a frame of it was refused: %s", t.failed.text)
	}
	for _, s := range t.tracked {
		c.forget(s.sub, s.tag, s.cumulative)
	}
	c.perform(heldOp{commit: t.tx, token: c.expect(f)})
	return nil
}

// abort forgets a transaction. Deliveries acknowledged in it stay with the
// client, which can acknowledge them again.
func (c *conn) abort(f *frame) error {
	t, err := c.endTransaction(f)
	if err != nil {
		return err
	}
	t.tx.Rollback()
	c.receipt(f)
	return nil
}

func transactionName(f *frame) (string, error) {
	name, ok := f.value(headerTransaction)
	if !ok || len(name) == 0 {
		return "", refuse("Name the transaction; the name is the connection's own.", "%s needs the header transaction", f.command)
	}
	return string(name), nil
}

func (c *conn) endTransaction(f *frame) (*transaction, error) {
	name, err := transactionName(f)
	if err != nil {
		return nil, err
	}
	t, err := c.transaction(name)
	delete(c.txs, name)
	return t, err
}

func (c *conn) transaction(name string) (*transaction, error) {
	t := c.txs[name]
	if t == nil {
		return nil, refuse("BEGIN it first, on the same connection.", "there is no transaction %q", clip([]byte(name)))
	}
	return t, nil
}

// enlist counts one frame against the transaction's limits.
func (c *conn) enlist(t *transaction, bytes int) error {
	switch {
	case t.frames >= c.set.txFrames:
		return refuse("Make transactions smaller; the listener option "+optTxFrames+" is the limit.",
			"transaction has %d frames", t.frames)
	case t.bytes+bytes > c.set.txBytes:
		return refuse("Make transactions smaller; the listener option "+optTxBytes+" is the limit.",
			"transaction has more than %d bytes", c.set.txBytes)
	}
	t.frames++
	t.bytes += bytes
	return nil
}

// fails notes that a frame of t was refused.
func (t *transaction) fails(err error) error {
	if err != nil && t.failed == nil {
		t.failed = toFault(err)
	}
	return err
}

// sendIn adds a SEND.
func (c *conn) sendIn(f *frame, t *transaction, m *message.Message) error {
	if err := c.enlist(t, m.Size()); err != nil {
		return t.fails(err)
	}
	if err := t.tx.Publish(m); err != nil {
		return t.fails(err)
	}
	c.receipt(f)
	return nil
}

// acknowledgeIn adds an ACK or NACK.
func (c *conn) acknowledgeIn(f *frame, name string, s settlement) error {
	t, err := c.transaction(name)
	if err != nil {
		return err
	}
	if err := c.enlist(t, 0); err != nil {
		return t.fails(err)
	}
	if s.cumulative {
		err = t.tx.SettleThrough(s.sub.consumer, s.tag, s.outcome)
	} else {
		err = t.tx.Settle(s.sub.consumer, s.tag, s.outcome)
	}
	if err != nil {
		if broker.CodeOf(err) == broker.CodeNotFound {
			err = unknownDelivery(s.sub)
		}
		return t.fails(err)
	}
	if s.sub.tracked {
		t.tracked = append(t.tracked, s)
	}
	c.receipt(f)
	return nil
}
