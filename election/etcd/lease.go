package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/entrepot-mq/entrepot/election"
)

// lease is kept by a goroutine of its own from grant to its end.
type lease struct {
	c        *Coordinator
	id       clientv3.LeaseID
	told     bool         // Options.Leased knows of it
	deadline atomic.Int64 // ns of election.Now; 0 once lost, for good
	once     sync.Once
	lost     chan struct{}
}

// Grant implements election.Coordinator.
func (c *Coordinator) Grant(ctx context.Context) (election.Lease, error) {
	l, err := c.grant(ctx, true)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (c *Coordinator) grant(ctx context.Context, tell bool) (*lease, error) {
	sent := election.Now()
	r, err := c.client.Grant(ctx, c.ttl)
	if err != nil {
		return nil, fmt.Errorf("get a lease: %w: %w", election.ErrUnavailable, err)
	}
	l := &lease{c: c, id: r.ID, told: tell, lost: make(chan struct{})}
	l.deadline.Store(int64(deadline(sent, r.TTL)))
	c.mu.Lock()
	c.leases[l] = struct{}{}
	c.mu.Unlock()
	if tell && c.o.Leased != nil {
		c.o.Leased(int64(l.id))
	}
	c.work.Go(l.keep)
	return l, nil
}

// deadline is until when a lease surely holds whose renewal was sent at sent.
// etcd counts its time to live from a later moment. The margin covers clocks that
// go at different speeds.
func deadline(sent time.Duration, ttlSeconds int64) time.Duration {
	ttl := time.Duration(ttlSeconds) * time.Second
	return sent + ttl - max(500*time.Millisecond, ttl/10) - ttl/100
}

// ID implements election.Lease.
func (l *lease) ID() int64 { return int64(l.id) }

// Deadline implements election.Lease.
func (l *lease) Deadline() time.Duration { return time.Duration(l.deadline.Load()) }

// Lost implements election.Lease.
func (l *lease) Lost() <-chan struct{} { return l.lost }

// lose ends the lease on this side. It may be called more than once.
func (l *lease) lose() {
	l.once.Do(func() {
		l.deadline.Store(0)
		close(l.lost)
		l.c.mu.Lock()
		delete(l.c.leases, l)
		l.c.mu.Unlock()
		if l.told && l.c.o.Leased != nil {
			l.c.o.Leased(0)
		}
	})
}

// Revoke implements election.Lease.
func (l *lease) Revoke(ctx context.Context) error {
	l.lose()
	_, err := l.c.client.Revoke(ctx, l.id)
	if err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("revoke the lease: %w: %w", election.ErrUnknown, err)
	}
	return nil
}

// keep renews the lease until it is lost.
func (l *lease) keep() {
	defer l.lose()
	period := time.Duration(l.c.ttl) * time.Second / 4
	for wait := period; ; {
		left := l.Deadline() - election.Now()
		if left <= 0 {
			return
		}
		if !l.pause(min(wait, left)) {
			return
		}
		if l.Deadline() <= election.Now() {
			l.c.log.Warn("the lease could not be renewed in time", "lease", l.ID())
			return
		}
		wait = period
		switch err := l.renew(period); {
		case err == nil:
		case errors.Is(err, rpctypes.ErrLeaseNotFound):
			l.c.log.Debug("the lease is gone", "lease", l.ID())
			return
		default:
			l.c.log.Debug("renewing the lease failed", "lease", l.ID(), "error", err)
			wait = period / 8
		}
	}
}

// pause waits; false means that the lease is over.
func (l *lease) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.lost:
	case <-l.c.life.Done():
	}
	return false
}

// renew asks etcd once and moves the deadline, unless it has passed meanwhile:
// then somebody may have acted on that.
func (l *lease) renew(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(l.c.life, timeout)
	defer cancel()
	sent := election.Now()
	ttl, err := l.c.keepAlive(ctx, l.id)
	if err != nil {
		return err
	}
	if ttl <= 0 {
		return rpctypes.ErrLeaseNotFound
	}
	old, renewed := l.deadline.Load(), int64(deadline(sent, ttl))
	if old == 0 || old <= int64(election.Now()) {
		return rpctypes.ErrLeaseNotFound
	}
	if renewed > old && !l.deadline.CompareAndSwap(old, renewed) {
		return rpctypes.ErrLeaseNotFound // it was lost just now
	}
	return nil
}

// keepAlive asks once. The client library's KeepAliveOnce asks again and again
// without a pause while no server is there; it is used only where there is no
// connection that could fail, with an embedded member.
func (c *Coordinator) keepAlive(ctx context.Context, id clientv3.LeaseID) (ttl int64, err error) {
	conn := c.client.ActiveConnection()
	if conn == nil {
		r, err := c.client.KeepAliveOnce(ctx, id)
		if err != nil {
			return 0, err
		}
		return r.TTL, nil
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	stream, err := etcdserverpb.NewLeaseClient(conn).LeaseKeepAlive(ctx)
	if err != nil {
		return 0, rpctypes.Error(err)
	}
	if err := stream.Send(&etcdserverpb.LeaseKeepAliveRequest{ID: int64(id)}); err != nil {
		return 0, rpctypes.Error(err)
	}
	r, err := stream.Recv()
	if err != nil {
		return 0, rpctypes.Error(err)
	}
	return r.TTL, nil
}
