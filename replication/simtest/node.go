package simtest

import (
	"errors"
	"fmt"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/replication/protocol"
)

func name(i int) string { return fmt.Sprintf("n%d", i+1) }

// node is one machine: its disk outlives its processes.
type node struct {
	w    *world
	i    int
	name string
	fs   *disk.Fake
	dir  string // of the log; a snapshot begins another one
	from log.Position
	hard protocol.Hard
	kept uint64 // index of the state that a restart finds; everything there was committed

	// the process
	life    int // counts processes: what an earlier one planned is void
	alive   bool
	repl    *protocol.Node
	log     *log.Log
	applied uint64
	floor   time.Duration // no campaign before

	// as a leader
	epoch    uint64
	leads    bool
	serves   bool
	draining bool
	pending  []pendingRecord
	syncing  bool

	lease    int64
	deadline time.Duration

	// the surroundings
	cutOff  bool // from the coordinator
	watched election.Revision
	frozen  time.Duration // nothing happens before
	lost    time.Duration // time that the machine did not notice
	slow    float64       // of its clock
	backlog []func()
	doomed  bool // its disk will fail
}

type pendingRecord struct {
	id    int
	index uint64
}

func newNode(w *world, i int) *node {
	n := &node{w: w, i: i, name: name(i), fs: disk.NewFake(), dir: "log-0", slow: 0.995 + w.rand.Float64()/100}
	n.hard.Inc = 1
	w.store.floors[n.name] = 1
	return n
}

// clock is the time as the node sees it.
func (n *node) clock() time.Duration { return time.Duration(float64(n.w.now-n.lost) * n.slow) }

// Store implements protocol.HardStore: it is on the disk at once.
func (n *node) Store(h protocol.Hard) error {
	if h.Promised < n.hard.Promised {
		n.w.violate("%s lowers its promise from %d to %d", n.name, n.hard.Promised, h.Promised)
	}
	n.hard = h
	return nil
}

// start begins a process on what the disk has.
func (n *node) start() {
	w := n.w
	l, err := log.Open(log.Options{
		Dir: n.dir, FS: n.fs, SegmentSize: 12 << 10, MaxFrame: 1024, Spare: 2, Inline: true, Start: n.from, ScanFrom: n.kept,
		Now: func() time.Time { return time.Unix(0, int64(w.now)) },
	})
	if err != nil {
		w.violate("%s can't open its log: %v", n.name, err)
		return
	}
	n.life++
	n.alive, n.log, n.applied = true, l, n.kept
	n.leads, n.serves, n.draining, n.pending, n.syncing, n.lease, n.deadline = false, false, false, nil, false, 0, 0
	n.backlog = nil
	n.repl = protocol.New(protocol.Options{
		Node: n.name, Memory: w.o.Memory, NotBefore: n.floor, Seed: w.rand.Uint64(), Without: w.o.Without,
		Heartbeat: 200 * time.Millisecond, Silence: 700 * time.Millisecond, RankDelay: 100 * time.Millisecond, FenceWithin: time.Second,
		Contact: 2 * time.Second, Stuck: 700 * time.Millisecond, ShrinkAfter: 4 * time.Second, CoverWithin: 3 * time.Second, Chunk: 1 << w.rand.IntN(1+w.spread()), Window: 16 << 10,
	}, n.hard, n, l, n.kept, n.clock())
	w.note("%s starts: inc %d, promised %d, log %v, state at %d", n.name, n.hard.Inc, n.hard.Promised, l.Last(), n.kept)
	n.watched = 0
	w.store.deliver(n)
	n.tick(n.life)
	n.renew(n.life)
}

// close ends the process as a kill does: what it wrote is with the operating system.
func (n *node) close() {
	if n.alive {
		n.alive = false
		_ = n.log.Close() // a log that has failed says so again
	}
}

// at runs fn if the process still lives, when it isn't frozen.
func (n *node) at(life int, fn func()) {
	switch {
	case !n.alive || n.life != life:
	case n.frozen > n.w.now:
		n.backlog = append(n.backlog, func() { n.at(life, fn) })
	default:
		fn()
		n.carryOut()
	}
}

func (n *node) tick(life int) {
	if !n.alive || n.life != life {
		return
	}
	n.at(life, func() {
		if n.lease != 0 && n.clock() >= n.deadline {
			n.repl.LeaseLost(n.clock())
		}
		n.repl.Tick(n.clock())
		n.sync(life)
	})
	n.w.after(n.w.between(30*time.Millisecond, 60*time.Millisecond), func() { n.tick(life) })
}

