package protocols

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// fakeFrontend serves with a function.
type fakeFrontend struct {
	name    string
	options []string
	serve   func(*Conn)
}

func (f *fakeFrontend) Name() string      { return f.name }
func (f *fakeFrontend) Options() []string { return f.options }
func (f *fakeFrontend) Serve(c *Conn)     { f.serve(c) }

// echoFrontend answers each line with its name and the line.
func echoFrontend(name string) *fakeFrontend {
	return &fakeFrontend{name: name, options: []string{"wireFormat.maxFrameSize"}, serve: func(c *Conn) {
		defer c.Close()
		c.Authenticated()
		r := bufio.NewReader(c)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if _, err := io.WriteString(c, name+" "+line); err != nil {
				return
			}
		}
	}}
}

// holdFrontend reads until the connection ends and never authenticates.
func holdFrontend(name string) *fakeFrontend {
	return &fakeFrontend{name: name, serve: func(c *Conn) {
		_, _ = io.Copy(io.Discard, c)
		c.Close()
	}}
}

// fakeListener accepts what a test gives it.
type fakeListener struct {
	conns chan net.Conn
	errs  chan error
	quit  chan struct{}
	once  sync.Once
}

func newFakeListener() *fakeListener {
	return &fakeListener{conns: make(chan net.Conn), errs: make(chan error), quit: make(chan struct{})}
}

func (l *fakeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case err := <-l.errs:
		return nil, err
	case <-l.quit:
		return nil, net.ErrClosed
	}
}

func (l *fakeListener) Close() error {
	l.once.Do(func() { close(l.quit) })
	return nil
}

func (l *fakeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 61613} }

// dial connects to it from an address.
func (l *fakeListener) dial(from string) net.Conn {
	client, server := net.Pipe()
	l.conns <- &addrConn{Conn: server, remote: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}
	return client
}

type addrConn struct {
	net.Conn
	remote net.Addr
}

func (c *addrConn) RemoteAddr() net.Addr { return c.remote }

// logBuffer is a log to look at.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// start runs a server with the listeners, closed when the test ends.
func start(t *testing.T, o Options, uris ...string) *Server {
	t.Helper()
	s := newTestServer(t, o)
	if err := s.Start(context.Background(), parseAll(t, uris...)); err != nil {
		t.Fatal(err)
	}
	return s
}

func newTestServer(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := NewServer(o)
	t.Cleanup(s.Close)
	return s
}

func parseAll(t *testing.T, uris ...string) []ListenerConfig {
	t.Helper()
	var out []ListenerConfig
	for _, u := range uris {
		c, err := ParseListener(u)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// startFake runs a server with one listener that the test feeds.
func startFake(t *testing.T, o Options, uri string) (*Server, *fakeListener) {
	t.Helper()
	s, l := newTestServer(t, o), newFakeListener()
	s.listen = func(context.Context, string) (net.Listener, error) { return l, nil }
	if err := s.Start(context.Background(), parseAll(t, uri)); err != nil {
		t.Fatal(err)
	}
	return s, l
}

// dial connects to the server's only listener.
func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Listeners()[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// expect reads what must come.
func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v, want %q", got[:n], err, want)
	}
}

// expectEnd reads what is left, want, and the end.
func expectEnd(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got, err := io.ReadAll(c)
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		t.Fatalf("the connection stays open, after %q", got)
	}
	if string(got) != want {
		t.Fatalf("read %q until the end, want %q", got, want)
	}
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if text == "" {
		return // a pipe would make it a read of nothing
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func rejected(s *Server, r Reason) uint64 { return s.Snapshot()[0].Rejected[r].Count }

// authority signs certificates for tests.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), pool: x509.NewCertPool()}
	a.key = a.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *authority) write(name, kind string, der []byte) {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(filepath.Join(a.dir, name), text, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// issue writes NAME.pem and NAME.key for 127.0.0.1 and returns them.
func (a *authority) issue(name string, serial int64) tls.Certificate {
	a.t.Helper()
	key := a.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", "CERTIFICATE", der)
	a.write(name+".key", "EC PRIVATE KEY", keyDER)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// options are the URI's for the certificate of that name.
func (a *authority) options(name string) string {
	return "transport.certificate=" + filepath.Join(a.dir, name+".pem") + "&transport.key=" + filepath.Join(a.dir, name+".key")
}
