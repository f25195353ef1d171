package replication_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/election"
)

// register is a configuration's store in memory that several nodes of a test share.
type register struct {
	mu      sync.Mutex
	state   election.State
	rev     election.Revision
	leases  map[int64]*testLease
	next    int64
	floors  map[string]election.Floor
	watches []chan election.State
	down    bool
}

func newRegister() *register {
	return &register{leases: make(map[int64]*testLease), floors: make(map[string]election.Floor)}
}

const testTTL = 2 * time.Second

type testLease struct {
	reg      *register
	id       int64
	deadline atomic.Int64
	lost     chan struct{}
	once     sync.Once
	timer    *time.Timer
}

func (l *testLease) ID() int64               { return l.id }
func (l *testLease) Deadline() time.Duration { return time.Duration(l.deadline.Load()) }
func (l *testLease) Lost() <-chan struct{}   { return l.lost }

func (l *testLease) Revoke(context.Context) error {
	l.end()
	return nil
}

func (l *testLease) end() {
	l.once.Do(func() {
		l.deadline.Store(0)
		l.timer.Stop()
		close(l.lost)
		l.reg.mu.Lock()
		defer l.reg.mu.Unlock()
		delete(l.reg.leases, l.id)
		if k := l.reg.state.Lock; k != nil && k.Lease == l.id {
			l.reg.state.Lock, l.reg.state.LockRevision = nil, 0
			l.reg.changed()
		}
	})
}

// changed tells the watches. The caller holds mu.
func (r *register) changed() {
	r.rev++
	for _, w := range r.watches {
		select {
		case <-w:
		default:
		}
		w <- r.state
	}
}

func (r *register) Read(context.Context) (election.State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return election.State{}, election.ErrUnavailable
	}
	return r.state, nil
}

func (r *register) Watch(ctx context.Context) <-chan election.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := make(chan election.State, 1)
	w <- r.state
	r.watches = append(r.watches, w)
	context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.watches = slices.DeleteFunc(r.watches, func(c chan election.State) bool { return c == w })
		close(w)
	})
	return w
}

// write runs op unless the register is down.
func (r *register) write(op func() error) (election.State, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return election.State{}, election.ErrUnavailable
	}
	err := op()
	if err == nil {
		r.changed()
	}
	return r.state, err
}

func (r *register) Create(_ context.Context, c election.Configuration) (election.State, error) {
	return r.write(func() error {
		if r.state.ConfigRevision != 0 {
			return election.ErrConflict
		}
		r.state.Config, r.state.ConfigRevision = c, r.rev+1
		return nil
	})
}

func (r *register) Grant(context.Context) (election.Lease, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return nil, election.ErrUnavailable
	}
	r.next++
	l := &testLease{reg: r, id: r.next, lost: make(chan struct{})}
	l.deadline.Store(int64(election.Now() + testTTL))
	l.timer = time.AfterFunc(testTTL/4, l.renew)
	r.leases[l.id] = l
	return l, nil
}

// renew keeps the lease while the register is up.
func (l *testLease) renew() {
	l.reg.mu.Lock()
	down := l.reg.down
	l.reg.mu.Unlock()
	switch {
	case !down:
		if l.deadline.Load() != 0 {
			l.deadline.Store(int64(election.Now() + testTTL))
		}
	case election.Now() > l.Deadline():
		l.end()
		return
	}
	l.timer.Reset(testTTL / 4)
}

func (r *register) Campaign(_ context.Context, lease election.Lease, at election.Revision, lock election.Lock, c election.Configuration) (election.State, error) {
	return r.write(func() error {
		if r.leases[lease.ID()] == nil {
			return election.ErrLeaseLost
		}
		if r.state.Lock != nil || r.state.ConfigRevision != at {
			return election.ErrConflict
		}
		lock.Lease = lease.ID()
		r.state.Lock, r.state.LockRevision = &lock, r.rev+1
		r.state.Config, r.state.ConfigRevision = c, r.rev+1
		return nil
	})
}

func (r *register) Change(_ context.Context, lock, at election.Revision, c election.Configuration) (election.State, error) {
	return r.write(func() error {
		if r.state.LockRevision != lock || r.state.ConfigRevision != at {
			return election.ErrConflict
		}
		r.state.Config, r.state.ConfigRevision = c, r.rev+1
		return nil
	})
}

func (r *register) Recover(_ context.Context, at election.Revision, c election.Configuration) (election.State, error) {
	return r.write(func() error {
		if r.state.Lock != nil || r.state.ConfigRevision != at {
			return election.ErrConflict
		}
		r.state.Config, r.state.ConfigRevision = c, r.rev+1
		return nil
	})
}

func (r *register) SetHint(context.Context, election.Hint) error { return nil }

func (r *register) Floor(_ context.Context, node string) (election.Floor, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.floors[node]
	return f, ok, nil
}

func (r *register) SetFloor(_ context.Context, node string, f election.Floor) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.floors[node] = f
	return nil
}

func (r *register) Close() error { return nil }

// stop makes the register unreachable, or reachable again.
func (r *register) stop(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
	if !down {
		r.changed()
	}
}
