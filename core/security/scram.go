package security

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// SCRAM is the broker's side of a SCRAM-SHA-256 login (RFC 5802, RFC 7677),
// without channel binding. It takes a frontend two steps:
//
//	x := security.SCRAM()
//	challenge, err := x.Challenge(clientFirst)    // send challenge
//	proof, p, err := x.Verify(ctx, clientFinal)   // send proof: the client is p
//
// Neither password nor anything that could be used in its stead comes to the
// broker. Messages of the client are bounded and may hold anything. A user that
// isn't there, or has no verifier in the users file, is asked as any other is,
// always with the same salt, and refused in the end. After an error the login
// is over. One goroutine at a time may call it.
type SCRAM struct {
	s        *Security
	name     string
	user     *User // nil if the login can't succeed
	why      error // if user is nil
	verifier verifier
	head     string // gs2-header, which the client repeats
	first    string // client-first-message-bare "," server-first-message
	nonce    string // the client's and the broker's
}

// Limits of a SCRAM login.
const (
	maxScramMessage  = 2048 // bytes; a name may be three times as long as it is
	maxScramNonce    = 256  // bytes of the client's
	scramNonce       = 18   // random bytes of ours
	maxWrongProofs   = 8    // that are being answered at a time
	wrongProofAnswer = 50 * time.Millisecond
)

var (
	errScramMessage = errors.New("the client's SCRAM message is malformed")
	errScramBinding = errors.New("the client wants channel binding, which is not offered")
	errScramOrder   = errors.New("a SCRAM message out of order")
	errScramAuthzid = errors.New("the client wants to act as another user")
	errScramProof   = errors.New("wrong password")
)

// OffersSCRAM reports whether everybody in the users file who has a password
// can log in with SCRAM, so that clients may be told of it: those that prefer
// it would fail for the others, where a plain password does it.
func (s *Security) OffersSCRAM() bool {
	u := s.rules.Load().users
	return u != nil && len(u.verified) > 0 && u.plainOnly == 0
}

// SCRAM begins a login.
func (s *Security) SCRAM() *SCRAM { return &SCRAM{s: s} }

// Name returns the user's name that the client gave, for logs.
func (x *SCRAM) Name() string { return x.name }

// Challenge answers the client-first-message with the server-first-message.
// The error is a *[RefusedError].
func (x *SCRAM) Challenge(clientFirst []byte) ([]byte, error) {
	if x.first != "" {
		return nil, &RefusedError{errScramOrder}
	}
	bare, nonce, err := x.readFirst(clientFirst)
	if err != nil {
		return nil, &RefusedError{err}
	}
	x.find()
	random := make([]byte, scramNonce)
	_, _ = rand.Read(random) // never fails since Go 1.24
	x.nonce = nonce + base64.StdEncoding.EncodeToString(random)
	return x.challenge(bare), nil
}

func (x *SCRAM) challenge(bare string) []byte {
	reply := fmt.Sprintf("r=%s,s=%s,i=%d", x.nonce, base64.StdEncoding.EncodeToString(x.verifier.salt), x.verifier.iterations)
	x.first = bare + "," + reply
	return []byte(reply)
}

// readFirst takes gs2-header [reserved-mext ","] username "," nonce
// ["," extensions] apart (RFC 5802, 7).
func (x *SCRAM) readFirst(message []byte) (bare, nonce string, err error) {
	if len(message) > maxScramMessage {
		return "", "", errScramMessage
	}
	parts := strings.SplitN(string(message), ",", 3)
	switch {
	case len(parts) != 3:
		return "", "", errScramMessage
	case strings.HasPrefix(parts[0], "p="):
		return "", "", errScramBinding
	case parts[0] != "n" && parts[0] != "y":
		return "", "", errScramMessage
	}
	bare = parts[2]
	x.head = string(message[:len(message)-len(bare)])
	fields := strings.SplitN(bare, ",", 3) // extensions are optional ones
	if len(fields) < 2 {
		return "", "", errScramMessage
	}
	name, ok1 := strings.CutPrefix(fields[0], "n=") // m= is an extension that must be known
	nonce, ok2 := strings.CutPrefix(fields[1], "r=")
	if !ok1 || !ok2 || !validNonce(nonce) {
		return "", "", errScramMessage
	}
	if x.name, ok1 = saslName(name); !ok1 {
		return "", "", errScramMessage
	}
	if as := parts[1]; as != "" {
		if other, ok := saslName(strings.TrimPrefix(as, "a=")); !ok || other != x.name || !strings.HasPrefix(as, "a=") {
			return "", "", errScramAuthzid
		}
	}
	return bare, nonce, nil
}

