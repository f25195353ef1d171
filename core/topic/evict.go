package topic

import "github.com/entrepot-mq/entrepot/core/message"

// Evictor chooses what a subscription with too many waiting messages discards.
// One belongs to one subscription.
type Evictor interface {
	// Victim returns the index of the message to go. waiting is never empty,
	// the oldest message comes first and the one that made it too many last.
	Victim(waiting []*message.Message) int
}

// LowestPriority discards the oldest of the messages of the lowest priority.
type LowestPriority struct{}

// Victim implements Evictor.
func (LowestPriority) Victim(waiting []*message.Message) int {
	at := 0
	for i, m := range waiting {
		if m.Priority < waiting[at].Priority {
			at = i
		}
		if waiting[at].Priority == 0 {
			break
		}
	}
	return at
}

// Latest discards messages for which a newer one with the same value waits:
// who reads slowly gets the latest of each value. Without such a message it is
// the oldest of the lowest priority.
type Latest struct {
	// Value returns what makes messages replace each other; ok is false for
	// those that replace nothing.
	Value func(m *message.Message) (value string, ok bool)

	// distinct is the message up to which no two waiting ones have the same
	// value, so that only what came behind it has to be looked at.
	distinct *message.Message
}

// Victim implements Evictor.
func (l *Latest) Victim(waiting []*message.Message) int {
	newest := len(waiting) - 1
	if newest > 0 && waiting[newest-1] == l.distinct {
		if i, ok := l.older(waiting); ok {
			l.distinct = waiting[newest]
			return i
		}
	} else if i, ok := l.duplicate(waiting); ok {
		return i
	}
	victim := LowestPriority{}.Victim(waiting)
	l.distinct = waiting[newest]
	if victim == newest && newest > 0 {
		l.distinct = waiting[newest-1]
	}
	return victim
}

// older finds the message that the newest one replaces.
func (l *Latest) older(waiting []*message.Message) (int, bool) {
	newest := len(waiting) - 1
	v, ok := l.Value(waiting[newest])
	if !ok {
		return 0, false
	}
	for i, m := range waiting[:newest] {
		if w, ok := l.Value(m); ok && w == v {
			return i, true
		}
	}
	return 0, false
}

// duplicate finds the oldest message that another one replaces.
func (l *Latest) duplicate(waiting []*message.Message) (int, bool) {
	last := make(map[string]int, len(waiting))
	for i, m := range waiting {
		if v, ok := l.Value(m); ok {
			last[v] = i
		}
	}
	for i, m := range waiting {
		if v, ok := l.Value(m); ok && last[v] != i {
			return i, true
		}
	}
	return 0, false
}
