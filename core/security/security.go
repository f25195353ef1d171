package security

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Options say where users and permissions come from.
type Options struct {
	Users       string          // the users file, "" if there are no passwords
	Permissions string          // the permissions file, "" lets every user do everything
	Certificate CertificateName // [CertificateNone]
	Tokens      TokenOptions
	Logger      *slog.Logger     // [discards]
	Now         func() time.Time // [time.Now]
}

// Security decides. Its methods may be called from any goroutine.
type Security struct {
	o           Options
	credentials *credentials
	reloading   sync.Mutex
	rules       atomic.Pointer[rules]
}

// rules are what the files say at a moment. They are immutable, but for the
// keys of tokens that are fetched.
type rules struct {
	generation  uint64
	users       *Users       // nil: no passwords
	permissions *Permissions // nil: everything is allowed
	tokens      *tokens      // nil: none
}

// Errors of Authenticate.
var (
	// ErrBusy says that nothing could be decided now: try again later.
	ErrBusy = errors.New("the broker can't check credentials at the moment")

	errWrong  = errors.New("unknown user or wrong password")
	errNobody = errors.New("no credentials were given")
)

// RefusedError is the error of a client that did not prove who it is. Its text is
// for the client and the same whatever was wrong; Why is for the log.
type RefusedError struct{ Why error }

// Error implements error.
func (*RefusedError) Error() string {
	return "the user name, password, token or certificate was not accepted"
}

// Unwrap returns Why.
func (r *RefusedError) Unwrap() error { return r.Why }

// Open reads the files.
func Open(o Options) (*Security, error) {
	if o.Certificate == "" {
		o.Certificate = CertificateNone
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Users == "" && o.Certificate == CertificateNone && o.Tokens.Keys == "" {
		return nil, errors.New("nobody could log in: name a users file, a part of client certificates, or the keys of tokens")
	}
	// A hash keeps one processor busy for tens of milliseconds; the others are
	// for messages.
	s := &Security{o: o, credentials: newCredentials(max(1, runtime.GOMAXPROCS(0)/2), o.Now)}
	r, err := s.read(nil)
	if err != nil {
		return nil, err
	}
	s.rules.Store(r)
	return s, nil
}

// Reload reads the files again. With an error everything stays as it was.
// Sessions that exist are not told: the broker asks again for those.
func (s *Security) Reload() error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	r, err := s.read(s.rules.Load())
	if err != nil {
		return err
	}
	s.rules.Store(r)
	return nil
}

// read reads all files; before are the rules until now, if there are any.
func (s *Security) read(before *rules) (*rules, error) {
	r := &rules{generation: 1}
	if before != nil {
		r.generation = before.generation + 1
	}
	var problems []error
	add := func(what, file string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("%s %s: %w", what, file, err))
		}
	}
	if s.o.Users != "" {
		text, err := readLimited(s.o.Users, MaxFile)
		if err == nil {
			r.users, err = ParseUsers(text)
		}
		add("users file", s.o.Users, err)
	}
	if s.o.Permissions != "" {
		text, err := readLimited(s.o.Permissions, MaxFile)
		if err == nil {
			r.permissions, err = ParsePermissions(text)
		}
		add("permissions file", s.o.Permissions, err)
	}
	if before != nil && before.tokens != nil && before.tokens.keys.remote {
		r.tokens = before.tokens // its keys have a rhythm of their own
	} else {
		var err error
		r.tokens, err = newTokens(s.o.Tokens, s.o.Now, s.o.Logger)
		add("tokens", "", err)
	}
	return r, errors.Join(problems...)
}

// Generation is a number that changes with every reload: what was decided
// before may be different now.
func (s *Security) Generation() uint64 { return s.rules.Load().generation }

// Credentials are what a client offers.
type Credentials struct {
	Login    string
	Passcode Secret
	TLS      *tls.ConnectionState // nil without TLS
}

