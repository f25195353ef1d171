package mqtt

import "github.com/entrepot-mq/entrepot/core/broker"

// unsubscribe takes an UNSUBSCRIBE (MQTT 5.0, 3.10). It is answered in any case
// [MQTT-3.10.4-4] [MQTT-3.10.4-5]; nothing new is added from here on, and what was
// on its way is completed [MQTT-3.10.4-2] [MQTT-3.10.4-3].
func (c *conn) unsubscribe(p packet) error {
	k, err := readUnsubscribe(p, c.version)
	if err != nil {
		return err
	}
	codes := make([]byte, len(k.filters))
	var stored []broker.StoredSubscription
	for i, filter := range k.filters { // [MQTT-3.10.4-6]
		c.mu.Lock()
		sub := c.subs.remove(alias(filter))
		c.mu.Unlock()
		if sub == nil {
			codes[i] = byte(noSubscriptionExisted)
			continue
		}
		c.front.metrics.subscriptions.Add(-1)
		c.detach(sub)
		stored = append(stored, sub.stored())
	}
	if c.stored != nil && len(stored) > 0 {
		if err := c.stored.Unsubscribe(stored); err != nil {
			return err
		}
	}
	if c.version < v5 {
		codes = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.post(func(b []byte) []byte { return appendSuback(b, typeUnsuback, k.id, codes, c.version) })
	return nil
}
