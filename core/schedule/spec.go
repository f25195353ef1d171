package schedule

import (
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"
	_ "time/tzdata" // time zones where the system has none

	"github.com/entrepot-mq/entrepot/core/message"
)

// Names of the annotations by which a frontend hands a schedule over, and of
// those that a delivery has. They are ActiveMQ's properties; TZ is ours.
const (
	Delay   = "AMQ_SCHEDULED_DELAY"  // milliseconds until the first delivery
	Period  = "AMQ_SCHEDULED_PERIOD" // milliseconds between deliveries
	Repeat  = "AMQ_SCHEDULED_REPEAT" // deliveries after the first
	Pattern = "AMQ_SCHEDULED_CRON"   // times by Cron
	Zone    = "AMQ_SCHEDULED_TZ"     // the IANA time zone of Pattern
	JobID   = "scheduledJobId"       // of what was scheduled, and must not be again
)

// IsProperty reports whether name is one of the five that make a schedule.
func IsProperty(name string) bool {
	switch name {
	case Delay, Period, Repeat, Pattern, Zone:
		return true
	}
	return false
}

// Spec is when a message is to be sent. The zero value is at once.
type Spec struct {
	At     int64 // absolute time of the first delivery, in ms since 1970, 0 for none
	Delay  int64 // ms
	Period int64 // ms
	Repeat uint32
	Cron   string
	Zone   string // of Cron; "" is the broker's own
}

// IsZero reports whether there is nothing to wait for.
func (s Spec) IsZero() bool { return s.At == 0 && s.Delay == 0 && s.Period == 0 && s.Cron == "" }

// Repeats reports whether there can be more than one delivery.
func (s Spec) Repeats() bool { return s.Cron != "" || s.Repeat > 0 }

// Burst reports whether each time of the pattern starts deliveries of their own.
func (s Spec) Burst() bool { return s.Cron != "" && s.Repeat > 0 }

// SpecOf reads the schedule in e's annotations and DeliverAt. A message that
// was scheduled before has none.
func SpecOf(e *message.Envelope) (Spec, error) {
	s := Spec{At: max(0, e.DeliverAt)}
	for i := range e.Annotations {
		a := &e.Annotations[i]
		if a.Name == JobID {
			return Spec{}, nil
		}
		if err := s.Set(a.Name, a.Value); err != nil {
			return Spec{}, err
		}
	}
	return s, nil
}

// longest is the longest delay and period in milliseconds: 100 years.
const longest = 100 * 366 * 24 * 3600 * 1000

// Set reads one of the five properties; others change nothing.
func (s *Spec) Set(name, value string) (err error) {
	switch name {
	case Delay:
		s.Delay, err = number(name, value, longest)
	case Period:
		s.Period, err = number(name, value, longest)
	case Repeat:
		var n int64
		n, err = number(name, value, math.MaxInt32)
		s.Repeat = uint32(n)
	case Pattern:
		if value != "" {
			_, err = ParseCron(value)
		}
		s.Cron = value
	case Zone:
		_, err = Location(value)
		s.Zone = value
	}
	return err
}

func number(name, value string, most int64) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%s is %.40q: want a whole number from 0 to %d", name, value, most)
	}
	return n, nil
}

// zones remembers the time zones in use: finding one reads a file. There are
// as many as the database has, some 600.
var zones sync.Map // name -> *time.Location

// Location returns the time zone of that IANA name.
func Location(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return time.Local, nil
	}
	if l, ok := zones.Load(name); ok {
		if l, ok := l.(*time.Location); ok {
			return l, nil
		}
	}
	const longestName = 64
	if len(name) > longestName {
		return nil, fmt.Errorf("time zone %.40q...: no such name", name)
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %q is unknown: write a name such as Europe/Berlin or UTC", name)
	}
	zones.Store(name, l)
	return l, nil
}

// First returns when a message that is scheduled at now, in ms, is due: with a
// pattern at its next time, else after the delay, or after a period if there is
// no delay. ok is false if the pattern has no time to come.
func (s Spec) First(now int64, local *time.Location) (due int64, ok bool) {
	switch {
	case s.Cron != "":
		return s.next(now, local)
	case s.Delay > 0:
		return now + s.Delay, true
	case s.At > 0:
		return s.At, true
	}
	return now + s.Period, true
}

// Next returns when a job that was due at due and has left deliveries is due
// again, and how many are left then; ok is false if it is done. Times that
// passed before now are left out for a pattern, and counted for a period.
func (s Spec) Next(due, now int64, left uint32, local *time.Location) (next int64, remain uint32, ok bool) {
	if s.Cron != "" {
		next, ok = s.next(max(due, now), local)
		return next, left, ok
	}
	if left == 0 {
		return 0, 0, false
	}
	return due + s.Period, left - 1, true
}

func (s Spec) next(after int64, local *time.Location) (int64, bool) {
	c, err := ParseCron(s.Cron)
	if err != nil {
		return 0, false
	}
	if s.Zone != "" {
		if local, err = Location(s.Zone); err != nil {
			return 0, false
		}
	}
	t, ok := c.Next(time.UnixMilli(after).In(local))
	return t.UnixMilli(), ok
}

// Started returns the schedule of the deliveries that a time of a pattern
// starts.
func (s Spec) Started() Spec { return Spec{Delay: s.Delay, Period: s.Period, Repeat: s.Repeat} }

// Left returns how many deliveries follow the first.
func (s Spec) Left() uint32 {
	if s.Cron != "" {
		return 0
	}
	return s.Repeat
}
