package topic

import (
	"container/list"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Depth is how much of a topic's past is kept; of what is 0 there is no limit.
// The zero Depth keeps nothing.
type Depth struct {
	Messages int
	Bytes    int           // as messages are counted
	Age      time.Duration // since they were published
}

// History keeps the latest messages of topics, in memory, for consumers that
// ask for them. All topics together are bounded: beyond that those go that
// nothing was published to for longest. Its methods may be called from any
// goroutine.
type History struct {
	most int // bytes
	now  func() time.Time

	mu    sync.Mutex
	names Names[*past]
	used  list.List // of *past, the topic published to last in front
	bytes int
}

// past is what is kept of one topic.
type past struct {
	name  string
	kept  []moment // oldest first
	bytes int
	place *list.Element
}

type moment struct {
	m  *message.Message
	at time.Time
}

// NewHistory returns a history of at most that many bytes.
func NewHistory(most int, now func() time.Time) *History { return &History{most: most, now: now} }

// Add keeps m, and lets go of what is beyond d.
func (h *History) Add(m *message.Message, d Depth) {
	if d == (Depth{}) || m.Size() > h.most {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	name := m.Destination.Name
	p, ok := h.names.Get(name)
	if !ok {
		p = &past{name: name}
		p.place = h.used.PushFront(p)
		h.names.Set(name, p)
	}
	h.used.MoveToFront(p.place)
	now := h.now()
	p.kept = append(p.kept, moment{m, now})
	p.bytes += m.Size()
	h.bytes += m.Size()
	h.trim(p, d, now)
	for h.bytes > h.most && h.used.Len() > 1 {
		h.forget(h.used.Back().Value.(*past)) //nolint:errcheck // nothing else is put there
	}
	for h.bytes > h.most {
		h.pop(p)
	}
}

// trim lets go of what is beyond d, but for the latest message.
func (h *History) trim(p *past, d Depth, now time.Time) {
	for len(p.kept) > 1 {
		switch {
		case d.Messages > 0 && len(p.kept) > d.Messages:
		case d.Bytes > 0 && p.bytes > d.Bytes:
		case d.Age > 0 && now.Sub(p.kept[0].at) > d.Age:
		default:
			return
		}
		h.pop(p)
	}
}

func (h *History) pop(p *past) {
	size := p.kept[0].m.Size()
	p.bytes -= size
	h.bytes -= size
	p.kept[0] = moment{}
	p.kept = p.kept[1:]
}

func (h *History) forget(p *past) {
	h.used.Remove(p.place)
	h.names.Delete(p.name)
	h.bytes -= p.bytes
}

// Match returns what is kept of the topics that pattern selects, of each
// topic the oldest first, without what is older than d says of the topic or
// has expired.
func (h *History) Match(pattern string, d func(name string) Depth) (found []*message.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	h.names.Match(pattern, func(p *past) {
		age := d(p.name).Age
		for _, k := range p.kept {
			if age > 0 && now.Sub(k.at) > age || k.m.Expired(now.UnixMilli()) {
				continue
			}
			found = append(found, k.m)
		}
	})
	return found
}
