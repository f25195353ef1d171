package amqp

import (
	"bytes"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// SASL mechanisms (AMQP 1.0, 5.3). PLAIN carries tokens too, as the password.
const (
	mechanismAnonymous = "ANONYMOUS"
	mechanismPlain     = "PLAIN"
	mechanismExternal  = "EXTERNAL"
)

// Codes of sasl-outcome.
const (
	saslOK      = 0
	saslAuth    = 1 // the client is not who it says
	saslSys     = 2
	saslSysTemp = 4
)

// greet answers a protocol header (AMQP 1.0, 2.2). One that isn't spoken here
// is answered with one that is, and the connection ends.
func (c *conn) greet(header string) error {
	switch {
	case c.stage == stageSecond && header == headerAMQP, c.stage == stageHeader && header == headerAMQP && c.set.plain:
		c.stage = stageOpen
		c.postBytes([]byte(headerAMQP))
		return nil
	case c.stage == stageHeader && header == headerSASL:
		c.stage = stageSASL
		c.postMechanisms()
		return nil
	}
	spoken := headerSASL
	if c.stage == stageSecond {
		spoken = headerAMQP
	}
	c.log.Info("client speaks another protocol or version", "header", []byte(header))
	c.postBytes([]byte(spoken))
	return errHello
}

func (c *conn) mechanisms() []string {
	list := []string{mechanismPlain, mechanismAnonymous}
	if c.net.TLS != nil && len(c.net.TLS.VerifiedChains) > 0 {
		list = append([]string{mechanismExternal}, list...)
	}
	return list
}

func (c *conn) postMechanisms() {
	b := []byte(headerSASL)
	b = beginFrame(b, frameSASL, 0)
	m := saslMechanisms{saslServerMechanisms: c.mechanisms()}
	c.postBytes(endFrame(m.append(b), len(headerSASL)))
}

// handleSASL answers init: no mechanism here has a second step.
func (c *conn) handleSASL(code uint64, d *decoder) error {
	if code != codeSaslInit {
		return badConnection(errNotAllowed, "SASL frame with descriptor %#x; sasl-init is next", code)
	}
	var in saslInit
	in.decode(d)
	if d.err != nil {
		return malformed("sasl-init", d)
	}
	outcome := c.authenticate(&in)
	b := beginFrame(nil, frameSASL, 0)
	o := saslOutcome{code: outcome}
	c.postBytes(endFrame(o.append(b), 0))
	if outcome != saslOK {
		return errHello
	}
	c.stage = stageSecond
	return nil
}

func (c *conn) authenticate(in *saslInit) uint8 {
	r := c.request()
	switch in.mechanism {
	case mechanismPlain:
		if len(in.initialResponse) > 0 { // ActiveMQ: an empty one is anonymous
			var ok bool
			if r.Login, r.Passcode, ok = plainCredentials(in.initialResponse); !ok {
				return saslAuth
			}
		}
	case mechanismAnonymous:
		r.TLS = nil // who wants its certificate to count says EXTERNAL
	case mechanismExternal:
		if r.TLS == nil {
			return saslAuth
		}
	default:
		c.log.Info("client asks for an unknown SASL mechanism", "mechanism", clip(in.mechanism))
		return saslAuth
	}
	identity, err := c.front.opts.Broker.Authenticate(r)
	switch {
	case err == nil:
		c.identity = identity
		return saslOK
	case broker.CodeOf(err) == broker.CodeUnavailable:
		return saslSysTemp
	case broker.CodeOf(err) == broker.CodeUnauthorized:
		return saslAuth
	}
	c.log.Error("authentication failed", "err", err)
	return saslSys
}

// plainCredentials reads PLAIN's response (RFC 4616), and the form without an
// authorization identity that some clients send.
func plainCredentials(p []byte) (login, passcode string, ok bool) {
	parts := bytes.Split(p, []byte{0})
	switch len(parts) {
	case 2:
		return string(parts[0]), string(parts[1]), true
	case 3:
		return string(parts[1]), string(parts[2]), true
	}
	return "", "", false
}

func (c *conn) request() broker.ConnectRequest {
	return broker.ConnectRequest{
		Protocol: "amqp",
		Version:  "1.0",
		Remote:   c.net.Remote,
		Listener: c.net.Listener,
		TLS:      c.net.TLS,
		Identity: c.identity,
		Sink:     c,
	}
}
