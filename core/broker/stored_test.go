package broker

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
)

// sampleChanges has one change of each kind.
func sampleChanges() []storedChange {
	will := message.New(&message.Envelope{ID: message.ID{Hi: 1, Lo: 2}, Destination: message.Topic("w")}, message.EncodingHub)
	subs := []StoredSubscription{
		{Topic: "a.*", Queued: true, NoLocal: true, Options: 2, ID: 300}, {Topic: "b", Group: "g"},
	}
	id := message.ID{Hi: 7, Lo: 9}
	return []storedChange{
		{kind: storedOpen, clientID: "c", id: id, owner: "alice", expiry: 60, clean: true, will: &storedWill{message: will, delay: 5, expiry: 6}},
		{kind: storedOpen, clientID: "c", id: id},
		{kind: storedClose, clientID: "c", id: id, expiry: 3, now: 1234567, dropWill: true},
		{kind: storedEnd, clientID: "c", now: 5, force: true},
		{kind: storedWillSent, clientID: "c", id: id},
		{kind: storedSubscribe, clientID: "c", id: id, subs: subs, recover: []bool{true, false}},
		{kind: storedUnsubscribe, clientID: "c", subs: subs[:1]},
		{kind: storedIn, clientID: "c", number: 65535},
		{kind: storedInDone, clientID: "c", number: 1},
		{kind: storedOut, clientID: "c", number: 2},
		{kind: storedOutDone, clientID: "c", number: 3},
	}
}

func TestChangesOfStoredSessionsAreReadAsTheyWereWritten(t *testing.T) {
	for _, c := range sampleChanges() {
		b := c.encode()
		got, err := parseStoredChange(b)
		if err != nil {
			t.Errorf("kind %d: %v", c.kind, err)
			continue
		}
		if again := got.encode(); !bytes.Equal(again, b) {
			t.Errorf("kind %d: %x became %x", c.kind, b, again)
		}
		if c.kind == storedSubscribe || c.kind == storedUnsubscribe || c.will != nil {
			continue // these go on to the end: what is cut off may be one less of them
		}
		for n := range b {
			if _, err := parseStoredChange(b[:n]); err == nil {
				t.Errorf("kind %d: %d of %d bytes are taken", c.kind, n, len(b))
			}
		}
	}
}

// FuzzStoredChange reads changes and stored sessions from what a damaged disk
// might hold.
func FuzzStoredChange(f *testing.F) {
	for _, c := range sampleChanges() {
		f.Add(c.encode())
	}
	s := storedSession{clientID: "c", in: numberSet{1, 5}, out: numberSet{9}, subs: sampleChanges()[5].subs, expiry: 5, owner: "o"}
	f.Add(s.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseStoredChange(b); err == nil {
			if _, err := parseStoredChange(c.encode()); err != nil {
				t.Fatalf("%x is read and can't be written: %v", b, err)
			}
		}
		if s, err := parseStored("c", b); err == nil {
			if again, err := parseStored("c", s.append(nil)); err != nil || len(again.subs) != len(s.subs) {
				t.Fatalf("%x is read and can't be written: %v", b, err)
			}
		}
	})
}

func TestNumbersAreASet(t *testing.T) {
	var n numberSet
	for _, v := range []uint16{5, 1, 65535, 5, 3} {
		n.add(v)
	}
	n.remove(3)
	n.remove(4)
	if fmt.Sprint(n) != "[1 5 65535]" {
		t.Fatalf("got %v", n)
	}
}

// storedState is everything that the log says of a session, as bytes.
func (r *rig) storedState(clientID string) []byte {
	r.t.Helper()
	p := r.Broker.stored
	p.mu.RLock()
	defer p.mu.RUnlock()
	s := p.byClient[clientID]
	if s == nil {
		return nil
	}
	return s.append(nil)
}

