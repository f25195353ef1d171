package queue

import "github.com/entrepot-mq/entrepot/core/message"

// modelGroup is a message group between its first message and its end.
type modelGroup struct {
	owner  *modelAttachment
	open   int // deliveries that aren't settled for good
	failed int // of those, on their way back
	ended  bool
}

// group returns the group that x would belong to, nil if there is none now.
func (q *modelQueue) group(x *modelMessage) *modelGroup { return q.groups[x.m.GroupID] }

// free reports whether x's group doesn't count for it: its owner doesn't want
// it.
func (q *modelQueue) free(x *modelMessage) bool {
	g := q.group(x)
	return g != nil && g.failed == 0 && g.owner != nil && g.owner.filter != nil && !g.owner.filter.Matches(x.m)
}

// eligible reports whether a may get x as far as groups are concerned.
func (q *modelQueue) eligible(x *modelMessage, a *modelAttachment) bool {
	g := q.group(x)
	switch {
	case x.m.GroupID == "" || g == nil:
		return true
	case g.failed > 0 || g.owner == nil && g.open > 0:
		return false
	}
	return g.owner == nil || g.owner == a || q.free(x)
}

// deliver notes that a got x, and returns whether it owns the group now and
// did not before.
func (q *modelQueue) deliver(x *modelMessage, a *modelAttachment) (first bool) {
	if x.m.GroupID == "" || q.free(x) {
		return false
	}
	g := q.group(x)
	if g == nil {
		g = &modelGroup{}
		q.groups[x.m.GroupID] = g
	}
	first = g.owner == nil
	g.owner = a
	g.open++
	x.g = g
	if x.m.GroupSeq < 0 {
		delete(q.groups, x.m.GroupID)
		g.ended = true
	}
	return first
}

// fail notes that x is on its way back.
func (x *modelMessage) fail() {
	if x.g != nil && !x.failing {
		x.failing = true
		x.g.failed++
	}
}

// leave ends x's delivery as far as groups are concerned.
func (x *modelMessage) leave() {
	g := x.g
	if g == nil {
		return
	}
	g.open--
	if x.failing {
		g.failed--
	}
	x.g, x.failing, x.late = nil, false, g.ended
	if g.owner == nil && g.open == 0 && x.q.groups[x.m.GroupID] == g {
		delete(x.q.groups, x.m.GroupID)
	}
}

// served takes the groups from those that are not served any more.
func (q *modelQueue) served() {
	sole := q.sole()
	for id, g := range q.groups {
		there := false
		for _, a := range q.present {
			there = there || a == g.owner && (sole == nil || sole == a)
		}
		if there {
			continue
		}
		if g.owner = nil; g.open == 0 {
			delete(q.groups, id)
		}
	}
}

// grouped returns m as one of a group.
func grouped(m *message.Message, id string, seq int32) *message.Message {
	return m.With(func(e *message.Envelope) { e.GroupID, e.GroupSeq = id, seq })
}
