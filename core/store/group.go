package store

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// ErrNotLeader completes requests of a node that doesn't lead its group. With ErrUncertain it
// means that the request was written, and the next leader decides.
var ErrNotLeader = errors.New("this node is not the group's master")

var errLease = errors.New("the lease ended")

// Leadership is what a store in a group needs of its leader.
type Leadership struct {
	// Written is told that the log has frames up to pos, which can be read while they
	// are being synced; Synced, that the log is on the disk up to index. Both are called by
	// the log's writer and must not block.
	Written func(pos log.Position)
	Synced  func(index uint64)
	// Valid reports whether the lease still holds. Once it doesn't nothing is dispatched any more: the store is deposed.
	Valid func() bool
	// Memory leaves it to SyncInterval when the log is synced.
	Memory bool
	// Early completes requests when this node has them, before the group does: they may be lost with it.
	Early bool
}

// group is a store's part in a group: what is committed is decided by others. Nil in a
// store of its own.
type group struct {
	reader   *log.Reader   // follower; owned by followLoop
	lead     *Leadership   // leader; set before leads, and before the writer starts
	leads    atomic.Bool   // requests are served
	applied  atomic.Uint64 // index of the last record applied
	hold     atomic.Uint64 // a follower still needs what is behind it; math.MaxUint64: nobody needs anything
	draining atomic.Bool   // the writer holds requests back

	mu        sync.Mutex
	changed   sync.Cond
	committed uint64 // guarded by mu
	serving   bool   // guarded by mu: the applier takes over from followLoop
	lost      error  // guarded by mu: why it leads no more
	following sync.WaitGroup
}

func newGroup() *group {
	g := &group{}
	g.changed.L = &g.mu
	g.hold.Store(math.MaxUint64)
	return g
}

// deposed returns why the node doesn't lead any more, nil while it may.
func (g *group) deposed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lost
}

// Log gives access to the log of a store in a group. Until Lead its owner is the log's committer.
func (s *Store) Log() *log.Log { return s.log }

// Applied returns the index up to which a store in a group has applied its log.
func (s *Store) Applied() uint64 { return s.group.applied.Load() }

// Follow begins to apply what Advance says is committed.
func (s *Store) Follow() {
	if s.cp.pending != nil { // the disk had no room for it
		s.writeInBackground()
	}
	s.group.following.Go(s.followLoop)
}

// Advance says that the log is committed up to index, the end of a frame.
func (s *Store) Advance(index uint64) {
	g := s.group
	g.mu.Lock()
	g.committed = max(g.committed, index)
	g.mu.Unlock()
	g.changed.Broadcast()
}

// Hold keeps the log behind index for followers, as far as Options.HoldBytes allow; math.MaxUint64 lets it go.
func (s *Store) Hold(index uint64) { s.group.hold.Store(index) }

// followLoop applies records as they are committed, without effects: nobody is served.
func (s *Store) followLoop() {
	g := s.group
	for {
		g.mu.Lock()
		for g.committed <= g.applied.Load() && g.lost == nil && !g.serving {
			g.changed.Wait()
		}
		to, end := g.committed, g.lost != nil || g.serving && g.committed <= g.applied.Load()
		g.mu.Unlock()
		if end {
			return
		}
		if err := s.follow(to); err != nil {
			s.fail(err)
			return
		}
	}
}

// follow applies the records up to index to.
func (s *Store) follow(to uint64) error {
	g := s.group
	var ops []Op
	last, size := uint64(0), int64(0)
	err := g.reader.Next(to, func(index, _ uint64, rec []byte) (err error) {
		if ops, err = DecodeOps(ops[:0], append([]byte(nil), rec...)); err != nil {
			return fmt.Errorf("record %d: %w", index, err)
		}
		for i := range ops {
			s.machine.Apply(&ops[i])
		}
		last = index
		size += int64(len(rec))
		return nil
	})
	if err != nil {
		return fmt.Errorf("apply what is committed: %w", err)
	}
	s.counts.bytes.Add(uint64(size))
	if last != 0 {
		s.machine.Settle()
		b := batch{logged: s.logged(), pos: g.reader.Position()}
		b.synced = b.pos.Index <= s.log.Durable()
		// Not in the middle of a record whose other part is not committed: a checkpoint there would lose it.
		if b.pos.Index == last && (b.synced || s.cp.busy.Load()) {
			s.maybeCheckpoint(&b)
		}
	}
	g.applied.Store(to)
	g.changed.Broadcast()
	return nil
}

