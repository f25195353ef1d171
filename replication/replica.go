package replication

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/replication/protocol"
)

// Outcome is why a Replica is Done.
type Outcome struct {
	Reason    error
	NotBefore time.Duration // for the next one's Options
	// Failed says that the store can't be used as it is: the process should end, or at least open it as one that forgot.
	Failed bool
	// Rebuild says that the directory is damaged, or contradicts the group's: it must be set aside (SetAside).
	Rebuild bool
	// Installed says that a snapshot waits in the directory: Adopt makes it the store.
	Installed bool
}

// Status is what a replica is and knows at the moment.
type Status struct {
	Node      election.Member
	Role      string
	Epoch     uint64
	Master    string // "" if unknown
	State     election.State
	Last      log.Position
	Durable   uint64
	Commit    uint64
	Applied   uint64
	Deadline  time.Duration // of the lease, by election.Now; 0 without one
	Followers []Follower    // of a master
	Snapshots []Transfer    // under way
}

// Follower is what a master knows of another node.
type Follower = protocol.FollowerStatus

// Replica is a broker's store as a node of a group. Its methods may be called from any goroutine.
type Replica struct {
	o    Options // immutable
	disk *hardStore

	// owned by the loop
	node     *protocol.Node
	lease    election.Lease
	floorAt  time.Duration
	hintAt   time.Duration
	finished bool
	chases   chases

	inbox    chan arrival
	bodies   sync.Pool // *[]byte, of arrivals
	refusals refusals
	calls    chan func() // what others report; run by the loop
	wake     chan struct{}
	written  atomic.Pointer[log.Position]
	synced   atomic.Uint64
	expired  atomic.Bool                    // the applier found the lease over
	leased   atomic.Pointer[election.Lease] // for the applier's look at the deadline

	peers     peers
	transfers transfers
	receiving atomic.Bool // a snapshot
	status    atomic.Pointer[Status]
	leading   chan struct{}
	done      chan struct{}
	outcome   Outcome // readable once done is closed

	life context.Context
	end  context.CancelFunc
	wg   sync.WaitGroup
}

// Open starts a replica on o.Store, which must not have been told to Follow anything yet.
func Open(o Options) (*Replica, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	content, ok, err := readHard(o.FS, o.Dir)
	if err == nil && !ok {
		err = errors.New("the node is not identified")
	}
	if err != nil {
		return nil, err
	}
	r := &Replica{
		o: o, disk: &hardStore{fs: o.FS, dir: o.Dir, content: content},
		inbox: make(chan arrival, 256), calls: make(chan func(), 64), wake: make(chan struct{}, 1),
		leading: make(chan struct{}), done: make(chan struct{}),
	}
	r.life, r.end = context.WithCancel(context.Background())
	p := o.Timing
	p.Node, p.Weight, p.Memory, p.NotBefore, p.Logger = o.Node, o.Weight, o.Level.memory(), o.NotBefore, o.Logger
	p.Seed = uint64(time.Now().UnixNano())
	r.node = protocol.New(p, o.Hard, r.disk, o.Store.Log(), o.Store.Applied(), election.Now())
	r.peers.r, r.transfers.r = r, r
	r.publishStatus()
	r.wg.Go(r.accept)
	r.wg.Go(r.loop)
	return r, nil
}

// Leading is closed when this node is the master and its store serves requests.
func (r *Replica) Leading() <-chan struct{} { return r.leading }

// Done is closed when the replica has ended. Outcome says why.
func (r *Replica) Done() <-chan struct{} { return r.done }

// Outcome says why the replica is done, once it is.
func (r *Replica) Outcome() Outcome { return r.outcome }

// Status returns what is known at the moment; it is at most a tick old.
func (r *Replica) Status() Status { return *r.status.Load() }

// Close ends the replica: a master gives its lock up. It returns when nothing of it runs any more.
func (r *Replica) Close() {
	r.call(func() {
		r.node.Stop()
		r.carryOut()
		r.finish(Outcome{Reason: store.ErrClosed})
	})
	<-r.done
	r.wg.Wait()
}

// call has the loop run fn, unless it has ended.
func (r *Replica) call(fn func()) bool {
	select {
	case r.calls <- fn:
		return true
	case <-r.life.Done():
		return false
	}
}

