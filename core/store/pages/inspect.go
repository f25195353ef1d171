package pages

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

const (
	manifestFile = badger.ManifestFilename
	// manifestKeep: Badger rewrites a MANIFEST, and makes it shorter, only after 10,000 deletions, far
	// above this size. Below it a MANIFEST only grows.
	manifestKeep = 64 << 10
)

// inventory is what a directory holds, as far as it can be told without Badger.
type inventory struct {
	checkpoint checkpoint
	used       bool // there is a CHECKPOINT file: a checkpoint was begun here once
	tables     map[uint64]badger.TableManifest
	bytes      int64    // in tables
	mems       []string // logs of memory tables, oldest first
	values     []string // value logs, which hold no values
	empty      []string // files that a crash left without any content, which Badger cannot open
	damage     []*DamageError
}

func (v *inventory) report(err error) {
	var d *DamageError
	if !errors.As(err, &d) {
		d = damaged("", "%v", err)
	}
	v.damage = append(v.damage, d)
}

// err is the first damage found, and how much more there is.
func (v *inventory) err() error {
	switch len(v.damage) {
	case 0:
		return nil
	case 1:
		return v.damage[0]
	}
	first := *v.damage[0]
	first.What += fmt.Sprintf(" (and %d more)", len(v.damage)-1)
	return &first
}

// inspect reads the files of dir before Badger does, which ends the process over some kinds of damage
// and passes over others. It changes nothing. The error says that dir could not be read; damage is in
// the inventory.
func inspect(dir string, how Verify) (*inventory, error) {
	v := &inventory{}
	sizes, err := v.list(dir)
	if err != nil {
		return nil, err
	}
	v.checkpoint, v.used, err = loadCheckpoint(dir)
	if err != nil {
		if d := (*DamageError)(nil); !errors.As(err, &d) {
			return nil, err
		}
		v.report(err)
	}
	if !v.readManifest(dir, sizes) {
		return v, nil
	}
	if !v.used && len(v.tables) > 0 {
		v.report(damaged(checkpointFile, "the file is missing")) // the first Begin writes it, before Badger
	}
	v.verifyRegistry(dir)
	v.verifyMems(dir)
	v.verifyTables(dir, how, sizes)
	return v, nil
}

// list sorts out the names in dir and returns the sizes of all files.
func (v *inventory) list(dir string) (map[string]int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	sizes := make(map[string]int64, len(entries))
	for _, e := range entries {
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sizes[e.Name()] = fi.Size()
		ext := filepath.Ext(e.Name())
		switch {
		case fi.Size() == 0 && (ext == ".mem" || ext == ".vlog"):
			v.empty = append(v.empty, e.Name())
		case ext == ".mem":
			v.mems = append(v.mems, e.Name())
		case ext == ".vlog":
			v.values = append(v.values, e.Name())
		}
	}
	slices.SortFunc(v.mems, func(a, b string) int { return memNumber(a) - memNumber(b) })
	return sizes, nil
}

func memNumber(name string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(name, ".mem"))
	if err != nil {
		return -1
	}
	return n
}

// readManifest reports whether there is a MANIFEST to go on with.
func (v *inventory) readManifest(dir string, sizes map[string]int64) bool {
	size, ok := sizes[manifestFile]
	if !ok {
		if v.used || v.holdsData(sizes) {
			// Badger would make a new one and delete all tables.
			v.report(damaged(manifestFile, "the list of tables is missing"))
		}
		return false
	}
	if was := v.checkpoint.manifest; size < was && was < manifestKeep {
		v.report(damaged(manifestFile, "the list of tables has %d bytes, it had %d", size, was))
	}
	f, err := os.Open(filepath.Join(dir, manifestFile))
	if err != nil {
		v.report(&DamageError{What: "list of tables", File: manifestFile, Advice: restoreAdvice, Err: err})
		return false
	}
	defer f.Close()
	err = guarded("list of tables", func() error {
		m, _, err := badger.ReplayManifestFile(f, 0, badger.Options{})
		v.tables = m.Tables
		return err
	})
	if err != nil {
		v.report(&DamageError{What: "list of tables", File: manifestFile, Advice: restoreAdvice, Err: err})
		return false
	}
	return true
}

func (v *inventory) holdsData(sizes map[string]int64) bool {
	for name := range sizes {
		if filepath.Ext(name) == ".sst" {
			return true
		}
	}
	return len(v.mems) > 0
}

// verifyRegistry reads the registry of encryption keys, which holds none here; Badger insists on its
// form, and leaves goroutines behind when it gives up over it. Without one it makes one.
func (v *inventory) verifyRegistry(dir string) {
	if _, err := os.Stat(filepath.Join(dir, badger.KeyRegistryFileName)); errors.Is(err, fs.ErrNotExist) {
		return
	}
	err := guarded("key registry", func() error {
		r, err := badger.OpenKeyRegistry(badger.KeyRegistryOptions{Dir: dir, ReadOnly: true})
		if err != nil {
			return err
		}
		return r.Close()
	})
	if err != nil {
		name := badger.KeyRegistryFileName
		v.report(&DamageError{What: "key registry", File: name, Advice: restoreAdvice, Err: err})
	}
}

func (v *inventory) verifyMems(dir string) {
	for _, name := range slices.Concat(v.mems, v.values) {
		if err := verifyLogHeader(filepath.Join(dir, name)); err != nil {
			v.report(&DamageError{What: "head of a log", File: name, Advice: restoreAdvice, Err: err})
			return
		}
	}
	for i, name := range v.mems {
		if i == len(v.mems)-1 {
			return // the newest may be torn
		}
		if err := verifyMemFile(filepath.Join(dir, name)); err != nil {
			v.report(&DamageError{What: "log of a memory table", File: name, Advice: restoreAdvice, Err: err})
		}
	}
}

// tableReaders verify at the same time: enough to keep a disk busy while one computes.
const tableReaders = 2

func (v *inventory) verifyTables(dir string, how Verify, sizes map[string]int64) {
	var (
		mu  sync.Mutex
		wg  sync.WaitGroup
		ids = make(chan uint64)
	)
	for range tableReaders {
		wg.Go(func() {
			for id := range ids {
				d := v.verifyTable(dir, id, how, sizes)
				mu.Lock()
				if d != nil {
					v.damage = append(v.damage, d)
				}
				mu.Unlock()
			}
		})
	}
	for id := range v.tables {
		v.bytes += sizes[table.IDToFilename(id)]
		ids <- id
	}
	close(ids)
	wg.Wait()
	slices.SortStableFunc(v.damage, func(a, b *DamageError) int { return strings.Compare(a.File, b.File) })
}

func (v *inventory) verifyTable(dir string, id uint64, how Verify, sizes map[string]int64) *DamageError {
	name := table.IDToFilename(id)
	if _, ok := sizes[name]; !ok {
		return damaged(name, "a table is missing")
	}
	if l := v.tables[id].Level; l >= badgerLevels {
		return damaged(manifestFile, "the list of tables puts %s on level %d", name, l)
	}
	if err := verifyTableFile(filepath.Join(dir, name), how == VerifyBlocks); err != nil {
		return &DamageError{What: "table", File: name, Advice: restoreAdvice, Err: err}
	}
	return nil
}
