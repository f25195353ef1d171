package security

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Permissions is a permissions file, compiled: who may do what.
//
// The file has a permission a line: a pattern of destinations, actions, and
// for whom.
//
//	# pattern               actions       who
//	queue://orders.>        read,write    alice @billing
//	topic://prices.*        read          *
//	topic://meters.$user.>  write         @meters
//	temp://>                create,write  *
//	"queue://my queue"      all           @operators
//
// Patterns are queue://, topic:// and temp:// (temporary queues and topics);
// '*' stands for one element of a name, a final '>' for everything below and
// the name before it. Actions are read, write, create and admin, separated by
// commas, or all; admin includes create. Who is a user, @group, or * for
// everybody who has authenticated. A field with blanks is put in double quotes.
//
// As in ActiveMQ's authorizationMap, all lines whose pattern selects a
// destination count together: what any of them grants is granted, and there is
// nothing that takes away. So a general line for a group can't be narrowed by
// a special one; grant less in the general one. What no line grants is denied:
// an empty file denies everything.
//
// The elements $user and $clientid are the connection's user and client id,
// taken literally. An id that could mean more than one plain element (one with
// '.', a wildcard of any protocol, '/', ',') matches no such line.
type Permissions struct {
	entries []*entry
	kinds   [numKinds]grantNode
}

// kind is what the prefix of a pattern says.
type kind uint8

const (
	kindQueue kind = iota
	kindTopic
	kindTemp
	numKinds
)

var kindPrefixes = [numKinds]string{"queue://", "topic://", "temp://"}

func kindOf(k message.Kind) kind {
	switch k {
	case message.KindTopic:
		return kindTopic
	case message.KindTempQueue, message.KindTempTopic:
		return kindTemp
	case message.KindQueue, message.KindNone:
	}
	return kindQueue
}

// entry is one line.
type entry struct {
	line     int
	kind     kind
	pattern  string
	variable bool // the pattern has a variable
	actions  Action
	everyone bool
	users    []string // sorted
	groups   []string // sorted
}

// The variables of patterns.
const (
	userVariable   = "$user"
	clientVariable = "$clientid"
)

const maxEntries = 100_000

// ParsePermissions reads a permissions file. The error names every line that
// is wrong.
func ParsePermissions(text string) (*Permissions, error) {
	p := &Permissions{}
	var problems []error
	err := eachLine(text, func(n int, line string) {
		if line == "" || strings.HasPrefix(line, "#") {
			return
		}
		e, err := parseEntry(line)
		if err == nil && len(p.entries) == maxEntries {
			err = fmt.Errorf("more than %d permissions", maxEntries)
		}
		if err != nil {
			if len(problems) < maxProblems {
				problems = append(problems, fmt.Errorf("line %d: %w", n, err))
			}
			return
		}
		e.line = n
		p.entries = append(p.entries, e)
		p.kinds[e.kind].insert(e)
	})
	if err = errors.Join(append(problems, err)...); err != nil {
		return nil, err
	}
	return p, nil
}

func parseEntry(line string) (*entry, error) {
	fields, err := splitFields(line)
	if err != nil {
		return nil, err
	}
	if len(fields) < 3 {
		return nil, errors.New("want a pattern, actions, and for whom, such as: queue://orders.> read,write alice @billing")
	}
	e := &entry{}
	if err := e.parsePattern(fields[0]); err != nil {
		return nil, err
	}
	if e.actions, err = ParseAction(fields[1]); err != nil {
		return nil, err
	}
	for _, who := range fields[2:] {
		if err := e.parseWho(who); err != nil {
			return nil, err
		}
	}
	e.users, e.groups = normalGroups(e.users), normalGroups(e.groups)
	return e, nil
}

// splitFields splits a line at blanks that are not in double quotes.
func splitFields(line string) (fields []string, err error) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] != '"' {
			end := strings.IndexFunc(line, unicode.IsSpace)
			if end < 0 {
				end = len(line)
			}
			fields, line = append(fields, line[:end]), line[end:]
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, errors.New("a double quote is not closed")
		}
		field, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("%.64s is not a quoted text", quoted)
		}
		fields, line = append(fields, field), line[len(quoted):]
	}
	return fields, nil
}

func (e *entry) parsePattern(text string) error {
	for k, prefix := range kindPrefixes {
		if name, ok := strings.CutPrefix(text, prefix); ok {
			e.kind, e.pattern = kind(k), name
			return e.checkPattern()
		}
	}
	return fmt.Errorf("pattern %.64q: want queue://, topic:// or temp:// and a name", text)
}

func (e *entry) checkPattern() error {
	if err := message.ValidateName(e.pattern); err != nil {
		return fmt.Errorf("pattern %.64q: %w", e.pattern, err)
	}
	if strings.Contains(e.pattern, ",") {
		return fmt.Errorf("pattern %.64q: write a line for each destination, not a list", e.pattern)
	}
	elements := strings.Split(e.pattern, ".")
	for i, element := range elements {
		switch {
		case element == userVariable, element == clientVariable:
			e.variable = true
		case strings.Contains(element, userVariable), strings.Contains(element, clientVariable):
			return fmt.Errorf("pattern %.64q: a variable is a whole element: a.$user.b", e.pattern)
		case element == ">" && i < len(elements)-1:
			return fmt.Errorf("pattern %.64q: > stands at the end", e.pattern)
		}
	}
	return nil
}

func (e *entry) parseWho(who string) error {
	if who == "*" {
		e.everyone = true
		return nil
	}
	list := &e.users
	name := who
	if group, ok := strings.CutPrefix(who, "@"); ok {
		list, name = &e.groups, group
	}
	if err := validateForeignName(name); err != nil {
		return fmt.Errorf("%.64q: %w", who, err)
	}
	*list = append(*list, name)
	return nil
}

