package pages

import (
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

	stateMu   sync.Mutex // guards what follows
	completed Mark
	intent    uint64
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
	mark, err := s.storedMark()
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
	s.completed = mark
	s.readers.advance(mark.Index)
	s.discard()
	b, err := s.read(nil, usageKey, mark.Index)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	s.usage = decodeUsage(b)
	return err
}

// storedMark reads the newest mark: it is in the last transaction of a checkpoint, so no checkpoint
// that is not complete has one.
func (s *Badger) storedMark() (Mark, error) {
	b, err := s.read(nil, markKey, math.MaxUint64)
	switch {
	case errors.Is(err, ErrNotFound):
		return Mark{}, nil
	case err != nil:
		return Mark{}, err
	case len(b) != markSize:
		return Mark{}, damaged("", "a mark of %d bytes", len(b))
	}
	return decodeMark(b), nil
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
func (s *Badger) read(dst, key []byte, at uint64) ([]byte, error) {
	if at == 0 {
		return dst, ErrNotFound
	}
	err := guarded("read", func() error {
		txn := s.db.NewTransactionAt(at, false)
		defer txn.Discard()
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		return item.Value(func(sealed []byte) error {
			value, ok := unseal(key, sealed, item.Version())
			if !ok {
				return damaged("", "value of key %x, version %d: checksum does not match", key, item.Version())
			}
			dst = append(dst, value...)
			return nil
		})
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return dst, ErrNotFound
	}
	if err != nil {
		return dst, fmt.Errorf("read page store: %w", err)
	}
	return dst, nil
}

// Size implements Store. disk counts what the files take, live leaves out what was deleted since
// Maintain last worked (see usage).
func (s *Badger) Size() (live, disk int64) {
	entries, err := os.ReadDir(s.opt.Dir)
	if err != nil {
		return 0, 0
	}
	for _, e := range entries {
		disk += allocated(filepath.Join(s.opt.Dir, e.Name()))
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
