package embedded

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newZap returns a logger for etcd that writes to log. etcd says much that an
// operator of a broker can't use: what it calls information and warnings is
// seen at level debug, its errors are warnings, because the group goes on
// while a majority of members does.
// What fails once closing is set fails because of that.
func newZap(log *slog.Logger, closing *atomic.Bool) *zap.Logger {
	return zap.New(&core{handler: log.With("component", "etcd").Handler(), closing: closing})
}

// core is a zapcore.Core on a slog.Handler.
type core struct {
	handler slog.Handler
	closing *atomic.Bool
}

func (c *core) severity(l zapcore.Level) slog.Level {
	switch l {
	case zapcore.DebugLevel:
		return slog.LevelDebug - 4
	case zapcore.InfoLevel, zapcore.WarnLevel, zapcore.InvalidLevel:
		return slog.LevelDebug
	case zapcore.ErrorLevel:
		if c.closing.Load() {
			return slog.LevelDebug
		}
		return slog.LevelWarn
	case zapcore.DPanicLevel, zapcore.PanicLevel, zapcore.FatalLevel:
		return slog.LevelError
	}
	return slog.LevelError
}

// Enabled implements zapcore.LevelEnabler.
func (c *core) Enabled(l zapcore.Level) bool {
	return c.handler.Enabled(context.Background(), c.severity(l))
}

// With implements zapcore.Core.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{handler: c.handler.WithAttrs(attributes(fields)), closing: c.closing}
}

// Check implements zapcore.Core.
func (c *core) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

// Write implements zapcore.Core.
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	at := e.Time
	if at.IsZero() {
		at = time.Now()
	}
	r := slog.NewRecord(at, c.severity(e.Level), e.Message, 0)
	r.AddAttrs(attributes(fields)...)
	return c.handler.Handle(context.Background(), r)
}

// Sync implements zapcore.Core.
func (c *core) Sync() error { return nil }

// attributes translates fields one by one, so that their order stays.
func attributes(fields []zapcore.Field) []slog.Attr {
	out := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		m := zapcore.NewMapObjectEncoder()
		f.AddTo(m)
		if v, ok := m.Fields[f.Key]; ok {
			out = append(out, slog.Any(f.Key, v))
		}
	}
	return out
}
