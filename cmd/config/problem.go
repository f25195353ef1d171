package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// SettingError is one thing that is wrong with the configuration, in an operator's
// words.
type SettingError struct {
	Where   string // "entrepot.yaml:3:5", "ENTREPOT_LOG_LEVEL", "--set", "default"
	Key     string // "store.sync", "" if no key is concerned
	Message string
	Hint    string // what to do, "" if the message says it
	Excerpt string // lines of the file with a mark, "" outside a file
}

// Error implements error.
func (p *SettingError) Error() string {
	var b strings.Builder
	b.WriteString(p.Where)
	if p.Key != "" {
		b.WriteString(": " + p.Key)
	}
	b.WriteString(": " + p.Message)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	if p.Excerpt != "" {
		b.WriteString("\n" + strings.TrimSuffix(p.Excerpt, "\n"))
	}
	return b.String()
}

// InvalidError is returned for a configuration that can't be used. It wraps
// every [SettingError] found.
type InvalidError struct{ err error }

// Invalid joins problems; it returns nil if there are none.
func Invalid(problems ...error) error {
	if err := errors.Join(problems...); err != nil {
		return &InvalidError{err}
	}
	return nil
}

// Error implements error.
func (e *InvalidError) Error() string { return "the configuration is not usable:\n" + e.err.Error() }

// Unwrap returns the joined problems.
func (e *InvalidError) Unwrap() error { return e.err }

// excerpt returns the line with its neighbours and a mark under the column,
// both counted from 1.
func excerpt(src string, line, column int) string {
	const widest = 120
	lines := strings.Split(src, "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	var b strings.Builder
	for n := max(1, line-1); n <= min(len(lines), line+1); n++ {
		text := strings.TrimRight(lines[n-1], "\r")
		if n > line && strings.TrimSpace(text) == "" {
			continue
		}
		if len(text) > widest {
			text = strings.ToValidUTF8(text[:widest], "") + "..."
		}
		fmt.Fprintf(&b, "%6d | %s\n", n, text)
		if n == line {
			at := min(max(column, 1), utf8.RuneCountInString(text)+1)
			fmt.Fprintf(&b, "       | %s^\n", strings.Repeat(" ", at-1))
		}
	}
	return b.String()
}
