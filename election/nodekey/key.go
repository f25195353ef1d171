package nodekey

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

const (
	// LeastSecret is the length of the shortest secret that is taken. The
	// certificates let who can reach a node's port try secrets at leisure, so it
	// has to be a random one.
	LeastSecret = 16

	stretch    = 200_000 // iterations, about 0.1 s
	serverName = "group.entrepot"
)

// Validity of derived certificates. It doesn't bound anything, the secret does;
// and a node whose clock is wrong still belongs to its group.
var (
	notBefore = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Key is a node's proof of being a member of its group.
type Key struct {
	group, node string
	certificate tls.Certificate
	authority   *x509.Certificate // nil for files
	roots       *x509.CertPool
	derived     bool // from the secret: names are the group's and the nodes' own
	seed        []byte
}

// FromSecret derives the key of a node from the group's secret.
func FromSecret(group, node, secret string) (*Key, error) {
	if len(secret) < LeastSecret {
		return nil, fmt.Errorf("the secret has %d characters: take %d or more, for example from \"openssl rand -hex 24\"", len(secret), LeastSecret)
	}
	k := &Key{group: group, node: node, derived: true}
	var err error
	if k.seed, err = pbkdf2.Key(sha256.New, secret, []byte("entrepot group "+group), stretch, sha256.Size); err != nil {
		return nil, err
	}
	signer, err := k.makeAuthority()
	if err != nil {
		return nil, fmt.Errorf("make the group's authority: %w", err)
	}
	if err := k.makeCertificate(signer); err != nil {
		return nil, fmt.Errorf("make the node's certificate: %w", err)
	}
	return k, nil
}

// FromFiles takes a node's certificate, its key, and the authority of all
// nodes' certificates from PEM files. The secret may be empty; then [Key.Sum]
// proves nothing.
func FromFiles(group, node, secret, certificate, key, authority string) (*Key, error) {
	k := &Key{group: group, node: node, roots: x509.NewCertPool()}
	var err error
	if k.certificate, err = tls.LoadX509KeyPair(certificate, key); err != nil {
		return nil, fmt.Errorf("load certificate %q with key %q: %w", certificate, key, err)
	}
	text, err := os.ReadFile(authority)
	if err != nil {
		return nil, fmt.Errorf("load the authority of nodes: %w", err)
	}
	if !k.roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("load the authority of nodes: no certificate in %q", authority)
	}
	if k.seed, err = pbkdf2.Key(sha256.New, secret, []byte("entrepot group "+group), stretch, sha256.Size); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *Key) makeAuthority() (ed25519.PrivateKey, error) {
	seed, err := k.Derive("authority", ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	signer := ed25519.NewKeyFromSeed(seed)
	// Every node makes the same certificate: nothing in it is random.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "entrepot group " + k.group},
		NotBefore: notBefore, NotAfter: notAfter, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		return nil, err
	}
	if k.authority, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	k.roots = x509.NewCertPool()
	k.roots.AddCert(k.authority)
	return signer, nil
}

func (k *Key) makeCertificate(signer ed25519.PrivateKey) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: k.node},
		NotBefore: notBefore, NotAfter: notAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{serverName},
		URIs:        []*url.URL{{Scheme: "entrepot", Host: "node", Path: "/" + k.node}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, k.authority, public, signer)
	if err != nil {
		return err
	}
	k.certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
	return nil
}

// Derive returns n bytes that only the group's nodes can know, different ones
// for each purpose.
func (k *Key) Derive(purpose string, n int) ([]byte, error) {
	return hkdf.Expand(sha256.New, k.seed, "entrepot "+purpose, n)
}

// Sum authenticates data for a purpose with the group's secret.
func (k *Key) Sum(purpose string, data []byte) ([]byte, error) {
	key, err := k.Derive(purpose, sha256.Size)
	if err != nil {
		return nil, err
	}
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil), nil
}

// Node is the node's own name.
func (k *Key) Node() string { return k.node }

// Server is for connections that other nodes open. They have to show a
// certificate of the group.
func (k *Key) Server() *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{k.certificate}, ClientCAs: k.roots,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}
}

// Client is for connections to a node of that name. With a derived key the
// other side has to be that very node; with files the name in its certificate
// has to be the host that is dialled, as usual.
func (k *Key) Client(node string) *tls.Config {
	c := &tls.Config{
		Certificates: []tls.Certificate{k.certificate}, RootCAs: k.roots, MinVersion: tls.VersionTLS13,
	}
	if !k.derived {
		return c
	}
	c.ServerName = serverName
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if got := NodeOf(&s); got != node {
			return fmt.Errorf("node %q answers where %q was expected", got, node)
		}
		return nil
	}
	return c
}

// AnyClient is for connections to whichever node of the group answers, such as
// those of etcd's client.
func (k *Key) AnyClient() *tls.Config {
	c := k.Client("")
	c.VerifyConnection = nil
	return c
}

// Fixed returns a configuration for clients that expects c.ServerName in
// certificates whatever its user sets it to, as the etcd client does with the
// host that it dials. Without a name it returns c.
func Fixed(c *tls.Config) *tls.Config {
	if c == nil || c.ServerName == "" {
		return c
	}
	name, roots, more := c.ServerName, c.RootCAs, c.VerifyConnection
	c = c.Clone()
	c.InsecureSkipVerify = true // which would look for the wrong name; VerifyConnection does all of it
	c.VerifyConnection = func(s tls.ConnectionState) error {
		o := x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: x509.NewCertPool()}
		for _, between := range s.PeerCertificates[1:] {
			o.Intermediates.AddCert(between)
		}
		if _, err := s.PeerCertificates[0].Verify(o); err != nil {
			return err
		}
		if more != nil {
			return more(s)
		}
		return nil
	}
	return c
}

// NodeOf returns the node that the other side has proven to be; "" if its
// certificate names none (certificates from files need not).
func NodeOf(s *tls.ConnectionState) string {
	if len(s.PeerCertificates) == 0 {
		return ""
	}
	for _, u := range s.PeerCertificates[0].URIs {
		if u.Scheme == "entrepot" && u.Host == "node" && len(u.Path) > 1 {
			return u.Path[1:]
		}
	}
	return ""
}

// Files are PEM files of a node, for those who only read files.
type Files struct {
	Certificate, Key, Authority string
	ServerName                  string // that clients expect in certificates, "" for the host they dial
}

// WriteFiles writes a derived key to dir, readable for the owner only.
func (k *Key) WriteFiles(dir string) (Files, error) {
	if !k.derived {
		return Files{}, errors.New("the key is in files already")
	}
	private, err := x509.MarshalPKCS8PrivateKey(k.certificate.PrivateKey)
	if err != nil {
		return Files{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Files{}, err
	}
	f := Files{
		Certificate: filepath.Join(dir, "node.crt"), Key: filepath.Join(dir, "node.key"),
		Authority: filepath.Join(dir, "group.crt"), ServerName: serverName,
	}
	return f, errors.Join(
		writePEM(f.Certificate, "CERTIFICATE", k.certificate.Certificate[0]),
		writePEM(f.Key, "PRIVATE KEY", private),
		writePEM(f.Authority, "CERTIFICATE", k.authority.Raw),
	)
}

func writePEM(name, kind string, der []byte) error {
	return os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
