package pages

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Report is what Check found.
type Report struct {
	Mark   Mark   // last completed checkpoint that the CHECKPOINT file knows of
	Intent uint64 // index of an unfinished one, zero if there is none
	Tables int
	Bytes  int64 // in tables
	Logs   int   // of memory tables; there are none after a clean shutdown
	Damage []*DamageError
}

// Check reads every file of the store in dir and changes none. It does not need Badger to open them,
// so it also works on what Open refuses. ErrLocked if a process has the store open.
func Check(dir string) (Report, error) {
	owner, err := lockExisting(dir)
	if err != nil {
		return Report{}, fmt.Errorf("check page store: %w", err)
	}
	v, err := inspect(dir, VerifyBlocks)
	if err = errors.Join(err, owner.Close()); err != nil {
		return Report{}, fmt.Errorf("check page store: %w", err)
	}
	return Report{
		Mark: v.checkpoint.completed, Intent: v.checkpoint.intent,
		Tables: len(v.tables), Bytes: v.bytes, Logs: len(v.mems), Damage: v.damage,
	}, nil
}

func lockExisting(dir string) (*os.File, error) {
	f, err := lockOwner(dir, true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no page store: %w", dir, err)
	}
	return f, err
}

// Dump calls fn for every key and value of the last completed checkpoint, in key order. The slices
// are valid during the call of fn only.
//
// After a clean shutdown it only reads. After a crash it opens the store as the broker would (Badger
// cannot read the log of a memory table without cutting it to its length), which writes memory tables
// to disk but changes no content. ErrLocked if a process has the store open.
func Dump(dir string, fn func(key, value []byte) error) error {
	o, err := Options{Dir: dir}.withDefaults()
	if err != nil {
		return err
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return err
	}
	owner, err := lockExisting(dir) // looks for a store first: open would make one
	if err != nil {
		return fmt.Errorf("dump page store: %w", err)
	}
	if err := owner.Close(); err != nil {
		return err
	}
	s, err := open(o, len(logs) == 0)
	if err != nil {
		return fmt.Errorf("dump page store: %w", err)
	}
	return errors.Join(s.Scan(nil, fn), s.Close())
}
