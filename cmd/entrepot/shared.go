package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/console/api"
	"github.com/entrepot-mq/entrepot/election/filelock"
	"github.com/entrepot-mq/entrepot/protocols"
)

// politeness is how long a master that stepped down lets others go first.
const politeness = 3 * time.Second

var errLockLost = errors.New("the lock of the shared directory was lost: another node may write to it")

// shared is a group whose nodes have one data directory: the broker is open
// while this node holds the directory's lock.
type shared struct {
	g      *group
	locker *filelock.Locker
	// exit ends the process at once: what is open must not be written any more.
	exit     func(code int)
	stepping chan chan error // requests to step down

	mu   sync.Mutex
	lock *filelock.Lock // while it is held
}

func newShared(g *group, client map[string]string) *shared {
	c := &g.n.cfg.Cluster
	return &shared{
		g: g, exit: os.Exit, //nolint:forbidigo // called when this process must not go on for a moment
		stepping: make(chan chan error),
		locker: filelock.New(filelock.Options{
			Dir: g.n.cfg.DataDir, Node: c.Name(), Client: client, Console: g.consoleAddress(),
			Period: c.LockPeriod, Logger: g.n.log.Logger,
		}),
	}
}

// run implements groupKind. At its end the lock is held if the node is the master.
func (s *shared) run(ctx context.Context) {
	for ctx.Err() == nil {
		lock, err := s.standBy(ctx)
		if err == nil {
			err = s.lead(ctx, lock)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.g.n.log.Error("this node can't be the master", "error", err, "retry_in", afterFailure.String())
			s.g.decide()
			pauseFor(ctx, afterFailure)
		default:
			pauseFor(ctx, politeness)
		}
	}
}

// standBy waits for the lock and keeps clients informed of who has it.
func (s *shared) standBy(ctx context.Context) (*filelock.Lock, error) {
	waiting, got := context.WithCancel(ctx)
	var looks sync.WaitGroup
	looks.Go(func() { s.look(waiting) })
	lock, err := s.locker.Acquire(ctx)
	got()
	looks.Wait()
	return lock, err
}

// look follows whoever is the master.
func (s *shared) look(ctx context.Context) {
	pauseFor(ctx, lookPeriod/4) // a lock that is free is had by then
	for ; ctx.Err() == nil; pauseFor(ctx, lookPeriod) {
		h, err := s.locker.Holder()
		m := masterInfo{}
		if err == nil {
			m = masterInfo{Node: h.Node, Epoch: h.Epoch, Client: h.Client, Console: h.Console}
			s.g.mu.Lock()
			s.g.last = h.Node
			s.g.mu.Unlock()
		}
		if h.Released {
			m = masterInfo{}
		}
		s.g.follow(m)
		s.g.decide()
	}
}

func (s *shared) setLock(l *filelock.Lock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lock = l
}

// lead serves as the master until the node steps down, ctx ends (then the
// broker stays open) or the lock is lost.
func (s *shared) lead(ctx context.Context, lock *filelock.Lock) error {
	began := time.Now()
	c := &s.g.n.cfg.Cluster
	self := masterInfo{Node: c.Name(), Epoch: lock.Epoch(), Console: s.g.consoleAddress()}
	if h, err := s.locker.Holder(); err == nil {
		self.Client = h.Client
	}
	s.setLock(lock)
	s.g.takeRole(roleStarting, self, nil)
	if err := s.serve(ctx); err != nil {
		s.g.takeRole(roleStandby, masterInfo{}, nil)
		s.setLock(nil)
		return errors.Join(err, s.g.n.closeBroker(ctx), lock.Release())
	}
	s.g.succeed(self, lock.Deadline, began)
	select {
	case <-ctx.Done():
		return nil
	case <-lock.Lost():
		s.abandon()
		return errLockLost
	case answer := <-s.stepping:
		answer <- s.letGo(ctx, lock)
		return nil
	}
}

// serve opens the broker and lets clients in.
func (s *shared) serve(ctx context.Context) error {
	frontends, err := s.g.n.openBroker(s.g.configs)
	if err != nil {
		return err
	}
	return s.g.admit(ctx, frontends)
}

// letGo closes the broker and gives the lock back.
func (s *shared) letGo(ctx context.Context, lock *filelock.Lock) error {
	began := time.Now()
	s.g.takeRole(roleStopping, masterInfo{}, nil)
	s.g.dismiss(ctx)
	ctx, cancel := context.WithTimeout(ctx, s.g.n.cfg.Shutdown.Timeout)
	defer cancel()
	s.setLock(nil)
	err := errors.Join(s.g.n.closeBroker(ctx), lock.Release())
	s.g.takeRole(roleStandby, masterInfo{}, nil)
	s.g.n.log.Info("this node has stepped down", "role", roleStandby, "epoch", lock.Epoch(), "took", time.Since(began).String())
	return err
}

// abandon ends the process without another write: the directory may be
// another's already.
func (s *shared) abandon() {
	if server := s.g.n.currentServer(); server != nil {
		server.SetStandby(&protocols.Standby{Target: nowhere}) // nothing more is confirmed
	}
	s.g.n.log.Error("the process ends at once", "error", errLockLost, "advice", "look at the storage; a restarted node waits for the lock again")
	s.exit(exitTempFail)
}

// stepDown implements groupKind.
func (s *shared) stepDown(ctx context.Context) error {
	answer := make(chan error, 1)
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	select {
	case s.stepping <- answer:
		return <-answer
	case <-ctx.Done():
		return errNotNow
	}
}

// addresses implements groupKind: the lock names the master only, and that is
// this node.
func (s *shared) addresses() []map[string]string { return nil }

// status implements groupKind.
func (s *shared) status(*api.ClusterStatus) {}

// release implements groupKind.
func (s *shared) release() error {
	s.mu.Lock()
	lock := s.lock
	s.lock = nil
	s.mu.Unlock()
	if lock == nil {
		return nil
	}
	return lock.Release()
}
