package security

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Parameters of new verifiers. Every login costs the client the iterations, a
// small device too; and clients that use Cyrus SASL refuse more than 65,536.
const (
	scramIterations = 32_768
	scramSalt       = 16 // bytes
)

// Bounds of verifiers that are accepted. The lower one is RFC 7677's; above
// the other a broker would keep its clients busy.
const (
	minScramIterations, maxScramIterations = 4096, 10_000_000
	minScramSalt, maxScramSalt             = 8, 64 // bytes
	verifierPrefix                         = "$scram-sha-256$"
)

var errVerifierFormat = errors.New("the SCRAM verifier is not a SCRAM-SHA-256 one of 4096 iterations at least: make a new one with 'entrepot user passwd'")

// verifier is what SCRAM-SHA-256 needs to know of a password (RFC 5802, 3),
// and can't be used in its stead. The zero value is no verifier.
type verifier struct {
	text       string // as the users file has it
	iterations int
	salt       []byte
	stored     [sha256.Size]byte // StoredKey
	server     [sha256.Size]byte // ServerKey
}

// NewVerifier returns what SCRAM-SHA-256 logins with password are checked
// against, for the users file.
func NewVerifier(password string) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	salt := make([]byte, scramSalt)
	_, _ = rand.Read(salt) // never fails since Go 1.24
	v, err := newVerifier(password, salt, scramIterations)
	return v.text, err
}

func newVerifier(password string, salt []byte, iterations int) (v verifier, err error) {
	salted, err := pbkdf2.Key(sha256.New, saslPrepared(password), salt, iterations, sha256.Size)
	if err != nil {
		return v, fmt.Errorf("derive a key from the password: %w", err)
	}
	v = verifier{
		iterations: iterations, salt: salt,
		stored: sha256.Sum256(keyed(salted, "Client Key")), server: [sha256.Size]byte(keyed(salted, "Server Key")),
	}
	b64 := base64.RawStdEncoding
	v.text = fmt.Sprintf("%si=%d$%s$%s$%s", verifierPrefix, iterations,
		b64.EncodeToString(salt), b64.EncodeToString(v.stored[:]), b64.EncodeToString(v.server[:]))
	return v, nil
}

// keyed is HMAC-SHA-256 of text.
func keyed(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// parseVerifier reads $scram-sha-256$i=iterations$salt$StoredKey$ServerKey,
// where salt and keys are base64 without padding.
func parseVerifier(text string) (v verifier, err error) {
	v.text = text
	rest, ok := strings.CutPrefix(text, verifierPrefix)
	fields := strings.Split(rest, "$")
	if !ok || len(text) > maxHash || len(fields) != 4 {
		return v, errVerifierFormat
	}
	count, ok := strings.CutPrefix(fields[0], "i=")
	if v.iterations, err = strconv.Atoi(count); err != nil || !ok {
		return v, errVerifierFormat
	}
	b64 := base64.RawStdEncoding.Strict()
	var err1, err2, err3 error
	var stored, server []byte
	v.salt, err1 = b64.DecodeString(fields[1])
	stored, err2 = b64.DecodeString(fields[2])
	server, err3 = b64.DecodeString(fields[3])
	switch {
	case err1 != nil, err2 != nil, err3 != nil, len(stored) != sha256.Size, len(server) != sha256.Size,
		v.iterations < minScramIterations, len(v.salt) < minScramSalt, len(v.salt) > maxScramSalt:
		return v, errVerifierFormat
	case v.iterations > maxScramIterations:
		return v, errHashCostly
	}
	v.stored, v.server = [sha256.Size]byte(stored), [sha256.Size]byte(server)
	return v, nil
}
