package stomp

import (
	"bytes"
	"strconv"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

const ackAdvice = "Each MESSAGE of a client or client-individual subscription can be acknowledged once, " +
	"on its own connection."

// acknowledge settles deliveries (STOMP 1.2, ACK and NACK).
func (c *conn) acknowledge(f *frame) error {
	if f.command == cmdNack && c.version == v10 {
		return refuse("Connect with accept-version:1.2.", "STOMP 1.0 has no NACK")
	}
	sub, tag, err := c.delivery(f)
	if err != nil {
		return err
	}
	if sub.auto {
		return refuse("Subscribe with ack:client or ack:client-individual.",
			"messages of an automatic subscription can't be acknowledged")
	}
	outcome, cumulative, delay, reason := broker.Accepted, sub.cumulative, noDelay, ""
	if f.command == cmdNack {
		if sub.browse {
			return refuse("Browsing changes nothing.", "a browser can't NACK")
		}
		outcome, cumulative = c.nackOutcome(f), false // ActiveMQ: always the one message
		if delay, err = nackDelay(f); err != nil {
			return err
		}
		if reason, err = nackReason(f); err != nil {
			return err
		}
		if reason != "" {
			outcome = broker.Rejected
		}
	}
	s := settlement{sub, tag, outcome, cumulative, delay, reason}
	if name, ok := f.value(headerTransaction); ok {
		return c.acknowledgeIn(f, alias(name), s)
	}
	if err := c.settle(s, c.expect(f)); err != nil {
		return err
	}
	c.forget(sub, tag, cumulative)
	return nil
}

// settlement is what an ACK or NACK asks for.
type settlement struct {
	sub        *subscription
	tag        uint64
	outcome    broker.Outcome
	cumulative bool
	delay      int64  // of a NACK, before the next delivery, in milliseconds; noDelay leaves it to the outcome
	reason     string // of a NACK, for the dead letter
}

const noDelay int64 = -1

// nackDelay reads how long the client wants the message to wait before it is
// delivered again.
func nackDelay(f *frame) (int64, error) {
	text, ok := f.find("delay")
	if !ok {
		return noDelay, nil
	}
	const longest = 365 * 24 * 3600 * 1000
	n, ok := parseInt([]byte(text))
	if _, also := f.find("requeue"); also {
		return 0, refuse("Leave out one of them.", "NACK has the headers delay and requeue")
	}
	if _, also := f.value(headerTransaction); also {
		return 0, refuse("Leave out one of them.", "NACK has the headers delay and transaction")
	}
	if !ok || n < 0 || n > longest {
		return 0, refuse("Write milliseconds, 0 to a year.", "header delay is %q", clip([]byte(text)))
	}
	return n, nil
}

// nackReason reads why the client gives the message up: then it becomes a dead
// letter, which says so.
func nackReason(f *frame) (string, error) {
	reason, _ := f.find("dlq-reason")
	if reason == "" {
		return "", nil
	}
	const longest = 1024
	if len(reason) > longest {
		return "", refuse("Say it in "+strconv.Itoa(longest)+" bytes.", "header dlq-reason has %d bytes", len(reason))
	}
	_, delay := f.find("delay")
	requeue, _ := f.find("requeue")
	_, inTransaction := f.value(headerTransaction)
	if delay || inTransaction || requeue == "true" {
		return "", refuse("Leave out one of them.", "NACK has the header dlq-reason and one of delay, transaction and requeue:true")
	}
	return reason, nil
}

// settle tells the broker. If it refuses, token is not waited for any more.
func (c *conn) settle(s settlement, token uint64) error {
	var done broker.Done
	if token != noReceipt {
		done = c
	}
	var err error
	switch {
	case s.reason != "":
		err = s.sub.consumer.Reject(s.tag, s.reason, done, token)
	case s.delay != noDelay:
		err = s.sub.consumer.Retry(s.tag, s.delay, done, token)
	case s.cumulative:
		err = s.sub.consumer.SettleThrough(s.tag, s.outcome, done, token)
	default:
		err = s.sub.consumer.Settle(s.tag, s.outcome, done, token)
	}
	if err == nil {
		return nil
	}
	if token != noReceipt {
		c.mu.Lock()
		c.receipts.take(token)
		c.mu.Unlock()
	}
	return unknownDelivery(s.sub) // the one error that it can be
}

func unknownDelivery(sub *subscription) error {
	return refuse(ackAdvice, "no delivery of subscription %q waits for this ACK or NACK", clip([]byte(sub.id)))
}

// nackOutcome is the listener's policy, unless the frame says what it wants as
// RabbitMQ's clients do.
func (c *conn) nackOutcome(f *frame) broker.Outcome {
	switch v, _ := f.find("requeue"); v {
	case "true":
		return broker.Released
	case "false":
		return broker.Rejected
	}
	return c.set.nack
}

// delivery finds what an ACK or NACK means.
func (c *conn) delivery(f *frame) (*subscription, uint64, error) {
	if c.version == v12 {
		return c.deliveryByAck(f)
	}
	text, ok := f.value(headerMessageID)
	if !ok {
		return nil, 0, refuse("Copy it from the MESSAGE.", "%s needs the header message-id", f.command)
	}
	candidates := c.subs.list
	if id, ok := f.value(headerSubscription); ok {
		sub := c.subs.named(alias(id))
		if sub == nil {
			return nil, 0, refuse("Copy it from the MESSAGE.", "there is no subscription %q", clip(id))
		}
		candidates = []*subscription{sub}
	} else if c.version > v10 {
		return nil, 0, refuse("Copy it from the MESSAGE.", "%s needs the header subscription", f.command)
	}
	if c.version == v10 {
		// 1.0 has no escapes, but some clients escape all the same, and our ids
		// hold a colon and no backslash.
		text = unescapeInPlace(text)
	}
	want := wantedMessage(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, sub := range candidates {
		if tag := sub.unsettled.find(want); tag != 0 {
			return sub, tag, nil
		}
		if sub.auto && len(candidates) == 1 {
			return sub, 0, nil
		}
	}
	return nil, 0, refuse(ackAdvice, "no delivery of message %q waits for this %s", clip(text), f.command)
}

// deliveryByAck reads "<subscription's number>-<tag>".
func (c *conn) deliveryByAck(f *frame) (*subscription, uint64, error) {
	id, ok := f.value(headerID)
	if !ok {
		return nil, 0, refuse("Copy it from the MESSAGE's header ack.", "%s needs the header id", f.command)
	}
	left, right, _ := bytes.Cut(id, dash)
	number, okN := parseUint(left)
	tag, okT := parseUint(right)
	if okN && okT && tag > 0 {
		if sub := c.subs.numbered(number); sub != nil {
			return sub, tag, nil
		}
	}
	return nil, 0, refuse(ackAdvice+" Its id is the MESSAGE's header ack.",
		"no delivery with the id %q waits for this %s", clip(id), f.command)
}

var dash = []byte{'-'}

func appendAckID(b []byte, sub *subscription, tag uint64) []byte {
	b = strconv.AppendUint(b, sub.number, 10)
	return strconv.AppendUint(append(b, '-'), tag, 10)
}

// forget drops settled deliveries from what 1.0 and 1.1 clients can name.
func (c *conn) forget(sub *subscription, tag uint64, cumulative bool) {
	if !sub.tracked {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	sub.unsettled.remove(tag, cumulative)
}

// unsettled are the deliveries that a 1.0 or 1.1 client can acknowledge, in
// the order of their tags. Clients acknowledge about in order, so looking from
// the front finds them at once, and there is no map.
type unsettled struct {
	list []trackedDelivery
	head int // list[:head] is settled
}

type trackedDelivery struct {
	tag  uint64 // 0 when settled out of order
	id   message.ID
	name string // the publisher's own message id, "" if it gave none
}

func (u *unsettled) add(tag uint64, m *message.Message) {
	if u.head > 0 && len(u.list) == cap(u.list) {
		u.list = u.list[:copy(u.list, u.list[u.head:])]
		u.head = 0
	}
	u.list = append(u.list, trackedDelivery{tag, m.ID, m.MessageID})
}

func (u *unsettled) find(want wanted) uint64 {
	for _, d := range u.list[u.head:] {
		if d.tag != 0 && want.is(d) {
			return d.tag
		}
	}
	return 0
}

func (u *unsettled) remove(tag uint64, through bool) {
	for i := u.head; i < len(u.list) && (u.list[i].tag <= tag); i++ {
		if through || u.list[i].tag == tag {
			u.list[i] = trackedDelivery{}
		}
	}
	for u.head < len(u.list) && u.list[u.head].tag == 0 {
		u.head++
	}
	if u.head == len(u.list) {
		u.list, u.head = u.list[:0], 0
	}
}

// wanted is a message-id as a client sent it back.
type wanted struct {
	id   message.ID
	ours bool // id is set: the text is one of the broker's ids
	name []byte
}

func wantedMessage(text []byte) wanted {
	id, ok := message.ParseID(alias(text))
	return wanted{id, ok, text}
}

func (w wanted) is(d trackedDelivery) bool {
	if d.name != "" {
		return string(w.name) == d.name
	}
	return w.ours && w.id == d.id
}
