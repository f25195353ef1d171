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
)

// Done learns when a request is safe and applied, or why it failed. Complete
// is called on the applier's goroutine and must not block.
type Done interface {
	Complete(token uint64, err error)
}

// Durability says when a request counts as safe.
type Durability uint8

// The durabilities.
const (
	Synced Durability = iota // when it is on disk
	Soon                     // when it is with the operating system; on disk within Options.SyncInterval
	Lazy                     // when it is with the operating system, which writes it when it likes
)

// Request is what happens together: one record of the log.
type Request struct {
	Op         Op   // one op, if Ops is nil; none at all waits for what came before
	Ops        []Op // not changed by the store
	Durability Durability
	Done       Done // may be nil
	Token      uint64
	// Pending, if set, counts down when the request has completed.
	Pending *atomic.Int64
	// Err fails the request in its turn: nothing of it is done.
	Err error
}

// Machine is the state, a deterministic function of the log. The applier's
// goroutine calls it; Load and Replayed before that.
type Machine interface {
	// Load builds the state that the page store's last checkpoint holds.
	Load(p pages.Store) error
	// Apply makes one change. What can't be done any more (an
	// acknowledgement for a deleted queue) is ignored, everywhere alike.
	Apply(op *Op)
	// Settle carries out the effects of what was applied since the last call:
	// deliveries to consumers.
	Settle()
	// Freeze returns what changed since the last Freeze. It is quick; what
	// it returns is written meanwhile the state goes on changing.
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
	FS                 disk.FS              // [the real one]
	Pages              pages.Store          // [Badger in Dir/pages]
	OnFailure          func(error)          // told once when the store failed
	pagesOptions       func(*pages.Options) // tests
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

	mu       sync.Mutex
	wake     sync.Cond // something to write, or closing
	pending  []Request // guarded by mu
	syncDue  bool      // guarded by mu: unsynced bytes are old enough
	unsynced bool      // guarded by mu: the writer left bytes unsynced
	closing  bool      // guarded by mu

	waiting atomic.Int64 // bytes of messages in pending and being written
	failure atomic.Pointer[error]

	batches chan *batch // writer -> applier
	free    chan *batch // applier -> writer
	head    []byte      // owned by the writer

	cp     checkpointer
	stop   chan struct{}
	loops  sync.WaitGroup
	counts counters
}

// Open opens or creates the store in o.Dir and brings machine to the state of
// its log. Nothing is served until Start.
func Open(o Options, machine Machine) (*Store, error) {
	o = o.withDefaults()
	s := &Store{
		o: o, machine: machine, pages: o.Pages,
		batches: make(chan *batch, 1), free: make(chan *batch, 3), stop: make(chan struct{}),
	}
	s.wake.L = &s.mu
	for range cap(s.free) {
		s.free <- &batch{}
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	if err := s.recover(); err != nil {
		return nil, errors.Join(err, s.log.Close(), s.pages.Close())
	}
	return s, nil
}

func (s *Store) open() (err error) {
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
		po := pages.Options{Dir: filepath.Join(s.o.Dir, "pages"), Logger: s.o.Logger}
		if s.o.pagesOptions != nil {
			s.o.pagesOptions(&po)
		}
		if s.pages, err = pages.Open(po); err != nil {
			return fmt.Errorf("open the page store: %w", err)
		}
	}
	if fs == nil {
		fs = disk.OS{}
	}
	s.log, err = log.Open(log.Options{
		Dir: filepath.Join(s.o.Dir, "log"), FS: fs, SegmentSize: s.o.SegmentSize,
		Epoch: max(1, s.pages.Mark().Epoch), ScanFrom: s.pages.Mark().Index, Logger: s.o.Logger,
	})
	if err != nil {
		return errors.Join(fmt.Errorf("open the log: %w", err), s.pages.Close())
	}
	return nil
}

// recover loads the last checkpoint and replays the log behind it.
func (s *Store) recover() error {
	began := time.Now()
	if err := s.machine.Load(s.pages); err != nil {
		return fmt.Errorf("load the checkpoint: %w", err)
	}
	from := s.pages.Mark().Index
	if last := s.log.Last().Index; from > last {
		return fmt.Errorf("the log ends at record %d, before the checkpoint at %d: log files are missing; "+
			"restore the data directory from a copy, or remove it to start empty", last, from)
	}
	if intent := s.pages.Intent(); intent != 0 {
		if err := s.replay(from, intent); err != nil {
			return err
		}
		from = intent
	}
	if err := s.replay(from, 0); err != nil {
		return err
	}
	s.cp.since = s.log.Size()
	s.o.Logger.Info("store open", "checkpoint", s.pages.Mark().Index, "last", s.log.Last().Index,
		"took", time.Since(began).Round(time.Millisecond))
	return nil
}

