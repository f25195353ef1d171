package amqp

import (
	"bytes"
	"slices"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// SASL mechanisms (AMQP 1.0, 5.3). PLAIN carries tokens too, as the password.
const (
	mechanismAnonymous = "ANONYMOUS"
	mechanismPlain     = "PLAIN"
	mechanismExternal  = "EXTERNAL"
	mechanismSCRAM     = "SCRAM-SHA-256"
)

var saslMechanismNames = []string{mechanismExternal, mechanismSCRAM, mechanismPlain, mechanismAnonymous}

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

// mechanisms are those that the client is told of, the best first. SCRAM is
// among them if it is of use to every user, or the listener names it: clients
// that have the choice take it, and don't fall back.
func (c *conn) mechanisms() []string {
	if c.elsewhere != "" {
		return []string{mechanismPlain, mechanismAnonymous} // any will do
	}
	certified := c.net.TLS != nil && len(c.net.TLS.VerifiedChains) > 0
	named := len(c.set.mechanisms) > 0
	scram := named || c.front.opts.Broker.OffersSCRAM()
	return slices.DeleteFunc(slices.Clone(saslMechanismNames), func(m string) bool {
		return m == mechanismExternal && !certified || m == mechanismSCRAM && !scram || !c.set.serves(m)
	})
}

// serves reports whether the listener takes a mechanism.
func (s *settings) serves(mechanism string) bool {
	return len(s.mechanisms) == 0 || slices.Contains(s.mechanisms, mechanism)
}

func (c *conn) postMechanisms() {
	b := []byte(headerSASL)
	b = beginFrame(b, frameSASL, 0)
	m := saslMechanisms{saslServerMechanisms: c.mechanisms()}
	c.postBytes(endFrame(m.append(b), len(headerSASL)))
}

// handleSASL answers init, and the response to a challenge.
func (c *conn) handleSASL(code uint64, d *decoder) error {
	switch {
	case code == codeSaslInit && c.login == nil:
		var in saslInit
		in.decode(d)
		if d.err != nil {
			return malformed("sasl-init", d)
		}
		if c.elsewhere != "" {
			return c.postOutcome(saslOutcome{code: saslOK})
		}
		if in.mechanism == mechanismSCRAM && c.set.serves(mechanismSCRAM) {
			if c.login = c.front.opts.Broker.SCRAM(c.request()); c.login != nil {
				return c.scram(in.initialResponse)
			}
		}
		return c.postOutcome(saslOutcome{code: c.authenticate(&in)})
	case code == codeSaslResponse && c.login != nil:
		var in saslResponse
		in.decode(d)
		if d.err != nil {
			return malformed("sasl-response", d)
		}
		return c.scram(in.response)
	}
	return badConnection(errNotAllowed, "SASL frame with descriptor %#x out of order", code)
}

// scram takes a message of a SCRAM login and sends what comes next: the last
// one goes with the outcome (AMQP 1.0, 5.3.3.6).
func (c *conn) scram(message []byte) error {
	answer, err := c.login.Step(message)
	switch {
	case err != nil:
		return c.postOutcome(saslOutcome{code: saslAuth})
	case c.login.Identity() != nil:
		c.identity, c.login = c.login.Identity(), nil
		return c.postOutcome(saslOutcome{code: saslOK, additionalData: answer})
	}
	b := beginFrame(nil, frameSASL, 0)
	ask := saslChallenge{challenge: answer}
	c.postBytes(endFrame(ask.append(b), 0))
	return nil
}

func (c *conn) postOutcome(o saslOutcome) error {
	b := beginFrame(nil, frameSASL, 0)
	c.postBytes(endFrame(o.append(b), 0))
	if o.code != saslOK {
		return errHello
	}
	c.stage = stageSecond
	return nil
}

func (c *conn) authenticate(in *saslInit) uint8 {
	r := c.request()
	if !c.set.serves(in.mechanism) {
		c.log.Info("client asks for a SASL mechanism that the listener doesn't take", "mechanism", clip(in.mechanism))
		return saslAuth
	}
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
