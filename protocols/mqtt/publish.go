package mqtt

import (
	"bytes"
	"strings"
)

// publish takes a PUBLISH (MQTT 5.0, 3.3). It is answered when the broker has
// completed it; the reader does not wait.
func (c *conn) publish(p packet) error {
	w := c.work
	pub := &w.publish
	if err := readPublish(p, c.version, pub); err != nil {
		return err
	}
	name, err := c.topicName(pub)
	if err != nil {
		return err
	}
	if pub.qos > 0 {
		fresh, err := c.expect(pub)
		if err != nil || !fresh {
			return err
		}
	}
	c.front.metrics.received.Add(1)
	m := c.newMessage(&publication{qos: pub.qos, retain: pub.retain, name: name, payload: pub.payload, props: &pub.props})
	c.perform(heldOp{message: m, qos: pub.qos, id: pub.id})
	return nil
}

// topicName returns the topic in the broker's notation, which may be that of
// an alias.
func (c *conn) topicName(p *publishPacket) ([]byte, error) {
	number := int(p.props.topicAlias)
	if number > c.set.aliases {
		return nil, faultf(topicAliasInvalid, "topic alias is %d, the maximum is %d", number, c.set.aliases) // [MQTT-3.3.2-9]
	}
	if len(p.topic) == 0 && number > 0 {
		if number >= len(c.aliases) || c.aliases[number] == nil {
			return nil, violation("topic alias %d is not known", number) // [MQTT-3.3.2-12]
		}
		return c.aliases[number], nil
	}
	w := c.work
	if err := w.setTopic(p.topic); err != nil {
		return nil, err
	}
	if number > 0 { // [MQTT-3.3.2-7] [MQTT-3.3.2-11]
		for len(c.aliases) <= number {
			c.aliases = append(c.aliases, nil)
		}
		c.aliases[number] = append(make([]byte, 0, len(w.name)), w.name...)
	}
	return w.name, nil
}

// setTopic checks a topic and sets w.name. Publishes come in runs of one topic,
// whoever sends them.
func (w *workspace) setTopic(topic []byte) error {
	if len(topic) > 0 && bytes.Equal(topic, w.topic) {
		return nil
	}
	w.topic = w.topic[:0]
	if err := checkTopicName(topic); err != nil {
		return err
	}
	if strings.HasPrefix(alias(topic), sharedPrefix) {
		return faultf(topicNameInvalid, "nothing can be published to what begins with "+sharedPrefix)
	}
	w.topic = append(w.topic, topic...)
	w.name = appendSwapped(w.name[:0], alias(topic))
	return nil
}

// expect counts a publish that is to be answered. fresh is false if it is one
// of QoS 2 that was taken before.
func (c *conn) expect(p *publishPacket) (fresh bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.qos == 2 {
		if completed, known := c.taken[p.id]; known {
			if completed { // [MQTT-4.3.3-10]
				c.postAck(typePubrec, p.id, success, "")
			}
			return false, nil
		}
		if c.taken == nil {
			c.taken = make(map[uint16]bool)
		}
	}
	if c.version == v5 && c.pending+len(c.taken) >= c.set.receiveMaximum {
		return false, faultf(receiveMaximumExceeded, // [MQTT-3.3.4-8]
			"there are more than %d publishes of QoS 1 and 2 without acknowledgement", c.set.receiveMaximum)
	}
	if p.qos == 2 {
		if len(c.taken) >= maxTaken {
			return false, faultf(quotaExceeded, "there are %d publishes of QoS 2 that were not released", len(c.taken))
		}
		c.taken[p.id] = false
	} else {
		c.await()
	}
	return true, nil
}

// maxTaken is how many publishes of QoS 2 a client of MQTT 3 may leave without
// PUBREL; one of MQTT 5 has its receive maximum.
const maxTaken = 1 << 15

// await counts an operation of the broker that an answer depends on. c.mu is
// held.
func (c *conn) await() {
	if c.pending++; c.version < v5 && c.pending >= c.set.receiveMaximum {
		c.pressure.Store(true) // a client of MQTT 5 has to know by itself
	}
}

// awaited is what is done when the broker has completed an operation.
type awaited uint8

const (
	awaitPuback  awaited = iota // a publish of QoS 1
	awaitPubrec                 // a publish of QoS 2
	awaitPubcomp                // the release of its identifier
	awaitPubrel                 // a delivery of QoS 2 is noted as received
)

// token names an operation to Complete.
func token(a awaited, id uint16) uint64 { return uint64(a)<<16 | uint64(id) }

// Complete implements broker.Done: the answer to an operation.
func (c *conn) Complete(token uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := uint16(token)
	switch awaited(token >> 16) {
	case awaitPuback:
		c.pending--
		c.answerPublish(typePuback, id, err)
	case awaitPubrec:
		if err != nil {
			delete(c.taken, id) // [MQTT-4.3.3-9]
		} else {
			c.taken[id] = true
		}
		c.answerPublish(typePubrec, id, err)
	case awaitPubcomp:
		c.pending--
		if err != nil {
			c.refuse(err)
			break
		}
		delete(c.taken, id)
		c.postAck(typePubcomp, id, success, "") // [MQTT-4.3.3-11]
	case awaitPubrel:
		c.noted(id, err)
	}
	c.relieve()
}

// answerPublish sends PUBACK or PUBREC [MQTT-4.3.2-4] [MQTT-4.3.3-8]. What was refused
// is never acknowledged as if it had been taken: MQTT 5 has reasons, and an
// older client's connection is closed [MQTT-3.3.5-2]. c.mu is held.
func (c *conn) answerPublish(k packetType, id uint16, err error) {
	if err == nil {
		c.postAck(k, id, success, "")
		return
	}
	if c.version < v5 {
		c.refuse(err)
		return
	}
	f := toFault(err)
	switch f.reason { //nolint:exhaustive // those that PUBACK and PUBREC have
	case notAuthorized, topicNameInvalid, quotaExceeded, payloadFormatInvalid, unspecifiedError:
	default:
		f.reason = implementationError
	}
	c.postAck(k, id, f.reason, f.text)
}

// refuse ends the connection because an operation failed that can't be
// answered. c.mu is held.
func (c *conn) refuse(err error) {
	c.log.Info("a publish was refused; connection closed", "err", err)
	if c.version == v5 {
		c.post(func(b []byte) []byte { return appendDisconnect(b, toFault(err), true) })
	}
	c.postLast()
}
