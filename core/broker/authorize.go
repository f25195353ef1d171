package broker

import (
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/security"
)

// authenticationTimeout bounds how long a client waits for its password's turn
// to be hashed, or for the keys of its token.
const authenticationTimeout = 10 * time.Second

// maxDecisions bounds what a session remembers: clients choose destinations.
const maxDecisions = 1000

// rights are what a session's user may do, as far as that was asked since the
// last reload. Any goroutine may ask: a queue that a pattern comes to select is
// made by somebody else.
type rights struct {
	mu         sync.RWMutex
	principal  *security.Principal // nil without Options.Security
	revoked    error               // why the principal is nobody any more
	generation uint64              // of the rules behind what follows
	known      map[message.Destination]security.Action
}

// sendRight is the destination that the session sent to last, and may.
type sendRight struct {
	d          message.Destination
	generation uint64
}

// reasonOf returns what the client is not told.
func reasonOf(err error) error {
	if r, ok := errors.AsType[*security.RefusedError](err); ok {
		return r.Why
	}
	return err
}

// clip shortens what a stranger wrote.
func clip(text string) string {
	const longest = 64
	if len(text) > longest {
		return strings.ToValidUTF8(text[:longest], "") + "..."
	}
	return text
}

// Principal returns who the client is, nil if nobody asks.
func (s *Session) Principal() *security.Principal {
	s.rights.mu.RLock()
	defer s.rights.mu.RUnlock()
	return s.rights.principal
}

// UserID returns what belongs into Envelope.UserID: the authenticated user's
// name if messages are to carry it, "" otherwise. The broker corrects messages
// that say anything else.
func (s *Session) UserID() string { return s.userID }

// userName is the authenticated user's, "" if nobody asks.
func (s *Session) userName() string {
	if p := s.Principal(); p != nil {
		return p.Name
	}
	return ""
}

// stamp returns m with the user that sent it, whatever it said. Where nobody
// has to authenticate there is nothing to hold it against, and frontends don't
// pass on what clients claim.
func (s *Session) stamp(m *message.Message) *message.Message {
	if m.UserID == s.userID || s.b.o.Security == nil {
		return m
	}
	return m.With(func(e *message.Envelope) { e.UserID = s.userID })
}

// renew asks who the user is since the rules have changed. r.mu is held.
func (r *rights) renew(sec *security.Security, generation uint64) {
	if r.generation >= generation {
		return
	}
	r.generation = generation
	clear(r.known)
	p, err := sec.Refresh(r.principal)
	if r.revoked = err; err == nil {
		r.principal = p
	}
}

