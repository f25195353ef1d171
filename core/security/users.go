package security

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of the files that operators write.
const (
	MaxFile  = 64 << 20 // bytes of the users file or the permissions file
	maxLine  = 4 << 10  // bytes
	maxUsers = 200_000
)

// Users is a users file: who there is.
//
// The file has a user a line:
//
//	# name:password hash[:[group,group...][:SCRAM verifier]]
//	alice:$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$a2V5:operators,billing
//	bob:$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$a2V5::$scram-sha-256$i=32768$c2FsdA$a2V5$a2V5
//	meter-17:*:meters
//	*scram:c2VjcmV0
//
// Hashes are argon2id in PHC format or bcrypt ($2a$, $2b$, $2y$), so that a
// file of "htpasswd -B" can be taken as it is; other formats are refused.
// "*" is a user that no password logs in: a certificate or a token does, and
// the line gives the groups. Only users with a verifier can log in with SCRAM,
// which a password's hash is of no use for. *scram is a secret, in base64: what
// makes names that aren't there look to SCRAM like others, after a restart and
// on every node too. Empty lines and lines that start with # are kept when a
// program changes the file. An empty file has no users: nobody gets in.
type Users struct {
	lines     []userLine
	index     map[string]int // of lines, by name
	real      []int          // of lines with a hash
	verified  []int          // of lines with a verifier
	plainOnly int            // users with a hash and no verifier
	secret    []byte         // of *scram, nil without
}

// userLine is a line of the file; without a user it is a comment, or the secret.
type userLine struct {
	text string
	user *User
}

// The secret's line. No user is called like that.
const (
	secretPrefix = "*scram:"
	secretBytes  = 32
)

// User is an entry of the users file.
type User struct {
	Name     string
	Groups   []string // sorted
	hash     hash
	verifier verifier
}

// HasPassword reports whether a password can log the user in.
func (u *User) HasPassword() bool { return !u.hash.none || u.HasVerifier() }

// HasVerifier reports whether the user can log in with SCRAM.
func (u *User) HasVerifier() bool { return u.verifier.text != "" }

// entry is all that the file has of the user's password.
func (u *User) entry() string { return u.hash.text + ":" + u.verifier.text }

// principal is the user, who gave the right password.
func (u *User) principal() *Principal {
	return &Principal{Name: u.Name, Groups: u.Groups, How: ByPassword, entry: u.entry()}
}

// Scheme names how the password is kept: "argon2id", "bcrypt" or "none".
func (u *User) Scheme() string {
	switch {
	case u.hash.none:
		return "none"
	case u.hash.bcrypt:
		return "bcrypt"
	}
	return "argon2id"
}

func (u *User) append(b []byte) []byte {
	b = append(append(append(b, u.Name...), ':'), u.hash.text...)
	if len(u.Groups) > 0 || u.HasVerifier() {
		b = append(append(b, ':'), strings.Join(u.Groups, ",")...)
	}
	if u.HasVerifier() {
		b = append(append(b, ':'), u.verifier.text...)
	}
	return b
}

// Errors of changes to the users file.
var (
	ErrUserExists  = errors.New("the user exists already")
	ErrUserUnknown = errors.New("there is no such user")
)

// ParseUsers reads a users file. The error names every line that is wrong.
func ParseUsers(text string) (*Users, error) {
	u := &Users{index: make(map[string]int)}
	var problems []error
	err := eachLine(text, func(n int, line string) {
		if line == "" || strings.HasPrefix(line, "#") {
			u.lines = append(u.lines, userLine{text: line})
			return
		}
		err := u.parseLine(line)
		if err != nil && len(problems) < maxProblems {
			problems = append(problems, fmt.Errorf("line %d: %w", n, err))
		}
	})
	if err = errors.Join(append(problems, err)...); err != nil {
		return nil, err
	}
	return u, nil
}

func (u *Users) parseLine(line string) error {
	if text, ok := strings.CutPrefix(line, secretPrefix); ok {
		secret, err := base64.RawStdEncoding.Strict().DecodeString(text)
		if err != nil || len(secret) != secretBytes || u.secret != nil {
			return fmt.Errorf("the secret of SCRAM is %d bytes in base64, and there is one", secretBytes)
		}
		u.secret = secret
		u.lines = append(u.lines, userLine{text: line})
		return nil
	}
	user, err := parseUser(line)
	if err != nil {
		return err
	}
	return u.insert(user)
}

// maxProblems bounds what an error lists of a file that is wrong throughout.
const maxProblems = 20

// eachLine calls fn with each line of a file, without its end and the blanks
// around it.
func eachLine(text string, fn func(n int, line string)) error {
	if len(text) > MaxFile {
		return fmt.Errorf("the file has %d bytes, the limit is %d", len(text), MaxFile)
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		if len(line) > maxLine {
			return fmt.Errorf("line %d has %d bytes, the limit is %d", n, len(line), maxLine)
		}
		fn(n, strings.TrimSpace(line))
	}
	return nil
}

