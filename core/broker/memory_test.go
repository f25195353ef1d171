package broker

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}

func transient(e *message.Envelope) { e.Durable = false }

func (c *client) resumed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resume
}

func TestProducersWaitForMemoryAndAreResumed(t *testing.T) {
	var log lockedBuffer
	r := newRig(t, func(o *Options) {
		o.Memory = 1 << 20
		o.BlockedWarning = time.Millisecond
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	body := strings.Repeat("x", 10_000)
	n := 1
	for ; !p.Publish(p.message(a, body, transient), nil, 0); n++ {
		if n > 1000 {
			t.Fatal("the producer was never asked to wait")
		}
	}
	if n < 100 || n > 110 {
		t.Fatalf("asked to wait after %d messages of 10 kB with 1 MiB of memory", n)
	}
	eventually(t, "line in the log", func() bool { return log.has("a producer waits") && log.has("memory.limit") })
	if st := r.Stats(); st.WaitingProducers != 1 || p.resumed() != 0 {
		t.Fatalf("%d wait, resumed %d times", st.WaitingProducers, p.resumed())
	}
	c.subscribe(Subscription{Destination: a, Window: 1000})
	must(t, c.deliveries(n)[n-1].Consumer.SettleThrough(uint64(n), Accepted, nil, 0))
	eventually(t, "resumption", func() bool { return p.resumed() == 1 })
	if st := r.Stats(); st.WaitingProducers != 0 || st.MemoryUsed != 0 {
		t.Fatalf("%d wait, %d bytes used", st.WaitingProducers, st.MemoryUsed)
	}
}

func TestASessionThatEndsWhileItWaitsIsForgotten(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Memory = 1 })
	p := connect(t, r.Broker, "")
	if !p.Publish(p.message(a, "x", transient), nil, 0) {
		t.Fatal("not asked to wait")
	}
	p.Close()
	eventually(t, "end of waiting", func() bool { return r.Stats().WaitingProducers == 0 })
}

// onDisk opens a broker on a real directory.
func onDisk(t *testing.T, o Options) *Broker {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

func scratchBytes(t *testing.T, dir string) (n int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "scratch", "*"))
	must(t, err)
	for _, f := range files {
		if st, err := os.Stat(f); err == nil {
			n += st.Size()
		}
	}
	return n
}

func TestTransientBacklogIsLargerThanMemory(t *testing.T) {
	dir := t.TempDir()
	b := onDisk(t, Options{Dir: dir, Memory: 2 << 20})
	p, c := connect(t, b, ""), connect(t, b, "")
	const n = 20_000
	pad := strings.Repeat("x", 1000)
	wait := false
	for i := range n {
		if wait {
			before := p.resumed()
			eventually(t, "resumption", func() bool { return p.resumed() > before || b.Stats().WaitingProducers == 0 })
		}
		wait = p.Publish(p.message(a, fmt.Sprint(i, " ", pad), transient), nil, 0)
	}
	eventually(t, "room in memory", func() bool { return b.Stats().MemoryUsed <= 2<<20 })
	if on := scratchBytes(t, dir); on < 15_000_000 {
		t.Fatalf("%d bytes are in the scratch area", on)
	}
	k := c.subscribe(Subscription{Destination: a, Window: 500})
	for i := range n {
		if i%500 == 0 {
			eventually(t, fmt.Sprintf("%d deliveries", i+500), func() bool { return c.received() >= i+500 })
			for j, d := range c.deliveries(i + 500)[i:] {
				if want := fmt.Sprint(i+j, " "); !strings.HasPrefix(string(d.Message.Payload()), want) {
					t.Fatalf("got %.10q, want %q", d.Message.Payload(), want)
				}
			}
			must(t, k.SettleThrough(uint64(i+500), Accepted, nil, 0))
		}
	}
	if st := b.Stats(); st.Messages != 0 || st.MemoryUsed != 0 {
		t.Fatalf("%d messages and %d bytes are left", st.Messages, st.MemoryUsed)
	}
	eventually(t, "empty scratch area", func() bool { return scratchBytes(t, dir) == 0 })
}

func TestScratchIsGoneAfterARestart(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "scratch"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "scratch", "00000001.scratch"), []byte("old"), 0o644))
	onDisk(t, Options{Dir: dir})
	if n := scratchBytes(t, dir); n != 0 {
		t.Fatalf("%d bytes are left", n)
	}
}

