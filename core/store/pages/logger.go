package pages

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// badgerLog hands Badger's messages on. What Badger calls an error is a warning here: an error that
// matters comes back from a call and is logged by whoever handles it.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(format string, v ...any)   { l.print(slog.LevelWarn, format, v) }
func (l badgerLog) Warningf(format string, v ...any) { l.print(slog.LevelWarn, format, v) }
func (l badgerLog) Infof(format string, v ...any)    { l.print(slog.LevelDebug, format, v) }
func (l badgerLog) Debugf(format string, v ...any)   { l.print(slog.LevelDebug, format, v) }

func (l badgerLog) print(level slog.Level, format string, v []any) {
	ctx := context.Background()
	if !l.log.Enabled(ctx, level) {
		return
	}
	if text := strings.TrimSpace(fmt.Sprintf(format, v...)); text != "" {
		l.log.Log(ctx, level, "badger", "text", text)
	}
}