// renew keeps the lease alive.
func (n *node) renew(life int) {
	if !n.alive || n.life != life {
		return
	}
	n.at(life, func() {
		id, sent := n.lease, n.clock()
		if id == 0 {
			return
		}
		ok := false
		n.w.store.call(n, func() (election.State, error) {
			if l := n.w.store.leases[id]; l != nil {
				l.expiry, ok = n.w.now+ttl, true
			}
			return n.w.store.state, nil
		}, func(_ election.State, err error) {
			n.at(life, func() {
				if err == nil && ok && n.lease == id {
					n.deadline = sent + ttl - margin
				}
			})
		})
	})
	n.w.after(ttl/5, func() { n.renew(life) })
}

// sync plans a sync if something waits for one.
func (n *node) sync(life int) {
	if n.syncing || n.log.Durable() == n.log.Last().Index {
		return
	}
	n.syncing = true
	d := n.w.between(100*time.Microsecond, 3*time.Millisecond)
	if !n.w.calm && n.w.chance(2) {
		d += n.w.between(0, 300*time.Millisecond)
	}
	n.w.after(d, func() {
		n.at(life, func() {
			n.syncing = false
			if err := n.log.Commit(true); err != nil {
				n.failed(err)
				return
			}
			n.repl.Synced(n.clock(), n.log.Durable())
		})
	})
}

func (n *node) seen(s election.State) {
	life := n.life
	n.at(life, func() { n.repl.Seen(n.clock(), s) })
}

// carryOut does what the node asks for.
func (n *node) carryOut() {
	for n.alive && n.w.bad == nil {
		effects := n.repl.Effects()
		if len(effects) == 0 {
			break
		}
		for _, e := range effects {
			if !n.alive || n.w.bad != nil {
				return
			}
			n.effect(e)
		}
	}
	if n.alive {
		n.sync(n.life)
	}
}

func (n *node) effect(e protocol.Effect) {
	life := n.life
	switch e := e.(type) {
	case protocol.Send:
		n.w.transmit(n, e.Message)
	case protocol.Committed:
		n.committed(e.Index)
	case protocol.Campaign:
		n.campaign(life, e)
	case protocol.Read:
		n.w.store.call(n, func() (election.State, error) { return n.w.store.state, nil }, func(s election.State, err error) {
			if err == nil {
				n.at(life, func() { n.repl.Seen(n.clock(), s) })
			}
		})
	case protocol.Change:
		n.w.store.call(n, func() (election.State, error) { return n.w.store.change(e.Lock, e.At, e.Config) },
			func(s election.State, err error) {
				n.at(life, func() { n.repl.Changed(n.clock(), s, err) })
			})
	case protocol.Resign:
		n.resign()
	case protocol.Lead:
		n.lead(e.Epoch)
	case protocol.Serve:
		n.serves = true
	case protocol.Drain:
		n.draining = true
	case protocol.Resume:
		n.draining = false
	case protocol.Retire:
		n.w.note("%s retires: %s", n.name, e.Reason)
		n.restart(e.Pause)
	case protocol.Snapshot:
		n.snapshot(life, e.To)
	case protocol.Failed:
		n.failed(e.Err)
	case protocol.Distrusted:
		n.w.violate("%s must distrust its log: %s", n.name, e.Reason)
	}
}

func (n *node) campaign(life int, e protocol.Campaign) {
	w := n.w
	id, sent := int64(0), n.clock()
	w.store.call(n, func() (election.State, error) {
		id = w.store.grant()
		return w.store.campaign(id, e.At, election.Lock{Node: n.name, Inc: n.hard.Inc, Epoch: e.Epoch}, e.Config)
	}, func(s election.State, err error) {
		n.at(life, func() {
			if err == nil {
				n.lease, n.deadline = id, sent+ttl-margin
			}
			n.repl.Campaigned(n.clock(), s, err)
		})
		if err != nil && id != 0 && (w.calm || w.chance(70)) { // else it ends by itself
			w.store.revoke(id)
		}
	})
}

func (n *node) resign() {
	if id := n.lease; id != 0 {
		n.lease = 0
		if !n.cutOff && !n.w.store.down {
			n.w.after(n.w.between(time.Millisecond, 5*time.Millisecond), func() { n.w.store.revoke(id) })
		}
	}
}

