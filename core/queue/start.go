package queue

import "time"

// StartSettings say when a queue begins to serve its consumers: when there are
// so many, or so long after the first one came. Zero values ask for nothing.
type StartSettings struct {
	Consumers int
	Wait      time.Duration
}

// gathering is a queue's wait for its consumers, so that the first one doesn't
// get all of the groups. It begins anew when all have gone.
type gathering struct {
	waits    bool
	settings StartSettings
	timer    *time.Timer
	times    int // it began
}

// joins is called before a consumer is added.
func (q *Queue) joins() {
	if len(q.consumers) == 0 {
		q.start.begin(q)
		return
	}
	if q.groups != nil && q.groups.Rebalance {
		for _, a := range q.consumers {
			q.giveUp(a)
		}
	}
}

func (s *gathering) begin(q *Queue) {
	s.settings = q.broker.StartSettings(q)
	s.waits = s.settings.Consumers > 1 || s.settings.Wait > 0
	s.times++
	if times := s.times; s.settings.Wait > 0 {
		s.timer = time.AfterFunc(s.settings.Wait, func() { q.waited(times) })
	}
}

// count ends the wait when there are enough consumers, or none any more.
func (s *gathering) count(q *Queue) {
	n := len(q.consumers)
	if s.waits && (n == 0 || s.settings.Consumers > 0 && n >= s.settings.Consumers) {
		s.end()
	}
}

func (s *gathering) end() {
	s.waits = false
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// waited ends the wait that began as the one of that number, and serves those
// who are there.
func (q *Queue) waited(times int) {
	q.mu.Lock()
	if q.start.times == times {
		q.start.end()
	}
	after := q.dispatch()
	q.mu.Unlock()
	q.carryOut(after)
}
