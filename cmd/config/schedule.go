package config

import (
	"fmt"
	"time"
)

// Schedule is about messages that are sent later (AMQ_SCHEDULED_*).
type Schedule struct {
	SchedulerSupport bool          `key:"schedulerSupport" doc:"messages with a schedule wait for their time; false sends them at once"`
	MaxRepeat        int           `key:"maxSchedulerRepeatAllowed" doc:"greatest AMQ_SCHEDULED_REPEAT that is taken"`
	MaxJump          time.Duration `key:"maxJump" doc:"how far the machine's clock may jump ahead before it is doubted for as long, and messages are sent early by no more than this"`
	TimeZone         string        `key:"timeZone" doc:"time zone of cron patterns that come without AMQ_SCHEDULED_TZ, such as Europe/Berlin; empty is the machine's"`
}

func defaultSchedule() Schedule {
	return Schedule{SchedulerSupport: true, MaxRepeat: 1000, MaxJump: 5 * time.Minute}
}

// Location is the time zone that TimeZone names.
func (s *Schedule) Location() (*time.Location, error) {
	if s.TimeZone == "" {
		return time.Local, nil
	}
	return time.LoadLocation(s.TimeZone)
}

func (v *validator) schedule(s *Schedule) {
	v.number("schedule.maxSchedulerRepeatAllowed", s.MaxRepeat, 1, 1_000_000_000)
	v.duration("schedule.maxJump", s.MaxJump, time.Second, 24*time.Hour)
	if _, err := s.Location(); err != nil {
		v.fail("schedule.timeZone", fmt.Sprintf("%q is unknown", clip(s.TimeZone)), "give a name such as Europe/Berlin or UTC, or nothing for the machine's")
	}
}
