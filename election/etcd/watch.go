package etcd

import (
	"context"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/entrepot-mq/entrepot/election"
)

type kv = mvccpb.KeyValue

// How long a watch waits to ask again after a failure, and for one answer.
const (
	watchRetry   = 200 * time.Millisecond
	watchTimeout = 5 * time.Second
)

// Watch implements election.Coordinator.
func (c *Coordinator) Watch(ctx context.Context) <-chan election.State {
	out := make(chan election.State, 1)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(c.life, cancel)
	c.work.Go(func() {
		defer close(out)
		defer cancel()
		defer stop()
		for ctx.Err() == nil {
			c.watch(ctx, out)
			sleep(ctx, watchRetry)
		}
	})
	return out
}

// watch delivers states until the watch breaks. What etcd reports is only the
// reason to look: a State is read whole, so that it is one moment's.
func (c *Coordinator) watch(ctx context.Context, out chan election.State) {
	at, ok := c.deliver(ctx, out)
	if !ok {
		return
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := c.client.Watch(clientv3.WithRequireLeader(watching), c.keys.prefix, clientv3.WithPrefix(), clientv3.WithRev(at+1))
	for r := range changes {
		if err := r.Err(); err != nil {
			c.log.Debug("the watch of the group's configuration broke off", "error", err)
			return
		}
		if len(r.Events) == 0 || r.Events[len(r.Events)-1].Kv.ModRevision <= at {
			continue // read meanwhile
		}
		if at, ok = c.deliver(ctx, out); !ok {
			return
		}
	}
}

// deliver reads the state and puts it in the place of one that nobody has
// taken yet.
func (c *Coordinator) deliver(ctx context.Context, out chan election.State) (at int64, ok bool) {
	reading, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	s, at, err := c.read(reading)
	if err != nil {
		c.log.Debug("the group's configuration can't be read", "error", err)
		return 0, false
	}
	for {
		select {
		case out <- s:
			return at, true
		default:
		}
		select {
		case <-out:
		default:
		}
	}
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
