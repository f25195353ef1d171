package bench

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// preciseSleep sleeps in the kernel: the Go runtime rounds what remains of a
// timer up to a millisecond when it waits for the network at the same time,
// which would be most of the latency measured. The caller should have called
// holdThread.
func preciseSleep(d time.Duration) {
	left := unix.NsecToTimespec(int64(d))
	for unix.Nanosleep(&left, &left) == unix.EINTR {
	}
}

// holdThread keeps the calling goroutine on one thread whose timers the kernel
// does not coalesce (50 us by default), until release is called.
func holdThread() (release func()) {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return runtime.UnlockOSThread
	}
	return func() {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // 0 = as it was
		runtime.UnlockOSThread()
	}
}
