package mqtt

import "log/slog"

// LogValue implements slog.LogValuer: what a packet is and how long, and of a
// PUBLISH its topic. What CONNECT and AUTH hold stays out of logs.
func (p packet) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("type", p.kind.String()), slog.Int("flags", int(p.flags)), slog.Int("bytes", len(p.body))}
	if p.kind == typePublish {
		f := fields{b: p.body}
		attrs = append(attrs, slog.String("topic", clip(string(f.text("topic")))))
	}
	return slog.GroupValue(attrs...)
}
