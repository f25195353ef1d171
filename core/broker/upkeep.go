package broker

import (
	"errors"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// upkeep is what has to be done to queues that nobody asks for: one goroutine
// lets go of bodies when memory is tight, another one ends expired messages, and
// one sums up what waits.
type upkeep struct {
	b       *Broker
	scratch *store.Scratch // nil in memory mode
	pressed chan struct{}  // memory is tight
	summing summing
	stop    chan struct{}
	wg      sync.WaitGroup
	backoff time.Time // owned by the reliever: until then nothing is spilled
	ended   sync.Once
}

const (
	// reliefPause is how often memory is looked after at most.
	reliefPause = 5 * time.Millisecond
	// spillBackoff is how long the scratch area is left alone after an error.
	spillBackoff = 5 * time.Second
)

func (u *upkeep) init(b *Broker) {
	u.b = b
	u.pressed, u.stop = make(chan struct{}, 1), make(chan struct{})
	u.summing.note = make(chan struct{}, 1)
}

func (u *upkeep) start() {
	u.wg.Go(u.relieve)
	u.wg.Go(u.sumUp)
}

// lead starts what changes state: a follower is told.
func (u *upkeep) lead() { u.wg.Go(u.sweep) }

func (u *upkeep) end() {
	u.ended.Do(func() { close(u.stop) })
	u.wg.Wait()
}

// Pressed implements queue.Broker.
func (b *Broker) Pressed() {
	select {
	case b.upkeep.pressed <- struct{}{}:
	default: // noted already
	}
}

// relieve lets go of bodies whenever memory is tight.
func (u *upkeep) relieve() {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-u.pressed:
		case <-u.stop:
			return
		}
		began := time.Now()
		u.relieveQueues(began)
		// A backlog that can't be let go must not keep a processor busy.
		pause.Reset(max(reliefPause, 4*time.Since(began)))
		if !u.waits(pause) {
			return
		}
	}
}

// waits waits for t. It reports false if the broker ends before.
func (u *upkeep) waits(t *time.Timer) bool {
	select {
	case <-t.C:
		return true
	case <-u.stop:
		return false
	}
}

// relieveQueues spares what consumers will want next, unless that alone keeps
// producers waiting.
func (u *upkeep) relieveQueues(now time.Time) {
	all := u.b.everyQueue()
	u.relieveEach(all, false, now, u.b.budget.Tight)
	u.relieveEach(all, true, now, u.b.budget.Exceeded)
}

func (u *upkeep) relieveEach(qs []*queue.Queue, all bool, now time.Time, needed func() bool) {
	for _, q := range qs {
		if !needed() {
			return
		}
		scratch := u.scratch
		if now.Before(u.backoff) {
			scratch = nil
		}
		if err := q.Relieve(scratch, all); err != nil {
			u.backoff = now.Add(spillBackoff)
			u.b.o.Logger.Warn("non-persistent messages stay in memory: the scratch area takes no more", "error", err)
		}
	}
}

// sweep ends expired messages every ExpirePeriod.
func (u *upkeep) sweep() {
	tick := time.NewTicker(u.b.o.ExpirePeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			u.b.SweepExpired()
		case <-u.stop:
			return
		}
	}
}

// SweepExpired ends what has expired in any queue, as the broker does by
// itself every Options.ExpirePeriod.
func (b *Broker) SweepExpired() {
	for _, q := range b.everyQueue() {
		b.unread(q.Sweep(b.store.Pages(), b.upkeep.room))
	}
}

// room waits while the store has enough to do: what expired goes through the
// log, and there may be a lot of it.
func (u *upkeep) room() (goOn bool) {
	const poll = 5 * time.Millisecond
	wait := time.Duration(0)
	for {
		select {
		case <-u.stop:
			return false
		case <-time.After(wait):
		}
		if _, behind := u.b.store.Behind(); !behind {
			return true
		}
		wait = poll
	}
}

// unread handles what reading a queue's messages returned: lost transient
// messages are logged, anything else means that the store doesn't hold what it
// should.
func (b *Broker) unread(err error) {
	switch {
	case err == nil:
	case errors.Is(err, queue.ErrLost):
		b.o.Logger.Error("non-persistent messages are lost: the scratch area can't be read", "error", err)
	default:
		b.store.Fail(err)
	}
}
