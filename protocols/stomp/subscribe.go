package stomp

import (
	"slices"
	"strconv"
	"strings"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// subscription is one SUBSCRIBE of a connection.
type subscription struct {
	// immutable
	id          string // "" for a 1.0 client that gave none
	number      uint64 // the connection's own, part of 1.2's ack header
	auto        bool
	cumulative  bool // ack:client
	browse      bool
	tracked     bool // the client acknowledges by message-id
	shared      bool
	transform   transformation // of maps
	durable     string         // name of the durable subscription
	destination message.Destination
	prefix      []byte // the start of each MESSAGE frame
	spelled     []byte // destination's header line

	// guarded by conn.turn
	consumer *broker.Consumer

	// guarded by conn.mu
	closed    bool
	handed    uint64 // last tag that the writer took
	unsettled unsettled
}

// subscriptions are a connection's, in the order in which they came. There are
// few of them: looking through them is cheaper than a map for each connection.
type subscriptions struct {
	list []*subscription // number rises
	last uint64          // number given last
}

func (s *subscriptions) remove(sub *subscription) {
	if i := slices.Index(s.list, sub); i >= 0 {
		s.list = slices.Delete(s.list, i, i+1)
	}
}

// named finds a subscription by the client's id.
func (s *subscriptions) named(id string) *subscription {
	for _, sub := range s.list {
		if sub.id == id && id != "" {
			return sub
		}
	}
	return nil
}

// numbered finds a subscription by the number in an ack header.
func (s *subscriptions) numbered(n uint64) *subscription {
	if len(s.list) == 1 && s.list[0].number == n {
		return s.list[0]
	}
	i, ok := slices.BinarySearchFunc(s.list, n, func(sub *subscription, n uint64) int {
		switch {
		case sub.number < n:
			return -1
		case sub.number > n:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return s.list[i]
}

// subscribe starts a consumer (STOMP 1.2, SUBSCRIBE).
func (c *conn) subscribe(f *frame) error {
	sub, request, err := c.readSubscribe(f)
	if err != nil {
		return err
	}
	if len(c.subs.list) >= c.set.subscriptions {
		return refuse("Unsubscribe first, or use wildcards; the listener option "+optSubscriptions+" is the limit.",
			"connection has %d subscriptions", len(c.subs.list))
	}
	c.subs.last++
	sub.number = c.subs.last
	c.prepareMessages(sub)
	request.Ref = sub
	// The receipt goes out before the first message.
	_, request.Paused = f.value(headerReceipt)
	sub.consumer, err = c.session.Subscribe(request)
	if err != nil {
		return err
	}
	c.subs.list = append(c.subs.list, sub)
	c.receipt(f)
	if request.Paused {
		sub.consumer.Start()
	}
	return nil
}

func (c *conn) readSubscribe(f *frame) (*subscription, broker.Subscription, error) {
	sub := &subscription{tracked: c.version < v12}
	r := broker.Subscription{}
	id, ok := f.value(headerID)
	switch {
	case (!ok || len(id) == 0) && c.version > v10:
		return nil, r, refuse("Give each subscription of the connection an id of its own.", "SUBSCRIBE needs the header id")
	case ok && c.subs.named(alias(id)) != nil:
		return nil, r, refuse("Choose another id, or UNSUBSCRIBE the first one.", "subscription %q exists already", clip(id))
	}
	sub.id = string(id)
	name, ok := f.value(headerDestination)
	if !ok {
		return nil, r, refuse(destinationAdvice, "SUBSCRIBE needs the header destination")
	}
	d, options, err := c.resolve(string(name))
	if err != nil {
		return nil, r, err
	}
	sub.destination, r.Destination = d, d
	// ActiveMQ: what is neither client nor client-individual is auto.
	switch f.text(headerAck) {
	case "client":
		sub.cumulative = true
	case "client-individual":
	default:
		sub.auto = true
	}
	sub.tracked = sub.tracked && !sub.auto
	p := subscribeParams{f: f, options: options}
	c.readConsumer(&p, sub, &r)
	return sub, r, p.err
}

// subscribeParams finds the settings of a consumer: as activemq.x header, or as
// consumer.x option of the destination.
type subscribeParams struct {
	f       *frame
	options string
	err     error
}

func (p *subscribeParams) text(name string) string {
	if v, ok := p.f.find("activemq." + name); ok {
		return v
	}
	for option := range strings.SplitSeq(p.options, "&") {
		if v, ok := strings.CutPrefix(option, "consumer."+name+"="); ok {
			return v
		}
	}
	return ""
}

func (p *subscribeParams) flag(name string) bool {
	return strings.EqualFold(strings.TrimSpace(p.text(name)), "true")
}

// number returns -1 for a setting that is absent.
func (p *subscribeParams) number(name, text string, least, most int) int {
	if text == "" {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < least {
		p.err = refuse("It is a whole number, "+strconv.Itoa(least)+" at least.", "%s is %q", name, clip([]byte(text)))
		return -1
	}
	return min(n, most)
}

func (c *conn) readConsumer(p *subscribeParams, sub *subscription, r *broker.Subscription) {
	r.Selector, _ = p.f.find("selector")
	if r.Selector == "" {
		r.Selector = p.text("selector")
	}
	if v, _ := p.f.find("browser"); v == "true" && c.version > v10 {
		sub.browse, r.Browse = true, true
	}
	r.Exclusive, r.Retroactive, r.NoLocal = p.flag("exclusive"), p.flag("retroactive"), p.flag("noLocal")
	r.Priority = max(0, p.number("activemq.priority", p.text("priority"), 0, 127))
	r.PendingLimit = max(0, p.number("activemq.maximumPendingMessageLimit", p.text("maximumPendingMessageLimit"), -1, maxPrefetch))
	if name, ok := p.f.value(headerTransformation); ok {
		sub.transform = parseTransformation(string(name))
	}
	c.readNamed(p, sub, r)
	r.Window = c.window(p, r)
}

// readNamed reads what makes a subscription durable or shared. Names of shared
// ones don't depend on the client-id, which only one connection has at a time.
func (c *conn) readNamed(p *subscribeParams, sub *subscription, r *broker.Subscription) {
	name, shared := p.text("subscriptionName"), p.flag("shared")
	sub.durable, sub.shared = name, shared
	switch {
	case name == "" && shared:
		p.err = refuse("Name it with activemq.subscriptionName.", "a shared subscription needs a name")
	case name == "":
	case !r.Destination.Kind.IsTopic():
		p.err = refuse("Queues keep messages anyway; leave out activemq.subscriptionName.",
			"activemq.subscriptionName is for topics only")
	case shared && strings.EqualFold(strings.TrimSpace(p.text("durable")), "false"):
		r.SharedName, r.Global = name, true
		sub.durable = ""
	case shared:
		r.Durable, r.Shared, r.Global = name, true, true
	case c.anonymous:
		p.err = refuse("Send the header client-id with CONNECT, the same each time.",
			"a durable subscription needs a client-id")
	default:
		r.Durable = name
	}
}

// window is the prefetch: ActiveMQ's header, RabbitMQ's, or what the
// destination's policy says.
func (c *conn) window(p *subscribeParams, r *broker.Subscription) uint32 {
	if text := p.text("prefetchSize"); text != "" {
		return uint32(max(1, p.number("activemq.prefetchSize", text, 1, maxPrefetch)))
	}
	if text, ok := p.f.find("prefetch-count"); ok && text != "" {
		if n := p.number("prefetch-count", text, 0, maxPrefetch); n > 0 {
			return uint32(n)
		}
		return maxPrefetch // RabbitMQ: 0 is without limit
	}
	return max(1, c.front.opts.Broker.Prefetch(r.Destination, r.Durable != "", r.Browse))
}