func TestLargeMessagesGoThroughACheckpointAndARestart(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Memory, o.Store.CheckpointBytes = 8<<20, 4<<20 })
	p := connect(t, r.Broker, "")
	var want []string
	for i := range 6 {
		body := strings.Repeat(strconv.Itoa(i), 5<<20)
		want = append(want, body)
		p.send(a, body)
	}
	for range 2 { // from the log and from pages, then from pages only
		r.restart()
		if used := r.Stats().MemoryUsed; used > 1<<20 {
			t.Fatalf("%d bytes in memory after a restart", used)
		}
	}
	c := connect(t, r.Broker, "")
	c.subscribe(Subscription{Destination: a, Window: 1})
	for i := range want {
		d := c.deliveries(i + 1)[i]
		if string(d.Message.Payload()) != want[i] {
			t.Fatalf("message %d is not what was sent", i)
		}
		c.accept(d)
	}
	r.restart()
	if st := r.Stats(); st.Messages != 0 || st.MemoryUsed != 0 {
		t.Fatalf("%d messages, %d bytes are left", st.Messages, st.MemoryUsed)
	}
	keys := 0
	must(t, r.pages.Scan([]byte{0x05}, func(_, _ []byte) error { keys++; return nil }))
	if keys != 0 {
		t.Fatalf("%d parts of bodies are left", keys)
	}
}

// A queue whose backlog could leave memory kept it while others filled up:
// only queues that changed were asked.
func TestAQuietBacklogLeavesMemoryForOthers(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Memory, o.Store.CheckpointInterval = 4<<20, 20*time.Millisecond })
	p := connect(t, r.Broker, "")
	body := strings.Repeat("x", 1000)
	for range 1900 { // just below the half
		p.send(a, body)
	}
	eventually(t, "checkpoint", func() bool { return r.Stats().Store.Checkpoints > 0 })
	other := message.Queue("other")
	for range 1500 {
		p.send(other, body)
	}
	eventually(t, "memory below the half", func() bool { return r.Stats().MemoryUsed < 2<<20 })
}

func TestExpiredMessagesThatNobodyAsksForAreSweptOut(t *testing.T) {
	var mu sync.Mutex
	now := time.UnixMilli(1_000_000)
	r := newRig(t, func(o *Options) {
		o.ExpirePeriod = 2 * time.Millisecond
		o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	p := connect(t, r.Broker, "")
	w := make(waiter, 300)
	for i := range 300 {
		p.Publish(p.message(a, "x", func(e *message.Envelope) {
			e.Durable = i%2 == 0
			if i%3 == 0 {
				e.Expiry = 1_000_500
			}
		}), w, 0)
	}
	for range 300 {
		must(t, <-w)
	}
	r.restart() // the persistent ones are on disk now; the others are gone
	mu.Lock()
	now = now.Add(time.Second)
	mu.Unlock()
	eventually(t, "end of the expired ones", func() bool { return r.Stats().Expired == 50 })
	eventually(t, "dead letters", func() bool {
		q := r.queues.get(DeadLetterQueue)
		return q != nil && q.Stats().Messages == 50
	})
	if n := r.queues.get(a).Stats().Messages; n != 100 {
		t.Fatalf("%d messages, want 100", n)
	}
}

func TestRejectedMessagesWaitAgainWhenTheDiskIsFull(t *testing.T) {
	r := newRig(t)
	p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	k := c.subscribe(Subscription{Destination: a, Window: 1})
	p.send(a, "1")
	c.deliveries(1)
	q := r.queues.get(a)
	k.Close()
	eventually(t, "message back", func() bool { return q.Stats().InFlight == 0 })
	if !q.Hold(4 << 56) {
		t.Fatal("the message is not there")
	}
	w := make(waiter, 1)
	(&rejection{q: q, ds: heldAt(4 << 56), done: w}).Complete(0, store.ErrFull)
	if err := <-w; CodeOf(err) != CodeFull {
		t.Fatalf("told: %v", err)
	}
	if st := q.Stats(); st.Messages != 1 || st.InFlight != 0 {
		t.Fatalf("%d messages, %d in flight", st.Messages, st.InFlight)
	}
}

func heldAt(pos uint64) []queue.Held { return []queue.Held{{Pos: pos}} }

// received returns how many deliveries came.
func (c *client) received() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got)
}
