package amqp

import (
	"net"
	"strconv"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols"
)

var _ protocols.Redirector = (*Frontend)(nil)

// Redirect implements protocols.Redirector: the answer to the client's open is
// an open, and a close that names the other peer (AMQP 1.0, 2.8.16). Who the
// client is concerns the other one.
func (f *Frontend) Redirect(nc *protocols.Conn, address string) { f.serve(nc, address) }

// redirected is the answer to the open of a client that is not served here.
func redirected(address string) *fault {
	f := faultf(endsConnection, errRedirect, "this node is not the master: connect to %s", address)
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return f // without a port there is nothing that a client could follow
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return f
	}
	entry := func(name string, v message.Value) message.MapEntry {
		return message.MapEntry{Key: message.SymbolValue(name), Value: v}
	}
	f.info = message.MapValue([]message.MapEntry{
		entry("hostname", message.StringValue(host)), entry("network-host", message.StringValue(host)),
		entry("port", message.Uint32Value(uint32(port))),
	})
	return f
}
