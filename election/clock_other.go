//go:build !linux

package election

import "time"

var started = time.Now()

// Now is the time since the process started by the monotonic clock. Systems other
// than Linux count suspended time there, or suspend no servers.
func Now() time.Duration { return time.Since(started) }
