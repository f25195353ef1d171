package broker

import (
	"errors"
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/selector"
)

// selectorOptions: STOMP's and MQTT's properties are strings, and yet
// `price > 10` means a number, as in ActiveMQ. They are the same on every node
// and for every consumer, since durable subscriptions are filtered by the log.
var selectorOptions = selector.Options{ConvertStrings: true}

// selected selects by a selector, and leaves out what a client published
// itself if notFrom is set. Equal ones are ==, as queues want it: the cache
// makes equal selectors the same pointer.
type selected struct {
	b        *Broker
	selector *selector.Selector
	notFrom  string // a client id
}

// Matches implements queue.Filter.
func (f selected) Matches(m *message.Message) bool { return f.MatchesAttempt(m, 0) }

// MatchesAttempt implements queue.AttemptFilter.
func (f selected) MatchesAttempt(m *message.Message, attempts uint32) bool {
	if f.notFrom != "" && m.Publisher == f.notFrom {
		return false
	}
	return f.selector.MatchesAttempt(m, f.b.o.Converters, attempts)
}

// Key implements queue.KeyedFilter.
func (f selected) Key() (selector.Key, bool) { return f.selector.Key() }

// Value implements queue.KeyedFilter.
func (f selected) Value(field selector.Field, m *message.Message) (selector.KeyValue, bool) {
	return field.Value(m, f.b.o.Converters)
}

// noFilter selects nothing: a stored selector that this version can't read
// would otherwise hand out what nobody asked for.
type noFilter struct{}

// Matches implements queue.Filter.
func (noFilter) Matches(*message.Message) bool { return false }

// blank reports whether a selector stands for none.
func blank(text string) bool { return strings.TrimSpace(text) == "" }

// filter compiles what a consumer leaves out: by its selector, and its own
// messages if notFrom is its client id. Without both it returns nil.
func (b *Broker) filter(text, notFromClient string) (queue.Filter, error) {
	if blank(text) {
		if notFromClient == "" {
			return nil, nil
		}
		return notFrom(notFromClient), nil
	}
	s, err := b.compile.Parse(text, selectorOptions)
	if err != nil {
		return nil, err
	}
	return selected{b, s, notFromClient}, nil
}

var errOfDelivery = errors.New("JMSRedelivered and JMSXDeliveryCount change with each delivery, " +
	"but a durable subscription selects when a message is published")

// checkSelector returns why a subscription can't have its selector.
func (b *Broker) checkSelector(text string, durable bool) error {
	if blank(text) {
		return nil
	}
	s, err := b.compile.Parse(text, selectorOptions)
	if err == nil && durable && s.OfDelivery() {
		err = errOfDelivery
	}
	return err
}

// durableFilter returns what a durable subscription leaves out.
func (b *Broker) durableFilter(s *durableSpec) queue.Filter {
	client := ""
	if s.NoLocal {
		client = s.ClientID
	}
	f, err := b.filter(s.Selector, client)
	if err != nil {
		b.o.Logger.Error("the selector of a durable subscription can't be read: it selects nothing",
			"client_id", s.ClientID, "name", s.Name, "err", err)
		return noFilter{}
	}
	return f
}
