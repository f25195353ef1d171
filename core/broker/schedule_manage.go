package broker

import (
	"math"
	"strconv"
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/schedule"
	"github.com/entrepot-mq/entrepot/core/store"
)

// SchedulerManagement is the name of the queue and the topic by which clients
// manage schedules. What is sent there is a request and goes nowhere else.
const SchedulerManagement = "ActiveMQ.Scheduler.Management"

// Properties of a request, as in ActiveMQ.
const (
	schedulerAction = "AMQ_SCHEDULER_ACTION"
	actionStart     = "ACTION_START_TIME"
	actionEnd       = "ACTION_END_TIME"
)

// advisoryType is the JMSType of what the broker says itself.
const advisoryType = "Advisory"

// managesSchedules reports whether d is where requests go.
func (s *schedules) managesSchedules(d message.Destination) bool {
	return d.Name == SchedulerManagement && !s.o.Off
}

// manageSchedules carries out a request.
func (s *Session) manageSchedules(m *message.Message, done Done, token uint64) {
	const op = "manage schedules"
	v, err := m.View(s.b.o.Converters)
	if err != nil {
		s.refuse(fail(CodeInvalid, op, "%w", err), done, token)
		return
	}
	var window ScheduleFilter
	for _, f := range []struct {
		name string
		to   *int64
	}{{actionStart, &window.From}, {actionEnd, &window.To}} {
		if *f.to, err = numberProperty(v, f.name); err != nil {
			s.refuse(err, done, token)
			return
		}
	}
	switch action := textProperty(v, schedulerAction); strings.ToUpper(action) {
	case "BROWSE":
		err = s.browseSchedules(m.ReplyTo, window, done, token)
	case "REMOVE":
		err = s.removeSchedule(textProperty(v, schedule.JobID), done, token)
	case "REMOVEALL":
		s.removeSchedules(window, done, token)
	default:
		err = fail(CodeInvalid, op, "%s is %q: want BROWSE, REMOVE or REMOVEALL", schedulerAction, clip(action))
	}
	if err != nil {
		s.refuse(err, done, token)
	}
}

func textProperty(v *message.View, name string) string {
	p, ok := v.Property(name)
	if !ok || p.IsNull() {
		return ""
	}
	return p.String()
}

// numberProperty reads a time in ms since 1970, 0 for none.
func numberProperty(v *message.View, name string) (int64, error) {
	text := strings.TrimSpace(textProperty(v, name))
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fail(CodeInvalid, "manage schedules", "%s is %q: want milliseconds since 1970", name, clip(text))
	}
	return n, nil
}

// browseSchedules sends what is scheduled to a client, one message for each.
func (s *Session) browseSchedules(to message.Destination, window ScheduleFilter, done Done, token uint64) error {
	const op = "browse schedules"
	switch {
	case to.IsZero():
		return fail(CodeInvalid, op, "there is no reply-to to send them to")
	case message.IsPattern(to.Name) || to.IsComposite():
		return fail(CodeInvalid, op, "the reply-to %s is not one destination", to)
	}
	if err := s.maySend(to); err != nil {
		return err
	}
	r := s.b.schedules
	found := r.table.Window(window.From, window.end(), schedule.Entry{}, 0)
	s.commit(store.Request{Durability: store.Lazy, Done: done, Token: token})
	if len(found) > 0 {
		r.answer(to, found)
	}
	return nil
}

// answer sends jobs to a destination on a goroutine of its own, as slowly as
// memory asks.
func (s *schedules) answer(to message.Destination, found []schedule.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.loops.Go(func() {
		for _, e := range found {
			if !s.patient() {
				return
			}
			j, ok, err := s.job(e.ID)
			if err != nil {
				s.b.o.Logger.Error("a scheduled message can't be read", "msg_id", e.ID, "error", err)
				return
			}
			if ok {
				s.b.route(s.reply(to, j))
			}
		}
	})
}

// reply returns what a client that browses gets of j: the message with its
// schedule and the job's id, where it is to go as its origin.
func (s *schedules) reply(to message.Destination, j *schedule.Job) *message.Message {
	return j.Message.With(func(e *message.Envelope) {
		e.Origin, e.Destination = e.Destination, to
		e.ID, e.MessageID = s.b.NewID(), ""
		e.ReplyTo = message.Destination{}
		e.Durable, e.Retain, e.Expiry, e.DeliverAt = false, false, 0, 0
		e.Type = advisoryType
		e.Annotations = append(e.Annotations, message.Annotation{Name: schedule.JobID, Value: j.ID.String()})
	})
}

// removeSchedule removes one job for a client.
func (s *Session) removeSchedule(id string, done Done, token uint64) error {
	const op = "remove a schedule"
	if id == "" {
		return fail(CodeInvalid, op, "%s is missing: it says which", schedule.JobID)
	}
	parsed, ok := message.ParseID(id)
	r := s.b.schedules
	r.order.Lock()
	defer r.order.Unlock()
	if !ok || !r.table.Cancel(parsed) {
		return fail(CodeNotFound, op, "there is no %q: it was sent or removed", clip(id))
	}
	s.commit(r.removal([]message.ID{parsed}, done, token))
	return nil
}

// removeSchedules removes what is due in a window for a client.
func (s *Session) removeSchedules(window ScheduleFilter, done Done, token uint64) {
	r := s.b.schedules
	r.order.Lock()
	defer r.order.Unlock()
	for _, ids := range r.cancelAll(window) {
		s.commit(r.removal(ids, nil, 0))
	}
	s.commit(store.Request{Done: done, Token: token})
}

// removeBatch is how many jobs a record removes at most.
const removeBatch = 4096

// cancelAll marks what is due in a window and returns it in batches. order is
// held.
func (s *schedules) cancelAll(window ScheduleFilter) (batches [][]message.ID) {
	var ids []message.ID
	for _, id := range s.table.Between(window.From, window.end()) {
		if !s.table.Cancel(id) {
			continue
		}
		if ids = append(ids, id); len(ids) == removeBatch {
			batches, ids = append(batches, ids), nil
		}
	}
	if len(ids) > 0 {
		batches = append(batches, ids)
	}
	return batches
}

// removal is a request that removes cancelled jobs.
func (s *schedules) removal(ids []message.ID, done Done, token uint64) store.Request {
	return store.Request{
		Op: s.change(schedule.AppendRemoved(nil, ids)), Done: &removing{s, ids, done}, Token: token,
	}
}

// removing is a removal on its way.
type removing struct {
	s    *schedules
	ids  []message.ID
	done Done
}

// Complete implements Done.
func (r *removing) Complete(token uint64, err error) {
	if err != nil {
		r.s.table.Restore(r.ids)
		r.s.nudge()
	}
	if r.done != nil {
		r.done.Complete(token, err)
	}
}

// end is the end of a filter's window.
func (f *ScheduleFilter) end() int64 {
	if f.To == 0 {
		return math.MaxInt64
	}
	return f.To
}
