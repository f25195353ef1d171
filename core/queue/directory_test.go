package queue

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// stored writes what a queue with a bit of everything is stored as.
func stored(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, 1<<40)
	for i := range 200 {
		expiry := int64(0)
		if i == 70 {
			expiry = 5000
		}
		w.publish(w.message(true, 4, 8, expiry), 0)
	}
	w.publish(w.message(true, 9, 20_000, 0), 0)
	w.apply(len(w.log))
	q := w.queues[0]
	q.Extra = []byte("extra")
	q.ApplyAck(4<<laneShift, 63) // the first page
	q.ApplyAck(4<<laneShift|100, 0)
	q.ApplyAttempt(4<<laneShift|130, 3)
	w.freeze()
	w.write(false)
	return w
}

// goldenDirectory is keys and values of stored's first queue.
var goldenDirectory = []string{
	"020000000000000001 0101027130056578747261c9014100000002090104c801",
	"030000000000000001040000000000000000 010124ffffffefffffffff0000000000001388e20f28ffffffffffffffff80100102032000000000000000ff8002",
	"030000000000000001090000000000000000 01002200000000000000010000000000000001b99c01",
}

func TestStoredQueueIsAsItWasWritten(t *testing.T) {
	w := stored(t)
	var got []string
	for _, prefix := range [][]byte{store.QueuePrefix, store.ChunkPrefix} {
		w.must(w.pages.Scan(prefix, func(key, value []byte) error {
			if key[8] == 1 {
				got = append(got, hex.EncodeToString(key)+" "+hex.EncodeToString(value))
			}
			return nil
		}))
	}
	if !slices.Equal(got, goldenDirectory) {
		t.Fatalf("the stored form has changed; that needs a new version\n%s", strings.Join(got, "\n"))
	}
}

func TestRestoredQueueIsWhatWasStored(t *testing.T) {
	w := stored(t)
	old := w.queues[0].Queue
	w.budget = store.NewBudget(1 << 40)
	w.fresh()
	w.restore()
	q := w.queues[0].Queue
	if q.dest != old.dest || string(q.Extra) != "extra" || q.counters != old.counters || q.free.Load() != old.free.Load() {
		t.Fatalf("restored %v %q %+v %d, want %v %q %+v %d", q.dest, q.Extra, q.counters, q.free.Load(), old.dest, old.Extra, old.counters, old.free.Load())
	}
	for _, lv := range old.levels {
		l := &q.level(lv.priority).durable
		if l.next != lv.durable.next || l.live != lv.durable.live || fmt.Sprint(l.attempts) != fmt.Sprint(lv.durable.attempts) {
			t.Fatalf("lane %d: next %d live %d attempts %v", lv.priority, l.next, l.live, l.attempts)
		}
		for i := range lv.durable.pages {
			want := &lv.durable.pages[i]
			p := l.page(want.number << pageShift)
			if p == nil || p.live != want.live || p.stored != want.stored || p.byRef != want.byRef || p.minExpiry != want.minExpiry {
				t.Fatalf("page %d: %+v, want %+v", want.number, p, want)
			}
		}
	}
	q.invariants(t)
}

func TestRestoreRefusesWhatItDidNotWrite(t *testing.T) {
	chunk := func(b ...byte) []byte { return append([]byte{chunkVersion}, b...) }
	full := bytes.Repeat([]byte{0xff}, 8)
	for name, value := range map[string][]byte{
		"nothing":                 {},
		"another version":         {9},
		"no number":               chunk(),
		"a page of another chunk": chunk(0x80, 0x02, pageEmpty),
		"half a bitmap":           chunk(0, 0, 1, 2),
		"a page behind the end":   chunk(append([]byte{9, 0}, full...)...),
		"messages behind the end": chunk(append([]byte{1, 0}, full...)...),
		"attempts that end early": chunk(append(append([]byte{0, pageHasTries}, full...), 5, 1)...),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1<<40)
			q := w.queues[0].Queue
			q.level(4).durable.next = 100
			if err := q.RestoreChunk(4, 0, value); !errors.Is(err, errMeta) && name != "no number" {
				t.Fatalf("restored: %v", err)
			}
		})
	}
}

