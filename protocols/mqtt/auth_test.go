package mqtt

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/security"
	"github.com/entrepot-mq/entrepot/core/security/scramtest"
)

// usersFile has two users of one password, for every way to log in.
const usersFile = "reader:" + scramtest.Bcrypt + "::" + scramtest.Verifier + "\n" +
	"other:" + scramtest.Bcrypt + "::" + scramtest.Verifier + "\n"

func securedRig(t *testing.T, users, permissions string) *rig {
	t.Helper()
	o := security.Options{Users: filepath.Join(t.TempDir(), "users")}
	if err := os.WriteFile(o.Users, []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	if permissions != "" {
		o.Permissions = filepath.Join(t.TempDir(), "permissions")
		if err := os.WriteFile(o.Permissions, []byte(permissions), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sec, err := security.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return newRigWith(t, nil, broker.Options{Security: sec})
}

func authPacket(r reason, method string, data []byte) []byte { return appendAuth(nil, r, method, data) }

// asked wants an AUTH that goes on, and returns its data.
func (c *client) asked(method string) []byte {
	c.t.Helper()
	b := c.expect(typeAuth)
	if reason(b[0]) != continueAuthentication {
		c.t.Fatalf("AUTH says %#x", b[0])
	}
	return authData(c.t, b[1:], method)
}

// authData is the data in a section of properties that names the method.
func authData(tb testing.TB, section []byte, method string) []byte {
	tb.Helper()
	f := fields{b: section}
	props := f.take(f.varint("length"), "properties")
	if err := f.end(); err != nil {
		tb.Fatal(err)
	}
	if m := found(props, propAuthMethod); len(m) != 1 || string(m[0]) != method {
		tb.Fatalf("the authentication method is %q", m)
	}
	data := found(props, propAuthData)
	if len(data) != 1 {
		tb.Fatalf("there are %d authentication data", len(data))
	}
	return data[0]
}

// scram sends CONNECT and the answer to the challenge.
func (r *rig) scram(h hello, s *scramtest.Client) *client {
	r.t.Helper()
	c := r.dial()
	h.v, h.props = v5, append(h.props, appendMethod(nil, methodSCRAM, s.First())...)
	c.send(h.packet())
	final, err := s.Final(c.asked(methodSCRAM))
	if err != nil {
		r.t.Fatal(err)
	}
	c.send(authPacket(continueAuthentication, methodSCRAM, final))
	return c
}

func TestSCRAMProvesBothSidesToEachOther(t *testing.T) {
	r := securedRig(t, usersFile, "topic://mine all reader\n")
	s := &scramtest.Client{Name: "reader", Password: scramtest.Password}
	c := r.scram(hello{id: "c", clean: true, will: "mine", willBody: "bye"}, s)
	ack := c.expect(typeConnack)
	if ack[1] != 0 {
		t.Fatalf("CONNACK says %#x", ack[1])
	}
	if err := s.Check(authData(t, ack[2:], methodSCRAM)); err != nil {
		t.Fatal(err)
	}
	if codes := c.subscribe(1, "mine", "theirs"); codes[0] != 1 || codes[1] != byte(unspecifiedError) {
		t.Fatalf("SUBACK says %x: whose rights are these?", codes)
	}
	c.publish(publishing{topic: "mine", body: "x"})
	if d := c.receive(); d.body != "x" {
		t.Fatalf("got %q", d.body)
	}
	for name, s := range map[string]*scramtest.Client{
		"a wrong password": {Name: "reader", Password: "wrong"}, "an unknown user": {Name: "mallory", Password: "x"},
	} {
		c := r.scram(hello{id: "c2", clean: true}, s)
		if ack := c.expect(typeConnack); reason(ack[1]) != notAuthorized {
			t.Errorf("%s: CONNACK says %#x", name, ack[1])
		}
		c.expectClosed()
	}
}

func TestAClientAuthenticatesAgainWhileEverythingGoesOn(t *testing.T) {
	r := securedRig(t, usersFile, "")
	c := r.scram(hello{id: "c", clean: true}, &scramtest.Client{Name: "reader", Password: scramtest.Password})
	c.expect(typeConnack)
	c.subscribe(0, "t")
	for range 2 {
		s := &scramtest.Client{Name: "reader", Password: scramtest.Password}
		c.send(authPacket(reAuthenticate, methodSCRAM, s.First()))
		final, err := s.Final(c.asked(methodSCRAM))
		if err != nil {
			t.Fatal(err)
		}
		c.publish(publishing{topic: "t", body: "meanwhile"})
		if d := c.receive(); d.body != "meanwhile" {
			t.Fatalf("got %q", d.body)
		}
		c.send(authPacket(continueAuthentication, methodSCRAM, final))
		b := c.expect(typeAuth)
		if b[0] != byte(success) {
			t.Fatalf("AUTH says %#x", b[0])
		}
		if err := s.Check(authData(t, b[1:], methodSCRAM)); err != nil {
			t.Fatal(err)
		}
	}
	// Neither a wrong password nor another user may take the session over.
	for name, s := range map[string]*scramtest.Client{
		"wrong": {Name: "reader", Password: "wrong"}, "other": {Name: "other", Password: scramtest.Password},
	} {
		c := r.scram(hello{id: name, clean: true}, &scramtest.Client{Name: "reader", Password: scramtest.Password})
		c.expect(typeConnack)
		c.send(authPacket(reAuthenticate, methodSCRAM, s.First()))
		final, err := s.Final(c.asked(methodSCRAM))
		if err != nil {
			t.Fatal(err)
		}
		c.send(authPacket(continueAuthentication, methodSCRAM, final))
		c.expectDisconnect(notAuthorized)
	}
}

func TestAuthenticationOutOfOrderEndsTheConnection(t *testing.T) {
	r := securedRig(t, usersFile, "")
	s := &scramtest.Client{Name: "reader", Password: scramtest.Password}
	first := s.First()
	for name, tt := range map[string]struct {
		send []byte
		want reason // of CONNACK
	}{
		"PUBLISH":            {publishing{topic: "t"}.packet(v5), protocolError},
		"CONNECT":            {hello{v: v5, id: "c"}.packet(), protocolError},
		"PINGREQ":            {[]byte{byte(typePingreq) << 4, 0}, protocolError},
		"another method":     {authPacket(continueAuthentication, "PLAIN", []byte("x")), protocolError},
		"no method":          {wrap(typeAuth, 0, []byte{byte(continueAuthentication), 0}), protocolError},
		"a new beginning":    {authPacket(reAuthenticate, methodSCRAM, first), protocolError},
		"a malformed answer": {authPacket(continueAuthentication, methodSCRAM, []byte("x")), notAuthorized},
		"no answer":          {authPacket(continueAuthentication, methodSCRAM, nil), notAuthorized},
	} {
		c := r.dial()
		c.send(hello{v: v5, id: "c", props: appendMethod(nil, methodSCRAM, first)}.packet())
		c.asked(methodSCRAM)
		c.send(tt.send)
		p, err := c.read()
		if err != nil || p.kind != typeConnack || reason(p.body[1]) != tt.want {
			t.Errorf("%s: got %v %x, %v; want CONNACK with %#x", name, p.kind, p.body, err, uint8(tt.want))
		}
		c.expectClosed()
	}
	c := r.dial() // DISCONNECT is allowed, and has no answer
	c.send(hello{v: v5, id: "c", props: appendMethod(nil, methodSCRAM, first)}.packet())
	c.asked(methodSCRAM)
	c.send(wrap(typeDisconnect, 0, nil))
	c.expectClosed()
	if n := r.broker.Stats().Sessions; n != 0 {
		t.Errorf("there are %d sessions", n)
	}
	// Within a session.
	for name, send := range map[string][]byte{
		"an answer to nothing": authPacket(continueAuthentication, methodSCRAM, []byte("x")),
		"another method":       authPacket(reAuthenticate, "PLAIN", []byte("x")),
		"twice": append(authPacket(reAuthenticate, methodSCRAM, first),
			authPacket(reAuthenticate, methodSCRAM, first)...),
	} {
		c := r.scram(hello{id: "s", clean: true}, &scramtest.Client{Name: "reader", Password: scramtest.Password})
		c.expect(typeConnack)
		c.send(send)
		if name == "twice" {
			c.asked(methodSCRAM)
		}
		c.expectDisconnect(protocolError)
	}
}

func TestSCRAMNeedsUsers(t *testing.T) {
	r := newRig(t, nil)
	c, ack := r.connect(hello{v: v5, id: "c", props: appendMethod(nil, methodSCRAM, []byte("n,,n=a,r=b"))})
	if reason(ack[1]) != badAuthenticationMethod {
		t.Fatalf("CONNACK says %#x", ack[1])
	}
	c.expectClosed()
}

// riddle is a method of a program that has its own.
type riddle struct {
	b    *broker.Broker
	r    broker.ConnectRequest
	id   *broker.Identity
	asks int
}

func (x *riddle) Step(data []byte) ([]byte, error) {
	switch {
	case x.asks > 0:
		x.asks--
		return []byte("what?"), nil
	case string(data) != "42":
		return nil, errors.New("wrong")
	}
	x.r.Login, x.r.Passcode = "reader", scramtest.Password
	var err error
	x.id, err = x.b.Authenticate(x.r)
	return nil, err
}

func (x *riddle) Identity() *broker.Identity { return x.id }

func TestMethodsOfAuthenticationCanBeAdded(t *testing.T) {
	r := securedRig(t, usersFile, "")
	r.front = New(Options{Broker: r.broker, Logger: r.log, Methods: map[string]Method{
		"RIDDLE":  func(q broker.ConnectRequest) Exchange { return &riddle{b: r.broker, r: q, asks: 2} },
		"ENDLESS": func(q broker.ConnectRequest) Exchange { return &riddle{asks: maxAuthSteps + 1} },
	}})
	c := r.dial()
	c.send(hello{v: v5, id: "c", props: appendMethod(nil, "RIDDLE", nil)}.packet())
	for range 2 {
		if q := c.asked("RIDDLE"); string(q) != "what?" {
			t.Fatalf("asked %q", q)
		}
		c.send(authPacket(continueAuthentication, "RIDDLE", []byte("42")))
	}
	ack := c.expect(typeConnack)
	if ack[1] != 0 || !bytes.Contains(ack, []byte("RIDDLE")) {
		t.Fatalf("CONNACK is %x", ack)
	}
	c = r.dial()
	c.send(hello{v: v5, id: "c", props: appendMethod(nil, "ENDLESS", nil)}.packet())
	for range maxAuthSteps {
		c.asked("ENDLESS")
		c.send(authPacket(continueAuthentication, "ENDLESS", nil))
	}
	if ack := c.expect(typeConnack); reason(ack[1]) != notAuthorized || !strings.Contains(string(ack), "steps") {
		t.Fatalf("CONNACK is %q", ack)
	}
	c.expectClosed()
}
