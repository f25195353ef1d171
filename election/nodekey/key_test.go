package nodekey

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
)

const secret = "correct horse battery staple"

func key(t *testing.T, group, node, secret string) *Key {
	t.Helper()
	k, err := FromSecret(group, node, secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// meet connects two nodes and returns who the server saw, and what each side
// said of it.
func meet(t *testing.T, server, client *tls.Config) (seen string, serverErr, clientErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		a, err := l.Accept()
		if err != nil {
			serverErr = err
			return
		}
		defer a.Close()
		s := tls.Server(a, server)
		if serverErr = s.Handshake(); serverErr == nil {
			state := s.ConnectionState()
			seen = NodeOf(&state)
			_, serverErr = s.Write([]byte("x"))
		}
	}()
	b, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(b, client)
	if clientErr = c.Handshake(); clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1)) // a refused certificate shows here in TLS 1.3
	}
	b.Close()
	<-done
	return seen, serverErr, clientErr
}

func TestNodesOfAGroupKnowEachOther(t *testing.T) {
	a, b := key(t, "g", "a", secret), key(t, "g", "b", secret)
	seen, err1, err2 := meet(t, a.Server(), b.Client("a"))
	if err := errors.Join(err1, err2); err != nil || seen != "b" {
		t.Fatalf("the server saw %q, %v", seen, err)
	}
	if _, err1, err2 := meet(t, a.Server(), b.AnyClient()); err1 != nil || err2 != nil {
		t.Error("a client that takes any node: ", err1, err2)
	}
}

func TestANodeIsNotTakenForAnother(t *testing.T) {
	a, b := key(t, "g", "a", secret), key(t, "g", "b", secret)
	_, _, err := meet(t, a.Server(), b.Client("c"))
	if err == nil || !strings.Contains(err.Error(), `node "a" answers where "c" was expected`) {
		t.Error(err)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	a := key(t, "g", "a", secret)
	for name, other := range map[string]*Key{
		"another secret": key(t, "g", "b", secret+"!"),
		"another group":  key(t, "h", "b", secret),
	} {
		trusting := other.Client("a")
		trusting.InsecureSkipVerify = true // the stranger doesn't mind
		if _, err, _ := meet(t, a.Server(), trusting); err == nil {
			t.Errorf("%s: the node let it in", name)
		}
		if _, _, err := meet(t, other.Server(), a.Client("b")); err == nil {
			t.Errorf("%s: the node trusted it", name)
		}
	}
	if _, err, _ := meet(t, a.Server(), &tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("the node let somebody without a certificate in")
	}
}

func TestANameStaysExpectedWhateverTheDialerSets(t *testing.T) {
	a, b := key(t, "g", "a", secret), key(t, "g", "b", secret)
	fixed := withName(Fixed(b.AnyClient()), "127.0.0.1")
	if _, err1, err2 := meet(t, a.Server(), fixed); err1 != nil || err2 != nil {
		t.Error("a node of the group: ", err1, err2)
	}
	if _, _, err := meet(t, key(t, "g", "a", secret+"!").Server(), fixed); err == nil {
		t.Error("a stranger was trusted")
	}
	other := b.AnyClient()
	other.ServerName = "another.example"
	if _, _, err := meet(t, a.Server(), Fixed(other)); err == nil {
		t.Error("another name was accepted")
	}
	if c := new(tls.Config); Fixed(c) != c || Fixed(nil) != nil {
		t.Error("a configuration without a name was changed")
	}
}

func TestSumsAreTheGroups(t *testing.T) {
	a, b, c := key(t, "g", "a", secret), key(t, "g", "b", secret), key(t, "g", "c", secret+"!")
	sum := func(k *Key, purpose string) []byte {
		s, err := k.Sum(purpose, []byte("data"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if !bytes.Equal(sum(a, "x"), sum(b, "x")) {
		t.Error("two nodes differ")
	}
	if bytes.Equal(sum(a, "x"), sum(a, "y")) || bytes.Equal(sum(a, "x"), sum(c, "x")) {
		t.Error("purposes or secrets don't differ")
	}
}

func TestAShortSecretIsRefused(t *testing.T) {
	if _, err := FromSecret("g", "a", "123456789012345"); err == nil || !strings.Contains(err.Error(), "has 15 characters") {
		t.Error(err)
	}
}

func TestFilesOfADerivedKeyServeAsWell(t *testing.T) {
	a := key(t, "g", "a", secret)
	f, err := a.WriteFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	again, err := FromFiles("g", "a", "", f.Certificate, f.Key, f.Authority)
	if err != nil {
		t.Fatal(err)
	}
	seen, err1, err2 := meet(t, key(t, "g", "b", secret).Server(), withName(again.Client("b"), f.ServerName))
	if err := errors.Join(err1, err2); err != nil || seen != "a" {
		t.Errorf("the server saw %q, %v", seen, err)
	}
	if _, err := again.WriteFiles(t.TempDir()); err == nil {
		t.Error("files were written again")
	}
	if _, err := FromFiles("g", "a", "", f.Key, f.Key, f.Authority); err == nil {
		t.Error("a key was taken for a certificate")
	}
	if _, err := FromFiles("g", "a", "", f.Certificate, f.Key, f.Key); err == nil {
		t.Error("a key was taken for an authority")
	}
}

func withName(c *tls.Config, name string) *tls.Config {
	c.ServerName = name
	return c
}
