package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/replication/protocol"
)

// answerWithin is how long a request to the configuration's store may take.
const answerWithin = 3 * time.Second

// carryOut does what the node asks for.
func (r *Replica) carryOut() {
	for !r.finished {
		effects := r.node.Effects()
		if len(effects) == 0 {
			return
		}
		for _, e := range effects {
			if r.finished {
				return
			}
			r.effect(e)
		}
	}
}

func (r *Replica) effect(e protocol.Effect) {
	switch e := e.(type) {
	case protocol.Send:
		r.peers.send(e.Message)
	case protocol.Committed:
		r.o.Store.Advance(e.Index)
	case protocol.Campaign:
		r.wg.Go(func() { r.campaign(e) })
	case protocol.Read:
		r.wg.Go(r.read)
	case protocol.Change:
		r.wg.Go(func() { r.change(e) })
	case protocol.Resign:
		r.revoke()
	case protocol.Lead:
		r.lead(e.Epoch)
	case protocol.Serve:
		r.wg.Go(r.serve)
	case protocol.Drain:
		r.o.Store.Drain(true)
	case protocol.Resume:
		r.o.Store.Drain(false)
	case protocol.Retire:
		o := Outcome{Reason: errors.New(e.Reason), NotBefore: election.Now()}
		if e.Pause {
			o.NotBefore += time.Second
		}
		r.finish(o)
	case protocol.Snapshot:
		r.transfers.start(e.To)
	case protocol.Failed:
		r.finish(Outcome{Reason: e.Err, Failed: true})
	case protocol.Distrusted:
		r.finish(Outcome{Reason: errors.New(e.Reason), Rebuild: true})
	}
}

// request runs op against the configuration's store. The context outlives the replica by a moment, so that a
// request is not cut off without need.
func (r *Replica) request(op func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.life), answerWithin)
	defer cancel()
	op(ctx)
}

// campaign takes a lease and asks for the lock and the next epoch.
func (r *Replica) campaign(e protocol.Campaign) {
	r.request(func(ctx context.Context) {
		lease, err := r.o.Coordinator.Grant(ctx)
		var s election.State
		if err == nil {
			s, err = r.o.Coordinator.Campaign(ctx, lease, e.At, election.Lock{
				Node: r.o.Node, Inc: r.o.Hard.Inc, Epoch: e.Epoch,
				Replication: r.o.Advertise.Replication, Client: r.o.Advertise.Client,
			}, e.Config)
			if err != nil {
				if at, readErr := r.o.Coordinator.Read(ctx); readErr == nil {
					s = at
				}
			}
		}
		ok := r.call(func() {
			if lease != nil {
				r.setLease(lease)
			}
			r.node.Campaigned(election.Now(), s, err)
		})
		if !ok && lease != nil {
			_ = lease.Revoke(ctx) // if that fails it ends by itself
		}
	})
}

func (r *Replica) setLease(l election.Lease) {
	r.lease = l
	r.leased.Store(&l)
}

// revoke gives the lease up, if there is one.
func (r *Replica) revoke() {
	l := r.lease
	if l == nil {
		return
	}
	r.lease = nil
	r.leased.Store(nil)
	r.wg.Go(func() {
		r.request(func(ctx context.Context) {
			if err := l.Revoke(ctx); err != nil {
				r.o.Logger.Warn("the lease could not be revoked; it ends by itself", "error", err)
			}
		})
	})
}

func (r *Replica) read() {
	r.request(func(ctx context.Context) {
		if s, err := r.o.Coordinator.Read(ctx); err == nil {
			r.call(func() { r.node.Seen(election.Now(), s) })
		}
	})
}

func (r *Replica) change(e protocol.Change) {
	r.request(func(ctx context.Context) {
		s, err := r.o.Coordinator.Change(ctx, e.Lock, e.At, e.Config)
		r.call(func() { r.node.Changed(election.Now(), s, err) })
	})
}

// lead takes the log over and writes the barrier.
func (r *Replica) lead(epoch uint64) {
	barrier, err := r.o.Store.Lead(epoch)
	if err != nil {
		r.finish(Outcome{Reason: fmt.Errorf("begin epoch %d: %w", epoch, err), Failed: true})
		return
	}
	now := election.Now()
	r.node.Led(now, barrier)
	r.node.Synced(now, barrier.Index)
}

// serve has the store serve requests once everything inherited is applied.
func (r *Replica) serve() {
	err := r.o.Store.Serve(store.Leadership{
		Written: func(p log.Position) {
			r.written.Store(&p)
			r.nudge()
		},
		Synced: func(index uint64) {
			r.synced.Store(index)
			r.nudge()
		},
		Valid:  r.valid,
		Memory: r.o.Level.memory(), Early: r.o.Level.early(),
	})
	if err == nil {
		close(r.leading)
	}
}

// valid reports whether the lease still holds.
func (r *Replica) valid() bool {
	l := r.leased.Load()
	if l != nil && (*l).Deadline() > election.Now() {
		return true
	}
	r.expired.Store(true)
	r.nudge()
	return false
}

const (
	floorEvery = 30 * time.Second
	hintEvery  = time.Second
)

// report tells the configuration's store about this node: its floor, and what people want to see.
func (r *Replica) report(now time.Duration) {
	l := r.o.Store.Log()
	role, _ := r.node.Role()
	last := l.Last()
	if now-r.floorAt >= floorEvery {
		r.floorAt = now
		h := r.node.Hard()
		f := election.Floor{Inc: h.Inc, Promised: h.Promised}
		if at, err := l.BoundaryAt(l.Durable()); err == nil {
			f.Epoch, f.Index = at.Epoch, at.Index
		}
		r.wg.Go(func() {
			r.request(func(ctx context.Context) {
				if err := r.o.Coordinator.SetFloor(ctx, r.o.Node, f); err != nil {
					r.o.Logger.Debug("the node's floor was not stored", "error", err)
				}
			})
		})
	}
	if now-r.hintAt >= hintEvery {
		r.hintAt = now
		h := r.o.Advertise
		h.Node, h.Inc, h.Role, h.Weight, h.Fit = r.o.Node, r.o.Hard.Inc, role.String(), r.o.Weight, true
		h.Epoch, h.Index, h.Commit = last.Epoch, last.Index, r.node.Commit()
		r.wg.Go(func() {
			r.request(func(ctx context.Context) {
				if err := r.o.Coordinator.SetHint(ctx, h); err != nil {
					r.o.Logger.Debug("the node's hint was not stored", "error", err)
				}
			})
		})
	}
}
