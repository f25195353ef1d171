package security

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entrepot-mq/entrepot/core/security/scramtest"
)

// verifierOf is a verifier of few iterations, for speed.
func verifierOf(t testing.TB, password, salt string) string {
	t.Helper()
	v, err := newVerifier(password, []byte(salt), minScramIterations)
	if err != nil {
		t.Fatal(err)
	}
	return v.text
}

// RFC 7677, 3.
func TestTheExampleOfRFC7677IsAnsweredAsThere(t *testing.T) {
	s := open(t, "user:*::"+scramtest.Verifier+"\n", "")
	x := s.SCRAM()
	bare, nonce, err := x.readFirst([]byte("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"))
	if err != nil {
		t.Fatal(err)
	}
	x.find()
	x.nonce = nonce + "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	got := string(x.challenge(bare))
	if want := "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"; got != want {
		t.Fatalf("challenge %s\n     want %s", got, want)
	}
	proof, p, err := x.Verify(t.Context(), []byte("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
	if err != nil || string(proof) != "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" || p.Name != "user" || p.How != ByPassword {
		t.Errorf("got %s, %+v, %v", proof, p, err)
	}
}

// loginSCRAM logs in, and has the broker prove itself.
func loginSCRAM(t *testing.T, s *Security, name, password string) (*Principal, error) {
	t.Helper()
	c := scramtest.Client{Name: name, Password: password}
	x := s.SCRAM()
	challenge, err := x.Challenge(c.First())
	if err != nil {
		return nil, err
	}
	proof, p, err := x.Verify(t.Context(), answer(t, &c, challenge))
	if err == nil {
		err = c.Check(proof)
	}
	return p, err
}

func answer(t *testing.T, c *scramtest.Client, challenge []byte) []byte {
	t.Helper()
	final, err := c.Final(challenge)
	if err != nil {
		t.Fatal(err)
	}
	return final
}

func TestOnlyTheRightPasswordOfAUserWithVerifierLogsInBySCRAM(t *testing.T) {
	s := open(t, "alice:"+hashOf(t, "wonder")+":ops:"+verifierOf(t, "wonder", "saltsalt")+"\nbob:"+someArgon+":ops\na=b:*::"+verifierOf(t, "x", "saltsalt")+"\n", "")
	for _, test := range []struct {
		name, password, why string
	}{
		{"alice", "wonder", ""},
		{"a=3Db", "x", ""},
		{"alice", "Wonder", "wrong password"},
		{"Alice", "wonder", "unknown user or wrong password"},
		{"bob", "wonder", `user "bob" has no SCRAM verifier: set the password with 'entrepot user passwd', or use another mechanism`},
	} {
		p, err := loginSCRAM(t, s, test.name, test.password)
		var refused *RefusedError
		switch {
		case test.why == "" && (err != nil || p.Name != strings.ReplaceAll(test.name, "=3D", "=")):
			t.Errorf("%s: %+v, %v", test.name, p, err)
		case test.why != "" && (!errors.As(err, &refused) || refused.Why.Error() != test.why):
			t.Errorf("%s with %s: %v", test.name, test.password, errors.Unwrap(err))
		}
	}
	// One entry, two ways to log in.
	p, err := login(s, "alice", "wonder")
	if err != nil || !p.In("ops") {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestANewPasswordEndsSessionsOfSCRAM(t *testing.T) {
	s := open(t, "alice:*::"+verifierOf(t, "wonder", "saltsalt")+"\n", "")
	p, err := loginSCRAM(t, s, "alice", "wonder")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Refresh(p); err != nil {
		t.Errorf("the same entry: %v", err)
	}
	rewrite(t, s.o.Users, "alice:*::"+verifierOf(t, "wonder", "pepper..")+"\n")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Refresh(p); !errors.Is(err, ErrRevoked) {
		t.Errorf("another verifier: %v", err)
	}
}

// What a stranger sees of names that aren't there must not differ from what it
// sees of those that are: not at a second try, not after a restart.
func TestUnknownUsersAreAskedAsKnownOnesAre(t *testing.T) {
	u, err := ParseUsers("")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "bob"} {
		if err := errors.Join(u.Add(name, NoPassword, nil), u.SetVerifier(name, verifierOf(t, "x", name+"saltsaltsaltsalt"[len(name):]))); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.Add("meter", NoPassword, nil); err != nil {
		t.Fatal(err)
	}
	one, other := open(t, u.String(), ""), open(t, u.String(), "")
	ask := func(s *Security, name string) (salt, iterations string) {
		b, err := s.SCRAM().Challenge([]byte("n,,n=" + name + ",r=abc"))
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Split(string(b), ",")
		return f[1], f[2]
	}
	seen := map[string]bool{}
	for _, name := range []string{"alice", "bob", "meter", "mallory", "trudy"} {
		salt, iterations := ask(one, name)
		again, _ := ask(one, name)
		restarted, _ := ask(other, name)
		if salt != again || salt != restarted || len(salt) != len("s=")+24 || iterations != "i=4096" {
			t.Errorf("%s is asked with %s, %s, %s and %s", name, salt, again, restarted, iterations)
		}
		if seen[salt] {
			t.Errorf("%s has another's salt", name)
		}
		seen[salt] = true
	}
}

func TestMalformedSCRAMMessagesAreRefused(t *testing.T) {
	s := open(t, "user:*::"+scramtest.Verifier+"\n", "")
	for _, first := range []string{
		"", "n", "n,", "n,,", "n,,n=user", "n,,r=x,n=user", "n,,n=user,r=", "n,,n=,r=x", "x,,n=user,r=x", "n,,m=x,n=user,r=x",
		"p=tls-unique,,n=user,r=x", "n,a=other,n=user,r=x", "n,user,n=user,r=x", "n,,n=us=er,r=x", "n,,n=us=2cer,r=x",
		"n,,n=us\x00er,r=x", "n,,n=us\xffer,r=x", "n,,n=user,r=a b", "n,,n=user,r=\x7f", "n,,n=user,r=" + strings.Repeat("x", maxScramNonce+1),
		"n,,n=" + strings.Repeat("x", maxName+1) + ",r=x", "n,,n=user,r=x," + strings.Repeat("x", maxScramMessage),
	} {
		if b, err := s.SCRAM().Challenge([]byte(first)); err == nil {
			t.Errorf("%.60q was answered with %s", first, b)
		}
	}
	for _, first := range []string{"n,,n=user,r=x", "y,,n=user,r=x", "n,a=user,n=user,r=x", "n,,n=user,r=x,e=optional"} {
		if _, err := s.SCRAM().Challenge([]byte(first)); err != nil {
			t.Errorf("%q: %v", first, errors.Unwrap(err))
		}
	}
	for name, edit := range map[string]func(string) string{
		"empty":                      func(string) string { return "" },
		"no proof":                   func(s string) string { return s[:strings.Index(s, ",p=")] },
		"a short proof":              func(s string) string { return s[:strings.Index(s, ",p=")] + ",p=AAAA" },
		"no base64":                  func(s string) string { return s[:len(s)-2] + "!=" },
		"another header":             func(s string) string { return strings.Replace(s, "c=biws", "c=eSws", 1) },
		"another nonce":              func(s string) string { return strings.Replace(s, "r=abc", "r=abd", 1) },
		"an extension nobody signed": func(s string) string { return strings.Replace(s, ",p=", ",x=1,p=", 1) },
		"a long one": func(s string) string {
			return strings.Replace(s, ",p=", ",x="+strings.Repeat("1", maxScramMessage)+",p=", 1)
		},
	} {
		c := scramtest.Client{Name: "user", Password: "pencil", Nonce: "abc"}
		x := s.SCRAM()
		challenge, err := x.Challenge(c.First())
		if err != nil {
			t.Fatal(err)
		}
		final := string(answer(t, &c, challenge))
		if _, p, err := x.Verify(t.Context(), []byte(edit(final))); err == nil {
			t.Errorf("%s: %+v", name, p)
		}
		if _, p, err := x.Verify(t.Context(), []byte(final)); err == nil {
			t.Errorf("%s: a second try logs in as %+v", name, p)
		}
	}
	if _, p, err := s.SCRAM().Verify(t.Context(), []byte("c=biws,r=,p=")); err == nil {
		t.Errorf("without a challenge: %+v", p)
	}
}

func TestWrongProofsAreAnsweredAFewAtATime(t *testing.T) {
	c := newCredentials(1, time.Now)
	for range cap(c.wrong) {
		c.wrong <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	go func() { c.hesitate(ctx); close(returned) }()
	select {
	case <-returned:
		t.Error("one more was answered")
	case <-time.After(2 * wrongProofAnswer):
	}
	cancel()
	<-returned
	for range cap(c.wrong) {
		<-c.wrong
	}
	c.hesitate(t.Context())
	if len(c.wrong) != 0 {
		t.Error("the place was not given back")
	}
}

func TestPasswordsArePreparedAsClientsDo(t *testing.T) {
	for password, want := range map[string]string{
		"pencil": "pencil", "I\u00adX": "IX", "user": "user", "USER": "USER", "\u00aa": "a", "\u2168": "IX", // RFC 4013, 3
		"a\u00a0b": "a b", "a\u3000b": "a b", "\u00e9": "\u00e9", "e\u0301": "\u00e9",
		"\u00ad": "\u00ad", "\u00e9\u0007": "\u00e9\u0007", "\u00e9\ue000": "\u00e9\ue000", // taken as they are
	} {
		if got := saslPrepared(password); got != want {
			t.Errorf("%+q is %+q, want %+q", password, got, want)
		}
	}
}

func TestVerifiersAreReadAndWritten(t *testing.T) {
	good := scramtest.Verifier
	v, err := parseVerifier(good)
	made, err2 := newVerifier(scramtest.Password, v.salt, 4096)
	if diff := cmp.Diff(made, v, cmp.AllowUnexported(verifier{})); err != nil || err2 != nil || diff != "" {
		t.Error(err, diff)
	}
	fresh, err := NewVerifier(scramtest.Password)
	if v, err2 := parseVerifier(fresh); err != nil || err2 != nil || v.iterations != scramIterations || fresh == good {
		t.Errorf("a new one is %q, %v, %v", fresh, err, err2)
	}
	if _, err := NewVerifier(""); !errors.Is(err, ErrPasswordEmpty) {
		t.Errorf("an empty password: %v", err)
	}
	for _, text := range []string{
		"", "$scram-sha-256$", "$scram-sha-1$" + good[len(verifierPrefix):], good[:len(good)-1], good + "$", good + "A",
		strings.Replace(good, "i=4096", "i=4095", 1), strings.Replace(good, "i=4096", "i=99999999", 1), strings.Replace(good, "i=", "n=", 1),
		strings.Replace(good, "i=4096", "i=4096x", 1), strings.Replace(good, "W22ZaJ0SNY7soEsUEjb6gQ", "W22Z", 1),
	} {
		if _, err := parseVerifier(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
	u, err := ParseUsers("bob:" + someArgon + "::" + good + "\ncarol:" + someArgon + "\n")
	if err != nil {
		t.Fatal(err)
	}
	s := &Security{credentials: newCredentials(1, time.Now)}
	s.rules.Store(&rules{users: u})
	if s.OffersSCRAM() {
		t.Error("SCRAM is offered although carol can't use it")
	}
	if err := u.SetVerifier("carol", good); err != nil || !s.OffersSCRAM() {
		t.Errorf("now she can: %v", err)
	}
	secret := secretPrefix + base64.RawStdEncoding.EncodeToString(u.secret)
	want := "bob:" + someArgon + "::" + good + "\ncarol:" + someArgon + "::" + good + "\n" + secret + "\n"
	if diff := cmp.Diff(want, u.String()); diff != "" {
		t.Error(diff)
	}
	if err := u.SetHash("bob", someArgon); err != nil || u.Find("bob").HasVerifier() || s.OffersSCRAM() {
		t.Errorf("a verifier outlives its password: %v", err)
	}
	if err := u.SetVerifier("nobody", good); !errors.Is(err, ErrUserUnknown) {
		t.Errorf("got %v", err)
	}
	for _, text := range []string{secret + "\n" + secret, secretPrefix + "AAAA", secretPrefix} {
		if _, err := ParseUsers(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func FuzzSCRAM(f *testing.F) {
	s, err := Open(Options{Users: writeFile(f, "users", "user:*::"+scramtest.Verifier+"\n")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"), "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	f.Add([]byte("y,a=us=2Cer,n=us=2Cer,r=x,ext"), "x=1,p=")
	f.Fuzz(func(t *testing.T, first []byte, rest string) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // no waiting
		x := s.SCRAM()
		if _, err := x.Challenge(first); err != nil {
			return
		}
		final := fmt.Sprintf("c=%s,r=%s,%s", base64.StdEncoding.EncodeToString([]byte(x.head)), x.nonce, rest)
		if _, p, err := x.Verify(ctx, []byte(final)); err == nil {
			t.Fatalf("%q, then %q: logged in as %+v", first, final, p)
		}
	})
}