// allocated runs f and returns the bytes that it allocated.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func FuzzRestore(f *testing.F) {
	w := stored(&testing.T{})
	for _, prefix := range [][]byte{store.QueuePrefix} {
		w.must(w.pages.Scan(prefix, func(_, value []byte) error { f.Add(bytes.Clone(value)); return nil }))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		w := newWorld(t, 1<<40)
		q := New(message.Destination{}, w, w.budget)
		var err error
		if n := allocated(func() { err = q.Restore(7, value) }); n > 1<<16+16*uint64(len(value)) {
			t.Fatalf("%d bytes for a value of %d", n, len(value))
		}
		if err != nil {
			return
		}
		again := New(message.Destination{}, w, w.budget)
		if err := again.Restore(7, q.encodeMeta()); err != nil {
			t.Fatalf("what was written again can't be restored: %v", err)
		}
		if !bytes.Equal(q.encodeMeta(), again.encodeMeta()) {
			t.Fatal("it changes when it is written again")
		}
	})
}

func FuzzRestoreChunk(f *testing.F) {
	w := stored(&testing.T{})
	w.must(w.pages.Scan(store.ChunkPrefix, func(_, value []byte) error { f.Add(uint64(200), bytes.Clone(value)); return nil }))
	f.Fuzz(func(t *testing.T, next uint64, value []byte) {
		w := newWorld(t, 1<<40)
		q := w.queues[0].Queue
		l := &q.level(4).durable
		l.next = next & seqMask
		chunk := l.next >> (pageShift + chunkShift)
		var err error
		if n := allocated(func() { err = q.RestoreChunk(4, chunk, value) }); n > 1<<16+64*uint64(len(value)) {
			t.Fatalf("%d bytes for a value of %d", n, len(value))
		}
		if err != nil {
			return
		}
		q.invariants(t)
		again := w.queues[1].Queue
		m := &again.level(4).durable
		m.next = l.next
		value = l.appendChunk(nil, chunk)
		if value == nil {
			return
		}
		if err := again.RestoreChunk(4, chunk, value); err != nil {
			t.Fatalf("what was written again can't be restored: %v", err)
		}
		if !bytes.Equal(value, m.appendChunk(nil, chunk)) {
			t.Fatal("it changes when it is written again")
		}
	})
}

func FuzzEachEntry(f *testing.F) {
	w := stored(&testing.T{})
	w.must(w.pages.Scan([]byte{0x04}, func(_, value []byte) error { f.Add(bytes.Clone(value)); return nil }))
	f.Fuzz(func(t *testing.T, value []byte) {
		total := 0
		err := eachEntry(value, func(slot uint8, entry []byte, ref *bodyRef) error {
			total += len(entry)
			if slot >= pageSize {
				t.Fatalf("slot %d", slot)
			}
			if raw := inlineRaw(entry, ref); ref == nil && len(raw) > len(entry) {
				t.Fatalf("%d bytes in an entry of %d", len(raw), len(entry))
			}
			return nil
		})
		if err == nil && len(value) > 0 && total != len(value)-1 {
			t.Fatalf("entries have %d bytes of %d", total, len(value)-1)
		}
	})
}

// A body's size comes from the disk: memory must not be taken for it before
// its parts are there.
func FuzzGetBody(f *testing.F) {
	f.Add(uint64(20_000))
	f.Add(^uint64(0))
	f.Fuzz(func(t *testing.T, size uint64) {
		ref := &bodyRef{id: message.ID{Hi: 1, Lo: 2}, size: int(size)}
		n := allocated(func() {
			if _, err := getBody(pages.NewMemory(), ref); err == nil && size != 0 {
				t.Fatal("a body that isn't there was read")
			}
		})
		if n > 1<<16 {
			t.Fatalf("%d bytes for a body that isn't there", n)
		}
	})
}
