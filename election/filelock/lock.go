package filelock

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/election"
)

// Defaults of Options.
const (
	DefaultPeriod = time.Second
	DefaultPoll   = 200 * time.Millisecond
)

// block is the size of the file: what is said in it fits, and is written at once.
const block = 4096

// Options of one node.
type Options struct {
	Dir  string // shared by all nodes
	Node string
	// Client, by listener, and Console are where the holder is reached.
	Client  map[string]string
	Console string
	// Period is that of beats [DefaultPeriod]. A beat that isn't through after
	// ten of them ends the lock: disks pause for seconds now and then.
	Period time.Duration
	Poll   time.Duration // how often a free lock is looked for [DefaultPoll]
	// Grace is how long a successor watches the beat of a holder that did not
	// say goodbye [10 periods on a network file system, else none].
	Grace  time.Duration
	Logger *slog.Logger
}

// Holder is what the file says of who holds the lock, or held it last.
type Holder struct {
	Node     string            `json:"node"`
	Epoch    uint64            `json:"epoch"`
	Beat     uint64            `json:"beat"`
	Released bool              `json:"released"` // it gave the lock back
	Client   map[string]string `json:"client,omitempty"`
	Console  string            `json:"console,omitempty"`
}

// Locker wants the lock for one node.
type Locker struct {
	o    Options
	name string
	log  *slog.Logger
}

// New returns a Locker; nothing is touched yet.
func New(o Options) *Locker {
	if o.Period == 0 {
		o.Period = DefaultPeriod
	}
	if o.Poll == 0 {
		o.Poll = DefaultPoll
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Locker{o: o, name: filepath.Join(o.Dir, "MASTER"), log: o.Logger}
}

// ErrNobody says that no node has held the lock yet.
var ErrNobody = errors.New("no node has been master yet")

// Holder reads who holds the lock, or held it last, as the file says.
func (l *Locker) Holder() (Holder, error) {
	f, err := os.Open(l.name)
	if errors.Is(err, os.ErrNotExist) {
		return Holder{}, ErrNobody
	}
	if err != nil {
		return Holder{}, err
	}
	defer f.Close()
	return read(f)
}

func read(f *os.File) (h Holder, err error) {
	b := make([]byte, block)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return h, err
	}
	if b = bytes.TrimSpace(b[:n]); len(b) == 0 {
		return h, ErrNobody
	}
	if err := json.Unmarshal(b, &h); err != nil {
		return h, fmt.Errorf("%s is not a lock's: %w", f.Name(), err)
	}
	return h, nil
}

// write fills the file with h, through the locked descriptor, to the disk.
func write(f *os.File, h Holder) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if len(text) >= block {
		return fmt.Errorf("%d bytes of addresses don't fit into %d", len(text), block)
	}
	b := append(bytes.Repeat([]byte{' '}, block-1), '\n')
	copy(b, text)
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	return f.Sync()
}

// Acquire waits until this node holds the lock, or ctx ends.
func (l *Locker) Acquire(ctx context.Context) (*Lock, error) {
	for {
		lock, err := l.try(ctx)
		if err != nil || lock != nil {
			return lock, err
		}
		if !pause(ctx, l.o.Poll) {
			return nil, ctx.Err()
		}
	}
}

