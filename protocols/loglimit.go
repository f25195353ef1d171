package protocols

import (
	"sync"
	"time"
)

// logAccept is the limiter's slot for failed accepts, after those for reasons.
const logAccept = int(reasonCount)

// logEvery is how often one kind of refusal is logged: whoever can open
// connections must not be able to fill the disk with lines.
const logEvery = time.Second

// logLimiter lets one line a second through for each kind of event.
type logLimiter struct {
	mu    sync.Mutex
	kinds [logAccept + 1]struct {
		last    time.Time
		dropped int
	}
}

// allow reports whether a line may be written, and how many were not since
// the last one.
func (l *logLimiter) allow(kind int) (unlogged int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := &l.kinds[kind]
	now := time.Now()
	if !k.last.IsZero() && now.Sub(k.last) < logEvery {
		k.dropped++
		return 0, false
	}
	unlogged = k.dropped
	k.last, k.dropped = now, 0
	return unlogged, true
}
