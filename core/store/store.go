package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// Errors that requests complete with.
var (
	ErrFailed = errors.New("the store failed; the broker must be restarted")
	ErrFull   = errors.New("the broker's disk is full: consume messages, or free disk space")
	ErrClosed = errors.New("the broker is shutting down")
	// ErrUncertain comes with ErrFailed to those whose record was being written
	// or synced when the store failed: only the next start tells what is on the
	// disk. Requests that came later were not stored.
	ErrUncertain = errors.New("the outcome is unknown: it may take effect with the broker's next start, or not")
)

// Machine is the state, a deterministic function of the log. The applier's
// goroutine calls it; before Start, whoever opens the store.
type Machine interface {
	// Load builds the state that the page store's last checkpoint holds. What
	// it builds freezes, from then on, as the state that was frozen would.
	Load(p pages.Store) error
	// Apply makes one change. What can't be done any more (an
	// acknowledgement for a deleted queue) is ignored, everywhere alike.
	Apply(op *Op)
	// Settle carries out the effects of what was applied since the last call:
	// deliveries to consumers.
	Settle()
	// Freeze returns what changed since the last Freeze. It is quick; what
	// it returns is written meanwhile the state goes on changing. Which keys
	// it writes is a function of the log too: a checkpoint that a crash cut
	// off is written again over what is there of it.
	Freeze() Frozen
}

// Frozen is the state's changes up to some index.
type Frozen interface {
	// Write hands everything to w. It may be called again after an error.
	Write(p pages.Store, w pages.Writer) error
	// Written says that the checkpoint is complete.
	Written()
}

// Options configures a store. Zero values stand for the defaults in brackets.
type Options struct {
	Dir                string        // "" keeps everything in memory: for tests
	SegmentSize        int64         // of the log, bytes [64 MiB]
	SyncInterval       time.Duration // [50 ms]
	CheckpointBytes    int64         // log bytes between checkpoints at most [32 MiB]
	CheckpointInterval time.Duration // time between checkpoints while something changes [10 s]
	Logger             *slog.Logger
	FS                 disk.FS     // [the real one]
	Pages              pages.Store // [Badger in Dir/pages]
	OnFailure          func(error) // told once when the store failed, on a goroutine of its own
	// Group makes the store a part of one: it opens as a follower (Follow, Advance) that may become the
	// leader (Lead, Serve), instead of Start.
	Group bool
	// Retain is how many bytes of log are kept for followers that come back [0; in a group 256 MiB].
	Retain int64
	// HoldBytes is how large the log may grow for a follower that is catching up, while the disk has
	// room [32 times Retain].
	HoldBytes    int64
	pagesOptions func(*pages.Options) // tests
	logOptions   func(*log.Options)   // tests
}

