package queue

import (
	"hash/fnv"
	"slices"
	"strconv"
)

// A message group is the messages of one GroupID: one consumer gets all of
// them, in their order, as long as it lives. The first message of a group goes
// to whoever's turn it is, which makes that consumer the group's owner. Who
// owns what is the serving node's own and not part of the state.
//
// A cursor that comes to a message of a group with another owner leaves it with
// that one and goes on: other groups don't wait. So an owner has a cursor of its
// own, which only has what was left there.
//
// A group waits, without anybody getting its messages, while one that was
// delivered is on its way back, and when its owner has gone until all that it
// had is settled or back: so nothing of a group is overtaken.

// GroupSettings say how a queue serves groups.
type GroupSettings struct {
	// Most is how many groups have an owner; of more, those that were quiet for
	// the longest time lose theirs.
	Most int
	// Buckets has groups share owners: there are Most, and a hash of its name
	// says which one a group is in.
	Buckets bool
	// Rebalance gives groups new owners when a consumer joins.
	Rebalance bool
}

// maxLeft is how many messages of a lane may be left with an owner, or may
// wait with their group. Beyond that a cursor stays where it is.
const maxLeft = 1 << 16

type groups struct {
	GroupSettings
	by   map[string]*group
	open map[uint64]groupDelivery // by position
	// idle is a ring through all of by, the group that was served last first.
	idle group
}

type group struct {
	name       string
	owner      *attachment // nil: it has none now
	open       int         // deliveries that aren't settled for good
	failed     int         // of those, on their way back
	waiting    []uint64    // positions that cursors passed while it waited
	left       []uint64    // those left with the owner, and some that it got since
	pruned     int         // length of left after it was last pruned
	prev, next *group
}

// groupDelivery is a message of a group that is out.
type groupDelivery struct {
	g      *group
	failed bool
}

// waits reports whether nobody may get the group's messages now.
func (g *group) waits() bool { return g.failed > 0 || g.owner == nil && g.open > 0 }

func newGroups(s GroupSettings) *groups {
	gs := &groups{GroupSettings: s, by: make(map[string]*group), open: make(map[uint64]groupDelivery)}
	gs.idle.prev, gs.idle.next = &gs.idle, &gs.idle
	return gs
}

