package broker

import (
	"github.com/entrepot-mq/entrepot/core/message"
)

// Session is one authenticated client connection. One goroutine calls it:
// the connection's reader.
type Session struct {
}

// Connect authenticates a client and opens its session.
func (b *Broker) Connect(r ConnectRequest) (*Session, error) { panic("soon") }

// ClientID returns the id that the client gave or was given.
func (s *Session) ClientID() string { panic("soon") }

// NewID returns a fresh message id, and the publish time in milliseconds.
func (s *Session) NewID() message.ID { panic("soon") }

// Publish sends m to its destination. done may be nil. It never blocks; wait
// asks the connection to hold further sends (and only those) until
// Sink.Resume. m.Destination may be composite; m's ID and Timestamp must be set.
func (s *Session) Publish(m *message.Message, done Done, token uint64) (wait bool) { panic("soon") }

// Subscribe starts a consumer.
func (s *Session) Subscribe(sub Subscription) (*Consumer, error) { panic("soon") }

// DeleteDurable removes the durable subscription of that name of this client.
func (s *Session) DeleteDurable(name string) error { panic("soon") }

// CreateTemp makes a temporary destination that lives as long as the session.
func (s *Session) CreateTemp(k message.Kind) (message.Destination, error) { panic("soon") }

// DeleteTemp removes one of the session's temporary destinations.
func (s *Session) DeleteTemp(d message.Destination) error { panic("soon") }

// Begin opens a local transaction. Any number can be open.
func (s *Session) Begin() *Transaction { panic("soon") }

// Sync completes done when everything that the session did before is safe.
func (s *Session) Sync(done Done, token uint64) { panic("soon") }

// Close ends the session: what its consumers had not settled is delivered to
// others, open transactions are rolled back, temporary destinations removed.
func (s *Session) Close() { panic("soon") }

// Transaction collects sends and settlements, which happen all or not at all.
type Transaction struct{}

// Publish adds a send.
func (t *Transaction) Publish(m *message.Message) error { panic("soon") }

// Settle adds the settlement of one delivery.
func (t *Transaction) Settle(c *Consumer, tag uint64, o Outcome) error { panic("soon") }

// SettleThrough adds the settlement of all unsettled deliveries up to tag.
func (t *Transaction) SettleThrough(c *Consumer, tag uint64, o Outcome) error { panic("soon") }

// Commit makes it happen; done is completed when it is safe, or with an error
// and nothing has happened.
func (t *Transaction) Commit(done Done, token uint64) { panic("soon") }

// Rollback forgets it. Deliveries settled in it are unsettled again and stay
// with their consumers.
func (t *Transaction) Rollback() { panic("soon") }

// Consumer receives messages for one subscription.
type Consumer struct {
	// Ref is Subscription.Ref.
	Ref any
}

// Grant adds credit to a consumer without window.
func (c *Consumer) Grant(credit uint32) { panic("soon") }

// Start lets a consumer that was subscribed with Paused receive.
func (c *Consumer) Start() { panic("soon") }

// Settle ends one delivery. done may be nil: then nobody is told. An unknown
// or settled tag is CodeNotFound, returned at once, and done is not called.
func (c *Consumer) Settle(tag uint64, o Outcome, done Done, token uint64) error { panic("soon") }

// SettleThrough ends all unsettled deliveries up to and including tag. With
// nothing to settle it is CodeNotFound.
func (c *Consumer) SettleThrough(tag uint64, o Outcome, done Done, token uint64) error {
	panic("soon")
}

// Close ends the consumer. Its unsettled deliveries go to others; a durable
// subscription stays.
func (c *Consumer) Close() { panic("soon") }
