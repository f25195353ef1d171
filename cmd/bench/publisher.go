package bench

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// maxBatch is how many messages one system call writes at most.
const maxBatch = 64

// aheadPoll is how often a publisher that is too far ahead looks again.
const aheadPoll = 200 * time.Microsecond

// unlimited is a publisher's limit until the run knows better.
const unlimited = math.MaxInt64

// publisher is one connection that sends.
type publisher struct {
	// immutable
	link   *link
	index  int
	run    uint16
	frames *frames
	ticks  []atomic.Int64 // when each number was sent, where messages are confirmed by number
	window int64          // unconfirmed messages, 0 = no confirmations
	rate   float64
	clock  clock
	// behind counts the messages of this publisher's destination that are
	// sent and not delivered; ahead bounds them, 0 = only the broker does.
	behind func() int64
	ahead  int64

	// written by its own goroutine
	sent   atomic.Int64
	lagged *latencies // how late the generator itself was, with a rate

	// written by the link's reader
	confirmed atomic.Int64
	confirms  *latencies

	// written by the run
	limit atomic.Int64 // messages in all, unlimited until known
	quiet atomic.Bool  // leave the latencies out: warming up

	waiting atomic.Bool   // the writer sleeps until room is signalled
	room    chan struct{} // of one: the window has room, or the limit changed
}

// receive counts a confirmation.
func (p *publisher) receive(e *event, now int64) error {
	if e.kind != eventConfirm {
		return fmt.Errorf("publisher %d was sent a message", p.index)
	}
	if e.numbered {
		for i := range int(e.more) + 1 {
			p.confirm(p.ticks[numberOf(uint32(e.id)-1+uint32(i))].Load(), now)
		}
		return nil
	}
	s, err := readStamp(e.body)
	if err != nil || s.run != p.run || int(s.producer) != p.index {
		return fmt.Errorf("publisher %d got a confirmation that is not its own: %q", p.index, e.body)
	}
	p.confirm(s.ticks, now)
	return nil
}

func (p *publisher) confirm(sent, now int64) {
	if !p.quiet.Load() {
		p.confirms.record(now - sent)
	}
	p.confirmed.Store(p.confirmed.Load() + 1)
}

// mark stamps frame i.
func (p *publisher) mark(i int, s stamp) {
	p.frames.mark(i, s)
	if p.ticks != nil {
		p.ticks[numberOf(s.seq)].Store(s.ticks)
	}
}

// flush lets the writer go on: once per read, so that it writes as many
// messages at once as confirmations came at once.
func (p *publisher) flush(int64) error {
	p.wake()
	return nil
}

func (p *publisher) wake() {
	if p.waiting.Load() {
		select {
		case p.room <- struct{}{}:
		default:
		}
	}
}

// send publishes until the limit is reached, from where it stopped the last
// time.
func (p *publisher) send(ctx context.Context, start int64) error {
	if p.rate > 0 {
		release := holdThread()
		defer release()
	}
	first := p.sent.Load()
	table := newPace(start, max(p.rate, 1))
	for n := first; ; {
		count, err := p.allowed(ctx, n)
		if err != nil || count == 0 {
			return err
		}
		if p.rate > 0 {
			count = p.markDue(&table, n, n-first, count)
		} else {
			p.markNow(n, count)
		}
		// The reader may see the confirmations before Write returns.
		p.sent.Store(n + count)
		if _, err := p.link.conn.Write(p.frames.first(int(count))); err != nil {
			return p.link.blame(ctx, fmt.Errorf("publisher %d: %w", p.index, err))
		}
		n += count
	}
}

// allowed waits until message n may be sent and returns how many may, 0 when n
// is the limit.
func (p *publisher) allowed(ctx context.Context, n int64) (int64, error) {
	for {
		count := min(p.limit.Load()-n, maxBatch)
		if count <= 0 {
			return 0, nil
		}
		if n+count > maxSequence {
			return 0, fmt.Errorf("publisher %d: more than %d messages in a run", p.index, maxSequence)
		}
		if p.ahead > 0 && p.behind() >= p.ahead {
			if err := p.waitForConsumers(ctx); err != nil {
				return 0, err
			}
			continue
		}
		if room := p.space(n); room > 0 {
			return min(count, room), ctx.Err()
		}
		if err := p.waitForRoom(ctx, n); err != nil {
			return 0, err
		}
	}
}

// space is how many messages from n on the window and the broker let through.
func (p *publisher) space(n int64) int64 {
	room := int64(unlimited)
	if p.window > 0 {
		room = p.window - (n - p.confirmed.Load())
	}
	if c, ok := p.link.codec.(crediter); ok {
		room = min(room, c.allowance()-n)
	}
	return room
}

// waitForConsumers sleeps a little: consumers count what they got once per
// read, and to wake publishers there would cost every read.
func (p *publisher) waitForConsumers(ctx context.Context) error {
	timer := time.NewTimer(aheadPoll)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// waitForRoom sleeps unless a confirmation came since allowed looked.
func (p *publisher) waitForRoom(ctx context.Context, n int64) error {
	p.waiting.Store(true)
	defer p.waiting.Store(false)
	if p.space(n) > 0 || n >= p.limit.Load() {
		return nil
	}
	select {
	case <-p.room:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// markNow stamps messages n to n+count with the time.
func (p *publisher) markNow(n, count int64) {
	s := stamp{run: p.run, producer: uint16(p.index), ticks: p.clock.ticks()}
	for i := range count {
		s.seq = uint32(n + i)
		p.mark(int(i), s)
	}
}

// markDue waits until message n, which is in row of the timetable, is due,
// stamps those of n to n+count that are due by then, each with its own time,
// and returns how many.
func (p *publisher) markDue(table *pace, n, row, count int64) int64 {
	p.clock.sleepUntil(table.due(row))
	now := p.clock.ticks()
	count = min(count, table.until(now)-row)
	s := stamp{run: p.run, producer: uint16(p.index)}
	for i := range count {
		s.seq, s.ticks = uint32(n+i), table.due(row+i)
		p.mark(int(i), s)
		if !p.quiet.Load() {
			p.lagged.record(now - s.ticks)
		}
	}
	return count
}

// stopAfter sets how many messages there will be in all.
func (p *publisher) stopAfter(n int64) {
	p.limit.Store(n)
	p.wake()
}
