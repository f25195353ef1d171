package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"
)

// logging is the broker's log and the knobs that a reload turns.
type logging struct {
	*slog.Logger
	level *slog.LevelVar
	text  bool // for people, not for programs
	out   io.Writer
}

// newLogging logs to w: text on a terminal and JSON otherwise, or as format says.
func newLogging(w io.Writer, format, level string) (*logging, error) {
	l := &logging{level: &slog.LevelVar{}, out: w, text: format == "text" || format == "auto" && isTerminal(w)}
	if err := l.setLevel(level); err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: l.level}
	if l.text {
		l.Logger = slog.New(slog.NewTextHandler(w, options))
	} else {
		options.ReplaceAttr = spell
		l.Logger = slog.New(slog.NewJSONHandler(w, options))
	}
	return l, nil
}

// spell writes durations and addresses in JSON as they are in a text: "1.5s"
// and "127.0.0.1:61613", not nanoseconds and an object of the address's parts.
func spell(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case time.Duration:
		a.Value = slog.StringValue(v.String())
	case net.Addr:
		a.Value = slog.StringValue(v.String())
	}
	return a
}

func (l *logging) setLevel(level string) error {
	var v slog.Level
	if err := v.UnmarshalText([]byte(level)); err != nil {
		return fmt.Errorf("log.level: %w", err)
	}
	l.level.Set(v)
	return nil
}

// dump logs a text of many lines: as it is for people, in an attribute for
// programs.
func (l *logging) dump(text string) {
	if !l.text {
		l.Info("dump", "text", text)
		return
	}
	l.Info("dump")
	fmt.Fprintln(l.out, text)
}
