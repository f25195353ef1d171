package simtest

import (
	"errors"
	"fmt"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/election"
)

// produce has every leader that serves store something.
func (w *world) produce() {
	for _, n := range w.nodes {
		if n.alive && n.serves && !n.draining && len(n.pending) < 200 {
			n.at(n.life, func() { n.append() })
		}
	}
	w.after(w.between(2*time.Millisecond, 40*time.Millisecond), w.produce)
}

// append writes one frame, or a few.
func (n *node) append() {
	if !n.alive || !n.serves || n.draining || n.deadline <= n.clock() {
		return
	}
	g := &n.w.god
	for range 1 + n.w.rand.IntN(4) {
		g.records++
		rec := fmt.Appendf(nil, "record %d of %s in epoch %d ", g.records, n.name, n.epoch)
		rec = append(rec, make([]byte, n.w.rand.IntN(300))...)
		n.pending = append(n.pending, pendingRecord{g.records, n.log.Append(rec)})
	}
	if err := n.log.Commit(false); err != nil {
		n.failed(err)
		return
	}
	n.repl.Written(n.clock(), n.log.Last())
}

// nextFault makes one fault and plans the next one.
func (w *world) nextFault() {
	if w.calm {
		return
	}
	n := w.nodes[w.rand.IntN(len(w.nodes))]
	if w.chance(35) {
		if m := w.god.master(); m != nil {
			n = m // the interesting one
		}
	}
	faults := []func(*node){
		w.killNode, w.killNode, w.cutPower, w.cutPower, w.cutPowerOfAll, w.replaceDisk, w.failSync, w.freeze, w.freeze,
		w.freezeMachine, w.isolate, w.isolate, w.cutLink, w.cutLink, w.cutFromStore, w.stopStore, w.checkpointAll, w.handOver, w.changeGroup,
		w.lendLeader, w.endLease, w.endLease,
	}
	faults[w.rand.IntN(len(faults))](n)
	w.after(w.between(50*time.Millisecond, 2500*time.Millisecond), w.nextFault)
}

func (w *world) killNode(n *node) {
	if n.alive {
		w.note("%s is killed", n.name)
		n.restart(false)
	}
}

func (w *world) cutPower(n *node) {
	if n.alive && (!w.o.Memory || w.mayForget(n)) {
		w.note("%s loses power", n.name)
		n.losePower(false)
	}
}

func (w *world) cutPowerOfAll(*node) {
	if w.o.Memory {
		return // everything would be forgotten, by right
	}
	w.note("all lose power")
	for _, n := range w.nodes {
		if n.alive {
			n.losePower(false)
		}
	}
}

// mayForget reports whether the group survives if n forgets: enough identities remain that nobody has to give
// anything up.
func (w *world) mayForget(n *node) bool {
	c := &w.store.state.Config
	fit := 0
	for _, m := range w.nodes {
		if m != n && !m.doomed && c.Has(election.Member{Node: m.name, Inc: m.hard.Inc}) {
			fit++
		}
	}
	return !c.Has(election.Member{Node: n.name, Inc: n.hard.Inc}) || fit >= len(c.InSync)-c.Quorum+1 && fit >= c.Quorum
}

func (w *world) replaceDisk(n *node) {
	if n.alive && w.mayForget(n) {
		w.note("%s gets an empty disk", n.name)
		n.wipe()
	}
}

func (w *world) failSync(n *node) {
	if n.alive && !n.doomed && w.mayForget(n) {
		w.note("a sync of %s will fail", n.name)
		n.doomed = true
		n.fs.Inject(disk.Fault{Op: disk.OpSync, Err: errors.New("input/output error")})
	}
}

// freeze stops a process, as SIGSTOP does.
func (w *world) freeze(n *node) { w.freezeFor(n, false) }

// freezeMachine stops a virtual machine together with its clock.
func (w *world) freezeMachine(n *node) { w.freezeFor(n, true) }

func (w *world) freezeFor(n *node, clock bool) {
	if n.frozen > w.now {
		return
	}
	d := w.between(100*time.Millisecond, 6*time.Second)
	w.note("%s freezes for %v", n.name, d)
	n.frozen = w.now + d
	if clock {
		n.lost += d
	}
	w.after(d, func() { w.thaw(n) })
}

func (w *world) thaw(n *node) {
	n.frozen = 0
	late := n.backlog
	n.backlog = nil
	for _, fn := range late {
		fn()
	}
}

// isolate cuts a node off from all others, in one direction or both.
func (w *world) isolate(n *node) {
	way := w.rand.IntN(3)
	w.note("%s is isolated, way %d", n.name, way)
	var cut [][2]int
	for _, m := range w.nodes {
		if way != 1 {
			cut = append(cut, [2]int{n.i, m.i})
		}
		if way != 2 {
			cut = append(cut, [2]int{m.i, n.i})
		}
	}
	w.cutLinks(cut)
}

