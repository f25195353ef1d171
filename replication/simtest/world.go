package simtest

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/replication/protocol"
)

// Options say what is simulated.
type Options struct {
	Seed   uint64
	Nodes  int           // voters at the beginning [3]
	Spares int           // nodes that may join
	Faults time.Duration // simulated time with faults [40 s]
	Memory bool          // commit in memory; who loses power becomes another incarnation
	// Without leaves a rule out; Unguarded lets configurations be written whoever wrote last. The run should fail.
	Without   protocol.Rule
	Unguarded bool
	// script takes the place of random faults: a scenario that chance meets too rarely.
	script func(*world)
}

func (o Options) withDefaults() Options {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Faults == 0 {
		o.Faults = 40 * time.Second
	}
	return o
}

// Result is what a run came to.
type Result struct {
	Events    int
	Epochs    int // that had a leader
	Committed uint64
	Confirmed int // records
	Restarts  int
	Cuts      int // logs cut
	Snapshots int
	Changes   int // of the configuration, elections aside
}

// ViolationError is a broken promise: what, when, and the last events before it.
type ViolationError struct {
	Options Options
	At      time.Duration
	What    string
	Trace   []string
}

func (v *ViolationError) Error() string {
	return fmt.Sprintf("seed %d at %v: %s\n%s", v.Options.Seed, v.At, v.What, strings.Join(v.Trace, "\n"))
}

// world is one run.
type world struct {
	o       Options
	rand    *rand.Rand
	now     time.Duration
	queue   events
	serial  uint64
	nodes   []*node
	store   *coordinator
	lose    func(*protocol.Message) bool // says which messages a script's network loses; may be nil
	reached func(*node)                  // told by a script's world of each commit; may be nil
	elected func(*node)                  // told by a script's world of each new leader; may be nil
	god     oracle
	calm    bool // faults are over
	trace   ring
	result  Result
	bad     *ViolationError
}

// event happens at a time; at the same time, in the order in which events were planned.
type event struct {
	at     time.Duration
	serial uint64
	fn     func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].serial < q[j].serial
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) } //nolint:errcheck // only events are pushed
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return e
}

// after plans fn.
func (w *world) after(d time.Duration, fn func()) {
	w.serial++
	heap.Push(&w.queue, event{w.now + d, w.serial, fn})
}

// between returns a random time in [low, high).
func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.rand.Int64N(int64(high-low)))
}

func (w *world) chance(percent float64) bool { return w.rand.Float64()*100 < percent }

// violate ends the run.
func (w *world) violate(format string, args ...any) {
	if w.bad == nil {
		w.bad = &ViolationError{Options: w.o, At: w.now, What: fmt.Sprintf(format, args...), Trace: w.trace.lines()}
	}
}

func (w *world) note(format string, args ...any) {
	w.trace.add(fmt.Sprintf("%10.3f ", w.now.Seconds()) + fmt.Sprintf(format, args...))
}

// Run simulates one group until the end, or the first violation, which is a *ViolationError.
func Run(o Options) (Result, error) {
	o = o.withDefaults()
	w := &world{o: o, rand: rand.New(rand.NewPCG(o.Seed, 0x51ed270b27))} //nolint:gosec // a seed repeats a failure
	w.god = newOracle(w)
	w.store = newCoordinator(w)
	for i := range o.Nodes + o.Spares {
		n := newNode(w, i)
		w.nodes = append(w.nodes, n)
		n.start()
	}
	w.after(0, w.produce)
	if o.script != nil {
		w.calm = true
		o.script(w)
	} else {
		w.after(w.between(time.Second, 3*time.Second), w.nextFault)
	}
	w.runUntil(o.Faults)
	w.heal()
	w.runUntil(o.Faults + calmTime)
	if w.bad == nil {
		w.god.finalCheck()
	}
	for _, n := range w.nodes {
		n.close()
	}
	w.result.Committed = w.god.index
	w.result.Epochs = len(w.god.leaders)
	if w.bad != nil {
		return w.result, w.bad
	}
	return w.result, nil
}

// calmTime is how long a group has, without faults, to serve again and to agree.
const calmTime = 30 * time.Second

func (w *world) runUntil(end time.Duration) {
	for w.bad == nil && len(w.queue) > 0 && w.queue[0].at <= end {
		e := heap.Pop(&w.queue).(event) //nolint:errcheck // only events are pushed
		w.now = e.at
		w.result.Events++
		e.fn()
	}
	w.now = max(w.now, end)
}

// ring keeps the last lines of the trace.
type ring struct {
	kept [400]string
	n    int
}

func (r *ring) add(s string) {
	r.kept[r.n%len(r.kept)] = s
	r.n++
}

func (r *ring) lines() []string {
	var out []string
	for i := max(0, r.n-len(r.kept)); i < r.n; i++ {
		out = append(out, r.kept[i%len(r.kept)])
	}
	return out
}

// spread is how large messages may be, as a power of two: a script wants one frame in each.
func (w *world) spread() int {
	if w.o.script != nil {
		return 0
	}
	return 12
}
