package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/entrepot-mq/entrepot/cmd/config"
)

// What the process ends with.
const (
	exitOK       = 0
	exitError    = 1
	exitUsage    = 2
	exitNotFound = 3
	exitAuth     = 4
	exitConflict = 5
	exitTimeout  = 7
	exitTempFail = 75 // EX_TEMPFAIL of sysexits.h
	exitConfig   = 78 // EX_CONFIG
)

// usageError is a command line that makes no sense.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// timeoutError is a wait that the user bounded and that was in vain.
type timeoutError struct{ text string }

func (e *timeoutError) Error() string { return e.text }

// storeError ends a broker whose store failed while it ran. A start that reads
// the log again is what helps: EX_TEMPFAIL.
type storeError struct{ err error }

func (e *storeError) Error() string {
	return fmt.Sprintf("%v; nothing that was confirmed is lost: start the broker again when the disk works", e.err)
}
func (e *storeError) Unwrap() error { return e.err }

// ExitCode implements coded.
func (*storeError) ExitCode() int { return exitTempFail }

// coded is an error that brings its own exit code, from cmd/bench.
type coded interface {
	error
	ExitCode() int
}

// exitCode says what a command's error means to a script.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	if e, ok := errors.AsType[coded](err); ok {
		return e.ExitCode()
	}
	if _, ok := errors.AsType[*config.InvalidError](err); ok {
		return exitConfig
	}
	if _, ok := errors.AsType[*timeoutError](err); ok {
		return exitTimeout
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return exitTimeout
	}
	return exitError
}
