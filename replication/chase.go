package replication

import (
	"log/slog"
	"time"
)

// A follower that lacks so many bytes of log, or that is not in sync, is said to catch up until it lacks almost nothing.
const (
	farBehind = 64 << 20
	closeBy   = 1 << 20
)

// chases are the followers that catch up from the log, for lines that tell how far they are. The loop owns it.
type chases map[string]*chase

type chase struct {
	began, said time.Duration
	behind      int64 // bytes, when last said
}

// look says what there is to say of a master's followers.
func (c *chases) look(now time.Duration, followers []Follower, logger *slog.Logger) {
	if len(followers) == 0 {
		clear(*c)
		return
	}
	for i := range followers {
		c.follow(now, &followers[i], logger)
	}
}

func (c *chases) follow(now time.Duration, f *Follower, logger *slog.Logger) {
	on := (*c)[f.Member.Node]
	switch {
	case f.Phase != "streaming": // it will be, or a snapshot tells how far it is
	case on == nil && f.Durable > 0 && f.Behind >= farBehind:
		if *c == nil {
			*c = make(chases)
		}
		(*c)[f.Member.Node] = &chase{began: now, said: now, behind: f.Behind}
		logger.Info("a follower catches up", "node", f.Member.Node, "at", f.Durable, "behind_bytes", f.Behind, "in_sync", f.InSync)
	case on == nil:
	case f.Behind < closeBy:
		delete(*c, f.Member.Node)
		logger.Info("a follower has caught up", "node", f.Member.Node, "took", (now - on.began).Round(time.Millisecond).String())
	case now-on.said >= sayEvery:
		gained := float64(on.behind-f.Behind) / (now - on.said).Seconds()
		on.said, on.behind = now, f.Behind
		logger.Info("a follower catches up", "node", f.Member.Node, "at", f.Durable, "behind_bytes", f.Behind, "gains_bytes_per_second", int64(gained))
	}
}