// errReached ends a replay at a wanted index.
var errReached = errors.New("reached")

// replay applies the records behind from, up to and including upTo if that
// isn't 0, and checkpoints on the way so that memory stays bounded.
func (s *Store) replay(from, upTo uint64) error {
	var ops []Op
	var size int64
	last := from
	err := s.log.Replay(from, func(index, epoch uint64, rec []byte) error {
		var err error
		if ops, err = DecodeOps(ops[:0], append([]byte(nil), rec...)); err != nil {
			return fmt.Errorf("record %d: %w", index, err)
		}
		for i := range ops {
			s.machine.Apply(&ops[i])
		}
		last, size = index, size+int64(len(rec))
		if index == upTo {
			return errReached
		}
		return nil
	})
	if err != nil && !errors.Is(err, errReached) {
		return fmt.Errorf("replay the log: %w", err)
	}
	if upTo != 0 && last != upTo {
		return fmt.Errorf("the log ends at record %d, but a checkpoint was begun at %d: log files are missing; "+
			"restore the data directory from a copy, or remove it to start empty", last, upTo)
	}
	if upTo == 0 && size < s.o.CheckpointBytes {
		return nil
	}
	return s.checkpointNow(s.positionAt(last))
}

// Start begins to serve requests.
func (s *Store) Start() {
	s.loops.Go(s.writeLoop)
	s.loops.Go(s.applyLoop)
	s.loops.Go(s.tickLoop)
}

// Commit queues r. It never blocks; r.Done is completed in the order of the
// calls.
func (s *Store) Commit(r Request) {
	s.waiting.Add(r.size())
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		s.waiting.Add(-r.size())
		r.complete(ErrClosed)
		return
	}
	s.pending = append(s.pending, r)
	first := len(s.pending) == 1
	s.mu.Unlock()
	if first {
		s.wake.Signal()
	}
}

// size counts r for flow control, in bytes.
func (r *Request) size() int64 {
	if r.Ops == nil {
		if r.Op.Msg != nil {
			return int64(r.Op.Msg.Size())
		}
		return 0
	}
	var n int64
	for i := range r.Ops {
		if m := r.Ops[i].Msg; m != nil {
			n += int64(m.Size())
		}
	}
	return n
}

func (r *Request) complete(err error) {
	if r.Pending != nil {
		r.Pending.Add(-1)
	}
	if r.Done != nil {
		r.Done.Complete(r.Token, err)
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
	case s.waiting.Load() > maxWaiting:
		return "the disk is slower than the producers", true
	case s.cp.lag.Load() > maxLag*s.o.CheckpointBytes:
		return "the checkpoint is slower than the producers", true
	}
	return "", false
}

const (
	maxWaiting = 16 << 20 // bytes of messages on their way into the log
	maxLag     = 8        // times CheckpointBytes that may wait for a checkpoint
)

// Pages gives access to what is checkpointed.
func (s *Store) Pages() pages.Store { return s.pages }

// Close completes what was committed, writes a last checkpoint and closes the
// files. Requests that come later complete with ErrClosed.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil
	}
	s.closing = true
	s.mu.Unlock()
	close(s.stop)
	s.wake.Broadcast()
	s.loops.Wait()
	s.cp.wait()
	var err error
	if s.Failed() == nil && ctx.Err() == nil {
		err = s.checkpointNow(s.log.Last())
	}
	return errors.Join(err, s.log.Close(), s.pages.Close())
}

// counters for metrics.
type counters struct {
	syncs, records, bytes, checkpoints atomic.Uint64
	lastCheckpoint                     atomic.Int64 // nanoseconds it took
	lastSync                           atomic.Int64 // nanoseconds
}

// Stats are counters since the start and present sizes.
type Stats struct {
	Syncs, Records, Bytes, Checkpoints uint64
	LastCheckpoint, LastSync           time.Duration
	WaitingBytes                       int64
	LogBytes, PagesBytes               int64
	Failed                             bool
}

// Stats returns the store's figures.
func (s *Store) Stats() Stats {
	_, onDisk := s.pages.Size()
	return Stats{
		Syncs: s.counts.syncs.Load(), Records: s.counts.records.Load(), Bytes: s.counts.bytes.Load(),
		Checkpoints:    s.counts.checkpoints.Load(),
		LastCheckpoint: time.Duration(s.counts.lastCheckpoint.Load()),
		LastSync:       time.Duration(s.counts.lastSync.Load()),
		WaitingBytes:   s.waiting.Load(), LogBytes: s.log.Size(), PagesBytes: onDisk, Failed: s.Failed() != nil,
	}
}
