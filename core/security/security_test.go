package security

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
)

func open(t *testing.T, users, permissions string) *Security {
	t.Helper()
	o := Options{Users: writeFile(t, "users", users)}
	if permissions != "" {
		o.Permissions = writeFile(t, "permissions", permissions)
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOnlyTheRightPasswordOfAKnownUserLogsIn(t *testing.T) {
	s := open(t, "alice:"+hashOf(t, "wonder")+":ops\nbob:"+bcryptOf(t, "builder")+"\nmeter:*:meters\n", "")
	for _, test := range []struct {
		name, password string
		ok             bool
	}{
		{"alice", "wonder", true},
		{"alice", "wonder", true}, // remembered
		{"bob", "builder", true},
		{"alice", "builder", false},
		{"bob", "wonder", false},
		{"Alice", "wonder", false},
		{"alice", "", false},
		{"", "wonder", false},
		{"", "", false},
		{"carol", "wonder", false},
		{"meter", "*", false},
		{"meter", "x", false},
		{"alice", strings.Repeat("x", MaxPassword+1), false},
		{strings.Repeat("x", maxName+1), "wonder", false},
	} {
		p, err := login(s, test.name, test.password)
		var refused *RefusedError
		if test.ok != (err == nil) || err != nil && !errors.As(err, &refused) {
			t.Errorf("%q with %q: %v", test.name, test.password, err)
		}
		if test.ok && (p.Name != test.name || p.How != ByPassword) {
			t.Errorf("%q is %+v", test.name, p)
		}
	}
}

func TestAnEmptyUsersFileLetsNobodyIn(t *testing.T) {
	s := open(t, "", "")
	if p, err := login(s, "", ""); err == nil {
		t.Errorf("got %+v", p)
	}
	if p, err := login(s, "admin", "admin"); err == nil {
		t.Errorf("got %+v", p)
	}
	if _, err := Open(Options{}); err == nil {
		t.Error("security without a way to log in was opened")
	}
	if _, err := Open(Options{Users: "no such file"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestAStormOfReconnectsIsHashedForOnce(t *testing.T) {
	s := open(t, "alice:"+hashOf(t, "wonder")+"\n", "")
	s.credentials.slots = make(chan struct{}, 1)
	start := time.Now()
	if _, err := login(s, "alice", "wrong"); err == nil {
		t.Fatal("a wrong password logged in")
	}
	once := time.Since(start)
	start = time.Now()
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() {
			if _, err := login(s, "alice", "wonder"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 250*once {
		t.Errorf("500 logins took %v, one hash takes %v", took, once)
	}
	if n := len(s.credentials.known); n != 1 {
		t.Errorf("%d proofs are remembered", n)
	}
}

func TestRememberedProofsAreBoundedAndEnd(t *testing.T) {
	now := testTime
	c := newCredentials(1, func() time.Time { return now })
	c.most = 3
	first := c.proof("a", "bc")
	if first == c.proof("ab", "c") {
		t.Error("fields run into each other")
	}
	for i := range 10 {
		c.remember(c.proof(strconv.Itoa(i)))
	}
	if len(c.known) > 3 {
		t.Errorf("%d proofs, the limit is 3", len(c.known))
	}
	c.remember(first)
	if !c.remembers(first) {
		t.Error("it is forgotten at once")
	}
	now = now.Add(cachedFor + time.Second)
	if c.remembers(first) {
		t.Error("it is remembered for ever")
	}
	if one, other := newCredentials(1, time.Now), newCredentials(1, time.Now); one.proof("x") == other.proof("x") {
		t.Error("two runs of a broker make the same proofs")
	}
}

func TestAFullHasherSaysLater(t *testing.T) {
	s := open(t, "alice:"+hashOf(t, "wonder")+"\n", "")
	s.credentials.slots = make(chan struct{}) // nobody's turn comes
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Authenticate(ctx, Credentials{Login: "alice", Passcode: NewSecret("wonder")}); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}

func TestReloadTakesAllFilesOrNone(t *testing.T) {
	alice, bob := "alice:"+hashOf(t, "a"), "bob:"+hashOf(t, "b")
	s := open(t, alice+":ops\n"+bob+"\n", "queue://q read @ops\n")
	a, err1 := login(s, "alice", "a")
	b, err2 := login(s, "bob", "b")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if s.Allowed(a, message.Queue("q")) != Read || s.Allowed(b, message.Queue("q")) != 0 {
		t.Fatal("wrong permissions")
	}
	before := s.Generation()
	rewrite(t, s.o.Users, alice+"\n")
	rewrite(t, s.o.Permissions, "queue://q read\n")
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "permissions") || s.Generation() != before {
		t.Fatalf("a wrong file: %v", err)
	}
	if _, err := s.Refresh(b); err != nil {
		t.Errorf("bob is gone although the reload failed: %v", err)
	}
	rewrite(t, s.o.Permissions, "queue://q write *\n")
	if err := s.Reload(); err != nil || s.Generation() == before {
		t.Fatal(err)
	}
	if _, err := s.Refresh(b); !errors.Is(err, ErrRevoked) {
		t.Errorf("bob was removed: %v", err)
	}
	again, err := s.Refresh(a)
	if err != nil || again.In("ops") || s.Allowed(again, message.Queue("q")) != Write {
		t.Errorf("alice is %+v, %v", again, err)
	}
	rewrite(t, s.o.Users, "alice:"+hashOf(t, "new")+"\n")
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Refresh(a); !errors.Is(err, ErrRevoked) {
		t.Errorf("alice's password changed: %v", err)
	}
	if _, err := login(s, "alice", "a"); err == nil {
		t.Error("the old password is remembered")
	}
}

func TestCertificatesNameTheirUser(t *testing.T) {
	uri, err := url.Parse("spiffe://site/meter")
	if err != nil {
		t.Fatal(err)
	}
	cert := func(edit func(*x509.Certificate)) *tls.ConnectionState {
		c := &x509.Certificate{
			Subject: pkix.Name{CommonName: "meter-17"}, DNSNames: []string{"meter.example"}, EmailAddresses: []string{"m@example"},
			URIs: []*url.URL{uri}, NotAfter: testTime,
		}
		if edit != nil {
			edit(c)
		}
		return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}, VerifiedChains: [][]*x509.Certificate{{c}}}
	}
	for _, test := range []struct {
		name  string
		rule  CertificateName
		state *tls.ConnectionState
		want  string
	}{
		{"cn", CertificateCN, cert(nil), "meter-17"},
		{"dns", CertificateDNS, cert(nil), "meter.example"},
		{"email", CertificateEmail, cert(nil), "m@example"},
		{"uri", CertificateURI, cert(nil), "spiffe://site/meter"},
		{"none", CertificateNone, cert(nil), ""},
		{"no TLS", CertificateCN, nil, ""},
		{"not verified", CertificateCN, &tls.ConnectionState{PeerCertificates: cert(nil).PeerCertificates}, ""},
		{"two names", CertificateDNS, cert(func(c *x509.Certificate) { c.DNSNames = []string{"a", "b"} }), ""},
		{"no name", CertificateCN, cert(func(c *x509.Certificate) { c.Subject.CommonName = "" }), ""},
		{"a control character", CertificateCN, cert(func(c *x509.Certificate) { c.Subject.CommonName = "a\nb" }), ""},
	} {
		s, err := Open(Options{Users: writeFile(t, "users", "meter-17:*:meters\nalice:"+someArgon+"\n"), Certificate: test.rule})
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Authenticate(t.Context(), Credentials{Login: "ignored", TLS: test.state})
		if (err == nil) != (test.want != "") || p != nil && p.Name != test.want {
			t.Errorf("%s: %+v, %v", test.name, p, err)
		}
		if test.name == "cn" && (!p.In("meters") || p.How != ByCertificate || !p.Expires.Equal(testTime)) {
			t.Errorf("got %+v", p)
		}
		if _, err := s.Authenticate(t.Context(), Credentials{Login: "alice", Passcode: NewSecret("wrong"), TLS: test.state}); err == nil {
			t.Errorf("%s: a certificate covers up a wrong password", test.name)
		}
	}
}

func TestWithoutPermissionsEveryUserMayDoEverything(t *testing.T) {
	s := open(t, "alice:*\n", "")
	p := s.Find("alice")
	all, some := s.AllowedPattern(p, message.Topic(">"))
	if s.Allowed(p, message.Queue("a"))&all&some != AllActions || !s.Authorize(p, Admin, message.Queue("a")).Allowed || s.HasPermissions() {
		t.Error("something is denied")
	}
	if s.Find("bob") != nil {
		t.Error("found a user that doesn't exist")
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	s := NewSecret("hunter2")
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "s", s, "in", struct{ S Secret }{s})
	encoded, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s), log.String(), string(encoded), fmt.Sprintf("%+v", Credentials{Passcode: s})} {
		if strings.Contains(shown, "hunter") || !strings.Contains(shown, "***") {
			t.Errorf("shown as %s", shown)
		}
	}
	if s.Reveal() != "hunter2" || s.IsEmpty() || !NewSecret("").IsEmpty() {
		t.Error("it can't be read")
	}
}

func TestAuditGoesToTheLogAndToItsOwnFile(t *testing.T) {
	file := writeFile(t, "audit", "")
	var log bytes.Buffer
	a, err := OpenAudit(file, slog.New(slog.NewJSONHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	a.Record(t.Context(), Event{Who: "alice", How: "password", Remote: "192.0.2.1", Action: "purge queue", Target: "queue://a", Err: errors.New("no")})
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{log.String(), string(own)} {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		for key, want := range map[string]any{"audit": true, "user": "alice", "action": "purge queue", "target": "queue://a", "ok": false, "remote": "192.0.2.1", "error": "no"} {
			if line[key] != want {
				t.Errorf("%s is %v, want %v", key, line[key], want)
			}
		}
	}
	var none *Audit
	none.Record(t.Context(), Event{})
	if err := none.Close(); err != nil {
		t.Error(err)
	}
}
