package store

import (
	"fmt"

	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// CheckFit says whether a log and a page store, which are whole each, belong
// together: a *MismatchError if not. Open makes the same check.
func CheckFit(l log.Report, p pages.Report) error {
	return fit(l.First, l.Last.Index, p.Mark, p.Intent)
}

// CheckRecords reads every record of the log in dir, without changing or
// locking anything, and returns how many there are and the first fault:
// damage of the log, or a record that this program can't decode.
func CheckRecords(fs disk.FS, dir string) (records uint64, err error) {
	err = DumpLog(fs, dir, func(r LogRecord) error {
		records++
		if r.Fault != nil {
			return fmt.Errorf("record %d in %s: %w", r.Entry.Index, r.Entry.File, r.Fault)
		}
		return nil
	})
	return records, err
}

// LogRecord is a record of the log as DumpLog shows it.
type LogRecord struct {
	Entry log.Entry // the last one that the record consists of; Data is not the whole of it
	Ops   []Op      // what could be decoded; valid during the call
	Fault error     // why the rest could not
}

// DumpLog calls fn for every record of the log in dir, in order, without
// changing or locking anything, and then returns the damage, if any. An error
// from fn ends it.
func DumpLog(fs disk.FS, dir string, fn func(LogRecord) error) error {
	var ops []Op
	var rec []byte
	open := false // rec has the beginning of a record
	return log.Dump(fs, dir, func(e log.Entry) error {
		switch e.Kind {
		case "full", "first":
			rec, open = nil, true
		default:
			if !open { // it began in a segment that is gone
				return nil
			}
		}
		rec = append(rec, e.Data...) // anew for each record: messages point into it
		if e.Kind != "full" && e.Kind != "last" {
			return nil
		}
		open = false
		r := LogRecord{Entry: e}
		ops, r.Fault = DecodeOps(ops[:0], rec)
		r.Ops = ops
		return fn(r)
	})
}
