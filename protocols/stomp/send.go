package stomp

// send publishes a message (STOMP 1.2, SEND). The receipt goes out when the
// broker has completed it; the reader does not wait.
func (c *conn) send(f *frame) error {
	var t *transaction
	if name, ok := f.value(headerTransaction); ok {
		var err error
		if t, err = c.transaction(alias(name)); err != nil {
			return err
		}
	}
	m, err := c.newMessage(f)
	if t != nil && err != nil {
		return t.fails(err)
	}
	if err != nil {
		return err
	}
	c.front.metrics.received.Add(1)
	c.produces(m.Destination)
	if t != nil {
		return c.sendIn(f, t, m)
	}
	c.perform(heldOp{message: m, token: c.expect(f)})
	return nil
}
