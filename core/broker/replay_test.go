package broker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// history drives a broker at random. Its log is never released, so that a
// fresh machine can live through all of it again.
type history struct {
	*rig
	rnd     *rand.Rand
	nowMs   atomic.Int64
	clients []*client
	taken   map[*client]int // deliveries looked at
	subs    map[string]bool // durable subscriptions there are
	tx      *Transaction
}

const historyLog = 16 << 20 // of one segment: it stays whole

func newHistory(t *testing.T, seed uint64) *history {
	t.Helper()
	h := &history{rnd: rand.New(rand.NewPCG(seed, 3)), subs: map[string]bool{}}
	h.nowMs.Store(1_700_000_000_000)
	h.rig = newRig(t, func(o *Options) {
		o.Now = func() time.Time { return time.UnixMilli(h.nowMs.Load()) }
		o.Store.CheckpointBytes = 6 << 10
		o.Store.SegmentSize = historyLog
	})
	h.connectAll()
	return h
}

func (h *history) connectAll() {
	h.clients, h.taken, h.tx = nil, map[*client]int{}, nil
	for i := range 4 {
		h.clients = append(h.clients, connect(h.t, h.Broker, fmt.Sprintf("client-%d", i)))
	}
}

func (h *history) client() *client { return h.clients[h.rnd.IntN(len(h.clients))] }

func (h *history) queue() message.Destination {
	return message.Queue([]string{"a", "b.c", "b.d"}[h.rnd.IntN(3)])
}

// message makes a message of any size that is stored in its own way: inline,
// shared, large, in parts.
func (h *history) message(c *client, d message.Destination) *message.Message {
	size := []int{0, 30, 100, 600, 700, 9 << 10}[h.rnd.IntN(6)]
	if h.rnd.IntN(200) == 0 {
		size = 300 << 10
	}
	return c.message(d, strings.Repeat("x", size), func(e *message.Envelope) {
		e.Priority = uint8(h.rnd.IntN(10))
		if h.rnd.IntN(4) > 0 {
			e.Priority = message.DefaultPriority
		}
		e.Durable = h.rnd.IntN(10) > 0
		if h.rnd.IntN(8) == 0 {
			e.Expiry = h.nowMs.Load() + int64(h.rnd.IntN(50))
		}
	})
}

// sendID is mostly none, and otherwise sometimes one that was there before.
func (h *history) sendID() SendID {
	if h.rnd.IntN(4) > 0 {
		return SendID{}
	}
	return SendID{[]string{"p", "q"}[h.rnd.IntN(2)], uint64(h.rnd.IntN(300))}
}

// must waits for an operation that is told done.
func (h *history) must(start func(done Done)) {
	h.t.Helper()
	w := make(waiter, 1)
	start(w)
	if err := <-w; err != nil {
		h.t.Fatal(err)
	}
}

// step does something.
func (h *history) step() {
	h.t.Helper()
	c := h.client()
	switch k := h.rnd.IntN(100); {
	case k < 40:
		for range h.rnd.IntN(70) {
			c.PublishOnce(h.message(c, h.queue()), h.sendID(), nil, 0)
		}
	case k < 55:
		for range h.rnd.IntN(30) {
			c.Publish(h.message(c, message.Topic([]string{"t.x", "t.y"}[h.rnd.IntN(2)])), nil, 0)
		}
	case k < 63:
		h.subscribe(c)
	case k < 85:
		h.settleSome(c)
	case k < 91:
		h.transact(c)
	case k < 94:
		h.nowMs.Add(20)
	case k < 97:
		h.reconnect()
	default:
		h.unsubscribe(c)
	}
}

func (h *history) subscribe(c *client) {
	s := Subscription{Destination: h.queue(), Window: uint32(1 + h.rnd.IntN(60))}
	if h.rnd.IntN(2) == 0 {
		s.Destination = message.Topic([]string{"t.x", "t.>", "t.*"}[h.rnd.IntN(3)])
		s.Durable = fmt.Sprintf("sub-%d", h.rnd.IntN(3))
	}
	_, err := c.Subscribe(s)
	if code := CodeOf(err); err != nil && code != CodeInUse {
		h.t.Fatalf("subscribe: %v", err)
	}
}

func (h *history) unsubscribe(c *client) {
	name := fmt.Sprintf("sub-%d", h.rnd.IntN(3))
	if err := c.DeleteDurable(name); err != nil && CodeOf(err) != CodeInUse && CodeOf(err) != CodeNotFound {
		h.t.Fatalf("unsubscribe: %v", err)
	}
}

// fresh returns deliveries that were not looked at yet.
func (h *history) fresh(c *client) []Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	ds := slices.Clone(c.got[h.taken[c]:])
	h.taken[c] = len(c.got)
	return ds
}

