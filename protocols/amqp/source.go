package amqp

import (
	"strconv"
	"strings"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// Filters of a source, by descriptor and by symbol (the registry of
// apache.org).
const (
	filterSelector     = "apache.org:selector-filter:string"
	filterSelectorCode = 0x0000468C00000004
	filterNoLocal      = "apache.org:no-local-filter:list"
	filterNoLocalCode  = 0x0000468C00000003
	jmsSelectorKey     = "jms-selector"
	jmsNoLocalKey      = "no-local"
)

// attachSource makes the link one on which the broker sends.
func (l *link) attachSource(a, answer *attach) error {
	c := l.sess.conn
	answer.target = a.target
	answer.initialDeliveryCount = some(uint32(0))
	l.out.settled = a.sndSettleMode == 1
	l.second = a.rcvSettleMode == 1
	if !l.out.settled {
		answer.sndSettleMode = 0 // each delivery is sent unsettled
	}
	src := a.source
	name, global := subscriptionName(a)
	if src == nil {
		var err error
		if src, err = c.recoverSource(name, global); err != nil {
			return err
		}
	}
	answered := *src
	answer.source = &answered
	answered.outcomes = supportedOutcomes(src.outcomes)
	l.out.defaultOutcome = src.defaultOutcome
	sub := broker.Subscription{Paused: true, Ref: l, MaxUnsettled: c.set.unsettled}
	options, err := l.resolveSource(src, &answered, &sub)
	if err != nil {
		return err
	}
	if answered.filter, err = readFilters(src.filter, &sub); err != nil {
		return err
	}
	if err := readOptions(options, &sub); err != nil {
		return err
	}
	l.readSubscription(src, name, global, &sub)
	switch {
	case src.distributionMode == "copy" && sub.Destination.Kind.IsQueue():
		sub.Browse = true
	case src.distributionMode == "":
		answered.distributionMode = "move"
		if sub.Destination.Kind.IsTopic() {
			answered.distributionMode = "copy"
		}
	}
	l.out.consumer, err = c.session.Subscribe(sub)
	if err != nil && broker.CodeOf(err) == broker.CodeInternal {
		c.log.Error("subscribe failed", "err", err)
	}
	return err
}

// subscriptionName returns the name of a subscription: the link's, without
// what Qpid JMS puts behind '|' to tell several links of a shared one apart.
func subscriptionName(a *attach) (name string, global bool) {
	name, suffix, cut := strings.Cut(a.name, "|")
	var capabilities []string
	if a.source != nil {
		capabilities = a.source.capabilities
	}
	global = contains(capabilities, "global") || contains(a.desiredCapabilities, "global") || a.source == nil && strings.HasPrefix(suffix, "global")
	if !cut || a.source == nil || contains(capabilities, "shared") {
		return name, global
	}
	return a.name, global
}

// recoverSource is what an attach without source means: the durable
// subscription of that name as it is (JMS: to remove it).
func (c *conn) recoverSource(name string, global bool) (*source, error) {
	owner := c.session.ClientID()
	if global {
		owner = ""
	}
	for _, d := range c.front.opts.Broker.Durables() {
		if d.Name != name || d.ClientID != owner {
			continue
		}
		src := &source{
			address: message.StringValue(c.set.names.address(message.Topic(d.Topic))),
			durable: 2, expiryPolicy: "never", distributionMode: "copy", capabilities: []string{"topic"},
		}
		if d.Shared {
			src.capabilities = append(src.capabilities, "shared")
		}
		if global {
			src.capabilities = append(src.capabilities, "global")
		}
		src.filter = filterSet(d.Selector, d.NoLocal)
		return src, nil
	}
	return nil, badLink(errNotFound, "there is no durable subscription %q of container %q", clip(name), clip(owner))
}

func filterSet(selector string, noLocal bool) message.Value {
	var entries []message.MapEntry
	if selector != "" {
		entries = append(entries, message.MapEntry{
			Key:   message.SymbolValue(jmsSelectorKey),
			Value: message.DescribedValue(message.SymbolValue(filterSelector), message.StringValue(selector)),
		})
	}
	if noLocal {
		entries = append(entries, message.MapEntry{
			Key:   message.SymbolValue(jmsNoLocalKey),
			Value: message.DescribedValue(message.SymbolValue(filterNoLocal), message.ListValue(nil)),
		})
	}
	if entries == nil {
		return message.Null()
	}
	return message.MapValue(entries)
}

// resolveSource finds what a source names, or makes it.
func (l *link) resolveSource(src, answered *source, sub *broker.Subscription) (options string, err error) {
	c := l.sess.conn
	if src.dynamic {
		if sub.Destination, err = l.createTemp(src.capabilities); err != nil {
			return "", err
		}
		answered.address = message.StringValue(c.set.names.address(sub.Destination))
		answered.capabilities = []string{capabilityOf(sub.Destination.Kind)}
		answered.dynamicNodeProperties = lifetime
		return "", nil
	}
	text, ok := src.address.Text()
	if !ok || text == "" {
		return "", badLink(errInvalidField, "source has no address: %s", addressAdvice)
	}
	if sub.Destination, options, err = c.set.names.resolve(text, kindByCapability(src.capabilities)); err != nil {
		return "", badLink(errInvalidField, "%v", err)
	}
	return options, nil
}

// readSubscription reads what makes a subscription to a topic durable or
// shared.
func (l *link) readSubscription(src *source, name string, global bool, sub *broker.Subscription) {
	if !sub.Destination.Kind.IsTopic() || sub.Destination.Kind.IsTemp() {
		return
	}
	shared := contains(src.capabilities, "shared")
	switch {
	case src.durable > 0 || src.expiryPolicy == "never":
		sub.Durable, sub.Shared = name, shared
		l.out.durable, l.out.global = name, global && shared
		sub.Global = l.out.global
	case shared:
		sub.SharedName, sub.Global = name, global
	}
}

// readFilters reads the filters that are known here. What comes back are
// those that are in force (AMQP 1.0, 3.5.8).
func readFilters(filter message.Value, sub *broker.Subscription) (message.Value, error) {
	entries, _ := filter.Map()
	var taken []message.MapEntry
	for _, e := range entries {
		descriptor, v, ok := e.Value.Described()
		key, _ := e.Key.Text()
		name, _ := descriptor.Text()
		code, _ := descriptor.Uint64()
		if !ok {
			v, name = e.Value, key
		}
		switch {
		case name == filterSelector || code == filterSelectorCode || key == jmsSelectorKey:
			text, ok := v.Text()
			if !ok {
				return message.Null(), badLink(errInvalidField, "selector is a %v, not a string", v.Type())
			}
			sub.Selector = text
		case name == filterNoLocal || code == filterNoLocalCode || key == jmsNoLocalKey:
			sub.NoLocal = true
		default:
			continue
		}
		taken = append(taken, e)
	}
	if taken == nil {
		return message.Null(), nil
	}
	return message.MapValue(taken), nil
}

// readOptions reads the options of an address (ActiveMQ: consumer.exclusive
// and others). Unknown ones are refused.
func readOptions(options string, sub *broker.Subscription) error {
	if options == "" {
		return nil
	}
	for option := range strings.SplitSeq(options, "&") {
		key, value, _ := strings.Cut(option, "=")
		on := strings.EqualFold(value, "true")
		switch key {
		case "consumer.exclusive":
			sub.Exclusive = on
		case "consumer.retroactive":
			sub.Retroactive = on
		case "consumer.noLocal":
			sub.NoLocal = on
		case "consumer.selector":
			sub.Selector = value
		case "consumer.priority":
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || n > 127 {
				return badLink(errInvalidField, "consumer.priority is %q, want 0 to 127", clip(value))
			}
			sub.Priority = n
		case "consumer.prefetchSize", "consumer.dispatchAsync", "consumer.maximumPendingMessageLimit":
			// Link credit says it.
		default:
			return badLink(errInvalidField, "address has the unknown option %q", clip(key))
		}
	}
	return nil
}
