package schedule

import "time"

// Clock is the time by which jobs are sent. It follows the machine's clock,
// but does not believe a jump of more than MaxJump at first: sending early can't
// be taken back. One goroutine uses it.
type Clock struct {
	// Wall is the machine's clock, Elapsed what passed by a clock that nobody
	// sets.
	Wall    func() time.Time
	Elapsed func() time.Duration
	MaxJump time.Duration
	// Jumped is told of a jump that is not believed, and Believed when it is
	// because the clock still says so after another MaxJump.
	Jumped, Believed func(by time.Duration)

	started   bool
	offset    time.Duration // of Wall to Elapsed, as far as it is believed
	doubting  bool
	doubtedAt time.Duration // by Elapsed
}

// Now returns the time in ms since 1970: the machine's, or while a jump ahead is
// in doubt the one before it plus MaxJump. A clock that was set back is followed
// at once: what is due waits.
func (c *Clock) Now() int64 {
	wall, elapsed := c.Wall().UnixMilli(), c.Elapsed()
	offset := time.Duration(wall)*time.Millisecond - elapsed
	jump := offset - c.offset
	switch {
	case !c.started || jump <= c.MaxJump:
		c.started, c.doubting, c.offset = true, false, offset
		return wall
	case !c.doubting:
		c.doubting, c.doubtedAt = true, elapsed
		c.Jumped(jump)
	case elapsed-c.doubtedAt >= c.MaxJump:
		c.doubting, c.offset = false, offset
		c.Believed(jump)
		return wall
	}
	return (c.offset + elapsed + c.MaxJump).Milliseconds()
}
