package queue

import (
	"fmt"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/selector"
	"github.com/entrepot-mq/entrepot/core/store"
)

// selecting is a filter with a key, as the broker makes them.
type selecting struct{ *selector.Selector }

func newSelecting(text string) selecting {
	s, err := selector.Parse(text, selector.Options{})
	if err != nil {
		panic(err)
	}
	return selecting{s}
}

// Matches implements Filter.
func (s selecting) Matches(m *message.Message) bool { return s.Selector.Matches(m, numbered) }

// Value implements KeyedFilter.
func (s selecting) Value(f selector.Field, m *message.Message) (selector.KeyValue, bool) {
	return f.Value(m, numbered)
}

// asked counts how often a filter was asked.
type asked struct {
	Filter
	n *int
}

// Matches implements Filter.
func (f asked) Matches(m *message.Message) bool {
	*f.n++
	return f.Filter.Matches(m)
}

// alone is a queue without a broker: nothing is logged, nothing is loaded but
// to go on with a scan.
type alone struct {
	Broker // nil: what isn't below is not called
	*Queue
	waiting []func() error
	got     []string // by all consumers
	groups  GroupSettings
	start   StartSettings
	firsts  []bool // of the deliveries: the consumer has a new group
	fate    Fate   // of failed deliveries
	delayed []uint64
}

func newAlone() *alone {
	a := &alone{groups: GroupSettings{Most: 100}}
	a.Queue = New(message.Queue("q"), a, store.NewBudget(1<<30))
	return a
}

// GroupSettings implements Broker.
func (a *alone) GroupSettings(*Queue) GroupSettings { return a.groups }

// StartSettings implements Broker.
func (a *alone) StartSettings(*Queue) StartSettings { return a.start }

// Unsummed implements Broker.
func (a *alone) Unsummed(*Queue) {}

// NowMs implements Broker.
func (a *alone) NowMs() int64 { return 1 }

// Load implements Broker.
func (a *alone) Load(q *Queue, lane uint8, seq uint64) {
	a.waiting = append(a.waiting, func() error { return q.LoadPage(nil, lane, seq) })
}

// Deliver implements Target.
func (a *alone) Deliver(d Delivery) {
	a.got = append(a.got, fmt.Sprint(d.Consumer.Ref, " ", d.Message.CorrelationID))
	a.firsts = append(a.firsts, d.GroupFirst)
}

// FateOf implements Broker.
func (a *alone) FateOf(*Queue, *message.Message, uint32) Fate { return a.fate }

// Delay implements Broker.
func (a *alone) Delay(_ *Queue, pos uint64, _ int64) { a.delayed = append(a.delayed, pos) }

