package policy

import (
	"fmt"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Forward sends on what clients send to some destination: ActiveMQ's composite
// destinations and mirrored queues. Who sends needs the right to send there,
// and none for where it goes.
type Forward struct {
	From message.Destination // a queue or topic, or a pattern of either
	Only bool                // nothing stays in From
	To   []ForwardTo
}

// ForwardTo is where messages are forwarded to.
type ForwardTo struct {
	Destination message.Destination
	Selector    string // which ones, "" for all
	// Wrap makes Destination.Name what stands before the sender's name of the
	// destination, and Suffix what stands behind it.
	Wrap   bool
	Suffix string
}

// Check reports what makes no sense, but for selectors.
func (x *Forward) Check() error {
	usable := func(d message.Destination) bool { return d.Kind == message.KindQueue || d.Kind == message.KindTopic }
	switch {
	case !usable(x.From) || x.From.IsComposite() || message.ValidateName(x.From.Name) != nil:
		return fmt.Errorf("forward %s: name one queue or topic, or a pattern", x.From)
	case len(x.To) == 0:
		return fmt.Errorf("forward %s: nowhere to", x.From)
	}
	for _, to := range x.To {
		name := to.Destination.Name + to.Suffix
		if !usable(to.Destination) || message.Queue(name).IsComposite() || message.IsPattern(name) || message.ValidateName(name) != nil {
			return fmt.Errorf("forward %s to %s: name one queue or topic", x.From, to.Destination)
		}
	}
	return nil
}

// For returns where what was sent to d goes.
func (t *ForwardTo) For(d message.Destination) message.Destination {
	if t.Wrap {
		return message.Destination{Kind: t.Destination.Kind, Name: t.Destination.Name + d.Name + t.Suffix}
	}
	return t.Destination
}