func (h *history) settleSome(c *client) {
	for _, d := range h.fresh(c) {
		if d.BrowseEnd || h.rnd.IntN(5) == 0 {
			continue // stays unsettled, or is settled with a later one
		}
		o := []Outcome{Accepted, Accepted, Accepted, Accepted, Rejected, Released, Modified}[h.rnd.IntN(7)]
		var err error
		if h.rnd.IntN(6) == 0 {
			err = d.Consumer.SettleThrough(d.Tag, o, nil, 0)
		} else {
			err = d.Consumer.Settle(d.Tag, o, nil, 0)
		}
		if err != nil && !errors.Is(err, queue.ErrNoDelivery) {
			h.t.Fatalf("settle: %v", err)
		}
	}
}

func (h *history) transact(c *client) {
	tx := c.Begin()
	for range h.rnd.IntN(8) {
		if err := tx.Publish(h.message(c, h.queue())); err != nil {
			h.t.Fatal(err)
		}
	}
	for _, d := range h.fresh(c) {
		o := []Outcome{Accepted, Accepted, Rejected, Modified}[h.rnd.IntN(4)]
		_ = tx.Settle(d.Consumer, d.Tag, o) // not if it is settled already
	}
	if h.rnd.IntN(3) == 0 {
		tx.Rollback()
		return
	}
	h.must(func(done Done) { tx.Commit(done, 0) })
}

// reconnect ends a client, whose unsettled deliveries come back.
func (h *history) reconnect() {
	i := h.rnd.IntN(len(h.clients))
	id := h.clients[i].ClientID()
	h.clients[i].Close()
	h.clients[i] = connect(h.t, h.Broker, id)
}

// lose cuts the power: nothing that the old broker's goroutines still do
// reaches the disk.
func (h *history) lose(seed uint64) {
	h.t.Helper()
	h.fs.HaltAfter(0)
	h.pages.Crash() // a checkpoint that is being written fails from now on
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_ = h.Close(gone)
	h.fs.Crash(seed)
	h.pages.Crash()
	h.open()
	h.connectAll()
}

// quiet waits until everything that was done is applied, and stays so: nobody
// is left who could do more, and nothing is on its way out of a queue (as a
// message that the loader found expired would be).
func (h *history) quiet() {
	h.t.Helper()
	for _, c := range h.clients {
		c.Close()
	}
	eventually(h.t, "quiet", func() bool {
		h.must(func(done Done) { h.store.Commit(store.Request{Done: done}) })
		before := h.store.Stats().Records
		for _, id := range slices.Sorted(maps.Keys(h.queues.byID)) {
			if h.queues.byID[id].Stats().InFlight != 0 {
				return false
			}
		}
		h.must(func(done Done) { h.store.Commit(store.Request{Done: done}) })
		return h.store.Stats().Records == before
	})
}

// stateOf describes everything that is a function of the log.
func stateOf(t *testing.T, b *Broker) string {
	t.Helper()
	var out strings.Builder
	fmt.Fprintf(&out, "next id %d\n", b.machine.nextID)
	for _, id := range slices.Sorted(maps.Keys(b.queues.byID)) {
		q := b.queues.byID[id]
		fmt.Fprintf(&out, "queue %d %v %x\n", q.ID(), q.Destination(), q.Extra)
		_, more, err := q.Scan(b.store.Pages(), 0, true, func(e queue.Entry) bool {
			if e.Message.Durable {
				fmt.Fprintf(&out, " %x %x attempts %d %x\n", e.Pos, e.Message.ID.Lo, e.Attempts, sha256.Sum256(e.Message.Raw()))
			}
			return true
		})
		if err != nil || more {
			t.Fatalf("scan %v: %v, %v", q.Destination(), more, err)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(b.queues.durables), func(a, b durableKey) int {
		return strings.Compare(a.ClientID+"/"+a.Name, b.ClientID+"/"+b.Name)
	}) {
		d := b.queues.durables[key]
		fmt.Fprintf(&out, "durable %+v is %d\n", d.spec, d.queue.ID())
	}
	for _, name := range slices.Sorted(maps.Keys(b.duplicates.logged.producers)) {
		p := b.duplicates.logged.producers[name]
		fmt.Fprintf(&out, "sent %s %d %v\n", name, p.order, p.ranges)
	}
	return out.String()
}

// stateHash is short and the same where stateOf is.
func stateHash(state string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(state)))[:16] }

func wantSameState(t *testing.T, what, got, want string) {
	t.Helper()
	if stateHash(got) == stateHash(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("%s: state %s instead of %s; line %d is\n%s\ninstead of\n%s", what,
				stateHash(got), stateHash(want), i, strings.Join(g[min(i, len(g)):min(i+1, len(g))], ""),
				strings.Join(w[min(i, len(w)):min(i+1, len(w))], ""))
		}
	}
}

