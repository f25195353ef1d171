package mqtt

import (
	"fmt"
	"sync"
)

// Ledger counts what publishers had confirmed and what a subscriber got. Its
// methods may be called from any goroutine.
type Ledger struct {
	mu        sync.Mutex
	sent      map[string]byte // body -> QoS
	confirmed map[string]struct{}
	got       map[string]int
	stop      bool
}

// NewLedger makes an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{sent: map[string]byte{}, confirmed: map[string]struct{}{}, got: map[string]int{}}
}

// Publisher is a client that publishes to root/name until Stop.
func (l *Ledger) Publisher(root, name string, qos byte) *Client {
	count := 0
	return &Client{
		ID: name, Window: 20, Received: func(string, string, byte) {},
		Publish: func() *Message {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.stop {
				return nil
			}
			count++
			m := &Message{Topic: root + "/" + name, Body: fmt.Sprintf("%s %d", name, count), QoS: qos}
			l.sent[m.Body] = qos
			return m
		},
		Confirmed: func(m *Message) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.confirmed[m.Body] = struct{}{}
		},
	}
}

// Subscriber is the client that gets what the publishers send.
func (l *Ledger) Subscriber(id, filter string) *Client {
	return &Client{
		ID: id, Filter: filter, Publish: func() *Message { return nil }, Confirmed: func(*Message) {},
		Received: func(_, body string, _ byte) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.got[body]++
		},
	}
}

// Stop ends the publishing.
func (l *Ledger) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop = true
}

// Confirmed returns how many publishes were confirmed.
func (l *Ledger) Confirmed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.confirmed)
}

// Settled reports whether all that was sent is confirmed and has arrived.
func (l *Ledger) Settled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for body := range l.sent {
		if _, ok := l.confirmed[body]; !ok || l.got[body] == 0 {
			return false
		}
	}
	return true
}

// Verdict is what a ledger shows.
type Verdict struct {
	Confirmed  int
	Lost       []string // confirmed and not received
	Twice      []string // of QoS 2, received more than once
	Again      int      // of QoS 1, received more than once, which they may be
	Unexpected []string // received and not sent
}

// Verdict counts.
func (l *Ledger) Verdict() Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := Verdict{Confirmed: len(l.confirmed)}
	for body := range l.confirmed {
		if l.got[body] == 0 {
			v.Lost = append(v.Lost, body)
		}
	}
	for body, n := range l.got {
		switch qos, sent := l.sent[body]; {
		case !sent:
			v.Unexpected = append(v.Unexpected, body)
		case n > 1 && qos == 2:
			v.Twice = append(v.Twice, body)
		case n > 1:
			v.Again++
		}
	}
	return v
}

// String sums up.
func (v Verdict) String() string {
	return fmt.Sprintf("%d messages confirmed; lost %d; of QoS 2 delivered again %d, of QoS 1 %d; unexpected %d",
		v.Confirmed, len(v.Lost), len(v.Twice), v.Again, len(v.Unexpected))
}

// Err is nil if every promise was kept.
func (v Verdict) Err() error {
	if len(v.Lost)+len(v.Twice)+len(v.Unexpected) == 0 {
		return nil
	}
	return fmt.Errorf("lost %q, twice %q, unexpected %q", v.Lost, v.Twice, v.Unexpected)
}
