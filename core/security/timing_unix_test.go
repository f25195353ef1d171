//go:build unix

package security

import (
	"slices"
	"syscall"
	"testing"
	"time"
)

// cpu is the processor's time that this process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The time of a failed login must not tell whether the user exists. It is the
// processor's time that is compared: a busy machine takes its time with any of them.
func TestUnknownUsersCostWhatKnownOnesDo(t *testing.T) {
	s := open(t, "alice:"+hashOf(t, "wonder")+"\nmeter:*\n", "")
	names := []string{"alice", "mallory", "meter"}
	const allowed = 0.10
	var worst float64
	for range 5 { // a machine that does something else can spoil a try, not all of them
		times := make([][]time.Duration, len(names))
		for range 15 {
			for i, name := range names {
				start := cpu(t)
				if _, err := login(s, name, "wrong"); err == nil {
					t.Fatal("a wrong password logged in")
				}
				times[i] = append(times[i], cpu(t)-start)
			}
		}
		worst = 0
		for i := range times {
			slices.Sort(times[i])
			ratio := float64(times[i][7])/float64(times[0][7]) - 1
			worst = max(worst, ratio, -ratio)
		}
		if worst <= allowed {
			return
		}
	}
	t.Errorf("medians differ by %.0f %%", worst*100)
}
