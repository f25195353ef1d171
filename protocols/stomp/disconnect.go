package stomp

// disconnect ends the session in order (STOMP 1.2, DISCONNECT): the receipt
// tells that everything before it was processed.
func (c *conn) disconnect(f *frame) error {
	id, asked := f.value(headerReceipt)
	c.mu.Lock()
	c.leaving = true
	token := c.receipts.add(id, asked, true)
	c.mu.Unlock()
	c.perform(heldOp{token: token})
	return errDisconnect
}
