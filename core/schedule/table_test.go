package schedule

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
)

func job(n, size int) *Job {
	id := message.ID{Hi: 7, Lo: uint64(n)}
	e := message.Envelope{ID: id, Destination: message.Queue("q"), Priority: 4, Annotations: []message.Annotation{{Name: Delay, Value: "5"}}}
	return &Job{ID: id, Created: 1, Spec: Spec{Delay: 5}, Message: message.New(&e, message.EncodingSTOMP, bytes.Repeat([]byte{byte(n)}, size))}
}

// model is a table that anybody can see is right, with the store behind it.
type model struct {
	jobs   map[message.ID]Entry
	stored map[string][]byte
}

// TestATableHoldsWhatItWasTold changes a table and a model at random, with
// checkpoints and starts from the store in between.
func TestATableHoldsWhatItWasTold(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		m := model{jobs: make(map[message.ID]Entry), stored: make(map[string][]byte)}
		resident := 0
		table := NewTable(func(n int) { resident += n })
		for step := range 3000 {
			switch n := rng.IntN(100); {
			case n < 50:
				j := job(step, rng.IntN(200))
				if rng.IntN(200) == 0 {
					j = job(step, 2*partSize)
				}
				e := Entry{ID: j.ID, Due: rng.Int64N(1000), Left: rng.Uint32N(3)}
				table.Apply(AppendAdded(nil, j, e.Due, e.Left))
				m.jobs[j.ID] = e
			case n < 70:
				now := rng.Int64N(1000)
				held := table.TakeDue(make([]Entry, 0, 5), now)
				for i, e := range held {
					if e.Due > now || m.jobs[e.ID] != e {
						t.Fatalf("seed %d, step %d: took %+v at %d, want %+v", seed, step, e, now, m.jobs[e.ID])
					}
					held[i].Due = 0
					if e.Left > 0 {
						held[i] = Entry{e.ID, e.Due + rng.Int64N(10_000), e.Left - 1}
						m.jobs[e.ID] = held[i]
					} else {
						delete(m.jobs, e.ID)
					}
				}
				table.Apply(AppendFired(nil, held))
			case n < 80:
				ids := slices.SortedFunc(maps.Keys(m.jobs), byID)
				for range min(len(ids), 3) {
					id := ids[rng.IntN(len(ids))]
					if table.Cancel(id) {
						table.Apply(AppendRemoved(nil, []message.ID{id}))
						delete(m.jobs, id)
					}
				}
			case n < 85:
				table.Return(table.TakeDue(make([]Entry, 0, 10), 500))
			case n < 90:
				m.checkpoint(table)
				table.Written()
			case n < 92:
				m.checkpoint(table)
				if table = m.load(t, func(n int) { resident += n }); table.Resident() != 0 {
					t.Fatalf("%d bytes resident after a start", table.Resident())
				}
				resident = 0
			}
			if resident != table.Resident() {
				t.Fatalf("seed %d, step %d: told of %d resident bytes, has %d", seed, step, resident, table.Resident())
			}
		}
		m.check(t, table)
		for _, e := range m.jobs {
			table.Apply(AppendRemoved(nil, []message.ID{e.ID}))
		}
		m.checkpoint(table)
		if table.Written(); len(m.stored) != 0 || table.Len() != 0 || resident != 0 || len(table.large) != 0 {
			t.Errorf("seed %d: left %d values, %d jobs, %d bytes, %d large ones", seed, len(m.stored), table.Len(), resident, len(table.large))
		}
	}
}

func (m *model) checkpoint(table *Table) {
	table.Freeze(func(kind byte, name string, value []byte) {
		if key := string(kind) + name; value == nil {
			delete(m.stored, key)
		} else {
			m.stored[key] = bytes.Clone(value)
		}
	})
}

func (m *model) load(t *testing.T, resident func(int)) *Table {
	t.Helper()
	table := NewTable(resident)
	for _, key := range slices.Sorted(maps.Keys(m.stored)) {
		if key[0] == KindDirectory {
			if err := table.Load(key[1:], m.stored[key]); err != nil {
				t.Fatal(err)
			}
		}
	}
	return table
}