func (gs *groups) key(id string) string {
	if !gs.Buckets {
		return id
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return strconv.Itoa(int(h.Sum32() % uint32(gs.Most)))
}

// group returns the group of that id, made if need be.
func (q *Queue) group(id string) *group {
	gs := q.groups
	key := gs.key(id)
	g := gs.by[key]
	if g == nil {
		g = &group{name: key}
		gs.by[key] = g
		g.link(&gs.idle)
		q.boundGroups()
	}
	return g
}

// boundGroups forgets groups that are quiet while there are too many.
func (q *Queue) boundGroups() {
	gs := q.groups
	const tries = 4 // each new group looks at some old ones: those with deliveries stay
	g := gs.idle.prev
	for range tries {
		older := g.prev
		if len(gs.by) <= gs.Most || g == &gs.idle || g == gs.idle.next {
			return
		}
		if q.pruneLeft(g); g.open == 0 && len(g.waiting)+len(g.left) == 0 {
			gs.forget(g)
		}
		g = older
	}
}

func (gs *groups) forget(g *group) {
	if gs.by[g.name] == g {
		delete(gs.by, g.name)
		g.unlink()
	}
}

func (g *group) link(behind *group) {
	g.prev, g.next = behind, behind.next
	g.prev.next, g.next.prev = g, g
}

func (g *group) unlink() {
	g.prev.next, g.next.prev = g.next, g.prev
	g.prev, g.next = nil, nil
}

// admit reports whether a, whom cursor c serves, may get k, a message of a
// group. If not, k waits with its owner or its group, and the cursor is past
// it, or stays for this round.
func (q *Queue) admit(c *cursor, a *attachment, k *candidate) (g *group, ok bool) {
	if q.groups == nil {
		q.groups = newGroups(q.broker.GroupSettings(q))
	}
	g = q.group(k.msg.GroupID)
	_, level := q.lane(position(k.lane, k.seq))
	switch {
	case g.waits():
		if len(g.waiting) >= maxLeft {
			c.spent, c.stalled = q.round, q.round
			return nil, false
		}
		g.waiting = append(g.waiting, position(k.lane, k.seq))
		k.pass()
		return nil, false
	case c.own && g.owner != a: // the group was closed or given up
		k.pass()
		q.back(k.lane, level, k.seq, k.msg)
		return nil, false
	case g.owner == nil, g.owner == a:
		return g, true
	case g.owner.cursor != c && !k.lane.selects(g.owner.cursor.filter, k.seq, k.msg):
		return nil, true // its owner doesn't want it: it is as one without group
	}
	own := q.ownCursor(g.owner)
	if len(own.lane(k.lane, level).returned) >= maxLeft {
		c.spent, c.stalled = q.round, q.round
		return nil, false
	}
	k.pass()
	q.hand(own, k.lane, level, k.seq)
	if g.left = append(g.left, position(k.lane, k.seq)); len(g.left) >= max(minPruned, 2*g.pruned) {
		q.pruneLeft(g)
	}
	return nil, false
}

// pruneLeft drops what doesn't wait any more.
func (q *Queue) pruneLeft(g *group) {
	g.left = slices.DeleteFunc(g.left, func(pos uint64) bool { return !q.isFree(pos) })
	g.pruned = len(g.left)
}

func (q *Queue) isFree(pos uint64) bool {
	l, _ := q.lane(pos)
	p := l.page(seqOf(pos))
	return p != nil && p.free()&(1<<(pos&pageMask)) != 0
}

// ownCursor returns the cursor of what was left with a.
func (q *Queue) ownCursor(a *attachment) *cursor {
	if a.own == nil {
		a.own = &cursor{own: true, indexed: true, users: 1, consumers: []*attachment{a}, at: make([]levelCursor, len(q.levels)), slot: -1}
	}
	return a.own
}

// delivered notes that a got a message of g, which is at pos. last says that
// the group ends with it.
func (q *Queue) delivered(g *group, a *attachment, pos uint64, last bool) {
	gs := q.groups
	g.owner = a
	g.open++
	gs.open[pos] = groupDelivery{g: g}
	if g.prev != nil {
		g.unlink()
		g.link(&gs.idle)
	}
	if last {
		gs.forget(g) // the next one of that name is another group
		q.goOn(g.left)
	}
}

// failing notes that pos is on its way back.
func (q *Queue) failing(pos uint64) {
	if q.groups == nil {
		return
	}
	if d, ok := q.groups.open[pos]; ok && !d.failed {
		d.failed = true
		d.g.failed++
		q.groups.open[pos] = d
	}
}

// settled follows when pos has ended or is back. It reports whether that let
// messages go on.
func (q *Queue) settled(pos uint64) (freed bool) {
	d, ok := q.groups.open[pos]
	if !ok {
		return false
	}
	delete(q.groups.open, pos)
	g := d.g
	g.open--
	if d.failed {
		g.failed--
	}
	if g.waits() {
		return false
	}
	freed = len(g.waiting) > 0
	q.goOn(g.waiting)
	g.waiting = nil
	if g.owner == nil {
		q.groups.forget(g)
	}
	return freed
}

// goOn makes messages that were passed available again.
func (q *Queue) goOn(all []uint64) {
	for _, pos := range all {
		if q.isFree(pos) {
			l, level := q.lane(pos)
			q.back(l, level, seqOf(pos), l.page(seqOf(pos)).message(seqOf(pos)))
		}
	}
}

// nextFor returns what a, whom from serves, is to get next, and the cursor that
// found it: the earlier one of what was left with a and of what its filter's
// cursor comes to, so that it gets each group's messages in their order.
func (q *Queue) nextFor(a *attachment, from *cursor) (c *cursor, k candidate, ok bool) {
	if a.own == nil {
		k, ok = from.next(q)
		return from, k, ok
	}
	left, ok := a.own.next(q)
	switch {
	case !ok && from == a.own:
		return from, left, false
	case !ok:
		k, ok = from.next(q)
		return from, k, ok
	case a.cursor.stalled == q.round: // at a message of somebody else's
		return a.own, left, true
	}
	if k, ok = a.cursor.next(q); ok && k.precedes(&left) {
		return a.cursor, k, true
	}
	return a.own, left, true
}

// precedes reports whether k goes before o. If its place isn't known before it
// is in memory, it has to be looked at first.
func (k *candidate) precedes(o *candidate) bool {
	switch {
	case k.lane.priority != o.lane.priority:
		return k.lane.priority > o.lane.priority
	case k.lane == o.lane:
		return k.seq < o.seq
	case k.lane.transient:
		return k.msg == nil || k.before(o)
	}
	return o.msg != nil && !o.before(k)
}

// giveUp takes its groups from a, with what was left with it.
func (q *Queue) giveUp(a *attachment) {
	if q.groups == nil {
		return
	}
	for g := q.groups.idle.next; g != &q.groups.idle; {
		next := g.next
		if g.owner == a {
			g.left = nil
			if g.owner = nil; g.open == 0 {
				q.groups.forget(g)
			}
		}
		g = next
	}
	if a.own == nil {
		return
	}
	own := a.own
	a.own = nil
	q.sleep(own)
	for i, lv := range q.levels {
		q.goOn(own.at[i].durable.positions(&lv.durable))
		q.goOn(own.at[i].transient.positions(&lv.transient))
	}
}

func (c *laneCursor) positions(l *lane) (all []uint64) {
	for _, seq := range c.returned {
		all = append(all, position(l, seq))
	}
	return all
}
