package pages

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

const ownerFile = "OWNER"

var (
	markKey  = []byte{internal, 'm', 'a', 'r', 'k'}
	usageKey = []byte{internal, 'u', 's', 'e'}
)

// Badger is the Store on disk.
type Badger struct {
	// immutable
	opt      Options
	log      *slog.Logger
	readOnly bool
	owner    *os.File // holds the lock for as long as the store is open, also while Badger is not
	closing  chan struct{}
	slot     chan struct{} // holds a token: whoever took it is the Writer or Maintain

	mu     sync.RWMutex // guards db; held shared while it is used, exclusively while it is replaced
	db     *badger.DB
	broken error // why db is nil: ErrClosed, or what kept Maintain from opening it again

	readers readers
	values  valueFiles

	stateMu   sync.Mutex // guards what follows
	completed Mark
	intent    uint64
	version   uint64 // the highest that Badger may hold anything of
	usage     usage
	writing   bool // a Writer has the slot or waits for it
}

var _ Store = (*Badger)(nil)

// Open opens the store in o.Dir, creating it if there is none. It returns ErrLocked if another process
// has it, a *DamageError if the files are not what was written.
func Open(o Options) (*Badger, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open page store: %w", err)
	}
	return open(o, false)
}

func open(o Options, readOnly bool) (_ *Badger, err error) {
	owner, err := lockOwner(o.Dir, readOnly)
	if err != nil {
		return nil, fmt.Errorf("open page store %s: %w", o.Dir, err)
	}
	s := &Badger{
		opt: o, log: o.Logger, readOnly: readOnly, owner: owner,
		closing: make(chan struct{}),
		slot:    make(chan struct{}, 1),
		readers: readers{active: make(map[uint64]int)},
		values:  valueFiles{fs: o.FS, dir: o.Dir, max: o.ValueFile},
	}
	s.slot <- struct{}{}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open page store %s: %w", o.Dir, err), owner.Close())
	}
	return s, nil
}

