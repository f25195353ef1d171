package pages

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// Report is what Check found.
type Report struct {
	Mark   Mark   // last completed checkpoint that the CHECKPOINT file knows of
	Intent uint64 // index of an unfinished one, zero if there is none
	Tables int
	Bytes  int64 // in tables
	Logs   int   // of memory tables; there are none after a clean shutdown
	Values int   // files of values
	Damage []*DamageError
}

// Check reads every file of the store in dir and changes none. It does not need Badger to open them,
// so it also works on what Open refuses. That a whole file of values is missing is for Open to find. ErrLocked if a process has the store open.
func Check(dir string) (Report, error) {
	owner, err := lockExisting(dir)
	if err != nil {
		return Report{}, fmt.Errorf("check page store: %w", err)
	}
	v, err := inspect(dir, VerifyBlocks)
	values := 0
	if err == nil {
		values, err = v.verifyValues(dir)
	}
	if err = errors.Join(err, owner.Close()); err != nil {
		return Report{}, fmt.Errorf("check page store: %w", err)
	}
	return Report{
		Mark: v.checkpoint.completed, Intent: v.checkpoint.intent,
		Tables: len(v.tables), Bytes: v.bytes, Logs: len(v.mems), Values: values, Damage: v.damage,
	}, nil
}

// verifyValues reads the value files, as far as the last completed checkpoint that the CHECKPOINT file
// knows of wrote to them, and returns how many there are.
func (v *inventory) verifyValues(dir string) (n int, err error) {
	files := valueFiles{fs: disk.OS{}, dir: dir}
	names, err := files.fs.List(dir)
	if err != nil {
		return 0, err
	}
	tail, found := v.checkpoint.tail, v.checkpoint.tail == 0 || v.checkpoint.intent != 0
	for _, name := range names {
		id, ok := valueNumber(name)
		if !ok || id > tail {
			continue
		}
		n++
		size := v.checkpoint.tailSize
		if id < tail {
			if size, err = files.length(id); err != nil {
				return n, err
			}
		}
		found = found || id == tail
		if err := files.each(id, size, func(place, record) error { return nil }); err != nil {
			v.report(err)
		}
	}
	if !found {
		v.report(damaged(valueName(tail), "a value file is missing"))
	}
	return n, nil
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
