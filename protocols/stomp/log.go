package stomp

import (
	"bytes"
	"log/slog"
)

// commandLine returns the frame's first line.
func (f *frame) commandLine() []byte {
	line, _, _ := bytes.Cut(f.raw, newline)
	return bytes.TrimSuffix(line, []byte{'\r'})
}

// LogValue implements slog.LogValuer: command and headers without secrets, and
// the body's length.
func (f *frame) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("command", clip(f.commandLine()))}
	for _, h := range f.fields {
		key, value := string(f.bytes(h.key)), clip(f.bytes(h.value))
		if f.command == cmdConnect && key == "passcode" {
			value = "***"
		}
		attrs = append(attrs, slog.String(key, value))
	}
	return slog.GroupValue(append(attrs, slog.Int("body_bytes", len(f.body)))...)
}
