package openwire

import (
	"github.com/entrepot-mq/entrepot/protocols"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

var _ protocols.Redirector = (*Frontend)(nil)

// Redirect implements protocols.Redirector: a client that reconnects by itself
// is told where to (openwire.md, 25); others get an exception.
func (f *Frontend) Redirect(nc *protocols.Conn, address string) { f.serve(nc, address) }

// sendElsewhere answers the ConnectionInfo of a client that isn't served here.
func (c *conn) sendElsewhere(x *wire.ConnectionInfo) {
	if !c.client.faultTolerant && !x.FaultTolerant {
		c.refuseConnection(&x.BaseCommand, refuse(classJMS, "this node is not the master, which is %s: use a failover: URI", c.elsewhere))
		return
	}
	// No answer to the command: the client sends it again where it goes.
	url := wire.Text(c.urlOf(c.elsewhere))
	c.post(&wire.ConnectionControl{ConnectedBrokers: url, ReconnectTo: url})
	c.endAfterGrace()
}

func (c *conn) urlOf(address string) string {
	if c.net.TLS != nil {
		return "ssl://" + address
	}
	return "tcp://" + address
}

// members are where else the client can go: one that reconnects by itself adds
// them to its list.
func (c *conn) members() []string {
	if c.front.opts.Members == nil || !c.set.members || !c.client.faultTolerant {
		return nil
	}
	return c.front.opts.Members(c.net.Listener)
}