func (m *model) check(t *testing.T, table *Table) {
	t.Helper()
	want := slices.SortedFunc(maps.Values(m.jobs), compare)
	if got := table.Window(0, 1<<60, Entry{}, 0); !slices.Equal(got, want) {
		t.Fatalf("%d jobs, want %d", len(got), len(want))
	}
	var paged []Entry
	for after := (Entry{}); ; after = paged[len(paged)-1] {
		page := table.Window(0, 1<<60, after, 7)
		if paged = append(paged, page...); len(page) < 7 {
			break
		}
	}
	if !slices.Equal(paged, want) {
		t.Fatalf("%d jobs in pages, want %d", len(paged), len(want))
	}
	for _, e := range want {
		record, ok := table.Record(e.ID)
		for part := 0; !ok && part < table.Parts(e.ID); part++ {
			record = append(record, m.stored[string(KindRecord)+RecordName(e.ID, part)]...)
		}
		if j, err := DecodeJob(record); err != nil || j.ID != e.ID {
			t.Fatalf("record of %v: %v", e.ID, err)
		}
	}
}

// A checkpoint that a crash cut short is written again by another table that
// replays the log from the checkpoint before: with the same keys.
func TestACheckpointIsAFunctionOfTheLog(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := model{stored: make(map[string][]byte)}
		first := NewTable(nil)
		n := 0
		change := func() []byte {
			n++
			if rng.IntN(3) == 0 {
				return AppendRemoved(nil, []message.ID{{Hi: 7, Lo: rng.Uint64N(uint64(n))}})
			}
			return AppendAdded(nil, job(n, 10), rng.Int64N(100), 0)
		}
		for range 2000 {
			first.Apply(change())
		}
		m.checkpoint(first)
		first.Written()
		second := m.load(t, nil)
		for range 500 {
			c := change()
			first.Apply(c)
			second.Apply(c)
		}
		if a, b := frozen(first), frozen(second); a != b {
			t.Fatalf("seed %d: checkpoints differ:\n%.2000s\n%.2000s", seed, a, b)
		}
	}
}

