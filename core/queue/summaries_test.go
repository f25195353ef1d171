package queue

import (
	"fmt"
	"testing"

	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// counting counts what is read of the page store.
type counting struct {
	pages.Store
	pages, summaries int
}

// Get implements pages.Store.
func (c *counting) Get(dst, key []byte) ([]byte, error) {
	switch store.ParseKey(key).Kind {
	case "page":
		c.pages++
	case "summaries":
		c.summaries++
	}
	return c.Store.Get(dst, key)
}

// backlog is a world with n messages, numbered from 1, all of them on disk.
func backlog(t *testing.T, n int) *world {
	t.Helper()
	w := newWorld(t, 1)
	w.eager = false
	for range n {
		w.publish(w.message(true, 4, 8, 0), 0)
		if len(w.log) == 1000 {
			w.apply(1000)
			w.checkpoint()
		}
	}
	w.apply(len(w.log))
	w.checkpoint()
	for _, q := range w.queues {
		w.must(q.Relieve(nil, true))
	}
	return w
}

// find subscribes with a selector and returns which messages came, and what
// was read for them.
func (w *world) find(filter Filter, window uint32) (got []uint64, read *counting) {
	read = &counting{Store: w.pages}
	sink := &numbers{}
	c := NewConsumer(w, ConsumerOptions{Window: window, Target: sink})
	q := w.queues[0]
	q.Subscribe(c, filter, 0, false)
	for len(w.loads) > 0 {
		w.loads = nil
		for _, at := range q.waitingLoads() {
			w.must(q.LoadPage(read, at.lane, at.seq))
		}
	}
	c.Close()
	return sink.got, read
}

// waitingLoads returns where the queue's cursors wait.
func (q *Queue) waitingLoads() (all []load) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, lv := range q.levels {
		for i := range lv.durable.pages {
			if p := &lv.durable.pages[i]; p.loading {
				all = append(all, load{lv.durable.number(), p.number << pageShift})
			}
		}
	}
	for _, c := range q.cursors {
		if c.seeking {
			all = append(all, load{uint8(c.from >> laneShift), seqOf(c.from)})
		}
	}
	return all
}

// numbers is a connection that notes what it gets.
type numbers struct{ got []uint64 }

// Deliver implements Target.
func (n *numbers) Deliver(d Delivery) { n.got = append(n.got, number(d.Message)) }

// A selector's only match lies behind 100,000 others on disk: it is found by
// the summaries, before and after a restart.
func TestTheOnlyMatchOnDiskIsFoundWithoutReadingTheOthers(t *testing.T) {
	const n = 100_000
	w := backlog(t, n)
	for _, restarted := range []bool{false, true} {
		if restarted {
			w.restart()
		}
		for i, text := range []string{
			"hundreds = '%[1]d' AND n < %[2]d + 100", "n = %[2]d", "n > %[2]d - 1 AND n = %[2]d", "n BETWEEN %[2]d AND %[2]d", "n >= %[2]d AND n < %[2]d.5",
		} {
			want := uint64(n - 150 - i)
			selector := fmt.Sprintf(text, want/100, want)
			got, read := w.find(newSelecting(selector), 1)
			if len(got) != 1 || got[0] != want && i > 0 || got[0]/100 != want/100 {
				t.Fatalf("%s: got %v, want %d", selector, got, want)
			}
			// The first page and what is read ahead of it, some that the filters
			// rule out in vain, and the one.
			if read.pages > 25 || read.summaries > n/pageSize/256+25 {
				t.Errorf("%s, restarted %v: %d pages and %d summaries were read", selector, restarted, read.pages, read.summaries)
			}
		}
	}
}

func TestASelectorThatMatchesOftenReadsEachPageOnce(t *testing.T) {
	const n = 10_000
	w := backlog(t, n)
	got, read := w.find(newSelecting("n > 0"), n)
	if len(got) != n || read.pages > n/pageSize+1 || read.summaries > 0 {
		t.Errorf("%d messages from %d pages and %d summaries", len(got), read.pages, read.summaries)
	}
}

func TestWhatIsNotSummedUpIsLookedAt(t *testing.T) {
	const n = 20_000
	w := backlog(t, n)
	// The last page has messages that the checkpoint doesn't know.
	w.publish(w.message(true, 4, 8, 0), 0)
	w.apply(1)
	if got, _ := w.find(newSelecting(fmt.Sprintf("n = %d", n+1)), 1); len(got) != 1 || got[0] != n+1 {
		t.Errorf("got %v", got)
	}
	// Nothing is summed up at all, as in data of an older version.
	wr, err := w.pages.Begin(pages.Mark{Index: w.pages.Mark().Index + 1000})
	w.must(err)
	for chunk := range uint64(n/pageSize/256 + 1) {
		w.must(wr.Delete(store.SummariesKey(nil, w.queues[0].ID(), 4, chunk)))
	}
	w.must(wr.Commit())
	for _, q := range w.queues {
		w.must(q.Relieve(nil, true))
	}
	got, read := w.find(newSelecting(fmt.Sprintf("n = %d", n-1)), 1)
	if len(got) != 1 || got[0] != n-1 || read.pages < n/pageSize-5 {
		t.Errorf("got %v from %d pages", got, read.pages)
	}
}

func FuzzSummariesOfAChunkNeverPanic(f *testing.F) {
	var s summaries
	s[3], s[255] = []byte{0}, []byte{1, 2, 3}
	f.Add(s.append(nil))
	f.Add([]byte{summariesVersion, 7, 200})
	f.Fuzz(func(t *testing.T, value []byte) {
		s, ok := parseSummaries(value)
		if !ok {
			return
		}
		again, ok := parseSummaries(s.append(nil))
		if !ok {
			t.Fatal("what was written can't be read")
		}
		for i := range s {
			if string(s[i]) != string(again[i]) {
				t.Errorf("page %d: %x, then %x", i, s[i], again[i])
			}
		}
	})
}
