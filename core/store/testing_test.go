package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// TestMain also is the process that holds a store while another one tries to
// open it, and the one that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(holdDirVar); dir != "" {
		os.Exit(holdStore(dir))
	}
	if dir := os.Getenv(killDirVar); dir != "" {
		os.Exit(commitUntilKilled(dir))
	}
	goleak.VerifyTestMain(m)
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func eventually(t fataler, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within a minute", what)
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// ledger is a small Machine: numbered changes, each of which sets or clears
// one of a few slots. Its state is a function of the numbers applied.
type ledger struct {
	mu      sync.Mutex
	applied []uint64 // since Load
	count   uint64   // in all
	slots   map[uint64]uint64
	dirty   map[uint64]bool
	settled int // Settle calls
	freezes int
}

const ledgerSlots = 37

func newLedger() *ledger { return &ledger{slots: map[uint64]uint64{}, dirty: map[uint64]bool{}} }

func applyTo(slots map[uint64]uint64, serial uint64) (slot uint64) {
	slot = serial * 2654435761 % ledgerSlots
	if serial%5 == 0 {
		delete(slots, slot)
	} else {
		slots[slot] = serial
	}
	return slot
}

// stateAfter is the obvious way to a ledger's slots.
func stateAfter(serials []uint64) map[uint64]uint64 {
	slots := map[uint64]uint64{}
	for _, n := range serials {
		applyTo(slots, n)
	}
	return slots
}

func (l *ledger) Load(p pages.Store) error {
	return p.Scan(StatePrefix, func(key, value []byte) error {
		v := binary.BigEndian.Uint64(value)
		if key[1] == 'c' {
			l.count = v
			return nil
		}
		l.slots[binary.BigEndian.Uint64(key[2:])] = v
		return nil
	})
}

func (l *ledger) Apply(op *Op) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var serial uint64
	if op.Msg != nil {
		serial = op.Msg.ID.Lo
	} else {
		serial = op.Pos
	}
	l.applied = append(l.applied, serial)
	l.count++
	l.dirty[applyTo(l.slots, serial)] = true
}

func (l *ledger) Settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled++
}

func (l *ledger) Freeze() Frozen {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.freezes++
	f := &frozenLedger{l: l, count: l.count, slots: maps.Clone(l.slots), dirty: slices.Sorted(maps.Keys(l.dirty))}
	clear(l.dirty)
	return f
}

// snapshot returns what was applied since Load, and the state.
func (l *ledger) snapshot() (applied []uint64, count uint64, slots map[uint64]uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.applied), l.count, maps.Clone(l.slots)
}

type frozenLedger struct {
	l     *ledger
	count uint64
	slots map[uint64]uint64
	dirty []uint64
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func (f *frozenLedger) Write(_ pages.Store, w pages.Writer) error {
	for _, slot := range f.dirty {
		key := StateKey(nil, 's', string(number(slot)))
		var err error
		if v, ok := f.slots[slot]; ok {
			err = w.Put(key, number(v))
		} else {
			err = w.Delete(key)
		}
		if err != nil {
			return err
		}
	}
	return w.Put(StateKey(nil, 'c', ""), number(f.count))
}

func (f *frozenLedger) Written() {}

// sink remembers how requests completed.
type sink struct {
	mu    sync.Mutex
	order []uint64
	errs  map[uint64]error
}

func (k *sink) Complete(token uint64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.errs == nil {
		k.errs = map[uint64]error{}
	}
	k.order = append(k.order, token)
	k.errs[token] = err
}

func (k *sink) completed() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.order)
}

func (k *sink) result(token uint64) (err error, done bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	err, done = k.errs[token]
	return err, done
}

// wait returns how the request of that token completed.
func (k *sink) wait(t fataler, token uint64) error {
	t.Helper()
	eventually(t, fmt.Sprintf("completion of %d", token), func() bool { _, done := k.result(token); return done })
	err, _ := k.result(token)
	return err
}

// change is a small record: of the kind that a full disk still takes.
func change(serial uint64, d Durability, done Done) Request {
	return Request{Op: Op{Kind: OpAck, Queue: 1, Pos: serial}, Durability: d, Done: done, Token: serial}
}

