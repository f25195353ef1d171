package security

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// Limits of key sets.
const (
	maxKeySet = 1 << 20 // bytes
	maxKeys   = 100
	minRSA    = 2048 // bits
	maxRSA    = 8192
	minSecret = 32 // bytes of an HMAC key
)

// tokenKey is one key of a JWKS (RFC 7517).
type tokenKey struct {
	id      string
	methods []string // that it verifies
	key     any      // as golang-jwt takes it
}

// jsonKey is what of a key the file holds. Private parts are not looked at.
type jsonKey struct {
	Kty string `json:"kty"`
	Use string `json:"use"`
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Crv string `json:"crv"`
	N   string `json:"n"`
	E   string `json:"e"`
	X   string `json:"x"`
	Y   string `json:"y"`
	K   string `json:"k"`
}

// parseKeySet reads a JWKS. Keys for encryption and of unknown types are left
// out, as RFC 7517 demands; a key that is too weak is an error. secrets allows
// HMAC keys, which must not come from a place that others can read.
func parseKeySet(text []byte, secrets bool) ([]tokenKey, error) {
	if len(text) > maxKeySet {
		return nil, fmt.Errorf("the key set has %d bytes, the limit is %d", len(text), maxKeySet)
	}
	var set struct {
		Keys []jsonKey `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("the key set is not a JWKS: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has %d keys, the limit is %d", len(set.Keys), maxKeys)
	}
	var keys []tokenKey
	for i := range set.Keys {
		k := &set.Keys[i]
		if k.Use != "" && k.Use != "sig" {
			continue
		}
		parsed, err := k.parse(secrets)
		if err != nil {
			return nil, fmt.Errorf("key %d (kid %.64q): %w", i+1, k.Kid, err)
		}
		if parsed != nil {
			keys = append(keys, *parsed)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no key that can verify a signature")
	}
	return keys, nil
}

// parse returns nil for a key of a type that isn't known.
func (k *jsonKey) parse(secrets bool) (*tokenKey, error) {
	var err error
	t := &tokenKey{id: k.Kid}
	switch k.Kty {
	case "RSA":
		t.methods = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
		t.key, err = k.rsa()
	case "EC":
		t.key, t.methods, err = k.ec()
	case "OKP":
		if k.Crv != "Ed25519" {
			return nil, nil
		}
		t.methods = []string{"EdDSA"}
		t.key, err = k.ed25519()
	case "oct":
		if !secrets {
			return nil, errors.New("a secret key in a set that is fetched from an address; use a file")
		}
		t.methods = []string{"HS256", "HS384", "HS512"}
		t.key, err = k.secret()
	default:
		return nil, nil
	}
	if err != nil || t.methods == nil {
		return nil, err
	}
	if k.Alg != "" {
		if !slices.Contains(t.methods, k.Alg) {
			return nil, fmt.Errorf("alg %.16q does not go with kty %q", k.Alg, k.Kty)
		}
		t.methods = []string{k.Alg}
	}
	return t, nil
}

func decode64(name, text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("%s is not base64url", name)
	}
	return b, nil
}

func (k *jsonKey) rsa() (*rsa.PublicKey, error) {
	n, err1 := decode64("n", k.N)
	e, err2 := decode64("e", k.E)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	modulus := new(big.Int).SetBytes(n)
	exponent := new(big.Int).SetBytes(e)
	switch {
	case modulus.BitLen() < minRSA, modulus.BitLen() > maxRSA:
		return nil, fmt.Errorf("an RSA key of %d bits, want %d to %d", modulus.BitLen(), minRSA, maxRSA)
	case !exponent.IsInt64() || exponent.Int64() < 3 || exponent.Int64() > 1<<31-1 || exponent.Int64()&1 == 0:
		return nil, errors.New("e is no public exponent")
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
}

func (k *jsonKey) ec() (*ecdsa.PublicKey, []string, error) {
	var curve elliptic.Curve
	var method string
	switch k.Crv {
	case "P-256":
		curve, method = elliptic.P256(), "ES256"
	case "P-384":
		curve, method = elliptic.P384(), "ES384"
	case "P-521":
		curve, method = elliptic.P521(), "ES512"
	default:
		return nil, nil, nil
	}
	x, err1 := decode64("x", k.X)
	y, err2 := decode64("y", k.Y)
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, err
	}
	size := (curve.Params().BitSize + 7) / 8
	if len(x) > size || len(y) > size {
		return nil, nil, errors.New("x or y is too long for the curve")
	}
	point := make([]byte, 1+2*size)
	point[0] = 4 // uncompressed
	copy(point[1+size-len(x):], x)
	copy(point[1+2*size-len(y):], y)
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, nil, errors.New("x and y are no point of the curve")
	}
	return key, []string{method}, nil
}

func (k *jsonKey) ed25519() (ed25519.PublicKey, error) {
	x, err := decode64("x", k.X)
	if err == nil && len(x) != ed25519.PublicKeySize {
		err = fmt.Errorf("x has %d bytes, want %d", len(x), ed25519.PublicKeySize)
	}
	return x, err
}

func (k *jsonKey) secret() ([]byte, error) {
	s, err := decode64("k", k.K)
	if err == nil && len(s) < minSecret {
		err = fmt.Errorf("a secret of %d bytes, want %d or more", len(s), minSecret)
	}
	return s, err
}
