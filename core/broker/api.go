package broker

import (
	"crypto/tls"
	"net"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// Words of the core that frontends need, under one roof.
type (
	// Outcome is what a consumer says of a delivery.
	Outcome = queue.Outcome
	// Consumer receives messages for one subscription.
	Consumer = queue.Consumer
	// Delivery is one message on its way to one consumer.
	Delivery = queue.Delivery
	// Done learns what became of an operation. Complete is called once for
	// each operation, for the operations of a session in their order, when
	// what an acknowledgement would promise is true. It must not block: it
	// runs on the goroutine that serves the whole broker, or on the caller's.
	// token is the caller's own.
	Done = store.Done
)

// The outcomes.
const (
	Accepted = queue.Accepted
	Rejected = queue.Rejected
	Released = queue.Released
	Modified = queue.Modified
)

// Sink is a connection as the broker sees it. None of its methods may block
// or call back into the broker: Deliver appends to the connection's outbox.
type Sink interface {
	// Deliver hands over one message. Credit bounds how often it is called.
	Deliver(d Delivery)
	// Resume says that sends held after Publish returned wait may go on. It
	// may come while that Publish has not returned yet.
	Resume()
	// Closed says that the broker ended the session, and why (shutdown, an
	// administrator, the same client id connected elsewhere).
	Closed(err error)
}

// ConnectRequest is what a client says of itself.
type ConnectRequest struct {
	Protocol string // "stomp", for logs and metrics
	Version  string // of the protocol, for logs
	ClientID string // "" makes one up
	Login    string
	Passcode string
	Remote   net.Addr
	Listener string               // the listener's name, for logs and limits
	TLS      *tls.ConnectionState // nil without TLS
	// Identity is what Authenticate returned for this client; nil has Connect
	// ask by Login, Passcode and TLS.
	Identity *Identity
	// TakeOver ends an older session of the same client id instead of being
	// refused (MQTT).
	TakeOver bool
	// Joins lets the session have its client id together with others of the same
	// user that say so too: an AMQP container has any number of connections.
	Joins bool
	Sink  Sink
}

// Subscription says what a consumer wants.
type Subscription struct {
	Destination message.Destination // a queue, a topic, a pattern of either, a composite
	Durable     string              // the name of a durable subscription to a topic
	// Shared lets several consumers, of any connections and protocols, compete
	// for the messages of the durable subscription.
	Shared bool
	// SharedName is the name of a shared subscription to a topic that isn't
	// durable: it comes with its first consumer and ends with its last one.
	SharedName string
	// Global makes the name of a shared subscription the broker's own instead
	// of the client id's. What is shared without it can be joined by sessions
	// of the same client id only.
	Global   bool
	Selector string // SQL-92 condition, "" for all
	// NoLocal leaves out what sessions of the same client id published.
	NoLocal bool
	// Browse delivers copies of what waits now, ends with BrowseEnd, and
	// changes nothing.
	Browse bool
	// Exclusive asks to be a queue's only served consumer while it lives.
	Exclusive bool
	// Retroactive asks a topic for what it remembers.
	Retroactive bool
	// PendingLimit is how many messages of a topic wait beyond the window
	// before some are discarded; 0 is as the policy says.
	PendingLimit int
	// Priority decides which of several consumers with credit is served
	// first, 0 to 127.
	Priority int
	// Window is the number of unsettled deliveries that the broker keeps
	// filled by itself (prefetch). 0 means that only Grant, Allow and Drain
	// give credit.
	Window uint32
	// MaxUnsettled bounds the unsettled deliveries of a consumer without
	// Window, whatever credit it has; 0 doesn't.
	MaxUnsettled uint32
	// Paused starts a consumer without deliveries until Start, so that a
	// receipt for the subscription can go out first.
	Paused bool
	// Ref is the protocol's own, found again as Consumer.Ref.
	Ref any

	listening *Listening // whose consumer it is, if it is one's
	stored    *Stored    // the same
	number    int        // of the session's consumers
}
