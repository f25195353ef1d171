package broker

import (
	"fmt"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/topic"
)

// flow holds the producers that wait. While there are any, one goroutine
// looks every millisecond whether their reason is gone: that costs nothing
// otherwise and can't miss a wake-up.
type flow struct {
	b       *Broker
	mu      sync.Mutex
	waiting map[*Session]*hold
	running bool
	closed  bool
	wg      sync.WaitGroup
}

// hold is one waiting producer.
type hold struct {
	since    time.Time
	reason   string
	warned   bool
	slow     topic.Listener // nil: memory, disk or full
	full     *passage       // nil: memory, disk or slow
	progress uint64
	moved    time.Time // when slow last made progress
}

const (
	flowTick = time.Millisecond
	// patience is how long a subscription that makes no progress may slow
	// producers down: after that it loses messages instead.
	patience = time.Second
)

// throttled decides whether the session should wait, and has it resumed.
func (s *Session) throttled(slow topic.Listener) bool {
	reason, wait := s.b.pressure()
	if !wait && slow == nil {
		return false
	}
	return s.b.flow.hold(s, reason, slow)
}

// pressure reports whether producers should wait for memory or disk.
func (b *Broker) pressure() (reason string, wait bool) {
	if b.budget.Exceeded() {
		return fmt.Sprintf("messages in memory have reached the limit of %d bytes (memory.limit)", b.budget.Limit()), true
	}
	return b.store.Behind()
}

func (f *flow) hold(s *Session, reason string, slow topic.Listener) bool {
	h := &hold{since: time.Now(), reason: reason, slow: slow, moved: time.Now()}
	if slow != nil {
		var full bool
		if full, h.progress = slow.Pressure(); !full {
			return false
		}
		h.reason = "a topic subscription is slow"
	}
	return f.add(s, h)
}

// holdFull has s wait until a queue is below its limit.
func (f *flow) holdFull(s *Session, p *passage) bool {
	return f.add(s, &hold{since: time.Now(), reason: p.full.Destination().String() + " is full (maxMessages, maxBytes)", full: p})
}

func (f *flow) add(s *Session, h *hold) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || s.ended.Load() {
		return false
	}
	if f.waiting == nil {
		f.waiting = make(map[*Session]*hold)
	}
	if f.waiting[s] == nil {
		f.waiting[s] = h
	}
	if !f.running {
		f.running = true
		f.wg.Go(f.run)
	}
	return true
}

// run resumes producers until none waits.
func (f *flow) run() {
	tick := time.NewTicker(flowTick)
	defer tick.Stop()
	for range tick.C {
		resume, ended := f.check()
		for _, s := range resume {
			s.req.Sink.Resume()
		}
		if ended {
			return
		}
	}
}

func (f *flow) check() (resume []*Session, ended bool) {
	_, pressed := f.b.pressure()
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for s, h := range f.waiting {
		if !f.closed && h.stays(pressed, now) {
			f.warn(s, h, now)
			continue
		}
		delete(f.waiting, s)
		resume = append(resume, s)
	}
	if len(f.waiting) == 0 {
		f.running = false
		return resume, true
	}
	return resume, false
}

func (h *hold) stays(pressed bool, now time.Time) bool {
	switch {
	case h.full != nil:
		return h.full.stillFull()
	case h.slow == nil:
		return pressed
	}
	full, progress := h.slow.Pressure()
	if progress != h.progress {
		h.progress, h.moved = progress, now
	}
	return full && now.Sub(h.moved) < patience
}

func (f *flow) warn(s *Session, h *hold, now time.Time) {
	if h.warned || now.Sub(h.since) < f.b.o.BlockedWarning {
		return
	}
	h.warned = true
	f.b.o.Logger.Warn("a producer waits", "proto", s.req.Protocol, "remote", s.remote(), "client_id", s.clientID,
		"reason", h.reason, "waited", now.Sub(h.since).Round(time.Millisecond).String())
}

func (f *flow) forget(s *Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiting, s)
}

// waitingProducers returns how many producers wait.
func (f *flow) waitingProducers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiting)
}

func (f *flow) stop() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.wg.Wait()
}