// String writes the line.
func (e *entry) String() string {
	fields := []string{quoteField(kindPrefixes[e.kind] + e.pattern), e.actions.String()}
	if e.everyone {
		fields = append(fields, "*")
	}
	for _, u := range e.users {
		fields = append(fields, quoteField(u))
	}
	for _, g := range e.groups {
		fields = append(fields, quoteField("@"+g))
	}
	return strings.Join(fields, " ")
}

// quoteField writes a field so that splitFields reads it.
func quoteField(s string) string {
	if strings.Contains(s, `"`) || strings.ContainsFunc(s, unicode.IsSpace) {
		return strconv.Quote(s)
	}
	return s
}

// grants returns for whom of p's names the entry is: "everybody", `user
// "alice"`, `group "billing"`, or "" if it isn't for p.
func (e *entry) grants(p *Principal) string {
	if e.everyone {
		return "everybody"
	}
	if _, ok := slices.BinarySearch(e.users, p.Name); ok {
		return fmt.Sprintf("user %q", p.Name)
	}
	for _, g := range e.groups {
		if p.In(g) {
			return fmt.Sprintf("group %q", g)
		}
	}
	return ""
}

func (e *entry) isFor(p *Principal) bool {
	if e.everyone {
		return true
	}
	if _, ok := slices.BinarySearch(e.users, p.Name); ok {
		return true
	}
	return slices.ContainsFunc(e.groups, p.In)
}

// patternFor returns e's pattern with p's names in it; ok is false if a name
// must not stand there.
func (e *entry) patternFor(p *Principal) (pattern string, ok bool) {
	if !e.variable {
		return e.pattern, true
	}
	elements := strings.Split(e.pattern, ".")
	for i, el := range elements {
		var name string
		switch el {
		case userVariable:
			name = p.Name
		case clientVariable:
			name = p.ClientID
		default:
			continue
		}
		if !literal(name) {
			return "", false
		}
		elements[i] = name
	}
	return strings.Join(elements, "."), true
}

// Allowed returns what p may do to d, one destination without wildcards.
func (ps *Permissions) Allowed(p *Principal, d message.Destination) (a Action) {
	ps.kinds[kindOf(d.Kind)].match(newLookup(p), d.Name, func(e *entry) {
		if e.isFor(p) {
			a |= e.actions
		}
	})
	return a
}

// AllowedPattern returns what p may do to every destination that the pattern d
// selects, by a single line, and what it may do to some of them.
func (ps *Permissions) AllowedPattern(p *Principal, d message.Destination) (all, some Action) {
	for _, e := range ps.entries {
		if e.kind != kindOf(d.Kind) || !e.isFor(p) {
			continue
		}
		pattern, ok := e.patternFor(p)
		if !ok {
			continue
		}
		if message.Covers(pattern, d.Name) {
			all |= e.actions
		}
		if overlap(pattern, d.Name) {
			some |= e.actions
		}
	}
	return all, some
}

// overlap reports whether some name is selected by both patterns.
func overlap(a, b string) bool {
	for {
		x, xrest, xmore := strings.Cut(a, ".")
		y, yrest, ymore := strings.Cut(b, ".")
		if x == ">" || y == ">" {
			return true
		}
		if x != y && x != "*" && y != "*" {
			return false
		}
		switch {
		case !xmore && !ymore:
			return true
		case !xmore:
			return endsBelow(yrest)
		case !ymore:
			return endsBelow(xrest)
		}
		a, b = xrest, yrest
	}
}

// endsBelow reports whether the rest of a pattern selects the name before it.
func endsBelow(rest string) bool { return rest == ">" || strings.HasPrefix(rest, ">.") }

// Decision is an answer, and the reason for operators and users.
type Decision struct {
	Allowed bool
	Why     string
}

// Explain says whether p may do a, one action, to d and why.
func (ps *Permissions) Explain(p *Principal, a Action, d message.Destination) Decision {
	var granting *entry
	var others []int
	ps.kinds[kindOf(d.Kind)].match(newLookup(p), d.Name, func(e *entry) {
		switch {
		case !e.actions.Has(a) || !e.isFor(p):
			if len(others) < maxProblems {
				others = append(others, e.line)
			}
		case granting == nil || e.line < granting.line:
			granting = e
		}
	})
	if granting != nil {
		return Decision{true, fmt.Sprintf("line %d of the permissions, %q, grants %s to %s", granting.line, granting.String(), a, granting.grants(p))}
	}
	why := fmt.Sprintf("no permission grants %s on %s to user %q", a, d, p.Name)
	if len(p.Groups) > 0 {
		why += " or its groups " + strings.Join(p.Groups, ", ")
	}
	if len(others) > 0 {
		slices.Sort(others)
		why += "; lines for this destination that grant something else, or to others: " + strings.Trim(fmt.Sprint(others), "[]")
	}
	return Decision{false, why + ps.unusable(p, a, d)}
}

// unusable says whether a line would have granted a if a name of p could stand
// in its pattern.
func (ps *Permissions) unusable(p *Principal, a Action, d message.Destination) string {
	for _, e := range ps.entries {
		if !e.variable || e.kind != kindOf(d.Kind) || !e.actions.Has(a) || !e.isFor(p) {
			continue
		}
		if _, ok := e.patternFor(p); !ok {
			return fmt.Sprintf("; line %d can't be used, because the user or client id that it stands for is empty or holds one of . * > / + # , ? $", e.line)
		}
	}
	return ""
}
