package client

import (
	"context"

	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// Session groups producers, consumers and one transaction at a time.
type Session struct {
	c  *Conn
	id int64

	// guarded by c.mu
	next int64 // number of a consumer or a transaction
	tx   *wire.LocalTransactionID
}

// NewSession makes a session.
func (c *Conn) NewSession(ctx context.Context) (*Session, error) {
	c.mu.Lock()
	c.sessions++
	s := &Session{c: c, id: c.sessions}
	c.mu.Unlock()
	_, err := c.Request(ctx, &wire.SessionInfo{SessionID: s.sessionID()})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Session) sessionID() *wire.SessionID {
	return &wire.SessionID{ConnectionID: wire.Text(s.c.id), Value: s.id}
}

func (s *Session) number() int64 {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.next++
	return s.next
}

// Close ends the session with its consumers and producers. What consumers were
// given and did not acknowledge counts as delivered.
func (s *Session) Close() error {
	s.c.mu.Lock()
	for key, r := range s.c.consumers {
		if key.session == s.id {
			delete(s.c.consumers, key)
			defer r.fail(ErrClosed)
		}
	}
	for n, p := range s.c.producers {
		if p.s == s {
			delete(s.c.producers, n)
		}
	}
	s.c.mu.Unlock()
	return s.c.Tell(&wire.RemoveInfo{ObjectID: s.sessionID(), LastDeliveredSequenceID: lastUnknown})
}

// Operations of TransactionInfo.
const (
	txBegin    = 0
	txCommit   = 2 // in one phase
	txRollback = 4
)

// Begin makes what the session sends and acknowledges from now on one
// transaction.
func (s *Session) Begin() error {
	id := &wire.LocalTransactionID{ConnectionID: s.c.connectionID(), Value: s.number()}
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.tx = id
	return s.c.send(&wire.TransactionInfo{ConnectionID: s.c.connectionID(), TransactionID: id, Type: txBegin}, nil)
}

// Commit has the transaction carried out, all of it or nothing.
func (s *Session) Commit(ctx context.Context) error { return s.finish(ctx, txCommit) }

// Rollback has none of the transaction carried out. Its deliveries stay with
// their consumers, unacknowledged.
func (s *Session) Rollback(ctx context.Context) error { return s.finish(ctx, txRollback) }

func (s *Session) finish(ctx context.Context, kind int8) error {
	s.c.mu.Lock()
	id := s.tx
	s.tx = nil
	s.c.mu.Unlock()
	if id == nil {
		return nil
	}
	_, err := s.c.Request(ctx, &wire.TransactionInfo{ConnectionID: s.c.connectionID(), TransactionID: id, Type: kind})
	return err
}

// transaction returns the session's, nil without one. c.mu is held. The type
// is the interface's: a nil pointer in it would not be nil.
func (s *Session) transaction() wire.TransactionID {
	if s.tx == nil {
		return nil
	}
	return s.tx
}

// Unsubscribe removes the durable subscription of that name of this client id.
func (c *Conn) Unsubscribe(ctx context.Context, name string) error {
	_, err := c.Request(ctx, &wire.RemoveSubscriptionInfo{
		ConnectionID: c.connectionID(), SubscriptionName: wire.Text(name), ClientID: wire.Text(c.o.ClientID),
	})
	return err
}

func (c *Conn) connectionID() *wire.ConnectionID { return &wire.ConnectionID{Value: wire.Text(c.id)} }
