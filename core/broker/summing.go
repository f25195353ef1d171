package broker

import (
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/queue"
)

// summing is which queues have waiting messages whose properties nobody has
// summed up.
type summing struct {
	note chan struct{}

	mu     sync.Mutex
	queues []*queue.Queue
}

const (
	// summingDelay is how long messages wait before they are summed up: most
	// backlogs are gone by then.
	summingDelay = time.Second
	// summingShare is which part of a processor it takes: one in so many.
	summingShare = 5
)

// Unsummed implements queue.Broker.
func (b *Broker) Unsummed(q *queue.Queue) {
	s := &b.upkeep.summing
	s.mu.Lock()
	s.queues = append(s.queues, q)
	s.mu.Unlock()
	select {
	case s.note <- struct{}{}:
	default: // noted already
	}
}

func (s *summing) take() []*queue.Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.queues
	s.queues = nil
	return all
}

// sumUp has queues sum up what waits in them.
func (u *upkeep) sumUp() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-u.summing.note:
		case <-u.stop:
			return
		}
		pause.Reset(summingDelay)
		if !u.waits(pause) {
			return
		}
		for left := u.summing.take(); len(left) > 0; {
			began := time.Now()
			if !left[0].Summarize() {
				left = left[1:]
			}
			pause.Reset((summingShare - 1) * time.Since(began))
			if !u.waits(pause) {
				return
			}
		}
	}
}