// lead takes the log over and writes the barrier.
func (n *node) lead(epoch uint64) {
	n.w.god.leads(n, epoch)
	n.w.disturb(n)
	if n.w.elected != nil {
		n.w.elected(n)
	}
	n.leads, n.epoch = true, epoch
	err := n.log.SetEpoch(epoch)
	if err == nil {
		n.log.Append([]byte("barrier"))
		err = n.log.Commit(false)
	}
	if err != nil {
		n.failed(err)
		return
	}
	n.repl.Led(n.clock(), n.log.Last())
}

func (n *node) committed(index uint64) {
	n.w.god.commits(n, n.applied, index)
	n.applied = index
	if n.w.reached != nil {
		n.w.reached(n)
	}
	for len(n.pending) > 0 && n.pending[0].index <= index {
		n.w.god.confirm(n.pending[0])
		n.pending = n.pending[1:]
	}
}

// restart begins a new process in the machine, as it is.
func (n *node) restart(pause bool) {
	n.floor = n.clock()
	if pause {
		n.floor += n.w.between(time.Second, 2*time.Second)
	}
	n.w.result.Restarts++
	n.close()
	life := n.life
	n.w.after(n.w.between(5*time.Millisecond, 200*time.Millisecond), func() {
		if !n.alive && n.life == life {
			n.start()
		}
	})
}

// failed is a disk that did not do what it was told: nobody knows what it has.
func (n *node) failed(err error) {
	if errors.Is(err, disk.ErrHalted) {
		n.w.violate("%s works on a halted disk: %v", n.name, err)
		return
	}
	n.w.note("%s fails: %v", n.name, err)
	n.resign()
	n.losePower(true)
}

// losePower ends the process and takes away some of what was not synced.
func (n *node) losePower(amnesia bool) {
	n.alive = false
	n.life++
	life := n.life
	n.fs.Crash(n.w.rand.Uint64())
	amnesia = amnesia || n.doomed
	n.doomed = false
	n.w.result.Restarts++
	if amnesia || n.w.o.Memory {
		n.nextIncarnation()
	}
	n.w.after(n.w.between(50*time.Millisecond, 4*time.Second), func() {
		if !n.alive && n.life == life {
			n.start()
		}
	})
}

func (n *node) nextIncarnation() {
	n.w.store.floors[n.name]++
	n.hard.Inc = n.w.store.floors[n.name]
}

// wipe replaces the disk.
func (n *node) wipe() {
	n.close()
	n.life++
	life := n.life
	n.fs, n.dir, n.from, n.kept, n.doomed = disk.NewFake(), "log-0", log.Position{}, 0, false
	n.hard = protocol.Hard{}
	n.nextIncarnation()
	n.w.result.Restarts++
	n.w.after(n.w.between(50*time.Millisecond, 2*time.Second), func() {
		if !n.alive && n.life == life {
			n.start()
		}
	})
}

// checkpoint makes the applied state durable and lets the log forget what lies before.
func (n *node) checkpoint() {
	if n.alive && n.applied <= n.log.Durable() && n.applied > n.kept {
		n.kept = n.applied
		n.log.Release(n.kept)
	}
}

// snapshot brings another node this one's state.
func (n *node) snapshot(life int, to election.Member) {
	w := n.w
	epoch := n.epoch
	sent := uint64(0)
	end := func() { n.at(life, func() { n.repl.SnapshotEnded(n.clock(), to, sent) }) }
	w.after(w.between(10*time.Millisecond, 500*time.Millisecond), func() {
		for _, t := range w.nodes {
			if t.name == to.Node && t.hard.Inc == to.Inc && n.alive && n.life == life && w.linked(n, t) {
				pos, err := n.log.BoundaryAt(n.applied)
				if err == nil {
					sent = pos.Index
					t.at(t.life, func() { t.install(epoch, pos) })
				}
			}
		}
		w.after(w.between(10*time.Millisecond, 100*time.Millisecond), end)
	})
}

func (n *node) install(epoch uint64, pos log.Position) {
	if !n.repl.MayInstall(epoch, pos) {
		return
	}
	n.w.note("%s installs a snapshot at %v", n.name, pos)
	n.w.result.Snapshots++
	n.close()
	n.dir = fmt.Sprintf("log-%d", n.w.result.Snapshots)
	n.from, n.kept = pos, pos.Index
	n.start()
}
