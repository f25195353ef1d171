package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// rate is what happened in a second.
type rate struct {
	Time         int64   `json:"time"` // milliseconds since the epoch
	Published    float64 `json:"published"`
	Delivered    float64 `json:"delivered"`
	Acknowledged float64 `json:"acknowledged"`
	Messages     int     `json:"messages"`
	InFlight     int     `json:"inFlight"`
	Connections  int     `json:"connections"`
	Consumers    int     `json:"consumers"`
	MemoryUsed   int64   `json:"memoryUsed"`
}

// rates has one goroutine that looks at the broker each second while
// somebody watches, however many do.
type rates struct {
	mu       sync.Mutex
	watchers map[chan []byte]struct{}
	running  bool
}

const (
	maxWatchers  = 100
	rateInterval = time.Second
)

// rates streams a rate a second as server-sent events.
func (c *call) rates() error {
	events, err := c.live.join(c.b)
	if err != nil {
		return err
	}
	defer c.live.leave(events)
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	flush := c.flusher()
	if _, err := fmt.Fprint(c.w, "retry: 3000\n\n"); err != nil || flush() != nil {
		return nil // the client is gone
	}
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return nil
			}
			if _, err := fmt.Fprintf(c.w, "event: rate\ndata: %s\n\n", e); err != nil || flush() != nil {
				return nil // the client is gone
			}
		case <-c.r.Context().Done():
			return nil
		}
	}
}

func (r *rates) join(b *broker.Broker) (chan []byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.watchers) >= maxWatchers {
		return nil, &problem{status: http.StatusTooManyRequests, detail: fmt.Sprintf("%d streams are open, which is the limit", maxWatchers)}
	}
	if r.watchers == nil {
		r.watchers = make(map[chan []byte]struct{})
	}
	events := make(chan []byte, 4) // a watcher that is slower misses some
	r.watchers[events] = struct{}{}
	if !r.running {
		r.running = true
		go r.run(b)
	}
	return events, nil
}

func (r *rates) leave(events chan []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.watchers, events)
}

// run ends with the last watcher.
func (r *rates) run(b *broker.Broker) {
	tick := time.NewTicker(rateInterval)
	defer tick.Stop()
	last, at := b.Stats(), time.Now()
	for now := range tick.C {
		s := b.Stats()
		seconds := now.Sub(at).Seconds()
		per := func(n, before uint64) float64 { return float64(n-min(n, before)) / seconds }
		event, err := json.Marshal(rate{
			Time: now.UnixMilli(), Published: per(s.Published, last.Published), Delivered: per(s.Delivered, last.Delivered),
			Acknowledged: per(s.Acknowledged, last.Acknowledged), Messages: s.Messages, InFlight: s.InFlight,
			Connections: s.Sessions, Consumers: s.Consumers, MemoryUsed: s.MemoryUsed,
		})
		if err != nil {
			panic(err) // numbers
		}
		last, at = s, now
		r.mu.Lock()
		for w := range r.watchers {
			select {
			case w <- event:
			default:
			}
		}
		r.running = len(r.watchers) > 0
		ended := !r.running
		r.mu.Unlock()
		if ended {
			return
		}
	}
}
