package matrix

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Value is a typed value as text: "int:-3", "string:é", "binary:00ff" (in
// hexadecimal). The types are those of the conversion table.
type Value string

// Split returns type and text.
func (v Value) Split() (kind, text string) {
	kind, text, _ = strings.Cut(string(v), ":")
	return kind, text
}

// Entry is a property, an entry of a map or, without a name, of a list.
type Entry struct {
	Name  string
	Value Value
}

// Content is a message as a client of a protocol sees it.
type Content struct {
	Form       string            // how the protocol holds the body, in its words
	Text       string            // of a body of text; in hexadecimal of one of bytes
	Entries    []Entry           // of a body that is a map, a list or one value
	Properties []Entry           // the application's
	Headers    map[string]string // the table's names, the protocol's spelling
	Durable    bool
}

// String spells the content so that equal ones are spelled equally: maps and
// properties have no order, JSON has no layout.
func (c Content) String() string {
	var b strings.Builder
	text := c.Text
	switch c.Form {
	case formJSON:
		text = sortedJSON(text)
	case formPayload:
		if raw, err := hex.DecodeString(text); err == nil && bytes.HasPrefix(raw, []byte{'{'}) {
			text = sortedJSON(string(raw))
		}
	}
	fmt.Fprintf(&b, "%s %q", c.Form, text)
	list := slices.Clone(c.Entries)
	if strings.Contains(strings.ToLower(c.Form), "map") {
		sortEntries(list)
	}
	for _, e := range list {
		fmt.Fprintf(&b, " [%s=%q]", e.Name, e.Value)
	}
	properties := slices.Clone(c.Properties)
	sortEntries(properties)
	for _, p := range properties {
		fmt.Fprintf(&b, "\n  property %s=%q", p.Name, p.Value)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		fmt.Fprintf(&b, "\n  %s: %s", name, c.Headers[name])
	}
	fmt.Fprintf(&b, "\n  durable: %v", c.Durable)
	return b.String()
}

func sortedJSON(text string) string {
	var parsed any
	if json.Unmarshal([]byte(text), &parsed) != nil {
		return text
	}
	sorted, _ := json.Marshal(parsed)
	return string(sorted)
}

func sortEntries(list []Entry) {
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
}