func (w *world) cutLink(n *node) {
	m := w.nodes[w.rand.IntN(len(w.nodes))]
	w.note("the link from %s to %s is cut", n.name, m.name)
	w.cutLinks([][2]int{{n.i, m.i}})
}

func (w *world) cutLinks(links [][2]int) {
	for _, l := range links {
		w.god.cut[l] = true
	}
	w.after(w.between(200*time.Millisecond, 8*time.Second), func() {
		for _, l := range links {
			delete(w.god.cut, l)
		}
	})
}

// lendLeader cuts the master off from all but the configuration's store while it goes on writing, kills it, and
// gives the others time: its log ends with what nobody else has.
func (w *world) lendLeader(*node) {
	m := w.god.master()
	if m == nil {
		return
	}
	w.isolate(m)
	w.after(w.between(50*time.Millisecond, time.Second), func() { w.killNode(m) })
}

// endLease takes the lock from the master and keeps it from noticing, whatever its clock says: nothing that is confirmed may
// depend on time.
func (w *world) endLease(*node) {
	m := w.god.master()
	if m == nil {
		return
	}
	w.note("the lease of %s ends, and it does not notice", m.name)
	m.deadline += 10 * time.Second
	w.cutFromStore(m)
	w.store.revoke(m.lease)
}

// disturb makes faults in the moments after an election, when most can go wrong.
func (w *world) disturb(leader *node) {
	if w.calm || !w.chance(50) {
		return
	}
	for range 1 + w.rand.IntN(3) {
		n := leader
		if w.chance(60) {
			n = w.nodes[w.rand.IntN(len(w.nodes))]
		}
		faults := []func(*node){w.killNode, w.cutPower, w.cutLink, w.isolate, w.cutFromStore, w.freezeMachine}
		fault := faults[w.rand.IntN(len(faults))]
		w.after(w.between(0, 30*time.Millisecond), func() { fault(n) })
	}
}

func (w *world) cutFromStore(n *node) {
	w.note("%s is cut off from the configuration's store", n.name)
	n.cutOff = true
	w.after(w.between(200*time.Millisecond, 8*time.Second), func() { n.cutOff = false })
}

func (w *world) stopStore(*node) {
	w.note("the configuration's store stops")
	w.store.down = true
	w.after(w.between(200*time.Millisecond, 6*time.Second), func() { w.store.down = false })
}

func (w *world) checkpointAll(n *node) {
	if w.chance(50) {
		n.checkpoint()
		return
	}
	for _, n := range w.nodes {
		n.checkpoint()
	}
}

func (w *world) handOver(n *node) {
	if m := w.god.master(); m != nil {
		to := n.name
		m.at(m.life, func() {
			if err := m.repl.HandOver(m.clock(), to); err == nil {
				w.note("%s begins to hand over to %s", m.name, to)
			}
		})
	}
}

// changeGroup adds a spare or removes a node.
func (w *world) changeGroup(n *node) {
	m := w.god.master()
	if m == nil || w.o.Spares == 0 {
		return
	}
	m.at(m.life, func() {
		c := m.repl.State().Config
		if len(c.Voters) < w.o.Nodes+w.o.Spares && w.chance(60) {
			if m.repl.AddNode(m.clock(), n.name) == nil {
				w.note("%s is added", n.name)
			}
		} else if len(c.Voters) > w.o.Nodes-1 && m.repl.RemoveNode(m.clock(), n.name) == nil {
			w.note("%s is removed", n.name)
		}
	})
}

// stop kills n and keeps it from doing anything for a while.
func (w *world) stop(n *node, d time.Duration) {
	w.note("%s is down for %v", n.name, d)
	n.restart(false)
	n.frozen = w.now + d
	w.after(d, func() { w.thaw(n) })
}

// silence cuts what n says to others.
func (w *world) silence(n *node, cut bool) {
	for _, m := range w.nodes {
		w.god.cut[[2]int{n.i, m.i}] = cut
	}
}

// heal ends all faults.
func (w *world) heal() {
	w.lose, w.elected, w.reached = nil, nil, nil
	w.note("all faults end")
	w.calm = true
	w.store.down = false
	clear(w.god.cut)
	for _, n := range w.nodes {
		n.cutOff = false
		if n.frozen > w.now {
			w.thaw(n)
		}
	}
	w.after(calmTime-5*time.Second, func() {
		for _, n := range w.nodes { // so that the end finds everything confirmed
			n.draining = true
		}
	})
}
