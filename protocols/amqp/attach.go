package amqp

import (
	"slices"

	"github.com/entrepot-mq/entrepot/core/message"
)

// handleAttach starts a link (AMQP 1.0, 2.6.3). A link that is refused is
// attached without source or target, and detached with the reason.
func (s *session) handleAttach(d *decoder) error {
	var a attach
	a.decode(d)
	c := s.conn
	switch {
	case d.err != nil:
		return malformed("attach", d)
	case a.handle >= uint32(c.set.links):
		return badConnection(errFraming, "handle %d is above the handle-max of %d", a.handle, c.set.links-1)
	case len(a.name) > maxName:
		return badSession(errInvalidField, "link name is longer than %d bytes", maxName)
	}
	for int(a.handle) >= len(s.handles) {
		s.handles = append(s.handles, nil)
	}
	if s.handles[a.handle] != nil {
		return badSession(errHandle, "handle %d is in use by link %q", a.handle, clip(s.handles[a.handle].name))
	}
	l := &link{sess: s, name: a.name, handle: a.handle, sender: a.role}
	if older := c.named(a.name, l.sender); older != nil {
		older.fail(faultf(endsLink, errStolen, "link %q was attached again", clip(a.name)))
	}
	s.handles[a.handle] = l
	answer := attach{
		name: a.name, handle: a.handle, role: !a.role,
		sndSettleMode: a.sndSettleMode, rcvSettleMode: a.rcvSettleMode,
	}
	var err error
	if l.sender {
		err = l.attachSource(&a, &answer)
	} else {
		err = l.attachTarget(&a, &answer)
	}
	if err != nil {
		return l.refuse(&a, err)
	}
	c.mu.Lock()
	c.postFrame(s.channel, answer.append)
	c.mu.Unlock()
	if l.sender {
		l.out.consumer.Start()
		return nil
	}
	if !l.in.coordinator {
		l.in.producer = c.session.OpenProducer(l.in.destination)
	}
	l.topUp()
	return nil
}

// refuse answers an attach that can't be carried out.
func (l *link) refuse(a *attach, err error) error {
	f := toFault(err, endsLink)
	if f.scope < endsLink {
		return f
	}
	answer := attach{name: a.name, handle: a.handle, role: !a.role, sndSettleMode: a.sndSettleMode, rcvSettleMode: a.rcvSettleMode}
	if l.sender {
		answer.target = a.target
		answer.initialDeliveryCount = some(uint32(0))
	} else {
		answer.source = a.source
	}
	c := l.sess.conn
	c.mu.Lock()
	c.postFrame(l.sess.channel, answer.append)
	c.mu.Unlock()
	l.fail(f)
	return nil
}

// outcomes are those that deliveries can have.
var outcomes = []string{"amqp:accepted:list", "amqp:rejected:list", "amqp:released:list", "amqp:modified:list"}

// attachTarget makes the link one on which the client sends.
func (l *link) attachTarget(a, answer *attach) error {
	c := l.sess.conn
	l.second = a.rcvSettleMode == 1 && a.target.coordinator == nil
	if !l.second {
		answer.rcvSettleMode = 0
	}
	if a.initialDeliveryCount.ok {
		l.deliveryCount.Store(a.initialDeliveryCount.value)
		l.limit.Store(a.initialDeliveryCount.value)
	}
	answer.source, answer.target = a.source, a.target
	answer.maxMessageSize = uint64(c.set.message)
	if contains(a.desiredCapabilities, "DELAYED_DELIVERY") {
		answer.offeredCapabilities = []string{"DELAYED_DELIVERY"}
	}
	if a.target.coordinator != nil {
		l.in.coordinator = true
		answer.target = terminus{coordinator: &coordinator{capabilities: []string{
			"amqp:local-transactions", "amqp:multi-txns-per-ssn", "amqp:multi-ssns-per-txn",
		}}}
		return nil
	}
	t := a.target.node
	if t == nil {
		t = &target{expiryPolicy: "session-end"} // ActiveMQ: an anonymous relay, too
	}
	answered := *t
	answer.target.node = &answered
	if t.dynamic {
		d, err := l.createTemp(t.capabilities)
		if err != nil {
			return err
		}
		l.in.destination = d
		answered.address, answered.capabilities = message.StringValue(c.set.names.address(d)), []string{capabilityOf(d.Kind)}
		answered.dynamicNodeProperties = lifetime
		return nil
	}
	text, _ := t.address.Text()
	if text == "" {
		return nil // anonymous relay
	}
	d, _, err := c.set.names.resolve(text, kindByCapability(t.capabilities))
	if err != nil {
		return badLink(errInvalidField, "%v", err)
	}
	if message.IsPattern(d.Name) {
		return badLink(errInvalidField, "address %q has a wildcard: it can't be sent to", clip(text))
	}
	if err := c.session.MaySend(d); err != nil {
		return err
	}
	l.in.destination = d
	return nil
}

// lifetime says that a dynamic node goes with its link.
var lifetime = message.MapValue([]message.MapEntry{{
	Key:   message.SymbolValue("lifetime-policy"),
	Value: message.DescribedValue(message.Uint64Value(0x2b), message.ListValue(nil)), // delete-on-close
}})

// createTemp makes a temporary destination for a dynamic node.
func (l *link) createTemp(capabilities []string) (message.Destination, error) {
	c := l.sess.conn
	if c.temps >= c.set.temps {
		return message.Destination{}, badLink(errLimit, "connection has %d temporary destinations; the listener option %s is the limit", c.temps, optTemps)
	}
	kind := message.KindTempQueue
	if contains(capabilities, "temporary-topic") || contains(capabilities, "topic") && !contains(capabilities, "temporary-queue") {
		kind = message.KindTempTopic
	}
	d, err := c.session.CreateTemp(kind)
	if err != nil {
		return d, err
	}
	c.temps++
	l.temp = d
	return d, nil
}

// topUp renews the credit of a link on which the client sends, when little is
// left and the broker takes sends.
func (l *link) topUp() {
	c := l.sess.conn
	if c.held.On || l.over {
		return
	}
	left := l.limit.Load() - l.deliveryCount.Load()
	if left > c.set.credit*topUpPerThousand/1000 {
		return
	}
	l.limit.Store(l.deliveryCount.Load() + c.set.credit)
	l.sess.room = incomingWindow
	c.mu.Lock()
	defer c.mu.Unlock()
	c.post(outItem{kind: outFlow, sess: l.sess, link: l})
}

// supportedOutcomes returns those of wanted that exist, all if none is wanted.
func supportedOutcomes(wanted []string) []string {
	if len(wanted) == 0 {
		return outcomes
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(o string) bool { return !contains(outcomes, o) })
}