// try takes the lock if it is free; nil means that it isn't.
func (l *Locker) try(ctx context.Context) (_ *Lock, err error) {
	f, err := os.OpenFile(l.name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	switch got, err := tryLock(f); {
	case err != nil:
		return nil, fmt.Errorf("lock %s: %w", l.name, err)
	case !got:
		return nil, f.Close()
	}
	last, err := read(f)
	if err != nil && !errors.Is(err, ErrNobody) {
		return nil, err
	}
	if err == nil && !last.Released {
		quiet, err := l.quiet(ctx, f, last)
		if err != nil {
			return nil, err
		}
		if !quiet {
			return nil, f.Close()
		}
	}
	return l.hold(f, last.Epoch+1)
}

// quiet watches whether the last holder's beat goes on although it has lost
// the lock.
func (l *Locker) quiet(ctx context.Context, f *os.File, last Holder) (bool, error) {
	grace := l.o.Grace
	if grace == 0 && overNetwork(f) {
		grace = l.patience()
	}
	if grace == 0 {
		return true, nil
	}
	if !pause(ctx, grace) {
		return false, ctx.Err()
	}
	now, err := read(f)
	if err != nil {
		return false, err
	}
	if now.Beat != last.Beat || now.Epoch != last.Epoch {
		l.log.Warn("the lock is free, and its last holder still writes to it: waiting for it to notice", "holder", last.Node, "epoch", last.Epoch)
		return false, nil
	}
	return true, nil
}

func (l *Locker) hold(f *os.File, epoch uint64) (*Lock, error) {
	k := &Lock{
		l: l, f: f, quit: make(chan struct{}), lost: make(chan struct{}),
		says: Holder{Node: l.o.Node, Epoch: epoch, Client: l.o.Client, Console: l.o.Console},
	}
	began := election.Now()
	if err := write(f, k.says); err != nil {
		return nil, fmt.Errorf("write the lock: %w", err)
	}
	k.deadline.Store(int64(began + l.patience()))
	k.beats.Go(k.beat)
	return k, nil
}

// patience is how long a beat may take.
func (l *Locker) patience() time.Duration { return 10 * l.o.Period }

// Lock is held until Release or until it is lost.
type Lock struct {
	l        *Locker
	f        *os.File
	deadline atomic.Int64 // ns of election.Now; 0 at the end
	quit     chan struct{}
	lost     chan struct{}
	ends     sync.Once
	beats    sync.WaitGroup

	says Holder // owned by beat until it ends
}

// Epoch counts the holders: it is larger than that of any holder before.
func (k *Lock) Epoch() uint64 { return k.says.Epoch }

// Deadline is the reading of election.Now until which the lock is believed to be held.
func (k *Lock) Deadline() time.Duration { return time.Duration(k.deadline.Load()) }

// Lost is closed when the lock may be somebody else's.
func (k *Lock) Lost() <-chan struct{} { return k.lost }

// beat is the goroutine that proves that the lock is held. A write that hangs
// must not hang the verdict: the deadline has a goroutine of its own.
func (k *Lock) beat() {
	k.beats.Go(k.watch)
	for {
		select {
		case <-k.quit:
			return
		case <-k.lost:
			return
		case <-time.After(k.l.o.Period):
		}
		began := election.Now()
		k.says.Beat++
		if err := k.prove(); err != nil {
			k.l.log.Error("the lock is lost", "file", k.l.name, "error", err)
			k.lose()
			return
		}
		if old := k.deadline.Load(); old != 0 {
			k.deadline.CompareAndSwap(old, int64(began+k.l.patience()))
		}
	}
}

// prove writes a beat and looks whether the file is still the one that is locked.
func (k *Lock) prove() error {
	locked, err1 := k.f.Stat()
	named, err2 := os.Stat(k.l.name)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if !os.SameFile(locked, named) {
		return errors.New("the file was replaced")
	}
	present, err := read(k.f)
	if err != nil {
		return err
	}
	if present.Node != k.says.Node || present.Epoch != k.says.Epoch {
		return fmt.Errorf("node %q wrote epoch %d to it", present.Node, present.Epoch)
	}
	return write(k.f, k.says)
}

// watch loses the lock when the deadline passes.
func (k *Lock) watch() {
	for {
		left := k.Deadline() - election.Now()
		if left <= 0 {
			k.l.log.Error("the lock is lost: its file could not be written in time", "file", k.l.name)
			k.lose()
			return
		}
		select {
		case <-k.quit:
			return
		case <-k.lost:
			return
		case <-time.After(left):
		}
	}
}

func (k *Lock) lose() {
	k.ends.Do(func() {
		k.deadline.Store(0)
		close(k.lost)
	})
}

// Release gives the lock back. The next holder need not watch for this one.
// It waits for a beat that is being written.
func (k *Lock) Release() error {
	held := k.Deadline() != 0
	k.lose()
	close(k.quit)
	k.beats.Wait()
	var err error
	if held {
		k.says.Released = true
		err = write(k.f, k.says)
	}
	return errors.Join(err, k.f.Close())
}

// pause waits; false means that ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
