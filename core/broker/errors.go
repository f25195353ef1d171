package broker

import (
	"errors"
	"fmt"

	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// Code classifies an error for frontends: each has one exhaustive switch
// from codes to its protocol's words.
type Code uint8

// The codes.
const (
	CodeInternal     Code = iota // a fault of ours
	CodeInvalid                  // the request makes no sense: bad name, selector, value
	CodeNotFound                 // the destination, subscription, delivery or transaction does not exist
	CodeExists                   // it exists and can't be had twice: client id, subscription name
	CodeInUse                    // somebody uses it: an active durable subscription
	CodeUnauthorized             // who the client is was not proven
	CodeForbidden                // the client may not do that
	CodeLimit                    // a configured limit is reached
	CodeFull                     // no room: disk or queue
	CodeTooLarge                 // a message above the limit
	CodeState                    // not in this state: closed, shutting down, a transaction's end
	CodeUnavailable              // not now: no master, store failed
	CodeNotSupported             // known and not offered
)

var codeNames = [...]string{
	"internal", "invalid", "not_found", "exists", "in_use", "unauthorized", "forbidden",
	"limit", "full", "too_large", "state", "unavailable", "not_supported",
}

// String returns the code's name as logs and the API show it.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// Error is every error that the broker returns to a frontend.
type Error struct {
	Code Code
	Op   string // what was being done: `subscribe to queue "a"`
	Err  error
}

// Error implements error. The text is meant for the client's user.
func (e *Error) Error() string {
	if e.Op == "" {
		return e.Err.Error()
	}
	return e.Op + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of err: that of an Error, or what an error of the
// store means. Other errors are CodeInternal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	switch {
	case errors.Is(err, store.ErrFull):
		return CodeFull
	case errors.Is(err, store.ErrFailed), errors.Is(err, store.ErrClosed):
		return CodeUnavailable
	case errors.Is(err, queue.ErrNoDelivery):
		return CodeNotFound
	}
	return CodeInternal
}

// refused says what an error of the store stopped.
func refused(err error, op string) error {
	if err == nil {
		return nil
	}
	return &Error{Code: CodeOf(err), Op: op, Err: err}
}

func fail(c Code, op, format string, args ...any) *Error {
	return &Error{Code: c, Op: op, Err: fmt.Errorf(format, args...)}
}