func TestStoredSessionIsTheSameAfterRestartAndKill(t *testing.T) {
	r := newRig(t)
	c := connect(t, r.Broker, "s")
	st, present, err := c.Store(StoreOptions{Expiry: 100})
	if err != nil || present {
		t.Fatalf("%v, %v", present, err)
	}
	subs := []StoredSubscription{{Topic: "a.*", Queued: true, Options: 1, ID: 7}, {Topic: "b", Options: 2}}
	if err := st.Subscribe(subs, []bool{false, false}); err != nil {
		t.Fatal(err)
	}
	w := make(waiter, 10)
	st.Publish(c.message(message.Topic("a.1"), "one", func(e *message.Envelope) { e.Durable = true }), 42, w, 0)
	st.Publish(c.message(message.Topic("nobody"), "two", func(e *message.Envelope) { e.Durable = true }), 43, w, 0)
	st.Release(43, w, 0)
	for range 3 {
		if err := <-w; err != nil {
			t.Fatal(err)
		}
	}
	st.End(100, true)
	c.Sync(w, 0)
	<-w
	before := r.storedState("s")
	check := func(how string) {
		t.Helper()
		if after := r.storedState("s"); !bytes.Equal(after, before) {
			t.Fatalf("after %s: %x, was %x", how, after, before)
		}
	}
	r.kill(0)
	check("a kill")
	r.restart()
	check("a restart")
	c = connect(t, r.Broker, "s")
	st, present, err = c.Store(StoreOptions{Expiry: 100})
	if err != nil || !present {
		t.Fatalf("%v, %v", present, err)
	}
	if got := fmt.Sprint(st.Taken(), st.Received(), st.Waiting(), len(st.Subscriptions())); got != "[42] [] 1 2" {
		t.Fatalf("got %s", got)
	}
}

func TestStoredSessionOfAConnectionThatLostItIsLeftAlone(t *testing.T) {
	r := newRig(t)
	old := connect(t, r.Broker, "s")
	first, _, err := old.Store(StoreOptions{Expiry: 100})
	if err != nil {
		t.Fatal(err)
	}
	old.Close()
	late := connect(t, r.Broker, "s")
	second, present, err := late.Store(StoreOptions{Expiry: 100})
	if err != nil || !present {
		t.Fatalf("%v, %v", present, err)
	}
	first.End(0, true) // comes late
	if err := second.Subscribe([]StoredSubscription{{Topic: "t", Queued: true}}, nil); err != nil {
		t.Fatal(err)
	}
	if n := len(second.Subscriptions()); n != 1 || len(first.Subscriptions()) != 0 {
		t.Fatalf("the session has %d subscriptions", n)
	}
}

// TestManyStoredSessionsCostLittleMemory holds a session with one queued
// subscription to a kilobyte.
func TestManyStoredSessionsCostLittleMemory(t *testing.T) {
	r := newRig(t)
	const n = 10_000
	var before, after runtime.MemStats
	r.restart()
	runtime.GC()
	runtime.ReadMemStats(&before)
	var ops []store.Op
	for i := range n {
		id := fmt.Sprintf("device-%06d", i)
		for _, c := range []storedChange{
			{kind: storedOpen, clientID: id, id: message.ID{Lo: uint64(i + 1)}, expiry: NeverExpires},
			{kind: storedSubscribe, clientID: id, subs: []StoredSubscription{{Topic: "devices." + id, Queued: true}}},
			{kind: storedClose, clientID: id, id: message.ID{Lo: uint64(i + 1)}, expiry: NeverExpires, now: 1},
		} {
			ops = append(ops, r.Broker.stored.op(&c))
		}
	}
	w := make(waiter, 1)
	r.Broker.store.Commit(store.Request{Ops: ops, Done: w})
	if err := <-w; err != nil {
		t.Fatal(err)
	}
	ops = nil
	r.restart()
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := int(after.HeapAlloc-before.HeapAlloc) / n
	t.Logf("%d bytes each", each)
	if each > 2048 {
		t.Errorf("a stored session takes %d bytes", each)
	}
	runtime.KeepAlive(ops)
}
