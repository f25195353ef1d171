package policy

// Advise says which events of a destination are advised that happen too often
// to be advised without asking.
type Advise struct {
	SlowConsumers, FastProducers         bool
	Discarded, Delivered, Consumed, Full bool
	NoConsumers                          bool // messages to topics that nobody subscribes to
	// Body puts the message that an event is about into the advisory.
	Body bool
}
