package election

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now is the time since the machine's start, suspended time included. It never
// jumps and nobody sets it.
func Now() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		// Kernels before 2.6.39 have no such clock; Go needs a newer one.
		panic("election: no clock that counts suspended time")
	}
	return time.Duration(t.Nano())
}