func parseUser(line string) (*User, error) {
	name, rest, ok := strings.Cut(line, ":")
	if !ok {
		return nil, errors.New("want name:hash or name:hash:groups")
	}
	if err := ValidateName(name); err != nil {
		return nil, err
	}
	text, rest, _ := strings.Cut(rest, ":")
	groups, scram, hasVerifier := strings.Cut(rest, ":")
	u := &User{Name: name}
	var err1, err2, err3 error
	u.hash, err1 = parseHash(text)
	u.Groups, err2 = ParseGroups(groups)
	if hasVerifier {
		u.verifier, err3 = parseVerifier(scram)
	}
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	return u, nil
}

// ParseGroups reads names of groups separated by commas.
func ParseGroups(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	groups := strings.Split(text, ",")
	if len(groups) > maxGroups {
		return nil, fmt.Errorf("%d groups, the limit is %d", len(groups), maxGroups)
	}
	for _, g := range groups {
		if err := ValidateName(g); err != nil {
			return nil, fmt.Errorf("group %q: %w", g, err)
		}
	}
	return normalGroups(groups), nil
}

func (u *Users) insert(user *User) error {
	if _, ok := u.index[user.Name]; ok {
		return fmt.Errorf("user %q: %w", user.Name, ErrUserExists)
	}
	if len(u.index) >= maxUsers {
		return fmt.Errorf("more than %d users", maxUsers)
	}
	u.count(user, len(u.lines))
	u.lines = append(u.lines, userLine{user: user})
	return nil
}

// count takes the user of a line into the indexes.
func (u *Users) count(user *User, line int) {
	u.index[user.Name] = line
	if !user.hash.none {
		u.real = append(u.real, line)
	}
	switch {
	case user.HasVerifier():
		u.verified = append(u.verified, line)
	case !user.hash.none:
		u.plainOnly++
	}
}

// Find returns the user of that name, nil if there is none.
func (u *Users) Find(name string) *User {
	if i, ok := u.index[name]; ok {
		return u.lines[i].user
	}
	return nil
}

// Len returns the number of users.
func (u *Users) Len() int { return len(u.index) }

// All returns the users in the order of the file.
func (u *Users) All() []*User {
	all := make([]*User, 0, len(u.index))
	for _, l := range u.lines {
		if l.user != nil {
			all = append(all, l.user)
		}
	}
	return all
}

// String writes the file: what was read, with the changes made since.
func (u *Users) String() string {
	var b []byte
	for _, l := range u.lines {
		if l.user == nil {
			b = append(b, l.text...)
		} else {
			b = l.user.append(b)
		}
		b = append(b, '\n')
	}
	return string(b)
}

// Add appends a user with a hash from HashPassword, or without a password if
// hash is "*". It refuses a name that is there.
func (u *Users) Add(name, hash string, groups []string) error {
	if err := ValidateName(name); err != nil {
		return err
	}
	h, err := parseHash(hash)
	if err != nil {
		return err
	}
	return u.insert(&User{Name: name, hash: h, Groups: normalGroups(groups)})
}

// SetHash changes a user's password, and takes the SCRAM verifier of the one
// before away.
func (u *Users) SetHash(name, hash string) error {
	h, err := parseHash(hash)
	if err != nil {
		return err
	}
	return u.edit(name, func(user *User) { user.hash, user.verifier = h, verifier{} })
}

// SetVerifier lets a user log in with SCRAM: text is from NewVerifier, for the
// same password as the hash.
func (u *Users) SetVerifier(name, text string) error {
	v, err := parseVerifier(text)
	if err != nil {
		return err
	}
	if err := u.edit(name, func(user *User) { user.verifier = v }); err != nil || u.secret != nil {
		return err
	}
	u.secret = make([]byte, secretBytes)
	_, _ = rand.Read(u.secret) // never fails since Go 1.24
	u.lines = append(u.lines, userLine{text: secretPrefix + base64.RawStdEncoding.EncodeToString(u.secret)})
	return nil
}

func (u *Users) edit(name string, change func(*User)) error {
	i, ok := u.index[name]
	if !ok {
		return fmt.Errorf("user %q: %w", name, ErrUserUnknown)
	}
	changed := *u.lines[i].user
	change(&changed)
	u.lines[i].user = &changed
	u.reindex()
	return nil
}

// Remove takes a user out.
func (u *Users) Remove(name string) error {
	i, ok := u.index[name]
	if !ok {
		return fmt.Errorf("user %q: %w", name, ErrUserUnknown)
	}
	u.lines = slices.Delete(u.lines, i, i+1)
	u.reindex()
	return nil
}

func (u *Users) reindex() {
	clear(u.index)
	u.real, u.verified, u.plainOnly = u.real[:0], u.verified[:0], 0
	for i, l := range u.lines {
		if l.user != nil {
			u.count(l.user, i)
		}
	}
}

// NoPassword is the hash of a user that no password logs in.
const NoPassword = noPassword
