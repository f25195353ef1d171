package security

import "log/slog"

// Secret is a text that must not be shown: it prints as *** wherever it is
// formatted, logged or encoded. Reveal returns the text.
type Secret struct{ text string }

const hidden = "***"

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns what is hidden.
func (s Secret) Reveal() string { return s.text }

// IsEmpty reports whether nothing is hidden.
func (s Secret) IsEmpty() bool { return s.text == "" }

// String implements fmt.Stringer.
func (Secret) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return hidden }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler, which JSON and YAML use.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
