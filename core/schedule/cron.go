package schedule

import (
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// SyntaxError says where a schedule can't be read.
type SyntaxError struct {
	Text string // all of it
	Pos  int    // of the first character that is wrong, from 0
	Msg  string
}

// Error implements error.
func (e *SyntaxError) Error() string {
	text := e.Text
	if len(text) > maxCron {
		text = text[:maxCron] + "..."
	}
	return fmt.Sprintf("cron %q, character %d: %s", text, e.Pos+1, e.Msg)
}

// maxCron is the length in bytes of the longest cron expression that is read.
const maxCron = 1024

// Cron is a time pattern of five fields: minute, hour, day of month, month, day
// of week. The zero value matches nothing.
type Cron struct {
	minute, hour, dom, month, dow uint64 // bit n: n matches
	anyDom, anyDow                bool   // the field is *
}

type fieldRule struct {
	name        string
	least, most int
	names       []string // names[i] is least+i
}

var cronFields = [5]fieldRule{
	{name: "minute", most: 59},
	{name: "hour", most: 23},
	{name: "day of month", least: 1, most: 31},
	{name: "month", least: 1, most: 12, names: []string{
		"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
	}},
	{name: "day of week", most: 7, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

// ParseCron reads a pattern of five fields, divided by blanks: each a list of
// values, ranges (1-5) and steps (*/15, 10-40/10, 5/10 for 5 to the end), months
// and days of the week by number or English name. Sunday is 0 and 7. Errors are
// *SyntaxError.
func ParseCron(text string) (Cron, error) {
	if len(text) > maxCron {
		return Cron{}, &SyntaxError{text, maxCron, fmt.Sprintf("longer than %d characters", maxCron)}
	}
	var c Cron
	sets := [5]*uint64{&c.minute, &c.hour, &c.dom, &c.month, &c.dow}
	pos := 0
	for i := range cronFields {
		for pos < len(text) && isBlank(text[pos]) {
			pos++
		}
		if pos == len(text) {
			return Cron{}, &SyntaxError{text, pos, fmt.Sprintf("the field %s is missing; write five: minute, hour, day of month, month, day of week", cronFields[i].name)}
		}
		end := pos
		for end < len(text) && !isBlank(text[end]) {
			end++
		}
		p := fieldParser{text: text[:end], all: text, pos: pos, rule: &cronFields[i]}
		set, err := p.parse()
		if err != nil {
			return Cron{}, err
		}
		*sets[i] = set
		switch star := text[pos:end] == "*"; i {
		case 2:
			c.anyDom = star
		case 4:
			c.anyDow = star
		}
		pos = end
	}
	if rest := strings.TrimLeft(text[pos:], " \t"); rest != "" {
		return Cron{}, &SyntaxError{text, len(text) - len(rest), "a sixth field; there are five, and no seconds"}
	}
	if c.dow&(1<<7) != 0 {
		c.dow = c.dow&^(1<<7) | 1
	}
	return c, nil
}

func isBlank(b byte) bool { return b == ' ' || b == '\t' }

// fieldParser reads one field, which is text[pos:].
type fieldParser struct {
	text, all string
	pos       int
	rule      *fieldRule
}

func (p *fieldParser) fail(pos int, format string, args ...any) error {
	return &SyntaxError{p.all, pos, p.rule.name + ": " + fmt.Sprintf(format, args...)}
}

func (p *fieldParser) parse() (set uint64, err error) {
	for {
		part, err := p.part()
		if err != nil {
			return 0, err
		}
		set |= part
		if p.pos == len(p.text) {
			return set, nil
		}
		if p.text[p.pos] != ',' {
			return 0, p.fail(p.pos, "unexpected %q", p.text[p.pos])
		}
		p.pos++
	}
}

// part reads *, a value or a range, each with or without a step.
func (p *fieldParser) part() (uint64, error) {
	from, to := p.rule.least, p.rule.most
	if p.next('*') {
		if p.rule.names != nil && p.rule.least == 0 {
			to = 6 // Sunday once
		}
	} else {
		start := p.pos
		var err error
		if from, err = p.value(); err != nil {
			return 0, err
		}
		switch {
		case p.next('-'):
			if to, err = p.value(); err != nil {
				return 0, err
			}
			if to < from {
				return 0, p.fail(start, "the range ends before it begins")
			}
		case p.pos == len(p.text) || p.text[p.pos] != '/':
			return 1 << from, nil
		}
	}
	step := 1
	if p.next('/') {
		start := p.pos
		n, ok := p.number()
		if !ok || n < 1 || n > p.rule.most {
			return 0, p.fail(start, "a step is a number from 1 to %d", p.rule.most)
		}
		step = n
	}
	var set uint64
	for v := from; v <= to; v += step {
		set |= 1 << v
	}
	return set, nil
}

func (p *fieldParser) next(c byte) bool {
	if p.pos < len(p.text) && p.text[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *fieldParser) number() (n int, ok bool) {
	start := p.pos
	for p.pos < len(p.text) && p.text[p.pos] >= '0' && p.text[p.pos] <= '9' && p.pos-start < 4 {
		n = n*10 + int(p.text[p.pos]-'0')
		p.pos++
	}
	return n, p.pos > start
}

func (p *fieldParser) value() (int, error) {
	start := p.pos
	if n, ok := p.number(); ok {
		if n < p.rule.least || n > p.rule.most {
			return 0, p.fail(start, "%d is not within %d to %d", n, p.rule.least, p.rule.most)
		}
		return n, nil
	}
	if len(p.text)-start >= 3 {
		for i, name := range p.rule.names {
			if strings.EqualFold(p.text[start:start+3], name) {
				p.pos += 3
				return p.rule.least + i, nil
			}
		}
	}
	want := fmt.Sprintf("%d to %d", p.rule.least, p.rule.most)
	if p.rule.names != nil {
		want += fmt.Sprintf(", or %s to %s", p.rule.names[0], p.rule.names[len(p.rule.names)-1])
	}
	return 0, p.fail(start, "expected * or a value from %s", want)
}

// horizonDays is how far ahead a matching time is looked for: farther than from
// one leap year to the next across a century that has none.
const horizonDays = 9 * 366

// Next returns the first time after t, in t's location, that the pattern
// matches; it is the start of a minute. ok is false if there is none within
// nine years, such as for 30 February.
//
// Where clocks change: a pattern whose hour is * follows real time, so that
// "*/15 * * * *" is every quarter of an hour whatever the clocks say. Any other
// names times of day: each comes once a day. One that is skipped comes when the
// clocks have gone forward; one that occurs twice comes the first time.
func (c Cron) Next(t time.Time) (next time.Time, ok bool) {
	if c.minute == 0 || c.hour == 0 || c.month == 0 || c.dom == 0 || c.dow == 0 {
		return time.Time{}, false
	}
	if c.hour == 1<<24-1 {
		return c.nextElapsed(t)
	}
	return c.nextOfDay(t)
}

// matches reports whether the pattern allows that day. With both days given one
// of them is enough, as in ActiveMQ and every cron.
func (c Cron) matches(month time.Month, day int, weekday time.Weekday) bool {
	if c.month&(1<<month) == 0 {
		return false
	}
	dom, dow := c.dom&(1<<day) != 0, c.dow&(1<<weekday) != 0
	if c.anyDom || c.anyDow {
		return dom && dow
	}
	return dom || dow
}

// nextElapsed is Next for patterns of every hour.
func (c Cron) nextElapsed(t time.Time) (time.Time, bool) {
	at := floorMinute(t).Add(time.Minute)
	for end := t.Add(horizonDays * 24 * time.Hour); at.Before(end); {
		year, month, day := at.Date()
		if !c.matches(month, day, at.Weekday()) {
			midnight := resolve(year, month, day+1, 0, 0, at.Location())
			if !midnight.After(at) {
				midnight = at.Add(time.Minute)
			}
			at = midnight
			continue
		}
		minute := at.Minute()
		if c.minute&(1<<minute) != 0 {
			return at, true
		}
		step := 60 - minute // the next hour
		if later := c.minute >> minute << minute; later != 0 {
			step = bits.TrailingZeros64(later) - minute
		}
		if changed := at.Add(time.Duration(step) * time.Minute); offset(changed) == offset(at) {
			at = changed
		} else {
			at = at.Add(time.Minute)
		}
	}
	return time.Time{}, false
}

// floorMinute returns the start of t's minute on the clocks of its location.
func floorMinute(t time.Time) time.Time {
	return t.Add(-time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
}

func offset(t time.Time) int {
	_, o := t.Zone()
	return o
}

// nextOfDay is Next for patterns that name hours.
func (c Cron) nextOfDay(t time.Time) (time.Time, bool) {
	year, month, day := t.Date()
	for n := range horizonDays {
		date := time.Date(year, month, day+n, 0, 0, 0, 0, time.UTC)
		if !c.matches(date.Month(), date.Day(), date.Weekday()) {
			continue
		}
		if at, ok := c.within(date, t); ok {
			return at, true
		}
	}
	return time.Time{}, false
}

// within returns the first time of the pattern on the day of date that is after
// t.
func (c Cron) within(date, t time.Time) (time.Time, bool) {
	year, month, day := date.Date()
	for hours := c.hour; hours != 0; hours &= hours - 1 {
		hour := bits.TrailingZeros64(hours)
		for minutes := c.minute; minutes != 0; minutes &= minutes - 1 {
			at := resolve(year, month, day, hour, bits.TrailingZeros64(minutes), t.Location())
			if at.After(t) {
				return at, true
			}
		}
	}
	return time.Time{}, false
}

// resolve returns when the clocks of loc show that time: the first of two, or
// the end of the gap that skips it.
func resolve(year int, month time.Month, day, hour, minute int, loc *time.Location) time.Time {
	wall := time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
	before := offset(wall.Add(-24 * time.Hour).In(loc))
	after := offset(wall.Add(24 * time.Hour).In(loc))
	for _, o := range [2]int{max(before, after), min(before, after)} { // the greater offset is the earlier time
		at := wall.Add(-time.Duration(o) * time.Second).In(loc)
		if offset(at) == o {
			return at
		}
	}
	// In the gap: by the offset of before, the time is behind the change.
	at := wall.Add(-time.Duration(before) * time.Second).In(loc)
	if start, _ := at.ZoneBounds(); !start.IsZero() {
		return start.In(loc)
	}
	return at
}
