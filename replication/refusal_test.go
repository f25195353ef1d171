package replication_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/replication"
	"github.com/entrepot-mq/entrepot/replication/wire"
)

// authority signs certificates of nodes.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	der := a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "group"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	})
	var err error
	if a.cert, err = x509.ParseCertificate(der.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	a.key, _ = der.PrivateKey.(*ecdsa.PrivateKey) // what sign made
	return a
}

func (a *authority) sign(c *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// node is the certificate of one, which is good until a time.
func (a *authority) node(name string, until time.Time) tls.Certificate {
	return a.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"node"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

func (a *authority) client(cert ...tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{Certificates: cert, RootCAs: pool, ServerName: "node", MinVersion: tls.VersionTLS13}
}

// lines is a log that can be searched.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) has(text string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !strings.Contains(l.b.String(), text) {
		return errors.New("the log has: " + l.b.String())
	}
	return nil
}

func TestStrangersAreRefusedWithAClearLine(t *testing.T) {
	own, other := newAuthority(t), newAuthority(t)
	later := time.Now().Add(time.Hour)
	good := own.node("n2", later)
	for name, c := range map[string]struct {
		config *tls.Config // nil: plain
		hello  wire.Hello
		says   string
	}{
		"no TLS":                    {nil, wire.Hello{}, "TLS: "},
		"no certificate":            {own.client(), wire.Hello{}, "client didn't provide a certificate"},
		"another group's authority": {own.client(other.node("n2", later)), wire.Hello{}, "unknown authority"},
		"an expired certificate":    {own.client(own.node("n2", time.Now().Add(-time.Hour))), wire.Hello{}, "expired"},
		"another group":             {own.client(good), wire.Hello{Group: "other", Node: "n2"}, "belongs to another group"},
		"another node's name":       {own.client(good), wire.Hello{Node: "n3"}, "says that it is"},
		"another version":           {own.client(good), wire.Hello{Version: 99, Node: "n2"}, "speaks version 99"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			log := &lines{}
			pool := x509.NewCertPool()
			pool.AddCert(own.cert)
			g := newGroup(t, 1, func(g *group) {
				g.out = log
				g.tls = &replication.TLS{
					Server: &tls.Config{
						Certificates: []tls.Certificate{own.node("n1", later)}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
						MinVersion: tls.VersionTLS13,
					},
					Client: func(string) *tls.Config { return own.client(good) },
					NodeOf: func(s *tls.ConnectionState) string { return s.PeerCertificates[0].Subject.CommonName },
				}
			})
			m, _ := g.master()
			s, _ := m.status()
			conn, err := net.Dial("tcp", m.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			h := c.hello
			h.Purpose, h.Receiver = wire.ForMessages, "n1"
			if h.Version == 0 {
				h.Version = wire.Version
			}
			if h.Group == "" {
				h.Group = s.State.Config.GroupID
			}
			if c.config != nil {
				conn = tls.Client(conn, c.config)
			}
			_, _ = conn.Write(wire.AppendHello(nil, h)) // it may be refused before
			eventually(t, "clear line", func() error {
				if err := log.has("a connection for replication was refused"); err != nil {
					return err
				}
				return log.has(c.says)
			})
			if n, err := conn.Read(make([]byte, 1)); err == nil {
				t.Errorf("the connection goes on: %d bytes, %v", n, err)
			}
		})
	}
}