// saslName undoes the escapes of a name. What could be no user's is none.
func saslName(text string) (name string, ok bool) {
	name = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(text)
	if strings.Count(text, "=") != strings.Count(text, "=2C")+strings.Count(text, "=3D") {
		return "", false
	}
	return name, validateForeignName(name) == nil
}

// validNonce reports whether n is printable ASCII without commas.
func validNonce(n string) bool {
	return n != "" && len(n) <= maxScramNonce && !strings.ContainsFunc(n, func(r rune) bool { return r < 0x21 || r > 0x7e || r == ',' })
}

// find looks for what the user is checked against. For a name that can't log in
// it is what some user might have.
func (x *SCRAM) find() {
	u := x.s.rules.Load().users
	x.why = errWrong
	if u == nil {
		x.why = errors.New("there is no users file, which SCRAM needs")
	} else if user := u.Find(x.name); user != nil {
		if user.HasVerifier() {
			x.user, x.verifier = user, user.verifier
			return
		}
		x.why = fmt.Errorf("user %q has no SCRAM verifier: set the password with 'entrepot user passwd', or use another mechanism", x.name)
	}
	x.verifier = x.s.decoyVerifier(u, x.name)
}

// decoyVerifier is what a name that nobody has is checked against: no
// password's, with a salt that is always the same for the name while the users
// file's secret is, and as many iterations as some user has.
func (s *Security) decoyVerifier(u *Users, name string) verifier {
	secret := s.credentials.key[:]
	if u != nil && u.secret != nil {
		secret = u.secret
	}
	v := verifier{iterations: scramIterations, salt: keyed(secret, name)[:scramSalt], stored: sha256.Sum256(secret), server: sha256.Sum256(secret)}
	if u != nil && len(u.verified) > 0 {
		n := binary.BigEndian.Uint64(v.salt) % uint64(len(u.verified))
		v.iterations = u.lines[u.verified[n]].user.verifier.iterations
	}
	return v
}

// Verify answers the client-final-message with the server-final-message, and
// returns who the client is. Only a few wrong proofs are answered at a time,
// each after a moment, or when ctx ends. The error is a *[RefusedError].
func (x *SCRAM) Verify(ctx context.Context, clientFinal []byte) ([]byte, *Principal, error) {
	if x.first == "" {
		return nil, nil, &RefusedError{errScramOrder}
	}
	signed := x.first
	x.first = "" // no second try
	reply, err := x.check(signed, clientFinal)
	if err != nil {
		x.s.credentials.hesitate(ctx)
		return nil, nil, &RefusedError{err}
	}
	p, err := x.s.Refresh(x.user.principal()) // the file may have changed since
	if err != nil {
		return nil, nil, &RefusedError{err}
	}
	return reply, p, nil
}

// check reads channel-binding "," nonce ["," extensions] "," proof.
func (x *SCRAM) check(signed string, message []byte) ([]byte, error) {
	if len(message) > maxScramMessage {
		return nil, errScramMessage
	}
	text := string(message)
	at := strings.LastIndex(text, ",p=")
	if at < 0 {
		return nil, errScramMessage
	}
	proof, err := base64.StdEncoding.Strict().DecodeString(text[at+len(",p="):])
	fields := strings.SplitN(text[:at], ",", 3)
	switch {
	case err != nil, len(proof) != sha256.Size, len(fields) < 2:
		return nil, errScramMessage
	case fields[0] != "c="+base64.StdEncoding.EncodeToString([]byte(x.head)):
		return nil, errScramBinding
	case fields[1] != "r="+x.nonce:
		return nil, errScramMessage
	}
	signed += "," + text[:at]
	v := &x.verifier
	key := keyed(v.stored[:], signed)
	subtle.XORBytes(key, key, proof) // the ClientKey, if the proof is right
	hashed := sha256.Sum256(key)
	right := subtle.ConstantTimeCompare(hashed[:], v.stored[:]) == 1
	reply := "v=" + base64.StdEncoding.EncodeToString(keyed(v.server[:], signed))
	switch {
	case x.user == nil:
		return nil, x.why
	case !right:
		return nil, errScramProof
	}
	return []byte(reply), nil
}

// hesitate keeps who guesses waiting: a proof is much cheaper to check than a
// password's hash, so that a broker could be asked far more often.
func (c *credentials) hesitate(ctx context.Context) {
	select {
	case c.wrong <- struct{}{}:
	case <-ctx.Done():
		return
	}
	moment, cancel := context.WithTimeout(ctx, wrongProofAnswer)
	<-moment.Done()
	cancel()
	<-c.wrong
}
