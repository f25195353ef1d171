package broker

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/schedule"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// ScheduleOptions are about messages that are sent later.
type ScheduleOptions struct {
	// Off sends every message at once, whatever schedule it has
	// (schedulerSupport="false"). What is scheduled already stays stored.
	Off bool
	// MaxRepeat is the greatest AMQ_SCHEDULED_REPEAT
	// (maxSchedulerRepeatAllowed) [1000].
	MaxRepeat int
	// MaxJump is how far the machine's clock may jump ahead before it is
	// doubted [5 min].
	MaxJump time.Duration
	Zone    *time.Location // of patterns that name none [time.Local]
}

func (o ScheduleOptions) withDefaults() ScheduleOptions {
	if o.MaxRepeat == 0 {
		o.MaxRepeat = 1000
	}
	if o.MaxJump == 0 {
		o.MaxJump = 5 * time.Minute
	}
	if o.Zone == nil {
		o.Zone = time.Local
	}
	return o
}

// schedules is the part of the state that holds messages to be sent later, and
// the leader's loop that sends them.
type schedules struct {
	b     *Broker
	o     ScheduleOptions
	table *schedule.Table
	clock schedule.Clock

	// order is held from the decision about a job to the end of store.Commit,
	// so that the log has sending and removal in the order in which they were
	// decided. Commit only queues; nothing else is done under it.
	order sync.Mutex

	wake     chan struct{}
	stopping chan struct{}
	loops    sync.WaitGroup
	sending  atomic.Int64 // jobs on their way through the log
	failed   atomic.Bool  // a record failed: pause before the next
	troubled atomic.Bool  // and the log said so
	reading  atomic.Bool  // a prefetch is under way
	fetched  int64        // when the last one began; owned by the loop

	fired, late atomic.Uint64

	mu      sync.Mutex
	stopped bool // nothing new is started
}

func newSchedules(b *Broker, o ScheduleOptions) *schedules {
	s := &schedules{
		b: b, o: o.withDefaults(), table: schedule.NewTable(b.budget.Add),
		wake: make(chan struct{}, 1), stopping: make(chan struct{}),
	}
	began := time.Now()
	s.clock = schedule.Clock{
		Wall: b.o.Now, Elapsed: func() time.Duration { return time.Since(began) }, MaxJump: s.o.MaxJump,
		Jumped: func(by time.Duration) {
			b.o.Logger.Error("the clock jumped ahead; scheduled messages are sent early by no more than schedule.maxJump until it is sure",
				"by", by.Round(time.Second), "max_jump", s.o.MaxJump)
		},
		Believed: func(by time.Duration) {
			b.o.Logger.Warn("the clock's jump is believed now; scheduled messages follow it", "by", by.Round(time.Second))
		},
	}
	return s
}

// start serves the schedules; the store must have been started.
func (s *schedules) start() {
	if !s.o.Off {
		s.loops.Go(s.run)
	}
}

// stop ends the loop and what it reads. Jobs that are on their way complete.
func (s *schedules) stop() {
	s.mu.Lock()
	if !s.stopped {
		s.stopped = true
		close(s.stopping)
	}
	s.mu.Unlock()
	s.loops.Wait()
}

// kind implements part.
func (s *schedules) kind() byte { return schedule.KindDirectory }

// apply implements part.
func (s *schedules) apply(data []byte) {
	if s.table.Apply(data) {
		s.nudge()
	}
}

// nudge makes the loop look again.
func (s *schedules) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// freeze implements part.
func (s *schedules) freeze(changes []stateChange) []stateChange {
	s.table.Freeze(func(kind byte, name string, value []byte) {
		changes = append(changes, stateChange{kind: kind, name: name, value: value, remove: value == nil})
	})
	return changes
}

// written implements writtenPart.
func (s *schedules) written() { s.table.Written() }

// load implements part.
func (s *schedules) load(name string, value []byte) error { return s.table.Load(name, value) }

