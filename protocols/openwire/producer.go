package openwire

import (
	"strings"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

type producerKey struct{ session, value int64 }

// producer is a ProducerInfo of the client. Messages name their destinations
// themselves and are checked by that.
type producer struct {
	id     *wire.ProducerID
	core   *broker.Producer
	window bool   // it counts what the broker has not acknowledged
	number int    // of those with a window
	name   string // by which its sends are known again, "" if it is too long for that
}

// owns checks that an id of the client is one of its connection's.
func (c *conn) owns(connection wire.String) error {
	if connection.String() != c.client.connection {
		return refuse(classState, "the id belongs to another connection, %s", clip(connection.String()))
	}
	return nil
}

// addSession registers a session. It only groups producers and consumers.
func (c *conn) addSession(x *wire.SessionInfo) error {
	if x.SessionID == nil {
		return refuse(classState, "SessionInfo has no id")
	}
	if err := c.owns(x.SessionID.ConnectionID); err != nil {
		return err
	}
	if err := c.mayAdd(len(c.sessions), "sessions"); err != nil {
		return err
	}
	c.sessions[x.SessionID.Value] = struct{}{}
	return nil
}

// mayAdd checks a limit of the connection.
func (c *conn) mayAdd(n int, what string) error {
	if n >= c.set.objects {
		return refuse(classResources, "the connection has %d %s; the listener option %s is the limit", n, what, optObjects)
	}
	return nil
}

func (c *conn) inSession(n int64) error {
	if _, ok := c.sessions[n]; !ok {
		return refuse(classState, "session %d does not exist", n)
	}
	return nil
}

// readyFor has the destinations of a producer made, those that last.
func (c *conn) readyFor(d message.Destination) error {
	all, err := d.Components()
	if err != nil {
		return refuse(classDestination, "%v", err)
	}
	for _, one := range all {
		if one.Kind.IsTemp() || strings.HasPrefix(one.Name, broker.StatisticsPrefix) {
			continue
		}
		if err := c.session.CreateDestination(one); err != nil {
			return err
		}
	}
	return nil
}

// addProducer registers a producer. One that is there already stays: clients
// that reconnect repeat themselves.
func (c *conn) addProducer(x *wire.ProducerInfo) error {
	p := x.ProducerID
	if p == nil {
		return refuse(classState, "ProducerInfo has no id")
	}
	if err := c.owns(p.ConnectionID); err != nil {
		return err
	}
	if err := c.inSession(p.SessionID); err != nil {
		return err
	}
	key := producerKey{p.SessionID, p.Value}
	if c.producers[key] != nil {
		return nil
	}
	if err := c.mayAdd(len(c.producers), "producers"); err != nil {
		return err
	}
	var to message.Destination
	if x.Destination != nil {
		d, err := resolve(x.Destination, false)
		if err != nil {
			return err
		}
		if err := c.readyFor(d); err != nil {
			return err
		}
		if !d.IsComposite() {
			to = d
		}
	}
	n := &producer{id: p, window: x.WindowSize > 0 && c.agreed.format.Version >= 3, core: c.session.OpenProducer(to)}
	if n.window {
		c.mu.Lock()
		n.number = len(c.numbered)
		c.numbered = append(c.numbered, p)
		c.mu.Unlock()
	}
	name := id{p.ConnectionID.String(), p.Value, p.SessionID, 0}.appendText(nil)
	if len(name) <= broker.MaxProducer {
		n.name = string(name)
	}
	c.producers[key] = n
	return nil
}
