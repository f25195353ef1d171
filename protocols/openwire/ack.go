package openwire

import (
	"strings"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// Kinds of acknowledgements (openwire.md, 17).
const (
	ackDelivered   = 0 // the client has them, and acknowledges later: only credit
	ackPoison      = 1 // nobody should get them again
	ackStandard    = 2 // a range was consumed
	ackRedelivered = 3 // the client delivers them again by itself: for information
	ackIndividual  = 4 // one was consumed
	ackUnmatched   = 5 // brokers among themselves
	ackExpired     = 6 // the client found them expired
)

// acknowledge carries out a MessageAck. One of a consumer or a message that
// isn't known (any more) has no effect: after a reconnection that is usual.
func (c *conn) acknowledge(x *wire.MessageAck) (answered bool, err error) {
	r := c.consumerOf(x.ConsumerID)
	if r == nil || r.core == nil {
		return false, nil
	}
	switch x.AckType {
	case ackDelivered:
		r.credit.extend(max(int(x.MessageCount), 0))
		r.allow()
		return false, nil
	case ackRedelivered, ackUnmatched:
		return false, nil
	case ackStandard, ackIndividual, ackPoison, ackExpired:
	default:
		return false, refuse(classJMS, "acknowledgement of type %d is unknown", x.AckType)
	}
	if x.TransactionID != nil && x.AckType != ackPoison && x.AckType != ackExpired {
		t, err := c.transactionOf(x.TransactionID)
		if err != nil {
			return false, err
		}
		return false, c.acknowledgeIn(t, r, x)
	}
	tags := c.settled(r, x)
	if len(tags) == 0 {
		return false, nil
	}
	var done broker.Done
	token := uint64(tokenSilent)
	if x.ResponseRequired {
		done, token = c, c.expect(&x.BaseCommand)
	}
	if x.AckType == ackStandard || x.AckType == ackIndividual {
		answered = r.accept(tags, done, token)
	} else {
		answered = r.reject(tags, reasonOf(x), done, token)
	}
	if x.ResponseRequired && !answered {
		c.mu.Lock()
		c.unfinished--
		c.mu.Unlock()
	}
	r.credit.settle(len(tags))
	r.allow()
	return answered, nil
}

// accept tells the broker that deliveries were consumed; done is told of the
// last one. It reports whether there was one.
func (r *consumer) accept(tags []uint64, done broker.Done, token uint64) bool {
	last := len(tags) - 1
	if last > 0 && r.core.Unsettled() == len(tags) { // all there are: one record
		return r.core.SettleThrough(tags[last], broker.Accepted, done, token) == nil
	}
	for _, tag := range tags[:last] {
		_ = r.core.Settle(tag, broker.Accepted, nil, 0) // what is gone was purged or expired
	}
	return r.core.Settle(tags[last], broker.Accepted, done, token) == nil
}

// reject tells the broker that nobody should get deliveries again.
func (r *consumer) reject(tags []uint64, reason string, done broker.Done, token uint64) bool {
	last := len(tags) - 1
	for _, tag := range tags[:last] {
		_ = r.core.Reject(tag, reason, nil, 0) // what is gone was purged or expired
	}
	return r.core.Reject(tags[last], reason, done, token) == nil
}

// reasonOf returns why a client gives messages up.
func reasonOf(x *wire.MessageAck) string {
	switch {
	case x.AckType == ackExpired:
		return "expired at the consumer"
	case x.PoisonCause != nil:
		return cause(x.PoisonCause)
	}
	return ""
}

// maxCause bounds what a dead letter says of its cause, in bytes.
const maxCause = 2 << 10

// cause returns what Java prints for an exception.
func cause(t *wire.Throwable) string {
	text := t.Class.String()
	if !t.Text.IsNull() {
		text += ": " + t.Text.String()
	}
	if len(text) > maxCause {
		text = strings.ToValidUTF8(text[:maxCause], "") + "..."
	}
	return text
}

// settled returns the deliveries that x acknowledges, and forgets them.
func (c *conn) settled(r *consumer, x *wire.MessageAck) (tags []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, to := r.span(x)
	if from+1 == to { // the usual case, without a slice that lives on
		if d := r.given.list[from]; d.message != nil && d.tx == nil {
			r.given.settle(from)
			return []uint64{d.tag}
		}
		return nil
	}
	for i := from; i < to; i++ {
		if d := r.given.list[i]; d.message != nil && d.tx == nil {
			tags = append(tags, d.tag)
		}
	}
	for i := to - 1; i >= from; i-- { // from behind: settling moves the head
		if d := r.given.list[i]; d.message != nil && d.tx == nil {
			r.given.list[i].message = nil
		}
	}
	if from < to {
		r.given.settle(from)
	}
	return tags
}

// span returns the part of r.given that x means. conn.mu is held.
func (r *consumer) span(x *wire.MessageAck) (from, to int) {
	if x.AckType == ackIndividual {
		if i := r.given.find(x.LastMessageID, r.given.head); i >= 0 {
			return i, i + 1
		}
		return 0, 0
	}
	if r.counted {
		return r.given.oldest(int(x.MessageCount))
	}
	return r.given.span(x.FirstMessageID, x.LastMessageID)
}

// acknowledgeIn adds an acknowledgement to a transaction.
func (c *conn) acknowledgeIn(t *transaction, r *consumer, x *wire.MessageAck) error {
	c.mu.Lock()
	from, to := r.span(x)
	var tags []uint64
	for i := from; i < to; i++ {
		if d := &r.given.list[i]; d.message != nil && d.tx == nil {
			d.tx = t
			tags = append(tags, d.tag)
		}
	}
	c.mu.Unlock()
	for _, tag := range tags {
		if err := t.core.Settle(r.core, tag, broker.Accepted); err != nil {
			return t.fail(err)
		}
	}
	t.acknowledged(r, len(tags))
	if x.AckType == ackIndividual {
		r.credit.extend(len(tags))
		r.allow()
	}
	return nil
}
