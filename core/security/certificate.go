package security

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// CertificateName says which part of a client's certificate is its user name.
type CertificateName string

// The parts.
const (
	CertificateNone  CertificateName = "none"  // certificates log nobody in
	CertificateCN    CertificateName = "cn"    // the subject's common name
	CertificateDNS   CertificateName = "dns"   // the subject alternative name of that type
	CertificateEmail CertificateName = "email" // likewise
	CertificateURI   CertificateName = "uri"   // likewise, such as a SPIFFE id
)

// nameFrom returns the user name in a certificate that TLS has verified. A
// certificate with several names of the kind is refused: which one counted
// would be the client's choice.
func (n CertificateName) nameFrom(c *x509.Certificate) (string, error) {
	var names []string
	switch n {
	case CertificateCN:
		names = []string{c.Subject.CommonName}
	case CertificateDNS:
		names = c.DNSNames
	case CertificateEmail:
		names = c.EmailAddresses
	case CertificateURI:
		for _, u := range c.URIs {
			names = append(names, u.String())
		}
	case CertificateNone:
	}
	if len(names) != 1 || names[0] == "" {
		return "", fmt.Errorf("the certificate has %d names of kind %q, it needs one", len(names), n)
	}
	if err := validateForeignName(names[0]); err != nil {
		return "", fmt.Errorf("the certificate's name %.64q: %w", names[0], err)
	}
	return names[0], nil
}

// verified returns the client's certificate if TLS has verified it.
func verified(s *tls.ConnectionState) *x509.Certificate {
	if s == nil || len(s.VerifiedChains) == 0 || len(s.PeerCertificates) == 0 {
		return nil
	}
	return s.PeerCertificates[0]
}
