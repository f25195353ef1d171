package broker

import (
	pq "container/heap"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// FateOf implements queue.Broker: by the destination's redelivery policy.
func (b *Broker) FateOf(q *queue.Queue, m *message.Message, n uint32) queue.Fate {
	p := &b.policyOf(q, m).Redelivery
	if p.Exhausted(n) {
		return queue.Fate{Dead: true}
	}
	delay := p.After(n, rand.Float64()).Milliseconds() //nolint:gosec // it spreads load, nothing depends on a guess
	if delay == 0 {
		return queue.Fate{}
	}
	return queue.Fate{Due: b.NowMs() + delay}
}

// DelayOp implements queue.Broker.
func (b *Broker) DelayOp(q *queue.Queue, pos uint64, n uint32, due int64) store.Op {
	data := delayKey{q.ID(), pos}.append(nil)
	data = binary.AppendUvarint(data, uint64(n))
	return store.Op{Kind: store.OpState, N: uint32(delaysKind), Data: binary.AppendVarint(data, due)}
}

// Delay implements queue.Broker.
func (b *Broker) Delay(q *queue.Queue, pos uint64, due int64) {
	b.delays.add(delay{q, pos, due, false})
}

const delaysKind = 'd'

// delays is the part of the state that knows which messages wait for their
// next delivery. Each is held in its queue, so that others pass it; the node
// that serves clients gives it back when the time has come. After a restart
// those whose time came meanwhile are given back at once.
type delays struct {
	b *Broker

	mu      sync.Mutex
	due     dueHeap
	stored  map[delayKey]int64    // when, of durable messages
	dirty   map[delayKey]struct{} // changed since the last checkpoint
	running bool                  // the node serves clients
	closed  bool
	timer   *time.Timer
	wg      sync.WaitGroup
}

// delayKey names a durable message.
type delayKey struct{ queue, pos uint64 }

func (k delayKey) append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, k.queue), k.pos)
}

const delayKeySize = 16

func parseDelayKey(b []byte) delayKey {
	return delayKey{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// delay is a message that waits.
type delay struct {
	q      *queue.Queue
	pos    uint64
	due    int64
	logged bool
}

// dueHeap has the earliest delay first.
type dueHeap []delay

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(delay)) } //nolint:errcheck // only delays are pushed
func (h *dueHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = delay{}
	*h = old[:len(old)-1]
	return last
}

func newDelays(b *Broker) *delays {
	return &delays{b: b, stored: make(map[delayKey]int64), dirty: make(map[delayKey]struct{})}
}

// kind implements part.
func (d *delays) kind() byte { return delaysKind }

// apply implements part.
func (d *delays) apply(data []byte) {
	if len(data) < delayKeySize {
		return
	}
	key, rest := parseDelayKey(data), data[delayKeySize:]
	n, l := binary.Uvarint(rest)
	if l <= 0 || n > 1<<32-1 {
		return
	}
	due, l := binary.Varint(rest[l:])
	q := d.b.queues.id(key.queue)
	if l <= 0 || q == nil {
		return
	}
	q.ApplyDelay(key.pos, uint32(n))
	d.b.machine.touch(q)
	d.keep(key, due)
	d.add(delay{q, key.pos, due, true})
}

func (d *delays) keep(key delayKey, due int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stored[key] = due
	d.dirty[key] = struct{}{}
}

// freeze implements part.
func (d *delays) freeze(changes []stateChange) []stateChange {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range d.dirty {
		due, ok := d.stored[key]
		changes = append(changes, stateChange{
			kind: delaysKind, name: string(key.append(nil)), value: binary.AppendVarint(nil, due), remove: !ok,
		})
	}
	clear(d.dirty)
	return changes
}

var errDelay = errors.New("stored delay is malformed")

// load implements part. The queues are there already.
func (d *delays) load(name string, value []byte) error {
	due, l := binary.Varint(value)
	if len(name) != delayKeySize || l != len(value) || l <= 0 {
		return errDelay
	}
	key := parseDelayKey([]byte(name))
	d.stored[key] = due
	q := d.b.queues.id(key.queue)
	if q == nil {
		d.dirty[key] = struct{}{}
		delete(d.stored, key)
		return nil
	}
	q.Hold(key.pos)
	d.add(delay{q, key.pos, due, true})
	return nil
}

// add has a message given back when its time has come.
func (d *delays) add(one delay) {
	d.mu.Lock()
	defer d.mu.Unlock()
	pq.Push(&d.due, one)
	if d.due[0] == one {
		d.arm()
	}
}

// arm sets the timer to the earliest delay. Called with mu held.
func (d *delays) arm() {
	if !d.running || d.closed || len(d.due) == 0 {
		return
	}
	wait := time.Duration(d.due[0].due-d.b.NowMs()) * time.Millisecond
	if d.timer == nil {
		d.timer = time.AfterFunc(wait, d.fire)
		return
	}
	d.timer.Reset(wait)
}

// start begins to give back.
func (d *delays) start() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = true
	d.arm()
}

func (d *delays) stop() {
	d.mu.Lock()
	d.closed = true
	if d.timer != nil {
		d.timer.Stop()
	}
	d.mu.Unlock()
	d.wg.Wait()
}

// fire gives back what is due. Messages of a queue come back together, so
// that they go out in their old order.
func (d *delays) fire() {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	d.wg.Add(1)
	defer d.wg.Done()
	now := d.b.NowMs()
	back := make(map[*queue.Queue][]uint64)
	for len(d.due) > 0 && d.due[0].due <= now {
		one := pq.Pop(&d.due).(delay) //nolint:errcheck // only delays are pushed
		if one.logged {
			key := delayKey{one.q.ID(), one.pos}
			if due, ok := d.stored[key]; !ok || due != one.due {
				continue // replaced by a later record when the log was replayed
			}
			delete(d.stored, key)
			d.dirty[key] = struct{}{}
		}
		back[one.q] = append(back[one.q], one.pos)
	}
	d.arm()
	d.mu.Unlock()
	for q, held := range back {
		q.GiveBack(held)
	}
}

// waiting returns how many messages wait for their next delivery.
func (d *delays) waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.due)
}