// ask has the loop run fn and waits for what it returns.
func (r *Replica) ask(ctx context.Context, fn func() error) error {
	answer := make(chan error, 1)
	if !r.call(func() { answer <- fn() }) {
		return store.ErrNotLeader
	}
	select {
	case err := <-answer:
		return err
	case <-r.life.Done():
		select {
		case err := <-answer: // fn itself ended the replica
			return err
		default:
			return store.ErrNotLeader
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// HandOver makes another node the master, the best one if to is "". It returns when that has begun; Done tells when it has
// happened, and a Leading that goes on that it came to nothing.
func (r *Replica) HandOver(ctx context.Context, to string) error {
	return r.ask(ctx, func() error {
		return r.node.HandOver(election.Now(), to)
	})
}

// AddNode has a node join the group: it gets a copy, and becomes a voter when it has caught up. Master only.
func (r *Replica) AddNode(ctx context.Context, name string) error {
	return r.ask(ctx, func() error {
		return r.node.AddNode(election.Now(), name)
	})
}

// RemoveNode takes a node out of the group. Master only, and not the master itself.
func (r *Replica) RemoveNode(ctx context.Context, name string) error {
	return r.ask(ctx, func() error {
		return r.node.RemoveNode(election.Now(), name)
	})
}

// finish ends the replica. The loop calls it.
func (r *Replica) finish(o Outcome) {
	if r.finished {
		return
	}
	r.finished = true
	o.Rebuild = o.Rebuild || o.Failed && Damaged(o.Reason)
	r.outcome = o
	r.o.Store.Depose(o.Reason)
	r.revoke()
	r.end()
	_ = r.o.Listener.Close() // what it accepts now comes too late
	r.peers.close()
	close(r.done)
}

// tick is how often the loop looks at the clock.
const tick = 25 * time.Millisecond

// loop is the node's goroutine.
func (r *Replica) loop() {
	watch := r.o.Coordinator.Watch(r.life)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for !r.finished {
		var lost <-chan struct{}
		if r.lease != nil {
			lost = r.lease.Lost()
		}
		select {
		case a := <-r.inbox:
			r.receive(a)
		case <-r.wake:
			r.fromWriter()
		case fn := <-r.calls:
			fn()
		case s, ok := <-watch:
			if !ok {
				watch = nil
				break
			}
			r.node.Seen(election.Now(), s)
		case <-lost:
			r.lease = nil
			r.node.LeaseLost(election.Now())
		case <-ticker.C:
			r.tick()
		}
		r.carryOut()
		r.sync()
	}
}

// receive takes a message and those that wait behind it: what they write is synced together.
func (r *Replica) receive(a arrival) {
	for range 64 {
		r.node.Receive(election.Now(), a.message)
		r.carryOut()
		if r.finished {
			return
		}
		r.bodies.Put(a.room)
		select {
		case a = <-r.inbox:
		default:
			return
		}
	}
}

// sync makes what a follower has written durable.
func (r *Replica) sync() {
	if r.finished || !r.node.Unsynced() {
		return
	}
	l := r.o.Store.Log()
	if err := l.Commit(true); err != nil {
		r.finish(Outcome{Reason: fmt.Errorf("sync the log: %w", err), Failed: true})
		return
	}
	r.node.Synced(election.Now(), l.Durable())
	r.carryOut()
}

// fromWriter takes what the leader's log writer has reported.
func (r *Replica) fromWriter() {
	now := election.Now()
	if r.expired.Load() {
		r.node.LeaseLost(now) // the store has given up, even if the lease was renewed a moment later
		return
	}
	if p := r.written.Load(); p != nil {
		r.node.Written(now, *p)
		r.carryOut()
	}
	r.node.Synced(now, r.synced.Load())
}

func (r *Replica) nudge() {
	select {
	case r.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (r *Replica) tick() {
	now := election.Now()
	if r.lease != nil && r.lease.Deadline() <= now {
		r.node.LeaseLost(now)
	}
	r.node.Tick(now)
	r.holdLog()
	r.report(now)
	r.publishStatus()
	r.chases.look(now, r.status.Load().Followers, r.o.Logger)
	if err := r.o.Store.Failed(); err != nil {
		r.carryOut()
		r.finish(Outcome{Reason: err, Failed: true})
	}
}

// holdLog keeps the part of the log that a follower needs next.
func (r *Replica) holdLog() { r.o.Store.Hold(r.transfers.needed(r.node.Needed())) }

func (r *Replica) publishStatus() {
	role, epoch := r.node.Role()
	l := r.o.Store.Log()
	s := Status{
		Node: election.Member{Node: r.o.Node, Inc: r.node.Hard().Inc}, Role: role.String(), Epoch: epoch, Master: r.node.Master(),
		State: r.node.State(), Last: l.Last(), Durable: l.Durable(), Commit: r.node.Commit(), Applied: r.o.Store.Applied(),
		Followers: r.node.Followers(), Snapshots: r.transfers.list(),
	}
	for i := range s.Followers {
		s.Followers[i].Behind = l.Behind(s.Followers[i].Durable)
	}
	if r.lease != nil {
		s.Deadline = r.lease.Deadline()
	}
	r.status.Store(&s)
}
