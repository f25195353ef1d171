package simtest

import (
	"slices"
	"time"

	"github.com/entrepot-mq/entrepot/election"
)

// ttl is the life of a lease, margin how much earlier its holder stops believing in it.
const (
	ttl    = 3 * time.Second
	margin = 600 * time.Millisecond
)

// coordinator is the store of configurations: linearizable, reached over a bad line.
type coordinator struct {
	w      *world
	state  election.State
	rev    election.Revision
	leases map[int64]*lease
	next   int64
	down   bool
	floors map[string]uint64 // incarnations
}

type lease struct {
	id     int64
	expiry time.Duration
}

func newCoordinator(w *world) *coordinator {
	c := &coordinator{w: w, leases: make(map[int64]*lease), rev: 1, floors: make(map[string]uint64)}
	first := election.Configuration{GroupID: "sim", Version: 1, Epoch: 1}
	for i := range w.o.Nodes {
		first.Voters = append(first.Voters, name(i))
		first.InSync = append(first.InSync, election.Member{Node: name(i), Inc: 1})
	}
	first.Quorum = election.Majority(w.o.Nodes)
	c.state = election.State{Config: first, ConfigRevision: 1}
	c.expire()
	return c
}

// expire ends leases whose time has come.
func (c *coordinator) expire() {
	ids := make([]int64, 0, len(c.leases))
	for id, l := range c.leases {
		if l.expiry <= c.w.now {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		c.revoke(id)
	}
	c.w.after(100*time.Millisecond, c.expire)
}

func (c *coordinator) grant() int64 {
	c.next++
	c.leases[c.next] = &lease{id: c.next, expiry: c.w.now + ttl}
	return c.next
}

func (c *coordinator) revoke(id int64) {
	delete(c.leases, id)
	if l := c.state.Lock; l != nil && l.Lease == id {
		c.w.note("the lock of %s is gone", l.Node)
		c.state.Lock, c.state.LockRevision = nil, 0
		c.rev++
		c.changed()
	}
}

// campaign is the election's transaction.
func (c *coordinator) campaign(id int64, at election.Revision, lock election.Lock, cfg election.Configuration) (election.State, error) {
	switch {
	case c.leases[id] == nil:
		return c.state, election.ErrLeaseLost
	case c.state.Lock != nil || c.state.ConfigRevision != at:
		return c.state, election.ErrConflict
	}
	c.rev++
	lock.Lease = id
	c.state.Lock, c.state.LockRevision = &lock, c.rev
	c.state.Config, c.state.ConfigRevision = cfg, c.rev
	c.w.note("%s wins epoch %d, S=%v q=%d", lock.Node, cfg.Epoch, cfg.InSync, cfg.Quorum)
	c.changed()
	return c.state, nil
}

// change is the master's transaction.
func (c *coordinator) change(lock, at election.Revision, cfg election.Configuration) (election.State, error) {
	if (c.state.LockRevision != lock || c.state.Lock == nil || c.state.ConfigRevision != at) && !c.w.o.Unguarded {
		return c.state, election.ErrConflict
	}
	c.rev++
	c.state.Config, c.state.ConfigRevision = cfg, c.rev
	c.w.result.Changes++
	c.w.note("configuration %d of epoch %d: S=%v q=%d", cfg.Version, cfg.Epoch, cfg.InSync, cfg.Quorum)
	c.changed()
	return c.state, nil
}

// changed tells everybody, sooner or later.
func (c *coordinator) changed() {
	for _, n := range c.w.nodes {
		c.deliver(n)
	}
}

// deliver shows n the present state later, unless a newer one comes first.
func (c *coordinator) deliver(n *node) {
	s, rev := c.state, c.rev
	d := c.w.between(time.Millisecond, 20*time.Millisecond)
	if !c.w.calm && c.w.chance(3) {
		d += c.w.between(0, 2*time.Second)
	}
	c.w.after(d, func() {
		switch {
		case rev < n.watched:
		case c.down || n.cutOff:
			c.deliver(n) // a watch goes on when it can
		default:
			n.watched = rev
			n.seen(s)
		}
	})
}

// call has op carried out, and then answer with what became of it. The line may fail before and after op.
func (c *coordinator) call(n *node, op func() (election.State, error), answer func(election.State, error)) {
	w := c.w
	reached := !c.down && !n.cutOff && (w.calm || !w.chance(3))
	if !reached {
		late := !w.calm && w.chance(30)
		w.after(w.between(10*time.Millisecond, 500*time.Millisecond), func() { answer(election.State{}, election.ErrUnknown) })
		if late { // it arrives when nobody waits for it any more
			w.after(w.between(300*time.Millisecond, 3*time.Second), func() { _, _ = op() })
		}
		return
	}
	w.after(w.between(time.Millisecond, 10*time.Millisecond), func() {
		s, err := op()
		lost := !w.calm && (w.chance(3) || n.cutOff)
		w.after(w.between(time.Millisecond, 10*time.Millisecond), func() {
			if lost {
				s, err = election.State{}, election.ErrUnknown
			}
			answer(s, err)
		})
	})
}