// CheckScheduleProperty checks the value of one of the properties that schedule
// a message, which frontends hand over as annotations of its envelope. Errors
// say what is wrong; those of a pattern name the character.
func CheckScheduleProperty(name, value string) error {
	var s schedule.Spec
	return s.Set(name, value)
}

// isScheduled reports whether m has a schedule; it is quick for messages that
// have none.
func (s *schedules) isScheduled(m *message.Message) bool {
	if m.DeliverAt == 0 && len(m.Annotations) == 0 || s.o.Off {
		return false
	}
	spec, err := schedule.SpecOf(&m.Envelope)
	return err == nil && !spec.IsZero()
}

// check refuses schedules that make no sense.
func (s *schedules) check(m *message.Message) error {
	if m.DeliverAt == 0 && len(m.Annotations) == 0 || s.o.Off {
		return nil
	}
	op := "schedule for " + m.Destination.String()
	spec, err := schedule.SpecOf(&m.Envelope)
	if err != nil {
		return fail(CodeInvalid, op, "%w", err)
	}
	if int64(spec.Repeat) > int64(s.o.MaxRepeat) {
		return fail(CodeInvalid, op, "%s is %d, the limit is %d (schedule.maxSchedulerRepeatAllowed)", schedule.Repeat, spec.Repeat, s.o.MaxRepeat)
	}
	if _, ok := spec.First(s.b.NowMs(), s.o.Zone); !ok {
		return fail(CodeInvalid, op, "cron %q has no time within the next nine years", spec.Cron)
	}
	return nil
}

// op returns what schedules m, which isScheduled, from now on.
func (s *schedules) op(m *message.Message) store.Op {
	spec, _ := schedule.SpecOf(&m.Envelope)
	now := s.b.NowMs()
	return s.add(&schedule.Job{ID: m.ID, Created: now, Spec: spec, Message: m}, now)
}

// add returns what takes in a job whose time counts from start.
func (s *schedules) add(j *schedule.Job, start int64) store.Op {
	due, ok := j.Spec.First(start, s.o.Zone)
	if !ok {
		due = start
	}
	const most = 128 // bytes around message and strings
	data := make([]byte, 0, most+len(j.Spec.Cron)+len(j.Spec.Zone)+len(j.Message.Raw()))
	return s.change(schedule.AppendAdded(data, j, due, j.Spec.Left()))
}

func (s *schedules) change(data []byte) store.Op {
	return store.Op{Kind: store.OpState, N: schedule.KindDirectory, Data: data}
}

// job returns a job that exists, with its message. ok is false if it has ended
// meanwhile.
func (s *schedules) job(id message.ID) (j *schedule.Job, ok bool, err error) {
	record, ok := s.table.Record(id)
	if !ok {
		if record, err = s.read(id); errors.Is(err, pages.ErrNotFound) {
			// It may have ended, or been stored and read by others just now.
			if record, ok = s.table.Record(id); !ok {
				if _, there := s.table.Find(id); !there {
					return nil, false, nil
				}
			} else {
				err = nil
			}
		}
		if err != nil {
			return nil, false, err
		}
	}
	j, err = schedule.DecodeJob(record)
	return j, err == nil, err
}

// read reads a job's record from the page store.
func (s *schedules) read(id message.ID) (record []byte, err error) {
	for part := range s.table.Parts(id) {
		key := store.StateKey(nil, schedule.KindRecord, schedule.RecordName(id, part))
		if part == 0 {
			record, err = s.b.store.Pages().Get(nil, key)
		} else {
			var more []byte
			more, err = s.b.store.Pages().Get(nil, key)
			record = append(record, more...)
		}
		if err != nil {
			return nil, err
		}
	}
	return record, nil
}

// schedule commits m, which isScheduled.
func (s *Session) schedule(m *message.Message, done Done, token uint64) {
	s.commit(store.Request{
		Op: s.b.schedules.op(m), Durability: s.b.durability(m.Destination), Done: done, Token: token,
	})
}
