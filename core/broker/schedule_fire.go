package broker

import (
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/schedule"
	"github.com/entrepot-mq/entrepot/core/store"
)

const (
	fireBatch    = 256                    // jobs of one record
	fireBytes    = 1 << 20                // bytes of messages that end a record
	maxSending   = 4096                   // jobs on their way through the log
	firePause    = 10 * time.Millisecond  // while producers have to wait, too
	failurePause = 250 * time.Millisecond // after a record that failed
	longestSleep = time.Second            // while something is scheduled: the clock may be set
	lateBy       = 1000                   // ms that make a delivery late
)

// run sends what is due until stop. It sleeps until then, and for good when
// nothing is scheduled.
func (s *schedules) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	due := make([]schedule.Entry, 0, fireBatch)
	for {
		select {
		case <-s.stopping:
			return
		case <-s.wake:
		case <-timer.C:
		}
		if wait, ok := s.fireDue(due); ok {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
	}
}

// fireDue sends what is due and returns when to look again; ok is false if
// nothing is scheduled.
func (s *schedules) fireDue(due []schedule.Entry) (wait time.Duration, ok bool) {
	for {
		switch _, pressed := s.b.pressure(); {
		case s.failed.Swap(false):
			return failurePause, true
		case pressed, s.sending.Load() >= maxSending:
			return firePause, true
		case s.b.store.Failed() != nil:
			return 0, false
		}
		now := s.clock.Now()
		due = s.table.TakeDue(due[:0], now)
		if len(due) == 0 {
			return s.sleep(now)
		}
		if err := s.fire(due, now); err != nil {
			s.b.store.Fail(err)
			return 0, false
		}
	}
}

// sleep returns how long nothing is due, and has records read that soon are.
func (s *schedules) sleep(now int64) (wait time.Duration, ok bool) {
	first, ok := s.table.First()
	if !ok {
		return 0, false
	}
	s.prefetch(first, now)
	return min(max(0, time.Duration(first-now)*time.Millisecond), longestSleep), true
}

// firing is a record on its way that sends jobs. It implements Done.
type firing struct {
	s     *schedules
	taken []schedule.Entry
	after []schedule.Entry
	added []store.Op
	msgs  []*message.Message
}

// fire sends held jobs, in as many records as their messages need.
func (s *schedules) fire(due []schedule.Entry, now int64) error {
	f, size := &firing{s: s}, 0
	for i, e := range due {
		j, ok, err := s.job(e.ID)
		if err != nil {
			s.table.Return(due[i:])
			f.commit()
			return err
		}
		if !ok {
			continue
		}
		if now-e.Due > lateBy {
			s.late.Add(1)
		}
		f.add(e, j, now)
		if size += len(j.Message.Raw()); size > fireBytes {
			f.commit()
			f, size = &firing{s: s}, 0
		}
	}
	f.commit()
	return nil
}

// add has the record send j, or start the deliveries of a pattern's time.
func (f *firing) add(e schedule.Entry, j *schedule.Job, now int64) {
	next, left, ok := j.Spec.Next(e.Due, now, e.Left, f.s.o.Zone)
	if !ok {
		next, left = 0, 0
	}
	f.taken = append(f.taken, e)
	f.after = append(f.after, schedule.Entry{ID: e.ID, Due: next, Left: left})
	if j.Spec.Burst() {
		started := &schedule.Job{ID: f.s.b.NewID(), Created: now, Spec: j.Spec.Started(), Message: j.Message}
		f.added = append(f.added, f.s.add(started, e.Due))
		f.msgs = append(f.msgs, nil)
		return
	}
	f.added = append(f.added, store.Op{})
	f.msgs = append(f.msgs, f.s.message(j, now))
}

// message returns what j sends now.
func (s *schedules) message(j *schedule.Job, now int64) *message.Message {
	var fresh message.ID
	if j.Spec.Repeats() {
		fresh = s.b.NewID()
	}
	return j.Fire(now, fresh)
}

// commit queues the record, without the jobs that are to be removed since they
// were taken.
func (f *firing) commit() {
	s := f.s
	s.order.Lock()
	defer s.order.Unlock()
	n := 0
	for i, e := range f.taken {
		if s.table.Waits(e.ID) {
			f.taken[n], f.after[n], f.added[n], f.msgs[n] = e, f.after[i], f.added[i], f.msgs[i]
			n++
		}
	}
	if n == 0 {
		return
	}
	f.taken, f.after = f.taken[:n], f.after[:n]
	ops := []store.Op{s.change(schedule.AppendFired(nil, f.after))}
	durability := store.Lazy
	for i := range n {
		m := f.msgs[i]
		if m == nil {
			ops = append(ops, f.added[i])
			durability = store.Synced
			continue
		}
		ops = s.b.publishOps(ops, s.b.forwards.expand([]*message.Message{m}))
		durability = min(durability, s.b.durability(m.Destination))
	}
	f.added, f.msgs = nil, nil
	s.sending.Add(int64(n))
	s.b.store.Commit(store.Request{Ops: ops, Durability: durability, Done: f})
}

// Complete implements Done.
func (f *firing) Complete(_ uint64, err error) {
	s := f.s
	before := s.sending.Add(-int64(len(f.taken))) + int64(len(f.taken))
	if err == nil {
		s.fired.Add(uint64(len(f.taken)))
		s.troubled.Store(false)
	} else {
		if !s.troubled.Swap(true) {
			s.b.o.Logger.Warn("scheduled messages could not be sent; they will be tried again", "jobs", len(f.taken), "error", err)
		}
		s.failed.Store(true)
		s.table.Return(f.taken)
	}
	if err != nil || before >= maxSending {
		s.nudge()
	}
}

// Reading ahead of the time.
const (
	fetchAhead = 1500 // ms before they are due, records are read
	fetchEvery = 250  // ms
	fetchBatch = 4096 // records
)

// prefetch reads records of jobs that soon are due, on a goroutine of its own:
// disks take longer than messages may be late.
func (s *schedules) prefetch(first, now int64) {
	if first > now+fetchAhead || now-s.fetched < fetchEvery && now >= s.fetched || !s.reading.CompareAndSwap(false, true) {
		return
	}
	s.fetched = now
	s.loops.Go(func() {
		defer s.reading.Store(false)
		for _, id := range s.table.Missing(now+fetchAhead, fetchBatch) {
			select {
			case <-s.stopping:
				return
			default:
			}
			record, err := s.read(id)
			if err != nil || s.table.Bring(id, record) {
				return // the one that sends it will find the error, if it is one
			}
		}
	})
}