func (o Options) withDefaults() Options {
	if o.SegmentSize == 0 {
		o.SegmentSize = 64 << 20
		if o.Dir == "" {
			o.SegmentSize = 4 << 20
		}
	}
	if o.SyncInterval == 0 {
		o.SyncInterval = 50 * time.Millisecond
	}
	if o.CheckpointBytes == 0 {
		o.CheckpointBytes = 32 << 20
	}
	if o.CheckpointInterval == 0 {
		o.CheckpointInterval = 10 * time.Second
	}
	if o.Group && o.Retain == 0 {
		o.Retain = 256 << 20
	}
	if o.HoldBytes == 0 {
		o.HoldBytes = 32 * o.Retain
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Store is an open store. See the package comment.
type Store struct {
	o       Options // immutable
	log     *log.Log
	pages   pages.Store
	machine Machine

	mu              sync.Mutex
	wake            sync.Cond // something to write, or closing
	pending         []Request // guarded by mu
	asked           time.Time // guarded by mu: when the first of pending came that somebody waits for; zero: none did
	urgent          bool      // guarded by mu: something pending does not wait for company
	company         *time.Timer
	waitsForCompany bool // guarded by mu: company runs
	syncDue         bool // guarded by mu: what was written unsynced is to be synced now
	unsynced        bool // guarded by mu: the writer left bytes unsynced that are to be synced soon
	closing         bool // guarded by mu

	waiting atomic.Int64 // bytes of messages in pending and being written
	full    atomic.Bool  // not even what gives space back can be written
	reserve int64        // bytes that have to be free on the disk for checkpoints, 0 if pages are elsewhere
	cramped atomic.Bool  // there are less
	tight   atomic.Bool  // nothing is kept for followers that may never come
	failure atomic.Pointer[error]

	batches chan *batch // writer -> applier
	free    chan *batch // applier -> writer
	head    []byte      // owned by the writer

	cp       checkpointer
	group    *group // nil if the store is on its own
	replayed int64  // bytes of records that Open applied
	life     context.Context
	end      context.CancelFunc // ends life when Close begins
	loops    sync.WaitGroup
	counts   counters
}

// Open opens or creates the store in o.Dir and brings machine to the state of
// its log. Nothing is served until Start.
func Open(o Options, machine Machine) (*Store, error) {
	o = o.withDefaults()
	s := &Store{
		o: o, machine: machine, pages: o.Pages,
		batches: make(chan *batch, 1), free: make(chan *batch, 3),
	}
	s.life, s.end = context.WithCancel(context.Background())
	s.wake.L = &s.mu
	s.company = time.AfterFunc(time.Hour, s.patienceEnds)
	s.company.Stop()
	if o.Group {
		s.group = newGroup()
		s.batches, s.free = make(chan *batch, groupBatches-2), make(chan *batch, groupBatches)
	}
	for range cap(s.free) {
		s.free <- &batch{}
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	if err := s.restore(); err != nil {
		return nil, errors.Join(err, s.log.Close(), s.pages.Close())
	}
	return s, nil
}

func (s *Store) open() (err error) {
	lo := log.Options{Dir: filepath.Join(s.o.Dir, "log"), SegmentSize: s.o.SegmentSize, Logger: s.o.Logger, Retain: s.o.Retain}
	if s.o.logOptions != nil {
		s.o.logOptions(&lo)
	}
	if err := lo.Check(); err != nil { // before the page store leaves a directory behind
		return err
	}
	fs := s.o.FS
	switch {
	case s.o.Dir == "":
		if fs == nil {
			fs = disk.NewFake()
		}
		if s.pages == nil {
			s.pages = pages.NewMemory()
		}
	case s.pages == nil:
		po := PagesOptions(s.o.Dir, s.o.Logger)
		if s.o.pagesOptions != nil {
			s.o.pagesOptions(&po)
		}
		if s.pages, err = pages.Open(po); err != nil {
			return fmt.Errorf("open the page store: %w", err)
		}
		if s.reserve = po.MinFree; s.reserve == 0 {
			s.reserve = pages.DefaultMinFree
		}
	}
	if fs == nil {
		fs = disk.OS{}
	}
	mark := s.pages.Mark()
	lo.FS, lo.Epoch, lo.ScanFrom = fs, max(1, mark.Epoch), mark.Index
	if s.log, err = log.Open(lo); err != nil {
		return errors.Join(fmt.Errorf("open the log: %w", err), s.pages.Close())
	}
	return nil
}

// PagesOptions are those of the page store of the data directory dir.
func PagesOptions(dir string, logger *slog.Logger) pages.Options {
	return pages.Options{Dir: filepath.Join(dir, "pages"), Logger: logger, Apart: holdsMessages}
}

// Start begins to serve requests.
func (s *Store) Start() {
	if s.cp.pending != nil { // of the replay
		s.writeInBackground()
	}
	s.loops.Go(s.writeLoop)
	s.loops.Go(s.applyLoop)
	s.loops.Go(s.tickLoop)
	if s.reserve > 0 {
		s.loops.Go(s.roomLoop)
	}
}

// Failed returns why the store failed, nil while it works.
func (s *Store) Failed() error {
	if p := s.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// Fail makes the store refuse everything from now on: somebody found that it
// doesn't hold what it should.
func (s *Store) Fail(err error) { s.fail(err) }

func (s *Store) fail(err error) {
	err = fmt.Errorf("%w: %w", ErrFailed, err)
	if s.failure.CompareAndSwap(nil, &err) {
		s.o.Logger.Error("the store failed; nothing is acknowledged from now on", "error", err)
		if s.o.OnFailure != nil {
			go s.o.OnFailure(err)
		}
	}
}

// Behind reports whether producers should wait for the disk, and why.
func (s *Store) Behind() (reason string, behind bool) {
	switch {
	case s.full.Load():
		return "the disk is full", true
	case s.waiting.Load() > maxWaiting:
		return "the disk is slower than the producers", true
	case !s.lags() || s.cp.noSpace.Load(): // without space sends are refused: waiting would help nobody
		return "", false
	}
	return "the checkpoint is slower than the producers", true
}

// lags reports whether too much of the log waits for a checkpoint.
func (s *Store) lags() bool { return s.logged()-s.cp.completed.Load() > maxLag*s.o.CheckpointBytes }

// crowded reports whether nothing more can be stored because the disk has no
// room, or soon would have none, for the checkpoint that frees the log.
func (s *Store) crowded() bool { return s.cramped.Load() || s.cp.noSpace.Load() && s.lags() }

const (
	maxWaiting = 16 << 20 // bytes of messages on their way into the log
	// groupBatches is how many batches of a leader are on their way to a quorum: more than one,
	// so that the followers' disks work while this one does.
	groupBatches = 8
	maxLag       = 8 // times CheckpointBytes that may wait for a checkpoint
)

// Pages gives access to what is checkpointed.
func (s *Store) Pages() pages.Store { return s.pages }

// Close completes what was committed, writes a last checkpoint and closes the
// files. When ctx ends, checkpoints are given up: the next start finds
// everything in the log. Requests that come later complete with ErrClosed.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil
	}
	s.closing = true
	s.mu.Unlock()
	defer context.AfterFunc(ctx, s.cp.abandon)()
	s.end()
	s.company.Stop()
	s.wake.Broadcast()
	if s.group != nil {
		s.Depose(ErrClosed)
		s.group.following.Wait()
	}
	s.loops.Wait()
	s.cp.wait()
	var err error
	if s.Failed() == nil && ctx.Err() == nil && s.group == nil { // a group's log has what isn't committed
		err = s.lastCheckpoint()
	}
	return errors.Join(err, s.log.Close(), s.pages.Close())
}
