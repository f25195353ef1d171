package simtest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/election"
)

// oracle sees everything, and knows what must never happen.
type oracle struct {
	w       *world
	cut     map[[2]int]bool // links
	leaders map[uint64]*leadership
	ends    map[uint64]log.Position // of committed frames, by index of their last record
	index   uint64                  // highest committed
	reached map[uint64]uint64       // the same, by the epoch in which it was committed
	records int                     // ids given to records
	acked   map[int]uint64          // index of confirmed records
}

// leadership is a leader's log at the moment it began.
type leadership struct {
	node string
	log  map[uint64]log.Position // ends of the frames behind what was committed then
}

func newOracle(w *world) oracle {
	return oracle{
		w: w, cut: make(map[[2]int]bool), leaders: make(map[uint64]*leadership),
		ends: make(map[uint64]log.Position), reached: make(map[uint64]uint64), acked: make(map[int]uint64),
	}
}

// frames returns where the frames of l behind from, up to index to, end.
func (g *oracle) frames(n *node, from, to uint64) []log.Position {
	from = max(from, n.log.First()-1)
	var ends []log.Position
	for at := from; at < to; {
		raw, err := n.log.ReadFrames(nil, at, 64<<10)
		if err != nil || len(raw) == 0 {
			g.w.violate("%s can't read its log behind %d: %v", n.name, at, err)
			return ends
		}
		ends, err = log.Ends(ends, raw)
		if err != nil {
			g.w.violate("%s has malformed frames: %v", n.name, err)
			return ends
		}
		at = ends[len(ends)-1].Index
	}
	return slices.DeleteFunc(ends, func(p log.Position) bool { return p.Index > to })
}

// before returns the highest index that was committed in an epoch before one.
func (g *oracle) before(epoch uint64) (index uint64) {
	for e, i := range g.reached {
		if e < epoch {
			index = max(index, i)
		}
	}
	return index
}

// leads checks a new leader: it is the only one of its epoch, and has everything that was committed in epochs before. (One that
// stood still may find out that it was elected when a later one has committed more; it won't commit anything.)
func (g *oracle) leads(n *node, epoch uint64) {
	if l := g.leaders[epoch]; l != nil {
		g.w.violate("epoch %d has two leaders: %s and %s", epoch, l.node, n.name)
	}
	last := n.log.Last().Index
	g.w.note("%s leads epoch %d with log %v; committed: %d", n.name, epoch, n.log.Last(), g.index)
	must := g.before(epoch)
	if last < must {
		g.w.violate("%s leads epoch %d with a log up to %d, but %d is committed", n.name, epoch, last, must)
		return
	}
	for _, end := range g.frames(n, n.kept, last) {
		if end.Index > must {
			break
		}
		if p, ok := g.ends[end.Index]; !ok || p != end {
			g.w.violate("%s leads epoch %d with %v where %v is committed", n.name, epoch, end, p)
		}
	}
	l := &leadership{node: n.name, log: make(map[uint64]log.Position)}
	for _, end := range g.frames(n, must, last) {
		l.log[end.Index] = end
	}
	g.leaders[epoch] = l
}

// commits checks what n takes for committed: the records behind from, up to index to.
func (g *oracle) commits(n *node, from, to uint64) {
	ends := g.frames(n, from, to)
	if len(ends) == 0 || ends[len(ends)-1].Index != to {
		g.w.violate("%s commits %d, where no frame of its log ends", n.name, to)
		return
	}
	for _, end := range ends {
		known, ok := g.ends[end.Index]
		switch {
		case ok && known != end:
			g.w.violate("%s commits %v, but %v is committed", n.name, end, known)
		case ok:
		case end.Index <= g.index:
			g.w.violate("%s commits %v within a frame that is committed", n.name, end)
		default:
			g.ends[end.Index] = end
			g.index = end.Index
			g.reached[n.epoch] = end.Index
			g.newlyCommitted(n, end)
		}
	}
	g.quorumHas(n, ends[len(ends)-1])
}