// publish is a record with a message of about that size.
func publish(serial uint64, size int, d Durability, done Done) Request {
	e := message.Envelope{ID: message.ID{Lo: serial}, Destination: message.Queue("q"), Durable: true}
	m := message.New(&e, message.EncodingSTOMP, make([]byte, size))
	return Request{Op: Op{Kind: OpPublish, Msg: m}, Durability: d, Done: done, Token: serial}
}

// rig is a store on a disk that can lose power.
type rig struct {
	t     fataler
	fs    *disk.Fake
	pages *flash
	o     Options
	*Store
	ledger *ledger
}

// smallSegments makes segments turn over soon.
func smallSegments(o *Options) {
	o.SegmentSize = 16 << 10
	o.logOptions = func(lo *log.Options) { lo.MaxFrame, lo.RetryEvery = 4096, 2*time.Millisecond }
}

// never is an interval that doesn't come.
const never = 24 * time.Hour

func newRig(t fataler, edit ...func(*Options)) *rig {
	fs := disk.NewFake()
	r := &rig{t: t, fs: fs, pages: newFlash(fs)}
	r.o = Options{CheckpointInterval: never, SyncInterval: never}
	smallSegments(&r.o)
	for _, f := range edit {
		f(&r.o)
	}
	if r.o.FS == nil {
		r.o.FS = fs
	}
	r.o.Pages = r.pages
	return r
}

func (r *rig) tryOpen() error {
	m := newLedger()
	s, err := Open(r.o, m)
	if err != nil {
		return err
	}
	r.Store, r.ledger = s, m
	s.Start()
	return nil
}

func (r *rig) open() {
	r.t.Helper()
	if err := r.tryOpen(); err != nil {
		r.t.Fatalf("open: %v", err)
	}
}

// opened returns a rig whose store is open until the test's end.
func opened(t *testing.T, edit ...func(*Options)) *rig {
	t.Helper()
	r := newRig(t, edit...)
	r.open()
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return r
}

func (r *rig) mustClose() {
	r.t.Helper()
	if err := r.Close(context.Background()); err != nil {
		r.t.Fatalf("close: %v", err)
	}
}

// restart closes the store in order and opens it again.
func (r *rig) restart() {
	r.t.Helper()
	r.mustClose()
	r.pages.Crash() // opens it again
	r.open()
}

// closeNow ends the store's goroutines and nothing more.
func (r *rig) closeNow() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.Close(ctx)
}

// crash loses power and what was not synced.
func (r *rig) crash(seed uint64) {
	r.fs.HaltAfter(0)
	if r.Store != nil {
		r.closeNow()
	}
	r.fs.Crash(seed)
	r.pages.restart()
}

// commitAll commits changes from to to and waits for all of them.
func (r *rig) commitAll(from, to uint64, d Durability) {
	r.t.Helper()
	k := &sink{}
	for n := from; n <= to; n++ {
		r.Commit(change(n, d, k))
	}
	eventually(r.t, "completion of all", func() bool { return k.completed() == int(to-from+1) })
	for n := from; n <= to; n++ {
		if err, _ := k.result(n); err != nil {
			r.t.Fatalf("change %d: %v", n, err)
		}
	}
}

// checkpoint has one written now, and waits for it.
func (r *rig) checkpoint() {
	r.t.Helper()
	before := r.Stats().Checkpoints
	r.cp.due.Store(true)
	r.wakeApplier()
	eventually(r.t, "checkpoint", func() bool { return r.Stats().Checkpoints > before && !r.cp.busy.Load() })
}

// wantState fails unless the state is that of exactly these changes.
func (r *rig) wantState(serials []uint64) {
	r.t.Helper()
	_, count, slots := r.ledger.snapshot()
	if count != uint64(len(serials)) || !maps.Equal(slots, stateAfter(serials)) {
		r.t.Fatalf("state after %d changes: %v, want %d: %v", count, slots, len(serials), stateAfter(serials))
	}
}

func upTo(n uint64) (serials []uint64) {
	for i := uint64(1); i <= n; i++ {
		serials = append(serials, i)
	}
	return serials
}

