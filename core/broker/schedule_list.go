package broker

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/schedule"
	"github.com/entrepot-mq/entrepot/core/store"
)

// MaxSchedules is the most that one page of schedules holds.
const MaxSchedules = 500

// ScheduleFilter selects scheduled messages. The zero value selects all.
type ScheduleFilter struct {
	From, To    int64               // when they are due next, in ms since 1970; To 0 is the end of time
	Destination message.Destination // may be a pattern
	After       string              // Schedules.Next of the page before
	Limit       int                 // up to MaxSchedules; 0 for 100
}

// Schedule is a scheduled message.
type Schedule struct {
	ID      string // scheduledJobId
	Due     int64  // ms since 1970
	Created int64  // ms since 1970
	Left    uint32 // deliveries behind the one at Due; of a pattern, those of each time
	Spec    schedule.Spec
	Message *message.Message // as it was published
}

// SchedulePage is a page of scheduled messages in the order in which they are
// due. Next is where to go on, "" at the end; with a Destination a page may hold
// less than the limit, even nothing, and more follow.
type SchedulePage struct {
	Items []Schedule
	Next  string
	Total int // of all, whatever the filter selects
}

// maxRecords is how many jobs a page with a Destination reads.
const maxRecords = 5000

// Schedules lists scheduled messages. A page looks at little more than what is due up to
// the filter's end, and reads its own messages only.
func (b *Broker) Schedules(f ScheduleFilter) (SchedulePage, error) {
	s := b.schedules
	page := SchedulePage{Total: s.table.Len()}
	after, err := parseAfter(f.After)
	if err != nil {
		return page, err
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	f.Limit = min(f.Limit, MaxSchedules)
	read := f.Limit
	if !f.Destination.IsZero() {
		read = maxRecords
	}
	found := s.table.Window(f.From, f.end(), after, read+1)
	for i, e := range found {
		if i == read || len(page.Items) == f.Limit {
			page.Next = after.String()
			break
		}
		after = e
		j, ok, err := s.job(e.ID)
		if err != nil {
			return page, &Error{Code: CodeInternal, Op: "list schedules", Err: err}
		}
		if ok && f.selects(j.Message.Destination) {
			page.Items = append(page.Items, describe(j, e))
		}
	}
	return page, nil
}

func (f *ScheduleFilter) selects(d message.Destination) bool {
	return f.Destination.IsZero() || f.Destination.Kind == d.Kind && message.Matches(f.Destination.Name, d.Name)
}

func describe(j *schedule.Job, e schedule.Entry) Schedule {
	left := e.Left
	if j.Spec.Burst() {
		left = j.Spec.Repeat
	}
	return Schedule{ID: j.ID.String(), Due: e.Due, Created: j.Created, Left: left, Spec: j.Spec, Message: j.Message}
}

// parseAfter reads Entry.String.
func parseAfter(text string) (e schedule.Entry, err error) {
	if text == "" {
		return e, nil
	}
	due, id, _ := strings.Cut(text, "@")
	e.Due, err = strconv.ParseInt(due, 10, 64)
	var ok bool
	if e.ID, ok = message.ParseID(id); !ok || err != nil {
		return e, fail(CodeInvalid, "list schedules", "%q is not where a page ended", clip(text))
	}
	return e, nil
}

var errSchedulesOff = errors.New("schedules are switched off (schedule.schedulerSupport)")

// FindSchedule returns one scheduled message.
func (b *Broker) FindSchedule(id string) (Schedule, error) {
	const op = "find a schedule"
	parsed, ok := message.ParseID(id)
	if ok {
		var e schedule.Entry
		if e, ok = b.schedules.table.Find(parsed); ok {
			j, there, err := b.schedules.job(parsed)
			if err != nil {
				return Schedule{}, &Error{Code: CodeInternal, Op: op, Err: err}
			}
			if there {
				return describe(j, e), nil
			}
		}
	}
	return Schedule{}, fail(CodeNotFound, op, "there is no %q: it was sent or removed", clip(id))
}

// RemoveSchedule removes one scheduled message, and returns when that is safe.
func (b *Broker) RemoveSchedule(id string) error {
	const op = "remove a schedule"
	s := b.schedules
	parsed, ok := message.ParseID(id)
	w := make(waiter, 1)
	s.order.Lock()
	if ok = ok && s.table.Cancel(parsed); ok {
		b.store.Commit(s.removal([]message.ID{parsed}, w, 0))
	}
	s.order.Unlock()
	if !ok {
		return fail(CodeNotFound, op, "there is no %q: it was sent or removed", clip(id))
	}
	return refused(<-w, op)
}

// RemoveSchedules removes the scheduled messages that are due in the filter's
// window, and returns how many when that is safe. A Destination is not
// looked at. After an error some of them may have been removed.
func (b *Broker) RemoveSchedules(window ScheduleFilter) (n int, err error) {
	s := b.schedules
	s.order.Lock()
	batches := s.cancelAll(window)
	w := make(waiter, len(batches))
	for _, ids := range batches {
		n += len(ids)
		b.store.Commit(s.removal(ids, w, 0))
	}
	s.order.Unlock()
	for range batches {
		err = errors.Join(err, <-w)
	}
	return n, refused(err, "remove schedules")
}

// RunSchedule sends a scheduled message now, and returns when that is safe. One
// that was to be sent once is done with it; others go on as if nothing had been.
func (b *Broker) RunSchedule(id string) error {
	const op = "send a scheduled message"
	s := b.schedules
	if s.o.Off {
		return &Error{Code: CodeNotSupported, Op: op, Err: errSchedulesOff}
	}
	parsed, ok := message.ParseID(id)
	var j *schedule.Job
	var err error
	if ok {
		if _, ok = s.table.Find(parsed); ok {
			j, ok, err = s.job(parsed)
		}
	}
	switch {
	case err != nil:
		return &Error{Code: CodeInternal, Op: op, Err: err}
	case !ok:
		return fail(CodeNotFound, op, "there is no %q: it was sent or removed", clip(id))
	}
	w := make(waiter, 1)
	if err := s.runNow(j, w); err != nil {
		return err
	}
	return refused(<-w, op)
}

// runNow commits what sends j at once.
func (s *schedules) runNow(j *schedule.Job, done Done) error {
	s.order.Lock()
	defer s.order.Unlock()
	r := store.Request{Durability: s.b.durability(j.Message.Destination), Done: done}
	if !j.Spec.Repeats() {
		e, free, ok := s.table.Take(j.ID)
		switch {
		case !ok:
			return fail(CodeNotFound, "send a scheduled message", "%q was removed", j.ID)
		case !free:
			r.Ops = nil // it is being sent: wait for what came before
			s.b.store.Commit(r)
			return nil
		}
		s.sending.Add(1)
		r.Ops = []store.Op{s.change(schedule.AppendFired(nil, []schedule.Entry{{ID: j.ID}}))}
		r.Done = &runningNow{firing{s: s, taken: []schedule.Entry{e}}, done}
	}
	r.Ops = s.b.publishOps(r.Ops, s.b.forwards.expand([]*message.Message{s.message(j, s.b.NowMs())}))
	s.b.store.Commit(r)
	return nil
}

// runningNow is a firing that somebody waits for.
type runningNow struct {
	firing
	done Done
}

// Complete implements Done.
func (r *runningNow) Complete(token uint64, err error) {
	r.firing.Complete(token, err)
	r.done.Complete(token, err)
}

// patient waits while producers have to, and reports whether the broker goes
// on.
func (s *schedules) patient() bool {
	for {
		select {
		case <-s.stopping:
			return false
		default:
		}
		if _, pressed := s.b.pressure(); !pressed {
			return true
		}
		time.Sleep(firePause)
	}
}

// ScheduleStats are figures of the schedules.
type ScheduleStats struct {
	Jobs  int    // that wait
	Bytes int    // of their messages in memory
	Fired uint64 // deliveries since the start
	Late  uint64 // of these, more than a second after their time
}

// ScheduleStats returns the figures of the schedules.
func (b *Broker) ScheduleStats() ScheduleStats {
	s := b.schedules
	return ScheduleStats{Jobs: s.table.Len(), Bytes: s.table.Resident(), Fired: s.fired.Load(), Late: s.late.Load()}
}
