package schedule

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, text, zone string) time.Time {
	t.Helper()
	loc, err := Location(zone)
	if err != nil {
		t.Fatal(err)
	}
	u, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return u.In(loc)
}

func TestCronFindsTheNextTime(t *testing.T) {
	for _, test := range []struct{ pattern, zone, from, want string }{
		{"* * * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z 2026-01-01T00:02:00Z"},
		{"* * * * *", "UTC", "2026-01-01T00:00:59.9Z", "2026-01-01T00:01:00Z"},
		{"0 12 * * *", "UTC", "2026-01-01T12:00:00Z", "2026-01-02T12:00:00Z"},
		{"*/15 * * * *", "UTC", "2026-01-01T00:10:00Z", "2026-01-01T00:15:00Z 2026-01-01T00:30:00Z 2026-01-01T00:45:00Z 2026-01-01T01:00:00Z"},
		{"5/20 3 * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T03:05:00Z 2026-01-01T03:25:00Z 2026-01-01T03:45:00Z 2026-01-02T03:05:00Z"},
		{"10-30/10,59 8-9 * * *", "UTC", "2026-01-01T08:20:00Z", "2026-01-01T08:30:00Z 2026-01-01T08:59:00Z 2026-01-01T09:10:00Z"},
		{"0 0 * * MON-wed", "UTC", "2026-01-01T00:00:00Z", "2026-01-05T00:00:00Z 2026-01-06T00:00:00Z 2026-01-07T00:00:00Z 2026-01-12T00:00:00Z"},
		{"0 0 * * 7", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z 2026-01-11T00:00:00Z"},
		{"0 0 * * 5-7", "UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z 2026-01-03T00:00:00Z 2026-01-04T00:00:00Z 2026-01-09T00:00:00Z"},
		{"0 0 29 feb *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"},
		{"0 0 31 * *", "UTC", "2026-02-01T00:00:00Z", "2026-03-31T00:00:00Z 2026-05-31T00:00:00Z"},
		// One of the two days is enough, as in ActiveMQ.
		{"0 0 13 * fri", "UTC", "2026-01-10T00:00:00Z", "2026-01-13T00:00:00Z 2026-01-16T00:00:00Z"},
		{"0 0 */10 * fri", "UTC", "2026-01-10T00:00:00Z", "2026-01-11T00:00:00Z 2026-01-16T00:00:00Z 2026-01-21T00:00:00Z"},
		{"0 9 * jan,jul 1", "UTC", "2026-01-27T00:00:00Z", "2026-07-06T09:00:00Z"},
		{"30 6 * * *", "Asia/Kolkata", "2026-01-01T00:59:00Z", "2026-01-01T01:00:00Z 2026-01-02T01:00:00Z"},

		// Berlin: 02:00 becomes 03:00 on 29 March 2026.
		{"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T00:30:00Z"},
		{"0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T00:00:00Z"},
		{"30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-29T01:30:00Z"},
		{"30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T00:30:00Z 2026-03-29T01:30:00Z"},
		{"0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T01:00:00Z"},
		// 03:00 becomes 02:00 on 25 October 2026.
		{"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z"},
		{"*/30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z 2026-10-25T01:00:00Z 2026-10-25T01:30:00Z 2026-10-25T02:00:00Z"},
		{"30 1-3 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z"},
		// Midnight is skipped where clocks change at 00:00.
		{"0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", "2026-09-06T04:00:00Z 2026-09-07T03:00:00Z"},
		// Half an hour: Lord Howe Island, 02:00 becomes 02:30 on 4 October 2026.
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z 2026-10-04T15:15:00Z"},
		{"*/20 * * * *", "Australia/Lord_Howe", "2026-10-03T15:20:00Z", "2026-10-03T15:40:00Z 2026-10-03T16:00:00Z"},
		// A day that never was: Samoa, 30 December 2011.
		{"0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", "2011-12-30T10:00:00Z 2012-12-29T22:00:00Z"},
	} {
		c, err := ParseCron(test.pattern)
		if err != nil {
			t.Error(err)
			continue
		}
		now := at(t, test.from, test.zone)
		for want := range strings.FieldsSeq(test.want) {
			next, ok := c.Next(now)
			if got := next.UTC().Format(time.RFC3339); !ok || got != want {
				t.Errorf("%q in %s after %s: %s %v, want %s", test.pattern, test.zone, now, got, ok, want)
				break
			}
			now = next
		}
	}
}

func TestCronErrorsPointAtTheCharacter(t *testing.T) {
	for _, test := range []struct {
		pattern string
		pos     int
		want    string
	}{
		{"", 0, "the field minute is missing; write five: minute, hour, day of month, month, day of week"},
		{"* * *", 5, "the field month is missing; write five: minute, hour, day of month, month, day of week"},
		{"* * * * * *", 10, "a sixth field; there are five, and no seconds"},
		{"60 * * * *", 0, "minute: 60 is not within 0 to 59"},
		{"* 24 * * *", 2, "hour: 24 is not within 0 to 23"},
		{"* * 0 * *", 4, "day of month: 0 is not within 1 to 31"},
		{"* * * foo *", 6, "month: expected * or a value from 1 to 12, or jan to dec"},
		{"* * * * funday", 8, "day of week: expected * or a value from 0 to 7, or sun to sat"},
		{"* * * * sunday", 11, `day of week: unexpected 'd'`},
		{"1, * * * *", 2, "minute: expected * or a value from 0 to 59"},
		{"1,,2 * * * *", 2, "minute: expected * or a value from 0 to 59"},
		{"*5 * * * *", 1, `minute: unexpected '5'`},
		{"10-5 * * * *", 0, "minute: the range ends before it begins"},
		{"*/0 * * * *", 2, "minute: a step is a number from 1 to 59"},
		{"*/ * * * *", 2, "minute: a step is a number from 1 to 59"},
		{"1-2-3 * * * *", 3, `minute: unexpected '-'`},
		{"99999999999999999999 * * * *", 0, "minute: 9999 is not within 0 to 59"},
		{"-1 * * * *", 0, "minute: expected * or a value from 0 to 59"},
		{strings.Repeat("*", 2000), 1024, "longer than 1024 characters"},
	} {
		_, err := ParseCron(test.pattern)
		e, ok := errors.AsType[*SyntaxError](err)
		if !ok || e.Pos != test.pos || e.Msg != test.want {
			t.Errorf("%.40q: %v, want character %d: %s", test.pattern, err, test.pos+1, test.want)
		}
	}
}

func TestCronWithoutATimeEnds(t *testing.T) {
	for _, pattern := range []string{"0 0 30 2 *", "* * 31 feb,apr,jun,sep,nov *"} {
		c, err := ParseCron(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if next, ok := c.Next(time.Now()); ok {
			t.Errorf("%q: %v", pattern, next)
		}
	}
	if _, ok := (Cron{}).Next(time.Now()); ok {
		t.Error("the zero pattern has a time")
	}
}

// matchesWall is the obvious meaning of a pattern at one minute.
func (c Cron) matchesWall(t time.Time) bool {
	return c.minute&(1<<t.Minute()) != 0 && c.hour&(1<<t.Hour()) != 0 && c.matches(t.Month(), t.Day(), t.Weekday())
}

// FuzzCron holds Next against a walk over minutes, where clocks don't change.
func FuzzCron(f *testing.F) {
	for _, s := range []string{"* * * * *", "*/7 3-9/2 * * *", "0 0 13 * fri", "59 23 31 12 0,7", "5/10 * 1-15 jan-jun mon-fri"} {
		f.Add(s, int64(1767225600))
	}
	f.Fuzz(func(t *testing.T, pattern string, unix int64) {
		c, err := ParseCron(pattern)
		if err != nil {
			if e, ok := errors.AsType[*SyntaxError](err); !ok || e.Pos < 0 || e.Pos > len(pattern) {
				t.Fatalf("%q: %v", pattern, err)
			}
			return
		}
		from := time.Unix(unix%(1<<33), 0).UTC()
		next, ok := c.Next(from)
		walk := from.Truncate(time.Minute).Add(time.Minute)
		for range 3 * 24 * 60 {
			if c.matchesWall(walk) {
				if !ok || !next.Equal(walk) {
					t.Fatalf("%q after %v: %v %v, want %v", pattern, from, next, ok, walk)
				}
				break
			}
			walk = walk.Add(time.Minute)
		}
		if ok && (!next.After(from) || !c.matchesWall(next)) {
			t.Fatalf("%q after %v: %v does not match", pattern, from, next)
		}
		berlin, _ := Location("Europe/Berlin")
		if next, ok := c.Next(from.In(berlin)); ok && !next.After(from) {
			t.Fatalf("%q after %v: %v", pattern, from, next)
		}
	})
}
