package protocols

import (
	"net/netip"
	"time"
)

// DefaultMaxHandshakes is how many TLS handshakes a listener works on at a time.
const DefaultMaxHandshakes = 128

// handshakes bounds the TLS handshakes of a listener: each costs the broker a
// signature, and the client next to nothing. Who comes when all places are taken
// waits in line; one address of another machine can have a quarter of them, so
// that it holds up nobody but itself.
type handshakes struct {
	places   chan struct{}
	bySource strangers
}

func newHandshakes(limit int) handshakes { return handshakes{places: make(chan struct{}, limit)} }

// share is how many places one address can have, 0 for no limit.
func (h *handshakes) share(a netip.Addr) int {
	if local(a) {
		return 0
	}
	return max(1, cap(h.places)/4)
}

// enter takes a place within d. Unless it returns true the connection has been
// refused.
func (h *handshakes) enter(c *connection, d time.Duration) bool {
	if limit := h.share(c.source); limit > 0 && !h.bySource.add(source(c.source), limit) {
		c.reject(ReasonMaxHandshakes, nil)
		return false
	}
	select {
	case h.places <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case h.places <- struct{}{}:
		return true
	case <-timer.C:
		c.expire()
	case <-c.listener.quit:
		c.reject(ReasonClosing, nil)
	}
	h.forget(c.source)
	return false
}

// leave gives the place back.
func (h *handshakes) leave(c *connection) {
	<-h.places
	h.forget(c.source)
}

func (h *handshakes) forget(a netip.Addr) {
	if h.share(a) > 0 {
		h.bySource.remove(source(a))
	}
}
