package broker

import (
	"context"

	"github.com/entrepot-mq/entrepot/core/security"
)

// SCRAM is a client's SCRAM-SHA-256 login (RFC 5802), for protocols that have a
// place for its four messages:
//
//	x := b.SCRAM(r)                     // nil: it isn't to be had
//	challenge, err := x.Step(first)     // to the client; err: CodeUnauthorized
//	proof, err := x.Step(final)         // likewise, with what tells it of success
//	r.Identity = x.Identity()           // for Connect
//
// One goroutine at a time may call it.
type SCRAM struct {
	b        *Broker
	r        ConnectRequest
	login    *security.SCRAM
	asked    bool
	identity *Identity
}

// OffersSCRAM reports whether every user with a password can log in with SCRAM.
// Where clients are told which mechanisms there are, it belongs among them only
// then; one who asks for it nevertheless may try.
func (b *Broker) OffersSCRAM() bool { return b.o.Security != nil && b.o.Security.OffersSCRAM() }

// SCRAM begins a login of the client of r, of which Protocol, Remote and
// Listener count, for the log. It is nil if nobody has to authenticate: the
// broker couldn't prove to the client that it knows the password.
func (b *Broker) SCRAM(r ConnectRequest) *SCRAM {
	if b.o.Security == nil {
		return nil
	}
	return &SCRAM{b: b, r: r, login: b.o.Security.SCRAM()}
}

// Step answers the client's first message, then its final one, after which
// Identity returns who it is. An error ends the login. A wrong proof takes a
// moment to be refused.
func (x *SCRAM) Step(message []byte) (answer []byte, err error) {
	if !x.asked {
		x.asked = true
		answer, err = x.login.Challenge(message)
	} else {
		answer, err = x.verify(message)
	}
	if err != nil {
		x.r.Login = x.login.Name()
		return nil, x.b.turnedAway(&x.r, err)
	}
	return answer, nil
}

func (x *SCRAM) verify(message []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), authenticationTimeout)
	defer cancel()
	answer, p, err := x.login.Verify(ctx, message)
	if err == nil {
		x.identity = &Identity{principal: p}
	}
	return answer, err
}

// Identity is who the client is, nil before the last step.
func (x *SCRAM) Identity() *Identity { return x.identity }

// User is the name that the client gave in its first message.
func (x *SCRAM) User() string { return x.login.Name() }
