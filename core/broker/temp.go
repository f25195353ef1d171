package broker

import (
	"maps"
	"slices"
	"sync"

	"github.com/entrepot-mq/entrepot/core/message"
)

// temps are the temporary destinations that exist, and who wants to know.
type temps struct {
	mu       sync.Mutex
	exist    map[message.Destination]struct{}
	watchers map[*tempWatcher]struct{}
}

type tempWatcher struct {
	tell func(d message.Destination, added bool)
}

// WatchTemps tells of every temporary destination that is made or removed, and
// returns those that exist now. tell is called before anybody else can learn of
// a new one; it must not block or call back. stop ends it.
func (b *Broker) WatchTemps(tell func(d message.Destination, added bool)) (exist []message.Destination, stop func()) {
	w := &tempWatcher{tell}
	t := &b.temps
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watchers == nil {
		t.watchers = make(map[*tempWatcher]struct{})
	}
	t.watchers[w] = struct{}{}
	return slices.Collect(maps.Keys(t.exist)), func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.watchers, w)
	}
}

// note keeps what exists, and tells the watchers.
func (t *temps) note(d message.Destination, added bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if added {
		if t.exist == nil {
			t.exist = make(map[message.Destination]struct{})
		}
		t.exist[d] = struct{}{}
	} else {
		delete(t.exist, d)
	}
	for w := range t.watchers {
		w.tell(d, added)
	}
}

// AddTemp makes a temporary destination whose name the client chose, and which
// lives as long as the session. One that the session has already stays.
func (s *Session) AddTemp(d message.Destination) error {
	op := "create " + d.String()
	if !d.Kind.IsTemp() || message.ValidateName(d.Name) != nil {
		return fail(CodeInvalid, op, "it is not the name of a temporary destination")
	}
	s.mu.Lock()
	_, mine := s.temp[d]
	s.mu.Unlock()
	switch {
	case mine:
		return nil
	case s.b.tempExists(d):
		return fail(CodeExists, op, "another connection has it")
	}
	if err := s.mayCreateTemp(d); err != nil {
		return err
	}
	s.b.addTemp(d)
	if !s.ownTemp(d) {
		s.b.removeTemp(d)
		return errClosed
	}
	return nil
}