// allowed returns what the session's user may do to d, one destination without
// wildcards.
func (s *Session) allowed(d message.Destination) security.Action {
	sec := s.b.o.Security
	if sec == nil {
		return security.AllActions
	}
	generation := sec.Generation()
	r := &s.rights
	r.mu.RLock()
	a, ok := r.known[d]
	ok = ok && r.generation == generation
	r.mu.RUnlock()
	if ok {
		return a
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.renew(sec, generation)
	if r.revoked != nil {
		return 0
	}
	a = sec.Allowed(r.principal, d)
	if len(r.known) >= maxDecisions {
		clear(r.known)
	}
	if r.known == nil {
		r.known = make(map[message.Destination]security.Action)
	}
	// The name may point into a message, which must not be kept for it.
	r.known[message.Destination{Kind: d.Kind, Name: strings.Clone(d.Name)}] = a
	return a
}

// allowedPattern returns what the user may do to all that the pattern d
// selects, and what to some of it.
func (s *Session) allowedPattern(d message.Destination) (all, some security.Action) {
	sec := s.b.o.Security
	if sec == nil {
		return security.AllActions, security.AllActions
	}
	r := &s.rights
	r.mu.Lock()
	defer r.mu.Unlock()
	r.renew(sec, sec.Generation())
	if r.revoked != nil {
		return 0, 0
	}
	return sec.AllowedPattern(r.principal, d)
}

// forbid counts and logs a refusal, and returns it for the client.
func (s *Session) forbid(a security.Action, doing string, d message.Destination) error {
	s.b.counts.denied.Add(1)
	p := s.Principal()
	log := s.b.o.Logger.Debug // what goes on and on is logged once
	if !s.denied.Swap(true) {
		log = s.b.o.Logger.Warn
	}
	log("a client was denied something", "proto", s.req.Protocol, "remote", s.remote(), "client_id", s.clientID,
		"user", p.Name, "action", a.String(), "dest", d.String(), "reason", s.b.o.Security.Authorize(p, a, d).Why)
	return fail(CodeForbidden, doing+" "+d.String(), "user %q has no %s permission for %s", p.Name, a, d)
}

// MaySend reports why the user can't send to d now, for protocols that name
// the destination before the first message. Publish asks again.
func (s *Session) MaySend(d message.Destination) error { return s.maySend(d) }

// maySend reports why the user can't send to d. A composite is asked component
// by component.
func (s *Session) maySend(d message.Destination) error {
	sec := s.b.o.Security
	if sec == nil || d.IsComposite() {
		return nil
	}
	generation := sec.Generation()
	if s.sends.generation == generation && s.sends.d == d {
		return nil
	}
	a := s.allowed(d)
	if !a.Has(security.Write) {
		return s.forbid(security.Write, "send to", d)
	}
	if !a.Has(security.Create) && d.Kind == message.KindQueue {
		if s.b.queues.get(d) == nil {
			return s.forbid(security.Create, "send to", d)
		}
		return nil // as long as the queue exists: asked again for each message
	}
	s.sends = sendRight{message.Destination{Kind: d.Kind, Name: strings.Clone(d.Name)}, generation}
	return nil
}

// mayCreateTemp reports why the user can't make a temporary destination.
func (s *Session) mayCreateTemp(d message.Destination) error {
	if !s.allowed(d).Has(security.Create) {
		return s.forbid(security.Create, "create", d)
	}
	return nil
}

// maySubscribe reports why the user can't have sub, whose destinations are ds:
// all of them are asked for before anything is done.
func (s *Session) maySubscribe(ds []message.Destination, sub *Subscription) error {
	const doing = "subscribe to"
	for _, d := range ds {
		if d.Kind.IsTemp() {
			if s.b.tempExists(d) && !s.ownsTemp(d) {
				return fail(CodeForbidden, doing+" "+d.String(), "only the connection that made a temporary destination can receive from it")
			}
			continue // making it was allowed
		}
		if s.b.o.Security == nil {
			continue
		}
		if message.IsPattern(d.Name) {
			// What arrives is looked at again, message by message or queue by
			// queue. A durable subscription collects while nobody looks, and
			// a shared one for others, so its user must have a right to all
			// of it.
			all, some := s.allowedPattern(d)
			if sub.Durable != "" || sub.SharedName != "" {
				some = all
			}
			if !some.Has(security.Read) {
				return s.forbid(security.Read, doing, d)
			}
			continue
		}
		a := s.allowed(d)
		if !a.Has(security.Read) {
			return s.forbid(security.Read, doing, d)
		}
		if d.Kind == message.KindQueue && !a.Has(security.Create) && s.b.queues.get(d) == nil {
			return s.forbid(security.Create, doing, d)
		}
	}
	return nil
}

func (s *Session) ownsTemp(d message.Destination) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.temp[d]
	return ok
}

// mayUse reports why the user can't use a durable subscription of the client
// id: client ids are the clients' choice, so a subscription has an owner.
func (s *Session) mayUse(d *durable, op string) error {
	if s.b.o.Security == nil || d.spec.Owner == "" || d.spec.Owner == s.userName() || d.spec.global() && s.administers(d) {
		return nil
	}
	s.b.counts.denied.Add(1)
	return fail(CodeForbidden, op, "the durable subscription belongs to another user")
}

// readable is the filter of a subscription to a pattern of topics: what the
// user may read of it.
type readable struct {
	s    *Session
	next queue.Filter // nil: everything
}

// Matches implements queue.Filter.
func (r readable) Matches(m *message.Message) bool {
	return (r.next == nil || r.next.Matches(m)) && r.s.allowed(m.Destination).Has(security.Read)
}
