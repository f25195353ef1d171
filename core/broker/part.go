package broker

import (
	"fmt"

	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// part is a piece of the state machine beside the queues: retained messages,
// schedules, and the like. The applier owns it, but for what a part guards
// itself for readers elsewhere. Changes come as store.OpState ops with the
// part's kind as N; it may also be told of other ops by machine's own methods.
type part interface {
	// kind is the part's number in the log and its first key byte in the page
	// store: a letter.
	kind() byte
	// apply makes one change. What makes no sense is ignored.
	apply(data []byte)
	// freeze appends what changed since the last freeze.
	freeze(changes []stateChange) []stateChange
	// load takes one stored value, which it must copy to keep.
	load(name string, value []byte) error
}

// writtenPart is a part that wants to know when what it froze is stored.
type writtenPart interface{ written() }

// loadedPart is a part that wants to know when all of its values were loaded.
type loadedPart interface{ loaded() }

// stateChange is a value of a part to be stored, or removed.
type stateChange struct {
	kind   byte
	name   string
	value  []byte
	remove bool
}

func (c *stateChange) write(w pages.Writer) error {
	key := store.StateKey(nil, c.kind, c.name)
	if c.remove {
		return w.Delete(key)
	}
	return w.Put(key, c.value)
}

// addPart makes p a part of the machine. It is called before the store opens.
func (m *machine) addPart(p part) {
	if m.parts == nil {
		m.parts = make(map[uint32]part)
	}
	m.parts[uint32(p.kind())] = p
}

func (m *machine) loadParts(s pages.Store) error {
	for _, p := range m.parts {
		prefix := store.StateKey(nil, p.kind(), "")
		err := s.Scan(prefix, func(key, value []byte) error {
			return p.load(string(key[len(prefix):]), value)
		})
		if err != nil {
			return fmt.Errorf("state %q: %w", p.kind(), err)
		}
		if l, ok := p.(loadedPart); ok {
			l.loaded()
		}
	}
	return nil
}
