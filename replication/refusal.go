package replication

import (
	"log/slog"
	"net"
	"sync"
	"time"
)

// refusedError is why who connected is not taken for a node of the group.
type refusedError struct{ why error }

func (e *refusedError) Error() string { return "refused: " + e.why.Error() }

func (e *refusedError) Unwrap() error { return e.why }

// refusals are told to people, but not as often as somebody who connects again and again would have it.
type refusals struct {
	mu     sync.Mutex
	said   time.Time
	unsaid int
}

const refusalsEvery = 5 * time.Second

func (r *refusals) say(logger *slog.Logger, remote net.Addr, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.said.IsZero() && time.Since(r.said) < refusalsEvery {
		r.unsaid++
		return
	}
	logger.Warn("a connection for replication was refused", "remote", remote, "reason", why, "others_since", r.unsaid)
	r.said, r.unsaid = time.Now(), 0
}