// flash is pages.Memory with two things more of Badger: it halts with the
// machine, and what an unfinished checkpoint wrote is there again when that
// checkpoint is completed by a later attempt.
type flash struct {
	*pages.Memory
	fs *disk.Fake

	mu     sync.Mutex
	steps  int // operations until the machine halts; negative: never
	fail   error
	noRoom bool
	block  chan struct{} // Put waits for it, if set
	index  uint64        // of the last checkpoint begun
	left   []func(pages.Writer) error
}

func newFlash(fs *disk.Fake) *flash { return &flash{Memory: pages.NewMemory(), fs: fs, steps: -1} }

func (f *flash) restart() {
	f.Crash()
	f.haltAfter(-1)
}

func (f *flash) haltAfter(steps int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steps = steps
}

// set changes how writing fails.
func (f *flash) set(fail error, noRoom bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail, f.noRoom = fail, noRoom
}

// hold makes writing wait until the returned function is called.
func (f *flash) hold() (release func()) {
	c := make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.block = c
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.block = nil
		close(c)
	})
}

// step is taken before every operation that writes.
func (f *flash) step() error {
	f.mu.Lock()
	if f.steps == 0 {
		f.fs.HaltAfter(0)
	}
	if f.steps > 0 {
		f.steps--
	}
	fail, noRoom, block := f.fail, f.noRoom, f.block
	f.mu.Unlock()
	if block != nil {
		<-block
	}
	if noRoom {
		return pages.ErrNoSpace
	}
	if _, err := f.fs.Free("."); errors.Is(err, disk.ErrHalted) {
		return err
	}
	return fail
}

func (f *flash) Begin(m pages.Mark) (pages.Writer, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	w, err := f.Memory.Begin(m)
	if err != nil {
		return nil, err
	}
	if f.index != m.Index {
		f.index, f.left = m.Index, nil
	}
	for _, again := range f.left {
		if err := again(w); err != nil {
			return nil, err
		}
	}
	return &flashWriter{w, f}, nil
}

type flashWriter struct {
	pages.Writer
	f *flash
}

func (w *flashWriter) Put(key, value []byte) error {
	key, value = slices.Clone(key), slices.Clone(value)
	return w.do(func(to pages.Writer) error { return to.Put(key, value) })
}

func (w *flashWriter) Delete(key []byte) error {
	key = slices.Clone(key)
	return w.do(func(to pages.Writer) error { return to.Delete(key) })
}

func (w *flashWriter) do(op func(pages.Writer) error) error {
	if err := w.f.step(); err != nil {
		return err
	}
	w.f.left = append(w.f.left, op)
	return op(w.Writer)
}

func (w *flashWriter) Commit() error {
	if err := w.f.step(); err != nil {
		return err
	}
	return w.Writer.Commit()
}

// gate is a file system whose syncs wait.
type gate struct {
	disk.FS
	mu    sync.Mutex
	shut  chan struct{} // Sync waits while it is set
	syncs int
	tried int // syncs begun
}

func (g *gate) close() (open func()) {
	c := make(chan struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = c
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.shut = nil
		close(c)
	})
}

func (g *gate) counts() (tried, syncs int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tried, g.syncs
}

func (g *gate) Create(name string) (disk.File, error) { return g.wrap(g.FS.Create(name)) }
func (g *gate) Open(name string) (disk.File, error)   { return g.wrap(g.FS.Open(name)) }

func (g *gate) wrap(f disk.File, err error) (disk.File, error) {
	if err != nil {
		return nil, err
	}
	return &gatedFile{f, g}, nil
}

type gatedFile struct {
	disk.File
	g *gate
}

func (f *gatedFile) Sync() error {
	f.g.mu.Lock()
	f.g.tried++
	shut := f.g.shut
	f.g.mu.Unlock()
	if shut != nil {
		<-shut
	}
	err := f.File.Sync()
	f.g.mu.Lock()
	defer f.g.mu.Unlock()
	f.g.syncs++
	return err
}

// discard is a Machine without state.
type discard struct{}

func (discard) Load(pages.Store) error                { return nil }
func (discard) Apply(*Op)                             {}
func (discard) Settle()                               {}
func (discard) Freeze() Frozen                        { return discard{} }
func (discard) Write(pages.Store, pages.Writer) error { return nil }
func (discard) Written()                              {}