// lockOwner locks dir for this process. (Badger's own lock is given up while Maintain reopens it.)
func lockOwner(dir string, shared bool) (*os.File, error) {
	flags := os.O_CREATE | os.O_RDWR
	if shared {
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(filepath.Join(dir, ownerFile), flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f, shared); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (s *Badger) load() error {
	found, err := inspect(s.opt.Dir, s.opt.Verify)
	if err != nil {
		return err
	}
	if err := found.err(); err != nil {
		return err
	}
	if !s.readOnly {
		for _, name := range found.empty {
			if err := os.Remove(filepath.Join(s.opt.Dir, name)); err != nil {
				return err
			}
		}
	}
	if s.db, err = s.openBadger(); err != nil {
		return err
	}
	if err := s.adopt(found.checkpoint, found.used); err != nil {
		return errors.Join(err, s.db.Close())
	}
	return nil
}

// openBadger opens Badger's files. An error is damage, as far as anyone can tell: all else has been
// looked at before.
func (s *Badger) openBadger() (db *badger.DB, err error) {
	err = guarded("open", func() error {
		db, err = badger.OpenManaged(s.opt.badger(s.readOnly))
		return err
	})
	if d := (*DamageError)(nil); err != nil && !errors.As(err, &d) {
		err = &DamageError{What: "Badger cannot open its files", Advice: restoreAdvice, Err: err}
	}
	return db, err
}

// adopt holds Badger's mark against the CHECKPOINT file and takes it over.
func (s *Badger) adopt(c checkpoint, used bool) error {
	mark, version, err := s.storedMark()
	if err != nil {
		return err
	}
	switch {
	case !used && mark == Mark{}:
	case !used:
		return damaged(checkpointFile, "the file is missing")
	case mark == c.completed:
		s.intent = c.intent
	case c.intent != 0 && mark.Index == c.intent: // the crash came after the last transaction
	default:
		return damaged("", "Badger's mark is %d, the last completed checkpoint is %d and the unfinished one %d",
			mark.Index, c.completed.Index, c.intent)
	}
	s.completed, s.version = mark, max(version, c.version)
	s.readers.advance(version)
	s.discard()
	use, err := s.fileUses(version)
	if err != nil {
		return err
	}
	if err := s.values.adopt(use, s.readOnly); err != nil {
		return err
	}
	b, err := s.read(nil, usageKey, version)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	s.usage = decodeUsage(b)
	return err
}

// fileUses reads what is used of the value files.
func (s *Badger) fileUses(version uint64) (map[uint64]fileUse, error) {
	uses := make(map[uint64]fileUse)
	if version == 0 {
		return uses, nil
	}
	err := s.scan(filePrefix, version, func(key, value []byte) error {
		use, ok := decodeFileUse(value)
		if len(key) != len(filePrefix)+8 || !ok {
			return damaged("", "use of a value file, key %x: %x", key, value)
		}
		uses[binary.BigEndian.Uint64(key[len(filePrefix):])] = use
		return nil
	})
	return uses, err
}

// storedMark reads the newest mark and its version: it is in the last transaction of a checkpoint, so
// no checkpoint that is not complete has one.
func (s *Badger) storedMark() (m Mark, version uint64, err error) {
	err = s.lookup(markKey, math.MaxUint64, func(_ byte, b []byte, at uint64) error {
		if len(b) != markSize {
			return damaged("", "a mark of %d bytes", len(b))
		}
		m, version = decodeMark(b), at
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return Mark{}, 0, nil
	}
	return m, version, err
}

// discard lets Badger forget the versions that no reader can ask for any more.
func (s *Badger) discard() {
	if !s.readOnly {
		s.db.SetDiscardTs(s.readers.oldest())
	}
}

// Mark implements Store.
func (s *Badger) Mark() Mark {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	return s.completed
}

// Intent implements Store.
func (s *Badger) Intent() uint64 {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	return s.intent
}

// Get implements Store.
func (s *Badger) Get(dst, key []byte) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return dst, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return dst, s.broken
	}
	at := s.readers.enter()
	defer s.leave(at)
	return s.read(dst, key, at)
}

// leave ends a read; s.mu is held.
func (s *Badger) leave(at uint64) {
	if s.readers.leave(at) && s.db != nil {
		s.discard()
	}
}

// read appends the newest value of key that is not newer than at; s.mu is held.
func (s *Badger) read(dst, key []byte, at uint64) (_ []byte, err error) {
	var apart place
	var version uint64
	err = s.lookup(key, at, func(stands byte, v []byte, since uint64) error {
		if stands == standsApart {
			apart, version = decodePlace(v), since
		} else {
			dst = append(dst, v...)
		}
		return nil
	})
	if err == nil && apart.file != 0 {
		dst, err = s.values.read(dst, key, version, apart)
	}
	return dst, err
}

// placeOf returns where the value of key stood at version at, none if not apart; s.mu is held.
func (s *Badger) placeOf(key []byte, at uint64) (p place, err error) {
	err = s.lookup(key, at, func(stands byte, v []byte, _ uint64) error {
		if stands == standsApart {
			p = decodePlace(v)
		}
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		return place{}, nil
	}
	return p, err
}

// lookup calls fn with what Badger has under key, the newest that is not newer than at: where it
// stands, it or its place, and since which version; s.mu is held.
func (s *Badger) lookup(key []byte, at uint64, fn func(stands byte, v []byte, version uint64) error) error {
	if at == 0 {
		return ErrNotFound
	}
	err := guarded("read", func() error {
		txn := s.db.NewTransactionAt(at, false)
		defer txn.Discard()
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		return item.Value(func(sealed []byte) error {
			stands, v, ok := unseal(key, sealed, item.Version())
			if !ok {
				return damaged("", "value of key %x, version %d: checksum does not match", key, item.Version())
			}
			return fn(stands, v, item.Version())
		})
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("read page store: %w", err)
	}
	return nil
}

// Size implements Store. disk counts what the files take, live leaves out what value files hold without
// need, and what was deleted in tables since Maintain last worked (see usage).
func (s *Badger) Size() (live, disk int64) {
	live, disk = s.tableSize()
	v := s.values.totals()
	return live + v.live, disk + s.values.taken()
}

// tableSize is Size of Badger's files.
func (s *Badger) tableSize() (live, disk int64) {
	entries, err := os.ReadDir(s.opt.Dir)
	if err != nil {
		return 0, 0
	}
	for _, e := range entries {
		if name := e.Name(); !isValueFile(name) {
			disk += allocated(filepath.Join(s.opt.Dir, name))
		}
	}
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	return max(0, disk-int64(min(s.usage.dead, math.MaxInt64))), disk
}

// Close implements Store.
func (s *Badger) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.broken, ErrClosed) {
		return nil
	}
	close(s.closing)
	s.values.ahead.forget(func(uint64) bool { return true })
	db := s.db
	s.db, s.broken = nil, ErrClosed
	var err error
	if db != nil {
		err = guarded("close", db.Close)
	}
	if err = errors.Join(err, s.owner.Close()); err != nil {
		return fmt.Errorf("close page store: %w", err)
	}
	return nil
}
