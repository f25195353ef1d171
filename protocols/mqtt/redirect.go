package mqtt

import "github.com/entrepot-mq/entrepot/protocols"

var _ protocols.Redirector = (*Frontend)(nil)

// Redirect implements protocols.Redirector: the answer to the client's CONNECT
// is a CONNACK that names the other server (MQTT 5.0, 4.11). Versions 3.x only
// learn that this one is not available.
func (f *Frontend) Redirect(nc *protocols.Conn, address string) { f.serve(nc, address) }

// redirected is the answer to a CONNECT of a client that is not served here.
func redirected(address string) *fault {
	return &fault{reason: useAnotherServer, text: "this node is not the master", reference: address}
}
