package protocols

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
)

// TLSFiles says where a listener's certificates are, and what it asks of
// clients.
type TLSFiles struct {
	Certificate string // PEM file: the chain, leaf first
	Key         string // PEM file
	ClientCA    string // PEM file with the authorities of client certificates
	NeedClient  bool   // a client without a certificate is refused
	WantClient  bool   // a client's certificate is verified if it shows one
	MinVersion  uint16 // tls.VersionTLS12 or higher
	MaxVersion  uint16 // 0 for the newest
}

func (f *TLSFiles) given() bool { return f.Certificate != "" }

func (r *optionReader) tls() TLSFiles {
	f := TLSFiles{
		Certificate: r.v.String("transport.certificate", ""),
		Key:         r.v.String("transport.key", ""),
		ClientCA:    r.v.String("transport.clientCA", ""),
		NeedClient:  r.bool("needClientAuth", false),
		WantClient:  r.bool("wantClientAuth", false),
	}
	f.NeedClient = r.bool("transport.needClientAuth", f.NeedClient)
	f.WantClient = r.bool("transport.wantClientAuth", f.WantClient)
	f.MinVersion, f.MaxVersion = r.tlsVersions("transport.enabledProtocols")
	if (f.Certificate == "") != (f.Key == "") {
		r.fail("transport.certificate and transport.key belong together")
	}
	if (f.NeedClient || f.WantClient) && f.ClientCA == "" {
		r.fail("needClientAuth and wantClientAuth need transport.clientCA=FILE")
	}
	return f
}

// tlsVersions reads Java's names. Older versions than 1.2 are named in many
// configurations, so they are accepted beside a newer one, and not offered.
func (r *optionReader) tlsVersions(name string) (least, most uint16) {
	least, most = tls.VersionTLS12, 0
	names := r.v.List(name)
	if len(names) == 0 {
		return least, most
	}
	has12, has13 := false, false
	for _, n := range names {
		switch strings.ToLower(n) {
		case "tlsv1.2":
			has12 = true
		case "tlsv1.3":
			has13 = true
		case "tlsv1", "tlsv1.1", "sslv3", "sslv2hello":
		default:
			r.fail("option %s: unknown version %q; known: TLSv1.2, TLSv1.3", name, n)
		}
	}
	switch {
	case !has12 && !has13:
		r.fail("option %s: at least one of TLSv1.2 and TLSv1.3 is needed", name)
	case !has12:
		least = tls.VersionTLS13
	case !has13:
		most = tls.VersionTLS12
	}
	return least, most
}

// load reads the files.
func (f *TLSFiles) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("load certificate %q with key %q: %w", f.Certificate, f.Key, err)
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   max(f.MinVersion, tls.VersionTLS12),
		MaxVersion:   f.MaxVersion,
	}
	switch {
	case f.NeedClient:
		c.ClientAuth = tls.RequireAndVerifyClientCert
	case f.WantClient:
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	if f.ClientCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("load client authorities: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("load client authorities: no certificate in %q", f.ClientCA)
	}
	return c, nil
}

// certificates is a listener's TLS configuration, which can be read anew.
type certificates struct {
	files   TLSFiles
	current atomic.Pointer[tls.Config]
}

// load reads the files; on an error what was read before stays in use.
func (s *certificates) load() error {
	c, err := s.files.load()
	if err != nil {
		return err
	}
	s.current.Store(c)
	return nil
}

// ready reports whether there is a certificate to show.
func (s *certificates) ready() bool { return s.current.Load() != nil }
