package config

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestScheduleSettingsAreChecked(t *testing.T) {
	for _, test := range []struct {
		edit func(*Schedule)
		want string
	}{
		{func(*Schedule) {}, ""},
		{func(s *Schedule) { s.TimeZone = "Europe/Berlin" }, ""},
		{func(s *Schedule) { s.TimeZone = "Mars/Base" }, `schedule.timeZone: "Mars/Base" is unknown`},
		{func(s *Schedule) { s.MaxRepeat = 0 }, "schedule.maxSchedulerRepeatAllowed: 0 is out of range"},
		{func(s *Schedule) { s.MaxJump = time.Millisecond }, "schedule.maxJump: 1ms is out of range"},
	} {
		c := Default()
		test.edit(&c.Schedule)
		var got []string
		v := &validator{from: &Loaded{}}
		v.schedule(&c.Schedule)
		for _, p := range v.problems {
			if e, ok := errors.AsType[*SettingError](p); ok {
				got = append(got, e.Key+": "+e.Message)
			}
		}
		if strings.Join(got, "|") != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
