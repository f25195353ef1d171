package broker

// Reauthenticate takes a new proof of who the session's client is, for
// protocols that let it prove that again: a token that ends later, a password
// that was changed. It has to be the same user's.
func (s *Session) Reauthenticate(id *Identity) error {
	const op = "authenticate again"
	r := &s.rights
	r.mu.Lock()
	switch {
	case r.principal == nil || id.principal == nil:
		r.mu.Unlock()
		return nil // nobody has to authenticate
	case r.principal.Name != id.principal.Name:
		r.mu.Unlock()
		s.b.counts.denied.Add(1)
		return fail(CodeForbidden, op, "the connection is user %q's", s.userName())
	}
	r.principal, r.revoked = id.principal.WithClientID(s.clientID), nil
	clear(r.known)
	r.mu.Unlock()
	s.b.expiry.watch(s)
	return nil
}