func frozen(t *Table) string {
	var out []string
	t.Freeze(func(kind byte, name string, value []byte) {
		out = append(out, fmt.Sprintf("%c %x %x", kind, name, value))
	})
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func TestAChangeSaysWhenSomethingIsDueSooner(t *testing.T) {
	table := NewTable(nil)
	for i, test := range []struct {
		due  int64
		want bool
	}{{50, true}, {60, false}, {50, false}, {40, true}} {
		if got := table.Apply(AppendAdded(nil, job(i, 1), test.due, 0)); got != test.want {
			t.Errorf("due %d: %v", test.due, got)
		}
	}
}

func TestRecordsSurviveTheirEncoding(t *testing.T) {
	j := job(1, 100)
	j.Spec = Spec{At: 1, Delay: 2, Period: 3, Repeat: 4, Cron: "* * * * *", Zone: "UTC"}
	got, err := DecodeJob(j.Append(nil))
	if err != nil || got.Spec != j.Spec || got.ID != j.ID || got.Created != j.Created || !bytes.Equal(got.Message.Raw(), j.Message.Raw()) {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzDecodeJob(f *testing.F) {
	f.Add(job(1, 10).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := DecodeJob(b)
		if err != nil {
			return
		}
		again := j.Append(nil)
		if k, err := DecodeJob(again); err != nil || !bytes.Equal(k.Append(nil), again) {
			t.Fatalf("encoded again: %v", err)
		}
	})
}

// FuzzTable applies and loads whatever there may be.
func FuzzTable(f *testing.F) {
	f.Add(AppendAdded(nil, job(1, 10), 5, 1), []byte{1})
	f.Add(AppendFired(nil, []Entry{{message.ID{Hi: 7, Lo: 1}, 9, 0}}), []byte{1})
	f.Add(AppendRemoved(nil, []message.ID{{Hi: 7, Lo: 1}}), []byte{1})
	filled := NewTable(nil)
	for i := range 5 {
		filled.Apply(AppendAdded(nil, job(i, 1), int64(i), 0))
	}
	f.Add([]byte{2}, filled.directory(0))
	f.Fuzz(func(t *testing.T, change, directory []byte) {
		table := NewTable(nil)
		if err := table.Load("\x00\x00\x00\x00", directory); err == nil {
			if n := len(table.Window(0, math.MaxInt64, Entry{Due: -1}, 0)); n != table.Len() {
				t.Fatalf("%d in the heap, %d jobs", n, table.Len())
			}
			again := NewTable(nil)
			if d := table.directory(0); d != nil {
				if err := again.Load("\x00\x00\x00\x00", d); err != nil || !bytes.Equal(again.directory(0), d) {
					t.Fatalf("loaded again: %v", err)
				}
			}
		}
		table.Apply(change)
		table.Apply(change)
		for _, e := range table.TakeDue(make([]Entry, 0, 10), math.MaxInt64-1) {
			table.Apply(AppendRemoved(nil, []message.ID{e.ID}))
		}
	})
}

func TestAClockThatJumpsIsDoubtedAtFirst(t *testing.T) {
	var said []string
	wall, elapsed := time.Unix(1000, 0), time.Duration(0)
	c := Clock{
		Wall: func() time.Time { return wall }, Elapsed: func() time.Duration { return elapsed }, MaxJump: time.Minute,
		Jumped:   func(by time.Duration) { said = append(said, "jumped "+by.String()) },
		Believed: func(by time.Duration) { said = append(said, "believed "+by.String()) },
	}
	for i, step := range []struct {
		wall, elapsed time.Duration
		want          int64 // seconds
	}{
		{0, 0, 1000},
		{time.Second, time.Second, 1001},
		{31 * time.Second, time.Second, 1032},              // 30 s ahead: believed
		{time.Hour + time.Second, time.Second, 1032 + 61},  // an hour: not more than a minute of it
		{10 * time.Second, 10 * time.Second, 1032 + 71},    //
		{-time.Hour + time.Second, time.Second, 1032 + 12}, // set right
		{-time.Minute, 0, 1032 + 12 - 60},                  // back: followed
		{time.Hour, 0, 984 + 60},                           // again an hour
		{59 * time.Second, 59 * time.Second, 984 + 119},    //
		{time.Second, time.Second, 984 + 3600 + 60},        // a minute later: believed
		{time.Second, time.Second, 984 + 3600 + 61},
	} {
		wall, elapsed = wall.Add(step.wall), elapsed+step.elapsed
		if got := c.Now(); got != step.want*1000 {
			t.Errorf("step %d: %d, want %d", i, got, step.want*1000)
		}
	}
	if got := strings.Join(said, ", "); got != "jumped 1h0m0s, jumped 1h0m0s, believed 1h0m0s" {
		t.Error(got)
	}
}

// BenchmarkPage lists a hundred of a million jobs.
func BenchmarkPage(b *testing.B) {
	table := million()
	for b.Loop() {
		table.Window(0, 1<<60, Entry{}, 100)
	}
}

// BenchmarkTable sends a job of a million and puts it back.
func BenchmarkTable(b *testing.B) {
	table := million()
	rng := rand.New(rand.NewPCG(3, 4))
	held := make([]Entry, 0, 1)
	for b.Loop() {
		due := table.TakeDue(held, 1<<62)
		due[0].Due += rng.Int64N(1 << 40)
		table.Apply(AppendFired(nil, due))
	}
}

// million returns a table of a million jobs whose records are stored.
func million() *Table {
	table, record, rng := NewTable(nil), job(0, 1), rand.New(rand.NewPCG(1, 2))
	for i := range 1_000_000 {
		record.ID.Lo = uint64(i)
		table.Apply(AppendAdded(nil, record, rng.Int64N(1<<40), 0))
	}
	table.Freeze(func(byte, string, []byte) {})
	table.Written()
	return table
}
