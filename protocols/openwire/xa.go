package openwire

import (
	"encoding/binary"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// Answers to a preparation, and error codes, of XA.
const (
	xaOK       = 0
	xaReadOnly = 3

	xaRolledBack  = 100
	xaErrResource = -3 // XAER_RMERR
	xaErrUnknown  = -4 // XAER_NOTA
	xaErrProtocol = -6 // XAER_PROTO
)

// maxXIDPart is how long each part of an xid may be.
const maxXIDPart = 64

// xaError is an exception that the Java client makes an XAException of: it
// reads the number behind the last colon.
func xaError(code int, format string, args ...any) error {
	return refuse(classXA, format+" xaErrorCode:%d", append(args, code)...)
}

// xidName returns the name by which the broker knows a branch.
func xidName(x *wire.XATransactionID) (string, error) {
	if len(x.GlobalTransactionID) == 0 || len(x.GlobalTransactionID) > maxXIDPart || len(x.BranchQualifier) > maxXIDPart {
		return "", xaError(xaErrProtocol, "the parts of a transaction id have 1 to %d bytes", maxXIDPart)
	}
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 5+2*maxXIDPart), uint32(x.FormatID))
	b = append(b, byte(len(x.GlobalTransactionID)))
	b = append(b, x.GlobalTransactionID...)
	return string(append(b, x.BranchQualifier...)), nil
}

// parseXID reads what xidName returned. Names of other protocols are false.
func parseXID(name string) (*wire.XATransactionID, bool) {
	if len(name) < 6 || len(name) < 5+int(name[4]) {
		return nil, false
	}
	global := name[5 : 5+int(name[4])]
	return &wire.XATransactionID{
		FormatID:            int32(binary.BigEndian.Uint32([]byte(name))),
		GlobalTransactionID: []byte(global), BranchQualifier: []byte(name[5+len(global):]),
	}, true
}

// global carries out a TransactionInfo of an XA branch.
func (c *conn) global(id *wire.XATransactionID, x *wire.TransactionInfo) (answered bool, err error) {
	name, err := xidName(id)
	if err != nil {
		return false, err
	}
	switch x.Type {
	case txBegin:
		return false, c.beginBranch(name)
	case txEnd:
		return false, nil // the client has said all
	case txPrepare:
		return c.prepare(name, &x.BaseCommand)
	case txCommitOnePhase, txCommitTwoPhase:
		return c.commitBranch(name, x)
	case txRollback:
		return c.rollbackBranch(name, &x.BaseCommand)
	case txForget:
		return false, nil // nothing is ever ended by itself
	}
	return false, xaError(xaErrProtocol, "a transaction can't be asked for %d", x.Type)
}

// beginBranch opens a branch, or joins the one that is open.
func (c *conn) beginBranch(name string) error {
	if c.branches[name] != nil {
		return nil
	}
	if len(c.branches) >= c.set.transactions {
		return refuse(classResources, "the connection has %d open transactions; the listener option %s is the limit",
			len(c.branches), optTransactions)
	}
	if c.branches == nil {
		c.branches = make(map[string]*transaction)
	}
	c.branches[name] = &transaction{core: c.session.Begin()}
	return nil
}

func (c *conn) prepare(name string, base *wire.BaseCommand) (answered bool, err error) {
	t := c.branches[name]
	switch {
	case t == nil:
		return false, xaError(xaErrUnknown, "the transaction is not open on this connection")
	case t.prepared:
		c.result(base, xaOK) // a client that asks again
		return true, nil
	case t.failed != nil:
		delete(c.branches, name)
		c.rollback(t)
		return false, xaError(xaRolledBack, "the transaction was rolled back, because something in it failed: %v", t.failed)
	}
	n := c.startsEnding(t, base, xaPrepare)
	empty, err := t.core.Prepare(name, c, tokenCommit|n)
	if err != nil || empty {
		c.notEnding(n)
		delete(c.branches, name)
		if err != nil {
			c.rollback(t)
			return false, xaError(xaErrResource, "%v", err)
		}
		c.result(base, xaReadOnly)
		return true, nil
	}
	t.prepared = true
	return true, nil
}

// result answers with a number.
func (c *conn) result(base *wire.BaseCommand, n int32) {
	if !base.ResponseRequired {
		return
	}
	x := &wire.IntegerResponse{Result: n}
	x.CorrelationID = base.CommandID
	c.post(x)
}

func (c *conn) commitBranch(name string, x *wire.TransactionInfo) (answered bool, err error) {
	t := c.branches[name]
	if t != nil && !t.prepared {
		if x.Type == txCommitTwoPhase {
			return false, xaError(xaErrProtocol, "the transaction is not prepared")
		}
		delete(c.branches, name)
		return c.commit(t, &x.BaseCommand)
	}
	return c.endPrepared(name, t, true, &x.BaseCommand)
}

func (c *conn) rollbackBranch(name string, base *wire.BaseCommand) (answered bool, err error) {
	if t := c.branches[name]; t != nil && !t.prepared {
		delete(c.branches, name)
		c.rollback(t)
		return false, nil
	}
	return c.endPrepared(name, c.branches[name], false, base)
}

// endPrepared ends a branch that was prepared: by this connection if t is
// there, or by another one, even before a restart.
func (c *conn) endPrepared(name string, t *transaction, commit bool, base *wire.BaseCommand) (answered bool, err error) {
	delete(c.branches, name)
	if t == nil {
		t = &transaction{}
	}
	how := xaCommit
	if !commit {
		how = xaRollback
	}
	n := c.startsEnding(t, base, how)
	if err := c.session.EndPrepared(name, commit, c, tokenCommit|n); err != nil {
		c.notEnding(n)
		if broker.CodeOf(err) == broker.CodeNotFound {
			return false, xaError(xaErrUnknown, "%v", err)
		}
		return false, xaError(xaErrResource, "%v", err)
	}
	for _, a := range t.acks {
		if commit {
			a.consumer.credit.settle(a.n)
		} else {
			a.consumer.credit.shorten(a.n)
		}
		a.consumer.allow()
	}
	return true, nil
}

// recover lists the prepared transactions: none is an empty list.
func (c *conn) recover(base *wire.BaseCommand) {
	x := &wire.DataArrayResponse{Data: []wire.Structure{}}
	x.CorrelationID = base.CommandID
	for _, name := range c.session.Prepared() {
		if id, ok := parseXID(name); ok {
			x.Data = append(x.Data, id)
		}
	}
	if base.ResponseRequired {
		c.post(x)
	}
}