// load does what the loader would do, and returns how often it had to.
func (a *alone) load(t *testing.T) (n int) {
	t.Helper()
	for len(a.waiting) > 0 {
		f := a.waiting[0]
		a.waiting = a.waiting[1:]
		if err := f(); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func (a *alone) send(id string) {
	a.EnqueueTransient(message.New(&message.Envelope{Destination: a.dest, Priority: 4, CorrelationID: id}, message.EncodingSTOMP))
}

func (a *alone) consumer(t *testing.T, name string, f Filter, window uint32) *Consumer {
	t.Helper()
	c := NewConsumer(a, ConsumerOptions{Window: window, Ref: name, Target: a})
	if !a.Subscribe(c, f, 0, false) {
		t.Fatal("refused")
	}
	return c
}

func (a *alone) wantGot(t *testing.T, want ...string) {
	t.Helper()
	if fmt.Sprint(a.got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", a.got, want)
	}
	a.got = nil
}

func TestMessageIsShownToThoseWhoseKeyItHas(t *testing.T) {
	a := newAlone()
	for i := range 100 {
		a.consumer(t, fmt.Sprint("c", i), newSelecting(fmt.Sprintf("JMSCorrelationID = '%d'", i)), 10)
	}
	a.consumer(t, "list", newSelecting("JMSCorrelationID IN ('x', 'y', 'x')"), 10)
	a.consumer(t, "not", newSelecting("JMSCorrelationID <> 'z' AND JMSCorrelationID NOT IN ('7', '8', '9', 'x', 'y')"), 10)
	for _, id := range []string{"7", "z", "y", "x", "w"} {
		a.send(id)
	}
	a.wantGot(t, "c7 7", "list y", "list x", "not w")
	if len(a.awake) != 0 {
		t.Errorf("%d cursors are awake with nothing to do", len(a.awake))
	}
}

func TestCursorWithoutCreditStopsToBeOfferedAndScansLater(t *testing.T) {
	a := newAlone()
	c := a.consumer(t, "c", newSelecting("JMSCorrelationID = 'x'"), 1)
	const n = maxIndexed + 100
	for range n {
		a.send("x")
		a.send("other")
	}
	if k := a.cursors[0]; k.indexed || len(k.at[0].transient.returned) > maxIndexed+1 {
		t.Errorf("indexed %v, %d seqs are kept", k.indexed, len(k.at[0].transient.returned))
	}
	for tag := range uint64(n) {
		if err := c.Settle(tag+1, Accepted, nil, 0); err != nil {
			t.Fatal(err)
		}
		a.load(t)
	}
	if len(a.got) != n || !a.cursors[0].indexed {
		t.Errorf("%d deliveries, want %d; indexed %v", len(a.got), n, a.cursors[0].indexed)
	}
}

func TestLongScanLetsOthersIn(t *testing.T) {
	a := newAlone()
	for range 5 * maxScanned {
		a.send("other")
	}
	a.send("x")
	n := 0
	a.consumer(t, "c", asked{newSelecting("JMSCorrelationID = 'x'"), &n}, 1)
	if n > maxScanned {
		t.Errorf("%d messages were looked at under the lock, want %d", n, maxScanned)
	}
	if pauses := a.load(t); pauses != 5 {
		t.Errorf("%d pauses, want 5", pauses)
	}
	a.wantGot(t, "c x")
}

func TestSelectorOfAClientThatComesAgainLooksAtNothingTwice(t *testing.T) {
	a := newAlone()
	n := 0
	f := asked{newSelecting("JMSCorrelationID = 'x'"), &n}
	for range 1000 {
		a.send("other")
	}
	first, holder := a.consumer(t, "first", f, 1), a.consumer(t, "holder", newSelecting("JMSCorrelationID = 'held'"), 1)
	a.send("held")
	first.Close()
	a.send("x")
	n = 0
	a.consumer(t, "second", f, 1)
	if n > 2 {
		t.Errorf("%d messages were looked at, want what came since", n)
	}
	a.wantGot(t, "holder held", "second x")

	both := asked{newSelecting("JMSCorrelationID IN ('held', 'y')"), &n}
	a.consumer(t, "third", both, 1).Close()
	holder.Close() // gives back what the parked cursor has passed
	a.consumer(t, "fourth", both, 1)
	a.wantGot(t, "fourth held")
}

func TestFewPlacesOfClientsThatHaveGoneAreKept(t *testing.T) {
	a := newAlone()
	a.send("other")
	for i := range 10 * maxParked {
		a.consumer(t, "c", newSelecting(fmt.Sprintf("JMSCorrelationID = '%d'", i)), 1).Close()
		a.consumer(t, "c", modulo{uint64(i) + 2, 0}, 0).Close()
	}
	keys := 0
	for _, f := range a.index.fields {
		keys += len(f.by)
	}
	if len(a.cursors) != maxParked || keys+len(a.index.rest) != maxParked || len(a.awake) != 0 {
		t.Errorf("%d cursors, %d and %d in the index, %d awake", len(a.cursors), keys, len(a.index.rest), len(a.awake))
	}
}
