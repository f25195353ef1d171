package broker

import (
	"sync"

	"github.com/entrepot-mq/entrepot/core/queue"
)

// loader reads pages from the page store and the scratch area, so that nobody
// waits for a disk under a queue's lock.
type loader struct {
	b       *Broker
	mu      sync.Mutex
	wake    sync.Cond
	waiting []loadRequest
	closed  bool
	wg      sync.WaitGroup
}

type loadRequest struct {
	q    *queue.Queue
	lane uint8
	seq  uint64
}

// readers is how many pages are read at a time.
const readers = 2

// init lets requests come, which wait until start.
func (l *loader) init(b *Broker) {
	l.b = b
	l.wake.L = &l.mu
}

func (l *loader) start() {
	for range readers {
		l.wg.Go(l.run)
	}
}

func (l *loader) load(q *queue.Queue, lane uint8, seq uint64) {
	l.mu.Lock()
	l.waiting = append(l.waiting, loadRequest{q, lane, seq})
	l.mu.Unlock()
	l.wake.Signal()
}

func (l *loader) run() {
	for {
		l.mu.Lock()
		for len(l.waiting) == 0 && !l.closed {
			l.wake.Wait()
		}
		if l.closed {
			l.mu.Unlock()
			return
		}
		r := l.waiting[0]
		if l.waiting = l.waiting[1:]; len(l.waiting) == 0 {
			l.waiting = nil
		}
		l.mu.Unlock()
		l.b.unread(r.q.LoadPage(l.b.store.Pages(), r.lane, r.seq))
	}
}

func (l *loader) stop() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.wake.Broadcast()
	l.wg.Wait()
}
