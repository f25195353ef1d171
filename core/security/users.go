package security

import (
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
//	# name:password hash[:group,group...]
//	alice:$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$a2V5:operators,billing
//	meter-17:*:meters
//
// Hashes are argon2id in PHC format or bcrypt ($2a$, $2b$, $2y$), so that a
// file of "htpasswd -B" can be taken as it is; other formats are refused.
// "*" is a user that no password logs in: a certificate or a token does, and
// the line gives the groups. Empty lines and lines that start with # are kept
// when a program changes the file. An empty file has no users: nobody gets in.
type Users struct {
	lines []userLine
	index map[string]int // of lines, by name
	real  []int          // of lines with a password
}

// userLine is a line of the file; without a user it is a comment.
type userLine struct {
	text string // of a comment
	user *User
}

// User is an entry of the users file.
type User struct {
	Name   string
	Groups []string // sorted
	hash   hash
}

// HasPassword reports whether a password can log the user in.
func (u *User) HasPassword() bool { return !u.hash.none }

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
	if len(u.Groups) > 0 {
		b = append(append(b, ':'), strings.Join(u.Groups, ",")...)
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
		user, err := parseUser(line)
		if err == nil {
			err = u.insert(user)
		}
		if err != nil && len(problems) < maxProblems {
			problems = append(problems, fmt.Errorf("line %d: %w", n, err))
		}
	})
	if err = errors.Join(append(problems, err)...); err != nil {
		return nil, err
	}
	return u, nil
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
	text, groups, _ := strings.Cut(rest, ":")
	h, err := parseHash(text)
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	u := &User{Name: name, hash: h}
	if groups == "" {
		return u, nil
	}
	if u.Groups, err = ParseGroups(groups); err != nil {
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
	u.index[user.Name] = len(u.lines)
	if user.HasPassword() {
		u.real = append(u.real, len(u.lines))
	}
	u.lines = append(u.lines, userLine{user: user})
	return nil
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

// SetHash changes a user's password.
func (u *Users) SetHash(name, hash string) error {
	h, err := parseHash(hash)
	if err != nil {
		return err
	}
	i, ok := u.index[name]
	if !ok {
		return fmt.Errorf("user %q: %w", name, ErrUserUnknown)
	}
	changed := *u.lines[i].user
	changed.hash = h
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
	u.real = u.real[:0]
	for i, l := range u.lines {
		if l.user == nil {
			continue
		}
		u.index[l.user.Name] = i
		if l.user.HasPassword() {
			u.real = append(u.real, i)
		}
	}
}

// NoPassword is the hash of a user that no password logs in.
const NoPassword = noPassword
