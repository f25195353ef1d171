package topic

import "github.com/entrepot-mq/entrepot/core/message"

// Listener is a subscription that the log doesn't know: a Subscriber with one
// consumer, or a Group with several.
type Listener interface {
	// Publish takes m if the subscription selects it. slow says that more than
	// half of what may wait is waiting: producers that can wait should.
	Publish(m *message.Message) (slow bool)
	// Pressure reports whether producers should wait for this subscription,
	// and a number that changes as it makes progress: one that doesn't is not
	// waited for.
	Pressure() (full bool, progress uint64)
}

var (
	_ Listener = (*Subscriber)(nil)
	_ Listener = (*Group)(nil)
)
