package broker

import (
	"context"
	"errors"

	"github.com/entrepot-mq/entrepot/core/security"
)

// Identity is who a client was found to be. It stands in for the login of a
// ConnectRequest where a protocol authenticates before it names the client id.
type Identity struct {
	principal *security.Principal // nil if nobody has to authenticate
}

// Authenticate finds out who a client is: r's Login, Passcode and TLS. It may
// take as long as a password hash.
func (b *Broker) Authenticate(r ConnectRequest) (*Identity, error) {
	sec := b.o.Security
	if sec == nil {
		return &Identity{}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), authenticationTimeout)
	defer cancel()
	p, err := sec.Authenticate(ctx, security.Credentials{Login: r.Login, Passcode: security.NewSecret(r.Passcode), TLS: r.TLS})
	switch {
	case errors.Is(err, security.ErrBusy):
		return nil, fail(CodeUnavailable, "connect", "%w", err)
	case err != nil:
		return nil, b.turnedAway(&r, err)
	}
	return &Identity{principal: p}, nil
}

// turnedAway counts and logs a client that did not prove who it is, and returns
// what it is told.
func (b *Broker) turnedAway(r *ConnectRequest, err error) error {
	b.counts.unauthenticated.Add(1)
	b.o.Logger.Warn("a client was not let in", "proto", r.Protocol, "remote", r.remote(), "listener", r.Listener,
		"user", clip(r.Login), "reason", reasonOf(err))
	return fail(CodeUnauthorized, "connect", "%w", err)
}

// authenticate finds out who the client of the session is.
func (s *Session) authenticate() error {
	id := s.req.Identity
	if id == nil {
		var err error
		if id, err = s.b.Authenticate(s.req); err != nil {
			return err
		}
	}
	s.req.Passcode, s.req.Identity = "", nil
	if id.principal == nil {
		return nil
	}
	s.rights.principal = id.principal.WithClientID(s.clientID)
	if s.b.o.PopulateUserID {
		s.userID = id.principal.Name
	}
	return nil
}

// remote is the client's address as logs show it.
func (r *ConnectRequest) remote() string {
	if r.Remote == nil {
		return ""
	}
	return r.Remote.String()
}
