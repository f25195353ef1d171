package mqtt

import (
	"bytes"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// Method is a way of enhanced authentication (MQTT 5.0, 4.12), by the name that
// clients ask for it. It begins the login of the client of r, of which
// Protocol, Remote, Listener and TLS count; nil refuses the method.
type Method func(r broker.ConnectRequest) Exchange

// Exchange is one login. The connection's reader calls it.
type Exchange interface {
	// Step takes the client's data and returns what goes to the client. data is
	// only valid during the call. An error ends the login.
	Step(data []byte) (answer []byte, err error)
	// Identity is who the client is, nil while there are steps to come.
	Identity() *broker.Identity
}

// methodSCRAM is the method that the broker brings: RFC 7677.
const methodSCRAM = "SCRAM-SHA-256"

func builtInMethods(b *broker.Broker) map[string]Method {
	return map[string]Method{methodSCRAM: func(r broker.ConnectRequest) Exchange {
		if x := b.SCRAM(r); x != nil {
			return x
		}
		return nil
	}}
}

// maxAuthSteps bounds a login, whatever its method.
const maxAuthSteps = 16

// authentication is how a client of MQTT 5 says who it is, if not by a password.
type authentication struct {
	method   string
	request  broker.ConnectRequest
	exchange Exchange // while it goes on, nil otherwise
	steps    int
	connect  []byte // the CONNECT, until it is answered
}

// beginAuth takes a CONNECT with an authentication method.
func (c *conn) beginAuth(k *connectPacket, body []byte) error {
	c.auth = &authentication{method: string(k.props.authMethod), request: c.request(), connect: bytes.Clone(body)}
	if err := c.beginExchange(); err != nil {
		return err
	}
	return c.stepAuth(k.props.authData)
}

func (c *conn) beginExchange() error {
	a := c.auth
	a.steps = 0
	if begin := c.front.opts.Methods[a.method]; begin != nil {
		a.exchange = begin(a.request)
	}
	if a.exchange == nil {
		return faultf(badAuthenticationMethod, "authentication method %q is not to be had", clip(a.method)) // [MQTT-4.12.0-1]
	}
	return nil
}

// stepAuth gives the client's data to the method and sends what it answers
// [MQTT-4.12.0-2].
func (c *conn) stepAuth(data []byte) error {
	a := c.auth
	if a.steps++; a.steps > maxAuthSteps {
		return faultf(notAuthorized, "authentication takes more than %d steps", maxAuthSteps)
	}
	answer, err := a.exchange.Step(data)
	if err != nil { // [MQTT-4.12.0-4] [MQTT-4.12.1-2]
		f := *toFault(err)
		f.reason = notAuthorized
		return &f
	}
	id := a.exchange.Identity()
	if id == nil {
		c.postAuth(continueAuthentication, answer)
		return nil
	}
	a.exchange = nil
	if c.session != nil {
		return c.authenticatedAgain(id, answer)
	}
	k, err := readConnect(a.connect)
	if err != nil {
		return err
	}
	a.connect = nil
	return c.open(&k, id, answer)
}

func (c *conn) postAuth(r reason, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.post(func(b []byte) []byte { return appendAuth(b, r, c.auth.method, data) })
}

// authenticating takes what comes between a CONNECT with an authentication
// method and its CONNACK.
func (c *conn) authenticating(p packet) error {
	switch p.kind { //nolint:exhaustive // nothing else may come
	case typeAuth:
		a, err := c.readAuth(p)
		if err != nil {
			return err
		}
		if a.reason != continueAuthentication {
			return violation("AUTH asks for a new authentication during the first one")
		}
		return c.stepAuth(a.props.authData)
	case typeDisconnect:
		return errDisconnect
	}
	return violation("%v before the authentication has ended", p.kind) // [MQTT-3.1.2-30]
}

// readAuth reads an AUTH and holds it to the method of CONNECT.
func (c *conn) readAuth(p packet) (a endPacket, err error) {
	if a, err = readAuth(p); err != nil {
		return a, err
	}
	switch {
	case c.auth == nil:
		return a, violation("AUTH came on a connection without an authentication method") // [MQTT-4.12.0-7]
	case !a.props.present.has(propAuthMethod) || alias(a.props.authMethod) != c.auth.method:
		return a, violation("AUTH does not have the authentication method of CONNECT") // [MQTT-4.12.1-1]
	}
	return a, nil
}

// authenticateAgain takes an AUTH within a session (MQTT 5.0, 4.12.1).
// Everything else goes on meanwhile.
func (c *conn) authenticateAgain(p packet) error {
	if c.version < v5 {
		return violation("AUTH came on a connection of MQTT %v", c.version)
	}
	a, err := c.readAuth(p)
	if err != nil {
		return err
	}
	going := c.auth.exchange != nil
	switch {
	case a.reason == reAuthenticate && going:
		return violation("AUTH asks for a new authentication during one")
	case a.reason == continueAuthentication && !going:
		return violation("AUTH goes on with an authentication that has not begun")
	case a.reason == reAuthenticate:
		if err := c.beginExchange(); err != nil {
			return err
		}
	}
	return c.stepAuth(a.props.authData)
}

// authenticatedAgain ends a new authentication: it has to be the same user.
func (c *conn) authenticatedAgain(id *broker.Identity, answer []byte) error {
	if err := c.session.Reauthenticate(id); err != nil {
		return toFault(err)
	}
	c.postAuth(success, answer)
	return nil
}
