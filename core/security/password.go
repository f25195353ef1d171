package security

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Parameters of new hashes: OWASP's smallest set for argon2id with 19 MiB, so
// that an edge device can check a password too.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16 // bytes
	argonKey     = 32 // bytes
)

// Bounds of hashes that are accepted: below they are too weak to keep, above
// a login would cost the broker too much.
const (
	minArgonMemory, maxArgonMemory = 7 * 1024, 256 * 1024 // KiB
	maxArgonTime, maxArgonThreads  = 16, 16
	minArgonSalt, minArgonKey      = 8, 16 // bytes
	maxArgonSalt, maxArgonKey      = 64, 64
	minBcryptCost, maxBcryptCost   = 5, 15
	maxBcryptPassword              = 72 // bytes that bcrypt looks at
	maxHash                        = 512
	argonPrefix                    = "$argon2id$"
	noPassword                     = "*" // of users who log in with a certificate or a token only
)

// MaxPassword is the longest password in bytes.
const MaxPassword = 1024

// Errors of hashes.
var (
	ErrPasswordEmpty = errors.New("the password is empty")
	ErrPasswordLong  = fmt.Errorf("the password is longer than %d bytes", MaxPassword)

	errHashFormat = errors.New("the password hash is neither argon2id nor bcrypt: make a new one with 'entrepot user passwd'")
	errHashWeak   = errors.New("the password hash is too weak")
	errHashCostly = errors.New("the password hash costs too much to check")
)

// hash is a parsed entry of the users file.
type hash struct {
	text    string
	bcrypt  bool
	none    bool // no password is right
	memory  uint32
	time    uint32
	threads uint8
	salt    []byte
	key     []byte
}

// HashPassword returns a new argon2id hash of password, in PHC format.
func HashPassword(password string) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails since Go 1.24
	return newHash(password, salt), nil
}

func newHash(password string, salt []byte) string {
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("%sv=%d$m=%d,t=%d,p=%d$%s$%s", argonPrefix, argon2.Version, argonMemory, argonTime, argonThreads,
		b64.EncodeToString(salt), b64.EncodeToString(key))
}

func checkPassword(password string) error {
	switch {
	case password == "":
		return ErrPasswordEmpty
	case len(password) > MaxPassword:
		return ErrPasswordLong
	}
	return nil
}

// parseHash reads an argon2id hash in PHC format, a bcrypt hash, or "*".
func parseHash(text string) (hash, error) {
	h := hash{text: text}
	switch {
	case text == noPassword:
		h.none = true
		return h, nil
	case len(text) > maxHash:
		return h, errHashFormat
	case strings.HasPrefix(text, argonPrefix):
		return h, h.parseArgon()
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		return h, h.parseBcrypt()
	}
	return h, errHashFormat
}

func (h *hash) parseBcrypt() error {
	h.bcrypt = true
	cost, err := bcrypt.Cost([]byte(h.text))
	switch {
	case err != nil || len(h.text) != 60:
		return errHashFormat
	case cost < minBcryptCost:
		return errHashWeak
	case cost > maxBcryptCost:
		return errHashCostly
	}
	return nil
}

func (h *hash) parseArgon() error {
	fields := strings.Split(strings.TrimPrefix(h.text, argonPrefix), "$")
	if len(fields) != 4 || fields[0] != "v="+strconv.Itoa(argon2.Version) {
		return errHashFormat
	}
	parameters := strings.Split(fields[1], ",")
	if len(parameters) != 3 {
		return errHashFormat
	}
	var n [3]uint64
	for i, name := range []string{"m=", "t=", "p="} {
		text, ok := strings.CutPrefix(parameters[i], name)
		v, err := strconv.ParseUint(text, 10, 31)
		if !ok || err != nil || v == 0 {
			return errHashFormat
		}
		n[i] = v
	}
	var err1, err2 error
	h.salt, err1 = base64.RawStdEncoding.Strict().DecodeString(fields[2])
	h.key, err2 = base64.RawStdEncoding.Strict().DecodeString(fields[3])
	switch {
	case err1 != nil, err2 != nil, len(h.salt) > maxArgonSalt, len(h.key) > maxArgonKey:
		return errHashFormat
	case n[0] < minArgonMemory, len(h.salt) < minArgonSalt, len(h.key) < minArgonKey:
		return errHashWeak
	case n[0] > maxArgonMemory, n[1] > maxArgonTime, n[2] > maxArgonThreads:
		return errHashCostly
	}
	h.memory, h.time, h.threads = uint32(n[0]), uint32(n[1]), uint8(n[2])
	return nil
}

// matches does the work of checking password, and reports whether it is right.
func (h *hash) matches(password string) bool {
	if h.none {
		return false
	}
	if h.bcrypt {
		// Beyond its limit bcrypt would take any password that starts alike.
		err := bcrypt.CompareHashAndPassword([]byte(h.text), []byte(password[:min(len(password), maxBcryptPassword)]))
		return err == nil && len(password) <= maxBcryptPassword
	}
	key := argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1
}
