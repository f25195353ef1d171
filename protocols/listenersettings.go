package protocols

import (
	"maps"
	"sync"
)

// ListenerSettings keeps what a frontend made of its listeners' options, so
// that they are read for a listener's first connection and not for each. The
// zero value is empty. Any goroutine may use it.
type ListenerSettings[T any] struct {
	mu   sync.Mutex
	read []readSettings[T]
}

// readSettings are what a listener's options were read as. Its connections
// share them.
type readSettings[T any] struct {
	values Values
	set    *T
}

// maxListeners bounds what is kept when listeners come and go.
const maxListeners = 64

// Of returns what read made of v. Nobody may change it.
func (s *ListenerSettings[T]) Of(v Values, read func(Values) (T, error)) (*T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.read {
		if maps.Equal(s.read[i].values, v) {
			return s.read[i].set, nil
		}
	}
	set, err := read(v)
	if err != nil {
		return nil, err
	}
	if len(s.read) >= maxListeners {
		s.read = nil
	}
	s.read = append(s.read, readSettings[T]{v, &set})
	return &set, nil
}
