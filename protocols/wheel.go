package protocols

import (
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"sync"
	"time"
)

// wheelSlots is the number of slots of a Wheel. A timer further ahead than a
// turn stays in its slot for several.
const wheelSlots = 512

// Wheel is a timing wheel: any number of timers for one goroutine and one
// runtime timer. A timer fires within a tick after its time, never before it.
// All methods may be called by any goroutine.
type Wheel struct {
	tick  time.Duration
	log   *slog.Logger
	epoch time.Time
	wake  chan struct{} // a timer earlier than next was added
	stop  chan struct{}
	done  chan struct{}

	mu     sync.Mutex
	slots  [wheelSlots]*Timer // doubly linked lists
	passed int64              // ticks up to this one are done
	next   int64              // the tick that the goroutine sleeps until
	closed bool
}

// Timer is one timer of a Wheel.
type Timer struct {
	wheel *Wheel
	fn    func()

	// guarded by wheel.mu
	due        int64 // in ticks since the wheel's epoch
	pending    bool
	next, prev *Timer
}

const never = math.MaxInt64 // as a tick: nothing to wake up for

// NewWheel starts a wheel. tick is its precision: 100 ms suits heart-beats. A
// panic of a timer's function is logged to log and goes no further.
func NewWheel(tick time.Duration, log *slog.Logger) *Wheel {
	w := &Wheel{
		tick: tick, log: log, epoch: time.Now(), next: never,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go w.turn()
	return w
}

// After calls fn once, on the wheel's goroutine, when d has passed. fn must not
// block: it may close a socket (Conn.Abort), set a flag, start a goroutine.
func (w *Wheel) After(d time.Duration, fn func()) *Timer {
	t := w.NewTimer(fn)
	t.Reset(d)
	return t
}

// NewTimer returns a timer that is not started: fn can refer to it, and
// Reset starts it.
func (w *Wheel) NewTimer(fn func()) *Timer { return &Timer{wheel: w, fn: fn} }

// Reset starts the timer, or moves it if it is pending. It takes the wheel's
// lock: what happens on every read should note the time and let the timer,
// when it fires, start itself again for the rest.
func (t *Timer) Reset(d time.Duration) {
	w := t.wheel
	w.mu.Lock()
	w.unlink(t)
	t.due = max(int64((time.Since(w.epoch)+d+w.tick-1)/w.tick), w.passed+1)
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.link(t)
	early := t.due < w.next
	if early {
		w.next = t.due
	}
	w.mu.Unlock()
	if early {
		select {
		case w.wake <- struct{}{}:
		default: // it is waking already
		}
	}
}

// Stop cancels the timer. It returns false if the timer had fired (its
// function may be running) or was not started.
func (t *Timer) Stop() bool {
	t.wheel.mu.Lock()
	defer t.wheel.mu.Unlock()
	was := t.pending
	t.wheel.unlink(t)
	return was
}

// Close ends the wheel: pending timers never fire. It waits for the function
// that is running, so no timer's function may call it.
func (w *Wheel) Close() {
	w.mu.Lock()
	first := !w.closed
	w.closed = true
	w.mu.Unlock()
	if first {
		close(w.stop)
	}
	<-w.done
}

// turn is the wheel's goroutine.
func (w *Wheel) turn() {
	defer close(w.done)
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	var due []*Timer
	for {
		var sleep time.Duration
		due, sleep = w.collect(due[:0])
		for i, t := range due {
			due[i] = nil
			w.run(t)
		}
		if len(due) > 0 {
			continue // running took time: look again before sleeping
		}
		alarm.Reset(sleep)
		select {
		case <-alarm.C:
		case <-w.wake:
		case <-w.stop:
			return
		}
	}
}

// collect unlinks what is due and returns it with the time until the next
// slot that holds something.
func (w *Wheel) collect(due []*Timer) ([]*Timer, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return due, time.Hour
	}
	now := int64(time.Since(w.epoch) / w.tick)
	for tick := max(w.passed+1, now-wheelSlots+1); tick <= now; tick++ {
		for t := w.slots[tick%wheelSlots]; t != nil; {
			next := t.next
			if t.due <= now {
				w.unlink(t)
				due = append(due, t)
			}
			t = next
		}
	}
	w.passed = max(w.passed, now)
	w.next = never
	for tick := now + 1; tick <= now+wheelSlots; tick++ {
		if w.slots[tick%wheelSlots] != nil {
			w.next = tick
			return due, time.Until(w.epoch.Add(time.Duration(tick) * w.tick))
		}
	}
	return due, time.Hour
}

func (w *Wheel) run(t *Timer) {
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("a timer panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	t.fn()
}

func (w *Wheel) link(t *Timer) {
	head := &w.slots[t.due%wheelSlots]
	t.pending, t.prev, t.next = true, nil, *head
	if t.next != nil {
		t.next.prev = t
	}
	*head = t
}

func (w *Wheel) unlink(t *Timer) {
	if !t.pending {
		return
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.slots[t.due%wheelSlots] = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.pending, t.next, t.prev = false, nil, nil
}
