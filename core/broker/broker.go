package broker

// Broker is the core.
type Broker struct{}

// MaxMessage is the largest message in bytes that Publish takes.
func (b *Broker) MaxMessage() int { panic("soon") }

// Name is the broker's name (brokerName).
func (b *Broker) Name() string { panic("soon") }
