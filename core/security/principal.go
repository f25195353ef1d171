package security

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Method is how a client proved who it is.
type Method uint8

// The methods.
const (
	ByPassword Method = iota + 1
	ByCertificate
	ByToken
)

// String returns the method's name as logs show it.
func (m Method) String() string {
	switch m {
	case ByPassword:
		return "password"
	case ByCertificate:
		return "certificate"
	case ByToken:
		return "token"
	}
	return "none"
}

// Principal is who a client was proven to be. It is immutable.
type Principal struct {
	Name    string
	Groups  []string // sorted
	How     Method
	Expires time.Time // when the proof ends (a token's exp), zero for never

	// ClientID is what $clientid stands for in permissions. The broker sets it
	// with WithClientID once the connection has one.
	ClientID string

	// entry is what of the users file the password was checked against: another
	// one ends the session at the next reload.
	entry string
}

// WithClientID returns p on a connection with that client id.
func (p *Principal) WithClientID(id string) *Principal {
	c := *p
	c.ClientID = id
	return &c
}

// In reports whether p is in a group.
func (p *Principal) In(group string) bool {
	_, found := slices.BinarySearch(p.Groups, group)
	return found
}

// Limits of names of users and groups.
const (
	maxName   = 256 // bytes
	maxGroups = 256 // of one user
)

var (
	errNameEmpty = errors.New("the name is empty")
	errNameLong  = fmt.Errorf("the name is longer than %d bytes", maxName)
	errNameText  = errors.New("the name is not valid UTF-8, or holds a control character")
	errNameMark  = errors.New(`the name holds a blank, or one of : , " or starts with # @ * or $`)
)

// ValidateName reports whether name can be a user's or a group's, so that it
// can be written in the users file and in the permissions file.
func ValidateName(name string) error {
	switch {
	case name == "":
		return errNameEmpty
	case len(name) > maxName:
		return errNameLong
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return errNameText
	case strings.ContainsAny(name[:1], "#@*$"), strings.ContainsAny(name, `:,"`), strings.ContainsFunc(name, unicode.IsSpace):
		return errNameMark
	}
	return nil
}

// validateForeignName checks a name that others than the operator chose: it may
// hold what the files can't (a URI has colons), but nothing that could be taken
// for something else in logs.
func validateForeignName(name string) error {
	switch {
	case name == "":
		return errNameEmpty
	case len(name) > maxName:
		return errNameLong
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return errNameText
	}
	return nil
}

// literal reports whether name may stand for a variable in a pattern: it is
// one element of a destination's name in every protocol's spelling, and no
// wildcard of any. A user called "a.b" or "+" must not reach the places of
// others through a pattern that was written for plain names.
func literal(name string) bool {
	return name != "" && !strings.ContainsAny(name, ".*>/+#,$?") && !strings.ContainsFunc(name, unicode.IsControl)
}

// normalGroups sorts groups and removes doubles.
func normalGroups(groups []string) []string {
	groups = slices.Clone(groups)
	slices.Sort(groups)
	return slices.Compact(groups)
}