// restoreFollower brings the machine to the last checkpoint, and to the one that was begun: both are
// committed. What else the log has is not known to be.
func (s *Store) restoreFollower(mark pages.Mark, intent uint64) error {
	at := mark.Index
	if intent != 0 {
		pos, size, _, err := s.replayPart(mark.Index, intent)
		if err != nil {
			return fmt.Errorf("replay the log: %w", err)
		}
		s.replayed += size
		s.freeze(pos, s.logged())
		if err := s.writePending(); err != nil && !errors.Is(err, pages.ErrNoSpace) {
			return err
		}
		at = pos.Index
	}
	s.group.reader = s.log.Reader(at)
	s.group.applied.Store(at)
	s.group.committed = at
	return nil
}

// Lead begins an epoch: it writes the barrier, the record that commits what the epoch inherited, and syncs it.
// From then on only the store writes the log.
func (s *Store) Lead(epoch uint64) (barrier log.Position, err error) {
	if err := s.log.SetEpoch(epoch); err != nil {
		return barrier, err
	}
	s.head = AppendOps(s.head[:0], []Op{{Kind: OpBarrier}})
	s.log.Append(s.head)
	if err := s.log.Commit(true); err != nil {
		s.fail(err)
		return barrier, s.Failed()
	}
	return s.log.Last(), nil
}

// Serve waits until everything up to the barrier is applied, and begins to serve requests as the
// group's leader. It returns an error if the leadership is lost meanwhile.
func (s *Store) Serve(l Leadership) error {
	g := s.group
	g.mu.Lock()
	g.serving = true
	g.mu.Unlock()
	g.changed.Broadcast()
	g.following.Wait()
	if err := errors.Join(g.deposed(), s.Failed()); err != nil {
		return err
	}
	g.lead = &l
	g.leads.Store(true)
	s.loops.Go(s.writeLoop)
	s.loops.Go(s.applyLoop)
	s.loops.Go(s.tickLoop)
	if s.reserve > 0 {
		s.loops.Go(s.roomLoop)
	}
	return nil
}

// Depose ends the leadership, or the following: nothing is written or applied from now on, and
// every request completes with an error. Close comes next.
func (s *Store) Depose(err error) {
	g := s.group
	g.mu.Lock()
	if g.lost == nil {
		g.lost = fmt.Errorf("%w: %w", ErrNotLeader, err)
	}
	g.mu.Unlock()
	g.changed.Broadcast()
	s.wake.Broadcast()
}

// Drain has the writer hold back what is not written yet; with off it goes on. Nothing is refused.
func (s *Store) Drain(on bool) {
	s.group.draining.Store(on)
	s.wake.Broadcast()
}

// heldBack reports whether the writer should wait for the end of a hand-over.
func (s *Store) heldBack() bool {
	return s.group != nil && s.group.draining.Load() && s.group.deposed() == nil
}

// writeInGroup appends b's records, lets the followers have them, and syncs meanwhile.
func (s *Store) writeInGroup(b *batch, sync bool) error {
	g := s.group
	if err := g.deposed(); err != nil {
		return err
	}
	err := s.commit(b, false)
	if err != nil {
		return err
	}
	g.lead.Written(s.log.Last())
	if g.lead.Memory && !sync {
		s.mu.Lock()
		s.unsynced = true
		s.mu.Unlock()
		return nil
	}
	began := time.Now()
	if err := s.log.Commit(true); err != nil {
		s.fail(err)
		return fmt.Errorf("%w: %w", ErrUncertain, s.Failed())
	}
	b.synced = true
	s.counts.synced(time.Since(began))
	g.lead.Synced(s.log.Durable())
	return nil
}

// awaitQuorum waits until b is committed. With an error it may or may not be, one day.
func (s *Store) awaitQuorum(b *batch) error {
	g := s.group
	if g.lead.Early {
		b.completeEarly()
		s.counts.confirmed(b)
	}
	g.mu.Lock()
	for g.committed < b.pos.Index && g.lost == nil && s.Failed() == nil {
		g.changed.Wait()
	}
	err := g.lost
	g.mu.Unlock()
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUncertain, err)
	case s.Failed() != nil:
		return fmt.Errorf("%w: %w", ErrUncertain, s.Failed())
	case !g.lead.Valid():
		// For good: what is left out once would be missing from the state for ever.
		s.Depose(errLease)
		return fmt.Errorf("%w: %w", ErrUncertain, g.deposed())
	}
	g.applied.Store(b.pos.Index)
	return nil
}

// completeEarly tells producers that their messages are safe, in the sense that they asked for.
func (b *batch) completeEarly() {
	for i := range b.reqs {
		if r := &b.reqs[i]; r.Err == nil && r.Done != nil && r.Ops == nil && r.Op.Kind == OpPublish {
			r.Done.Complete(r.Token, nil)
			r.Done = nil
		}
	}
}

// release lets the log forget what is checkpointed and no follower needs.
func (s *Store) release(index uint64) {
	if s.group != nil && s.log.Size() < s.o.HoldBytes && !s.tight.Load() {
		index = min(index, s.group.hold.Load())
	}
	s.log.Release(index)
}