// newlyCommitted checks that leaders of later epochs have the frame.
func (g *oracle) newlyCommitted(n *node, end log.Position) {
	for epoch, l := range g.leaders {
		if epoch > n.epoch && epoch > end.Epoch && n.leads && l.log[end.Index] != end {
			g.w.violate("%s commits %v in epoch %d; the leader of epoch %d, %s, does not have it", n.name, end, n.epoch, epoch, l.node)
		}
	}
}

// quorumHas checks that what a leader of the present epoch commits is stored by a quorum.
func (g *oracle) quorumHas(n *node, end log.Position) {
	c := &g.w.store.state.Config
	if !n.leads || c.Epoch != n.epoch {
		return
	}
	have := 0
	var who []string
	for _, m := range c.InSync {
		if g.stored(m, end) {
			have++
			who = append(who, m.Node)
		}
	}
	if have < c.Quorum {
		g.w.violate("%s commits %v, which only %v of %v have; %d are needed", n.name, end, who, c.InSync, c.Quorum)
	}
}

// stored reports whether m's disk has the frame that ends at end. What a dead machine has is only known when it starts.
func (g *oracle) stored(m election.Member, end log.Position) bool {
	for _, n := range g.w.nodes {
		if n.name != m.Node {
			continue
		}
		if n.hard.Inc != m.Inc || !n.alive || end.Index <= n.kept {
			return true // it has forgotten since, or can't be asked
		}
		at, err := n.log.BoundaryAt(end.Index)
		return err == nil && at == end && (g.w.o.Memory || n.log.Durable() >= end.Index)
	}
	return false
}

func (g *oracle) confirm(r pendingRecord) {
	if r.index > g.index {
		g.w.violate("record %d is confirmed at %d, but only %d is committed", r.id, r.index, g.index)
	}
	g.acked[r.id] = r.index
	g.w.result.Confirmed++
}

// finalCheck looks at a group that had time to recover.
func (g *oracle) finalCheck() {
	master := g.master()
	if master == nil {
		g.w.violate("nobody serves %v after the last fault; %v", calmTime, g.describe())
		return
	}
	if master.applied != master.log.Last().Index {
		g.w.violate("the master %s has not committed its log: %d of %v; %s", master.name, master.applied, master.log.Last(), g.describe())
	}
	c := &g.w.store.state.Config
	for _, name := range c.Voters {
		n := g.w.nodes[slices.IndexFunc(g.w.nodes, func(n *node) bool { return n.name == name })]
		switch {
		case !c.Has(election.Member{Node: name, Inc: n.hard.Inc}):
			g.w.violate("%s is not in sync again: %v; %s", name, c.InSync, g.describe())
		case n.log.Last() != master.log.Last():
			g.w.violate("%s ends at %v, the master at %v; %s", name, n.log.Last(), master.log.Last(), g.describe())
		case n.applied != master.applied:
			g.w.violate("%s has applied %d, the master %d", name, n.applied, master.applied)
		}
	}
	for id, index := range g.acked {
		if index > master.applied {
			g.w.violate("record %d, confirmed at %d, is lost", id, index)
		}
	}
}

func (g *oracle) master() *node {
	l := g.w.store.state.Lock
	for _, n := range g.w.nodes {
		if n.alive && n.serves && l != nil && l.Node == n.name {
			return n
		}
	}
	return nil
}

func (g *oracle) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "lock %+v, %+v", g.w.store.state.Lock, g.w.store.state.Config)
	for _, n := range g.w.nodes {
		if n.alive {
			role, epoch := n.repl.Role()
			fmt.Fprintf(&b, "; %s/%d: %v of %d, promised %d, log %v, applied %d",
				n.name, n.hard.Inc, role, epoch, n.hard.Promised, n.log.Last(), n.applied)
		}
	}
	return b.String()
}
