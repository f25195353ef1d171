package pages

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// DamageError says that the files do not hold what was written to them.
type DamageError struct {
	What   string // what was found
	File   string // name inside the store's directory, if one file is known
	Advice string // what an operator can do
	Err    error  // the cause, if there is one
}

func (e *DamageError) Error() string {
	s := "page store is damaged: " + e.What
	if e.File != "" {
		s += " (file " + e.File + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + "; " + e.Advice
}

func (e *DamageError) Unwrap() error { return e.Err }

const restoreAdvice = "keep the directory, check the disk, then let this node copy its state from another node or restore a backup"

func damaged(file, format string, args ...any) *DamageError {
	return &DamageError{What: fmt.Sprintf(format, args...), File: file, Advice: restoreAdvice}
}

// guarded runs fn, which calls Badger, and turns a panic or a fault of mapped memory (a read error of
// the disk, a file that got shorter) into a DamageError. It cannot help where Badger panics on a
// goroutine of its own or ends the process; inspect keeps what leads there away.
func guarded(what string, fn func() error) (err error) {
	fault := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(fault)
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		cause, ok := r.(error)
		if !ok {
			cause = errors.New(fmt.Sprint(r))
		}
		err = &DamageError{What: "panic in Badger: " + what, Advice: restoreAdvice, Err: cause}
	}()
	return fn()
}
