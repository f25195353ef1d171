package security

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
)

// Audit keeps what administrators do: each event is a line of the broker's
// log with audit=true, and of a file of its own if there is one. Its methods
// may be called from any goroutine, those of a nil Audit too.
type Audit struct {
	log  *slog.Logger
	own  *slog.Logger // nil without a file
	file io.Closer
}

// Event is something that an administrator did, or tried.
type Event struct {
	Who    string // user name, or what stands for one ("signal")
	How    string // Method.String(), or the way ("SIGHUP")
	Remote string // the address it came from, "" from this machine
	Action string // verb and noun: "purge queue"
	Target string // what it was done to
	Err    error  // why it was not done
}

// OpenAudit appends to file as JSON lines if file isn't "", and logs to log.
func OpenAudit(file string, log *slog.Logger) (*Audit, error) {
	a := &Audit{log: log}
	if file == "" {
		return a, nil
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	a.own, a.file = slog.New(slog.NewJSONHandler(f, nil)), f
	return a, nil
}

// Record keeps one event.
func (a *Audit) Record(ctx context.Context, e Event) {
	if a == nil {
		return
	}
	attrs := []slog.Attr{
		slog.Bool("audit", true), slog.String("user", e.Who), slog.String("how", e.How),
		slog.String("action", e.Action), slog.String("target", e.Target), slog.Bool("ok", e.Err == nil),
	}
	if e.Remote != "" {
		attrs = append(attrs, slog.String("remote", e.Remote))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "administration", attrs...)
	if a.own != nil {
		a.own.LogAttrs(ctx, slog.LevelInfo, "administration", attrs...)
	}
}

// Close closes the file.
func (a *Audit) Close() error {
	if a == nil || a.file == nil {
		return nil
	}
	return a.file.Close()
}
