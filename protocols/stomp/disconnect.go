package stomp

import "time"

// disconnect ends the session in order (STOMP 1.2, DISCONNECT): the receipt
// tells that everything before it was processed.
func (c *conn) disconnect(f *frame) error {
	id, asked := f.value(headerReceipt)
	c.mu.Lock()
	c.leaving = true
	c.goodbye = goodbye{string(id), asked}
	token := c.receipts.add(nil, false, true)
	c.mu.Unlock()
	c.perform(heldOp{token: token})
	return errDisconnect
}

// goodbye is the receipt that DISCONNECT asked for.
type goodbye struct {
	id    string
	asked bool
}

// awaitSync waits until what came before DISCONNECT is completed.
func (c *conn) awaitSync() {
	limit := time.AfterFunc(farewellTimeout, c.fail)
	defer limit.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.synced && !c.broken {
		c.changed.Wait()
	}
}

// postGoodbye answers DISCONNECT. c.mu is held.
func (c *conn) postGoodbye() {
	if c.goodbye.asked {
		c.postReceipt([]byte(c.goodbye.id))
	}
}
