package faults

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Kind is what happened.
type Kind uint8

// What clients do and see. A send or an acknowledgement with a transaction
// happens when that is committed.
const (
	SendInvoked     Kind = iota // before the first byte was written
	SendConfirmed               // its receipt was read
	SendRefused                 // an ERROR for it was read: it must not arrive
	Received                    // a message was read
	AckInvoked                  // before the first byte was written
	AckConfirmed                // its receipt was read
	CommitInvoked               // before the first byte was written
	CommitConfirmed             // its receipt was read
	Aborted                     // before the first byte of ABORT was written; no COMMIT is ever sent
)

var kindNames = [...]string{
	"send invoked", "send confirmed", "send refused", "received", "ack invoked", "ack confirmed",
	"commit invoked", "commit confirmed", "aborted",
}

func (k Kind) String() string { return kindNames[k] }

// Value names a message: the count rises with each that its producer sends.
type Value struct {
	Producer string
	Count    int
	Tx       string // transaction that it was sent in
}

func (v Value) String() string {
	if v.Tx != "" {
		return fmt.Sprintf("%s-%d of %s", v.Producer, v.Count, v.Tx)
	}
	return fmt.Sprintf("%s-%d", v.Producer, v.Count)
}

// Event is one thing that one client did or saw.
type Event struct {
	At          time.Duration // since the history began, monotonic
	Kind        Kind
	Redelivered bool   // Received: it was marked so
	Corrupt     bool   // Received: the body is not the one that was sent
	Life        int    // of the broker: rises with each start
	Conn        int    // connection, unique in the history
	Value       Value  // of the message; none with commit and abort
	Place       string // destination of a send; queue or subscription of the others
	Tx          string // transaction that this was done in
}

func (e Event) String() string {
	s := fmt.Sprintf("%v %s %s at %s (life %d, connection %d", e.At, e.Kind, e.Value, e.Place, e.Life, e.Conn)
	if e.Tx != "" {
		s += ", in " + e.Tx
	}
	if e.Redelivered {
		s += ", redelivered"
	}
	return s + ")"
}

// History is what all clients did and saw, in one order that agrees with every
// client's own. Its methods may be called by many goroutines.
type History struct {
	start time.Time
	clock time.Duration // of all processes, at the start

	mu     sync.Mutex
	events []Event
}

// NewHistory starts a history.
func NewHistory() *History {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(fmt.Sprintf("faults: no monotonic clock: %v", err))
	}
	return &History{start: time.Now(), clock: time.Duration(t.Nano())}
}

// Add appends an event; it happens now.
func (h *History) Add(e Event) {
	h.mu.Lock()
	e.At = time.Since(h.start)
	h.events = append(h.events, e)
	h.mu.Unlock()
}

// AddAt appends an event that another process saw, at a reading of the clock
// that the machine's processes have in common (CLOCK_MONOTONIC).
func (h *History) AddAt(e Event, clock time.Duration) {
	h.mu.Lock()
	e.At = clock - h.clock
	h.events = append(h.events, e)
	h.mu.Unlock()
}

// Events returns what was added, in the order in which it happened. The caller
// must not change it.
func (h *History) Events() []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.SortStableFunc(h.events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return slices.Clip(h.events)
}