// Authenticate decides who a client is. A passcode counts if there are
// passwords or tokens, and has to be right even if the client has a
// certificate; without one the certificate counts. It may take as long as a
// password hash, and waits for its turn until ctx ends. The error is a
// *[RefusedError], or ErrBusy.
func (s *Security) Authenticate(ctx context.Context, c Credentials) (*Principal, error) {
	p, err := s.identify(ctx, s.rules.Load(), c)
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, ErrBusy):
		return nil, ErrBusy
	}
	return nil, &RefusedError{Why: err}
}

func (s *Security) identify(ctx context.Context, r *rules, c Credentials) (*Principal, error) {
	passcode := c.Passcode.Reveal()
	switch {
	case passcode == "" || r.users == nil && r.tokens == nil:
		return s.certified(r, c.TLS)
	case r.tokens != nil && (looksLikeToken(passcode) || r.users == nil):
		return r.tokens.verify(ctx, passcode)
	case len(c.Login) > maxName:
		return nil, errNameLong
	case len(passcode) > MaxPassword:
		return nil, ErrPasswordLong
	}
	u, err := s.credentials.check(ctx, r.users, c.Login, passcode)
	if err != nil {
		return nil, err
	}
	return u.principal(), nil
}

func (s *Security) certified(r *rules, state *tls.ConnectionState) (*Principal, error) {
	cert := verified(state)
	if cert == nil || s.o.Certificate == CertificateNone {
		return nil, errNobody
	}
	name, err := s.o.Certificate.nameFrom(cert)
	if err != nil {
		return nil, err
	}
	return &Principal{Name: name, Groups: r.groups(name), How: ByCertificate, Expires: cert.NotAfter}, nil
}

// groups returns what the users file says of somebody who has no need of a
// password.
func (r *rules) groups(name string) []string {
	if r.users == nil {
		return nil
	}
	if u := r.users.Find(name); u != nil {
		return u.Groups
	}
	return nil
}

// ErrRevoked is the error of Refresh.
var ErrRevoked = errors.New("the user was removed, or the password changed")

// Refresh returns who p is after a reload: in other groups perhaps, or nobody
// any more, with ErrRevoked.
func (s *Security) Refresh(p *Principal) (*Principal, error) {
	r := s.rules.Load()
	now := *p
	switch p.How {
	case ByPassword:
		if r.users == nil {
			return nil, ErrRevoked
		}
		u := r.users.Find(p.Name)
		if u == nil || u.entry() != p.entry {
			return nil, ErrRevoked
		}
		now.Groups = u.Groups
	case ByCertificate:
		now.Groups = r.groups(p.Name)
	case ByToken: // says itself what its groups are
	}
	return &now, nil
}

// Find returns the user of the users file as a principal, for questions about
// permissions; nil if there is none.
func (s *Security) Find(name string) *Principal {
	r := s.rules.Load()
	if r.users == nil {
		return nil
	}
	u := r.users.Find(name)
	if u == nil {
		return nil
	}
	return u.principal()
}

// HasPermissions reports whether there is a permissions file: without one
// every user may do everything.
func (s *Security) HasPermissions() bool { return s.rules.Load().permissions != nil }

// Allowed returns what p may do to d, a destination without wildcards. The
// answer holds for a Generation.
func (s *Security) Allowed(p *Principal, d message.Destination) Action {
	ps := s.rules.Load().permissions
	if ps == nil {
		return AllActions
	}
	return ps.Allowed(p, d)
}

// AllowedPattern returns what p may do to everything that the pattern d
// selects, and what to some of it.
func (s *Security) AllowedPattern(p *Principal, d message.Destination) (all, some Action) {
	ps := s.rules.Load().permissions
	if ps == nil {
		return AllActions, AllActions
	}
	return ps.AllowedPattern(p, d)
}

// Authorize decides whether p may do a, one action, to d, a destination
// without wildcards, and says why.
func (s *Security) Authorize(p *Principal, a Action, d message.Destination) Decision {
	ps := s.rules.Load().permissions
	if ps == nil {
		return Decision{true, "there is no permissions file: every user may do everything"}
	}
	return ps.Explain(p, a, d)
}
