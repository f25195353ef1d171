package log

import (
	"errors"
	"fmt"
)

var (
	// ErrFull says that the disk has no space for another segment and the reserve is used up. Nothing was
	// written; what is buffered stays buffered: Commit again when there is space, or Discard.
	ErrFull = errors.New("log: no space left for another segment")
	// ErrReleased says that entries asked for are no longer in the log.
	ErrReleased = errors.New("log: entries were released")
	// ErrBoundary says that an index or position is not the end of a record or frame of this log.
	ErrBoundary = errors.New("log: not a boundary")
	// ErrMismatch says that frames do not continue this log: another chain, index or epoch.
	ErrMismatch = errors.New("log: frames do not continue the log")
	// ErrClosed says that the log was closed.
	ErrClosed = errors.New("log: closed")
)

// DamageError says that the log on disk is not what was made durable. It is never repaired silently.
type DamageError struct {
	File   string // path of the file; empty if it concerns the directory
	Offset int64  // in the file
	Index  uint64 // first entry that cannot be read; 0 if unknown
	What   string // what is wrong
	Advice string // what an operator can do
	Newer  bool   // it is whole, as far as is known: a newer release wrote it
	Err    error  // cause, if any
}

func (e *DamageError) Error() string {
	s := fmt.Sprintf("log damaged: %s (file %q, offset %d, index %d); %s", e.What, e.File, e.Offset, e.Index, e.Advice)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *DamageError) Unwrap() error { return e.Err }

const (
	adviceRestore = "do not delete anything: copy the directory, then restore it from a backup or, " +
		"in a cluster, let this node start empty and fetch a copy from the master; " +
		"the store's check and dump commands show what can still be read"
	adviceMissing = "put the missing file back if it was moved; otherwise restore the directory from a backup or, " +
		"in a cluster, let this node start empty and fetch a copy from the master"
	adviceForeign = "move the file out of the directory if it does not belong there; " +
		"if it replaced a file of this log, restore that one"
	adviceNewer = "start the release that wrote it, or a newer one"
)
