package openwire

import (
	"strconv"
	"strings"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// wireFormat agrees on how frames look from the next one on.
func (c *conn) wireFormat(info *wire.WireFormatInfo) error {
	if c.state != stateNew {
		return violation("a second WireFormatInfo")
	}
	a, err := c.set.negotiate(info)
	if err != nil {
		c.log.Info("client speaks no OpenWire that this broker knows", "err", err)
		return errGone
	}
	c.agreed, c.state = a, stateNegotiated
	c.decoder = wire.NewDecoder(a.format)
	c.mu.Lock()
	c.encoder = wire.NewEncoder(a.format)
	c.mu.Unlock()
	c.startBeats()
	c.post(c.hello())
	return nil
}

// hello is what clients wait for before they do some things. Its id is
// equal on all nodes of a group, because their prepared transactions are.
func (c *conn) hello() *wire.BrokerInfo {
	name := wire.Text(c.front.opts.Broker.Name())
	return &wire.BrokerInfo{BrokerID: c.front.brokerID(), BrokerName: name, BrokerURL: wire.Text("tcp://" + c.net.LocalAddr().String())}
}

// brokerID is the broker's id, the same in every run.
func (f *Frontend) brokerID() *wire.BrokerID {
	return &wire.BrokerID{Value: wire.Text("ID:entrepot-" + f.opts.Broker.Name())}
}

// brokerInfo takes a note of another broker's: nothing is done on its word.
func (c *conn) brokerInfo(x *wire.BrokerInfo) error {
	if c.client.broker || x.SlaveBroker {
		return violation("a second BrokerInfo, or one of a slave")
	}
	c.client.broker = true
	if x.DuplexConnection {
		c.log.Warn("a network connector asks for a duplex connection; only its own direction is served", "broker", clip(x.BrokerName.String()))
	}
	return nil
}

// connect opens the session of a connection.
func (c *conn) connect(x *wire.ConnectionInfo) (answered bool, err error) {
	if c.state == stateConnected {
		if x.ConnectionID != nil && x.ConnectionID.Value.String() == c.client.connection {
			return false, nil // a client that replays its state
		}
		return false, refuse(classState, "this socket has a connection already; remove it first")
	}
	if err := checkConnection(x); err != nil {
		c.refuseConnection(&x.BaseCommand, err)
		return true, nil
	}
	if c.elsewhere != "" {
		c.sendElsewhere(x)
		return true, nil
	}
	id := x.ConnectionID.Value.String()
	r := broker.ConnectRequest{
		Protocol: "openwire", Version: strconv.Itoa(c.agreed.format.Version), ClientID: x.ClientID.String(),
		Login: x.UserName.String(), Passcode: x.Password.String(),
		Remote: c.net.Remote, Listener: c.net.Listener, TLS: c.net.TLS, Sink: c,
		TakeOver: c.front.has(id),
	}
	session, err := c.front.opts.Broker.Connect(r)
	if err != nil {
		c.refuseConnection(&x.BaseCommand, err)
		return true, nil
	}
	c.session = session
	c.client.connection, c.client.id, c.client.manageable = id, x.ClientID.String(), x.Manageable
	c.client.faultTolerant = c.client.faultTolerant || x.FaultTolerant
	c.front.enter(id, c)
	c.front.metrics.connections.Add(1)
	c.sessions = map[int64]struct{}{implicitSession: {}}
	c.consumers = make(map[consumerKey]*consumer)
	c.producers = make(map[producerKey]*producer)
	c.local = make(map[int64]*transaction)
	c.state = stateConnected
	c.net.Authenticated()
	c.log.Debug("client connected", "version", c.agreed.format.Version, "client_id", c.client.id)
	if x.ResponseRequired {
		c.respond(x.CommandID)
	}
	if x.Manageable {
		c.post(&wire.ConnectionControl{ConnectedBrokers: wire.Text(strings.Join(c.members(), ",")), ReconnectTo: wire.Text("")})
	}
	return true, nil
}

// implicitSession is there without a SessionInfo: clients use it for their own
// subscription to advisories.
const implicitSession = -1

func checkConnection(x *wire.ConnectionInfo) error {
	switch {
	case x.ConnectionID == nil || x.ConnectionID.Value.String() == "":
		return refuse(classState, "ConnectionInfo has no connection id")
	case x.ClientID.String() == "":
		return refuse(classClientID, "ConnectionInfo has no client id")
	case len(x.ConnectionID.Value.String()) > nameLimit || len(x.ClientID.String()) > nameLimit:
		return refuse(classClientID, "the client id or the connection id is longer than %d bytes", nameLimit)
	}
	return nil
}

// refuseConnection answers a ConnectionInfo that failed, and ends the
// connection when the client had time to read it.
func (c *conn) refuseConnection(base *wire.BaseCommand, err error) {
	e := toException(err)
	c.mu.Lock()
	c.queueFailure(base.CommandID, true, e)
	c.mu.Unlock()
	c.log.Info("connection refused", "err", e.text)
	c.endAfterGrace()
}

func (c *conn) endAfterGrace() {
	c.net.Wheel.After(errorGrace, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.queueLast()
	})
}

// clip shortens a text of a client for logs.
func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "..."
	}
	return s
}
