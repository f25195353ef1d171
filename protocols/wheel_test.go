package protocols

import (
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func newTestWheel() *Wheel { return NewWheel(100*time.Millisecond, slog.New(slog.DiscardHandler)) }

func TestATimerFiresWithinATickAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTestWheel()
		defer w.Close()
		time.Sleep(33 * time.Millisecond) // between two ticks
		for _, d := range []time.Duration{0, time.Millisecond, 100 * time.Millisecond, time.Second, 35 * time.Second, 51200 * time.Millisecond, time.Hour} {
			started := time.Now()
			fired := make(chan time.Duration)
			w.After(d, func() { fired <- time.Since(started) })
			if took := <-fired; took < d || took > d+200*time.Millisecond {
				t.Errorf("%s: fired after %s", d, took)
			}
		}
	})
}

func TestAStoppedTimerNeverFires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTestWheel()
		defer w.Close()
		var fired atomic.Int32
		timer := w.After(time.Second, func() { fired.Add(1) })
		if !timer.Stop() || timer.Stop() {
			t.Error("Stop of a pending timer, then of a stopped one: want true, false")
		}
		time.Sleep(time.Minute)
		if fired.Load() != 0 {
			t.Error("it fired")
		}
	})
}

func TestResetMovesATimerBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTestWheel()
		defer w.Close()
		started := time.Now()
		fired := make(chan time.Duration, 2)
		timer := w.After(10*time.Second, func() { fired <- time.Since(started) })
		timer.Reset(20 * time.Second)
		time.Sleep(15 * time.Second)
		timer.Reset(time.Second)
		if took := <-fired; took < 16*time.Second || took > 16200*time.Millisecond {
			t.Errorf("fired after %s, want 16s", took)
		}
		time.Sleep(time.Minute)
		if len(fired) > 0 {
			t.Error("it fired twice")
		}
	})
}

func TestATimerCanStartItselfAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTestWheel()
		defer w.Close()
		var beats atomic.Int32
		var timer *Timer
		timer = w.NewTimer(func() {
			beats.Add(1)
			timer.Reset(time.Second)
		})
		timer.Reset(time.Second)
		time.Sleep(10*time.Second + 50*time.Millisecond)
		if n := beats.Load(); n < 9 || n > 10 {
			t.Errorf("%d beats in 10 s", n)
		}
	})
}

func TestAPanicInATimerDoesNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTestWheel()
		defer w.Close()
		w.After(time.Second, func() { panic("broken") })
		fired := make(chan struct{})
		w.After(2*time.Second, func() { close(fired) })
		<-fired
	})
}

func TestAfterCloseNothingFires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTestWheel()
		var fired atomic.Int32
		w.After(time.Second, func() { fired.Add(1) })
		w.Close()
		w.Close()
		w.After(time.Second, func() { fired.Add(1) })
		time.Sleep(time.Minute)
		if fired.Load() != 0 {
			t.Error("it fired")
		}
	})
}

// TestManyTimersFireExactlyOnceEach moves and stops timers at random and
// compares with what was asked for last.
func TestManyTimersFireExactlyOnceEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTestWheel()
		defer w.Close()
		random := rand.New(rand.NewPCG(1, 2))
		const n = 5000
		timers, want := make([]*Timer, n), make([]time.Time, n)
		got := make([]atomic.Int64, n) // calls, a successful Stop counted too
		fired := make([]atomic.Pointer[time.Time], n)
		for i := range timers {
			timers[i] = w.NewTimer(func() {
				now := time.Now()
				fired[i].Store(&now)
				got[i].Add(1)
			})
		}
		start := time.Now()
		for i := range timers {
			d := time.Duration(random.Int64N(int64(2 * time.Minute)))
			timers[i].Reset(time.Duration(random.Int64N(int64(time.Hour))) + time.Second)
			timers[i].Reset(d)
			want[i] = start.Add(d)
			if i%3 == 0 && timers[i].Stop() {
				got[i].Add(1)
			}
		}
		time.Sleep(2 * time.Hour)
		for i := range got {
			if got[i].Load() != 1 {
				t.Fatalf("timer %d: %d times", i, got[i].Load())
			}
			if at := fired[i].Load(); at != nil && (at.Before(want[i]) || at.After(want[i].Add(200*time.Millisecond))) {
				t.Errorf("timer %d: fired %s after its time", i, at.Sub(want[i]))
			}
		}
	})
}

func BenchmarkTimerReset(b *testing.B) {
	w := newTestWheel()
	defer w.Close()
	timers := make([]*Timer, 10000)
	for i := range timers {
		timers[i] = w.After(time.Hour, func() {})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		timers[i%len(timers)].Reset(30 * time.Second)
	}
}
