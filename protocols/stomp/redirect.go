package stomp

import (
	"io"
	"time"

	"github.com/entrepot-mq/entrepot/protocols"
)

// redirectTimeout is how long a client may take to read where to go.
const redirectTimeout = 5 * time.Second

// Redirect implements protocols.Redirector: STOMP has no frame for it, so the
// client gets an ERROR with the header redirect-to, whatever it sends.
func (f *Frontend) Redirect(c *protocols.Conn, address string) {
	frame := "ERROR\nmessage:this node is not the master\nredirect-to:" + escapeAddress(address) +
		"\ncontent-type:text/plain\n\nThe master is at " + address + ".\n\x00\n"
	if c.SetDeadline(time.Now().Add(redirectTimeout)) == nil {
		_, _ = io.WriteString(c, frame) // a client that has gone needs no answer
	}
	c.Goodbye()
}

// escapeAddress writes the colon of host:port as STOMP 1.1 and 1.2 want it in
// headers; who speaks 1.0 finds the address in the body.
func escapeAddress(address string) string {
	out := make([]byte, 0, len(address)+4)
	for i := range len(address) {
		if address[i] == ':' {
			out = append(out, '\\', 'c')
			continue
		}
		out = append(out, address[i])
	}
	return string(out)
}
