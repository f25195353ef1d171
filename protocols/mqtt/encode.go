package mqtt

import (
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// nameCache remembers how the last topic is written: messages come in runs.
type nameCache struct {
	name    string // in the broker's notation
	topic   []byte // in MQTT's
	aliases map[string]uint16
}

// topicOf returns a destination's name as MQTT writes it, valid until the next
// call.
func (n *nameCache) topicOf(name string) []byte {
	if n.name != name || n.topic == nil {
		n.topic = appendSwapped(n.topic[:0], name)
		n.name = strings.Clone(name)
	}
	return n.topic
}

// alias returns the topic alias for a name, if the client takes that many, and
// whether the client knows it already [MQTT-3.3.2-9] [MQTT-3.3.2-10].
func (n *nameCache) alias(name string, most int) (number uint16, known bool) {
	if a, ok := n.aliases[name]; ok {
		return a, true
	}
	if len(n.aliases) >= most {
		return 0, false
	}
	if n.aliases == nil {
		n.aliases = make(map[string]uint16)
	}
	number = uint16(len(n.aliases) + 1)
	n.aliases[n.name] = number
	return number, false
}

// appendPublish appends a PUBLISH up to its payload, which is returned apart
// and not to be changed. fits is false, and nothing is appended, if the packet
// is larger than the client takes [MQTT-3.1.2-24].
func (c *conn) appendPublish(b []byte, it *outItem) (head, payload []byte, fits bool) {
	m := it.message
	first := byte(typePublish)<<4 | it.qos<<1
	if it.redelivered && it.qos > 0 { // [MQTT-3.3.1-1] [MQTT-3.3.1-2] [MQTT-3.3.1-3]
		first |= 8
	}
	if remembered(m) || it.grant.retainAsPublished && m.Retain { // [MQTT-3.3.1-8] [MQTT-3.3.1-12] [MQTT-3.3.1-13]
		first |= 1
	}
	topic := c.names.topicOf(m.Destination.Name)
	props, payload := c.content(m)
	remaining := 2 + len(topic) + len(payload)
	if it.qos > 0 {
		remaining += 2
	}
	if c.version < v5 {
		if 1+varintSize(remaining)+remaining > c.terms.maximumPacket {
			return b, nil, false
		}
		b = appendVarint(append(b, first), remaining)
		b = append(appendUint16(b, uint16(len(topic))), topic...)
		if it.qos > 0 {
			b = appendUint16(b, it.id)
		}
		return b, payload, true
	}
	return c.appendPublish5(b, it, first, topic, props, payload)
}

func (c *conn) appendPublish5(b []byte, it *outItem, first byte, topic, props, payload []byte) (head, rest []byte, fits bool) {
	var own [16]byte
	extra := own[:0]
	if m := it.message; m.Expiry != 0 { // [MQTT-3.3.2-6]
		left := max(m.Expiry-time.Now().UnixMilli(), 0)
		extra = appendUint32Property(extra, propMessageExpiry, uint32(min((left+999)/1000, 1<<32-1)))
	}
	n := len(props) + len(it.grant.ids) + len(extra)
	size := 2 + len(topic) + varintSize(n+3) + n + 3 + len(payload) + 2
	if 5+size > c.terms.maximumPacket {
		return b, nil, false
	}
	if c.terms.aliasMaximum > 0 {
		if number, known := c.names.alias(c.names.name, c.terms.aliasMaximum); number != 0 {
			extra = appendUint16Property(extra, propTopicAlias, number)
			n += 3
			if known {
				topic = nil
			}
		}
	}
	remaining := 2 + len(topic) + varintSize(n) + n + len(payload)
	if it.qos > 0 {
		remaining += 2
	}
	b = appendVarint(append(b, first), remaining)
	b = append(appendUint16(b, uint16(len(topic))), topic...)
	if it.qos > 0 {
		b = appendUint16(b, it.id)
	}
	b = append(appendVarint(b, n), extra...)
	b = append(b, it.grant.ids...) // [MQTT-3.3.4-3] [MQTT-3.3.4-4] [MQTT-3.3.4-5]
	return append(b, props...), payload, true
}

// remembered reports whether m is what a topic remembered.
func remembered(m *message.Message) bool {
	for i := range m.Annotations {
		if m.Annotations[i].Name == broker.RetainedProperty {
			return true
		}
	}
	return false
}
