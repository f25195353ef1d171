package amqp

import (
	"fmt"
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
)

const addressAdvice = "write queue://name, topic://name, or a name alone for a queue"

// Capabilities by which a terminus says what kind of node it means, and the
// bytes of x-opt-jms-dest and x-opt-jms-reply-to that say the same.
var nodeKinds = [...]struct {
	capability string
	kind       message.Kind
}{
	{"queue", message.KindQueue},
	{"topic", message.KindTopic},
	{"temporary-queue", message.KindTempQueue},
	{"temporary-topic", message.KindTempTopic},
}

// kindByCapability returns the kind that a list of capabilities names.
func kindByCapability(capabilities []string) message.Kind {
	for _, c := range capabilities {
		for _, k := range nodeKinds {
			if c == k.capability {
				return k.kind
			}
		}
	}
	return message.KindNone
}

// kindByAnnotation returns the kind that an annotation's byte names.
func kindByAnnotation(v message.Value) message.Kind {
	if n, ok := v.Int64(); ok && n >= 0 && n < int64(len(nodeKinds)) {
		return nodeKinds[n].kind
	}
	return message.KindNone
}

// annotationOf is kindByAnnotation's inverse; ok is false for no destination.
func annotationOf(k message.Kind) (n int8, ok bool) {
	for i, known := range nodeKinds {
		if known.kind == k {
			return int8(i), true
		}
	}
	return 0, false
}

func capabilityOf(k message.Kind) string {
	for _, known := range nodeKinds {
		if known.kind == k {
			return known.capability
		}
	}
	return ""
}

// prefixes are how addresses of a listener are spelled, beside the qualified
// names that are always understood.
type prefixes struct{ queue, topic string }

const defaultQueuePrefix, defaultTopicPrefix = "queue://", "topic://"

// resolve reads an address. A name without prefix is of the kind unqualified,
// or a queue (ActiveMQ). What stands behind '?' are options of the source.
func (p prefixes) resolve(address string, unqualified message.Kind) (d message.Destination, options string, err error) {
	if unqualified == message.KindNone {
		unqualified = message.KindQueue
	}
	if name, ok := strings.CutPrefix(address, p.topic); ok && p.topic != "" {
		d = message.Topic(name)
	} else if name, ok := strings.CutPrefix(address, p.queue); ok && p.queue != "" {
		d = message.Queue(name)
	} else if d, err = message.ParseDestination(literal(address), unqualified); err != nil {
		return d, "", fmt.Errorf("address %q: %w: %s", clip(address), err, addressAdvice)
	}
	d, options = d.CutOptions()
	if err := message.ValidateName(d.Name); err != nil {
		return message.Destination{}, "", fmt.Errorf("address %q: %w: %s", clip(address), err, addressAdvice)
	}
	return d, options, nil
}

// literal keeps the commas of an address without prefix: they are part of a
// name then. Elsewhere they list destinations, so that they are written as %2C.
func literal(address string) string {
	if strings.IndexByte(address, ',') < 0 || strings.Contains(address, "://") {
		return address
	}
	return strings.ReplaceAll(address, ",", "%2C")
}

// address spells d for clients, so that sending there works.
func (p prefixes) address(d message.Destination) string {
	switch {
	case d.IsZero():
		return ""
	case d.Kind == message.KindQueue:
		return p.queue + d.Name
	case d.Kind == message.KindTopic:
		return p.topic + d.Name
	}
	return d.String()
}

// clip shortens what a client wrote for an error.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