// probe publishes a message of each priority to every queue, so that what
// comes next is compared as well: seqs, ids, routes.
func probe(t *testing.T, b *Broker) {
	t.Helper()
	lo := uint64(1 << 40)
	var ops []store.Op
	for _, d := range []message.Destination{
		message.Queue("a"), message.Queue("b.c"), message.Queue("b.d"), message.Queue("new"), message.Topic("t.x"),
	} {
		for p := range uint8(10) {
			lo++
			e := message.Envelope{ID: message.ID{Hi: 1, Lo: lo}, Destination: d, Durable: true, Priority: p}
			ops = append(ops, store.Op{Kind: store.OpPublish, Msg: message.New(&e, message.EncodingSTOMP, []byte("probe"))})
		}
	}
	w := make(waiter, 1)
	b.store.Commit(store.Request{Ops: ops, Done: w}) // the machine is the applier's
	if err := <-w; err != nil {
		t.Fatal(err)
	}
}

// copyPages returns a page store with the last completed checkpoint of p.
func copyPages(t *testing.T, p pages.Store) *pages.Memory {
	t.Helper()
	c := pages.NewMemory()
	if p.Mark() == (pages.Mark{}) {
		return c
	}
	w, err := c.Begin(p.Mark())
	if err == nil {
		err = p.Scan(nil, w.Put)
	}
	if err == nil {
		err = w.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// again opens a broker on copies. CheckpointBytes says how often it
// checkpoints while it replays.
func (h *history) again(fs *disk.Fake, p *pages.Memory, checkpointBytes int64) *Broker {
	h.t.Helper()
	o := h.o
	o.Store.FS, o.Store.Pages, o.Store.CheckpointBytes = fs, p, checkpointBytes
	b, err := Open(o)
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// TestStateIsAFunctionOfTheLog compares the machine that lived through a
// history, with all its checkpoints, restarts and evictions, with machines
// that know it from the log only.
func TestStateIsAFunctionOfTheLog(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			h := newHistory(t, seed)
			for range 100 {
				h.step()
				switch h.rnd.IntN(60) {
				case 0:
					h.quiet()
					h.restart()
					h.connectAll()
				case 1:
					h.lose(h.rnd.Uint64())
				}
			}
			h.quiet()
			if size := h.store.Stats().LogBytes; size > historyLog-1<<20 {
				t.Fatalf("the log has %d bytes: it will be cut", size)
			}
			fs, checkpoint := h.fs.Copy(), copyPages(t, h.pages)
			want := stateOf(t, h.Broker)
			probe(t, h.Broker)
			next := stateOf(t, h.Broker)
			for _, tt := range []struct {
				name  string
				pages *pages.Memory
				bytes int64
			}{
				{"replay from zero", pages.NewMemory(), 1 << 30},
				{"replay from zero with checkpoints on the way", pages.NewMemory(), 5000},
				{"the last checkpoint and the rest", checkpoint, 1 << 30},
			} {
				b := h.again(fs.Copy(), tt.pages, tt.bytes)
				wantSameState(t, tt.name, stateOf(t, b), want)
				probe(t, b)
				wantSameState(t, tt.name+", what comes next", stateOf(t, b), next)
				gone, cancel := context.WithCancel(t.Context())
				cancel()
				_ = b.Close(gone)
			}
		})
	}
}

// TestNothingStaysInThePageStoreOfEmptyQueues drains everything after a
// history: bodies, references, pages and chunks have to go with their
// messages, whatever restarts came between.
func TestNothingStaysInThePageStoreOfEmptyQueues(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			h := newHistory(t, seed+1000)
			for range 80 {
				h.step()
				switch h.rnd.IntN(25) {
				case 0:
					h.quiet()
					h.restart()
					h.connectAll()
				case 1:
					h.lose(h.rnd.Uint64())
				}
			}
			h.quiet()
			h.restart()
			for _, id := range slices.Sorted(maps.Keys(h.queues.byID)) {
				q := h.queues.byID[id]
				var acks []store.Op
				_, _, err := q.Scan(h.store.Pages(), 0, true, func(e queue.Entry) bool {
					acks = append(acks, store.Op{Kind: store.OpAck, Queue: id, Pos: e.Pos})
					return true
				})
				if err != nil {
					t.Fatal(err)
				}
				h.rnd.Shuffle(len(acks), func(i, j int) { acks[i], acks[j] = acks[j], acks[i] })
				half := len(acks) / 2
				h.must(func(done Done) {
					h.store.Commit(store.Request{Ops: append([]store.Op{{}}, acks[:half]...), Done: done})
				})
				if h.rnd.IntN(2) == 0 {
					h.restart()
				}
				h.must(func(done Done) {
					h.store.Commit(store.Request{Ops: append([]store.Op{{}}, acks[half:]...), Done: done})
				})
			}
			h.restart()
			left := map[string]int{}
			for _, kind := range []struct {
				prefix byte
				name   string
			}{{0x04, "pages"}, {0x05, "bodies"}, {0x06, "references"}} {
				err := h.pages.Scan([]byte{kind.prefix}, func(key, _ []byte) error {
					left[kind.name]++
					if left[kind.name] == 1 {
						t.Logf("%s: %x", kind.name, bytes.Clone(key))
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if len(left) > 0 {
				t.Errorf("all queues are empty, but there are left: %v", left)
			}
		})
	}
}
