package broker

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/store"
)

// once sends and waits.
func (c *client) once(m *message.Message, id SendID) {
	c.t.Helper()
	w := make(waiter, 1)
	c.PublishOnce(m, id, w, 0)
	if err := <-w; err != nil {
		c.t.Fatal(err)
	}
}

func nonPersistent(e *message.Envelope) { e.Durable = false }

func TestASendThatComesAgainIsConfirmedAndNotStored(t *testing.T) {
	r := newRig(t)
	c := connect(t, r.Broker, "")
	for _, edit := range []func(*message.Envelope){func(*message.Envelope) {}, nonPersistent} {
		q := message.Queue(fmt.Sprintf("q%p", edit))
		for _, seq := range []uint64{1, 2, 2, 1, 5, 4, 5, 3} {
			c.once(c.message(q, fmt.Sprint(seq), edit), SendID{"p" + q.Name, seq})
		}
		c.once(c.message(q, "other", edit), SendID{"other" + q.Name, 1})
		sub := connect(t, r.Broker, "")
		sub.subscribe(Subscription{Destination: q})
		wantBodies(t, sub.deliveries(6), "1", "2", "5", "4", "3", "other")
	}
	if n := r.Stats().Duplicates; n != 6 {
		t.Errorf("%d duplicates are counted, want 6", n)
	}
}

func TestARepetitionIsKnownWhileTheFirstSendIsOnItsWay(t *testing.T) {
	r := newRig(t)
	c, w := connect(t, r.Broker, ""), make(waiter, 100)
	for range 50 {
		c.PublishOnce(c.message(a, "durable"), SendID{"p", 1}, w, 0)
		c.PublishOnce(c.message(a, "transient", nonPersistent), SendID{"p", 2}, w, 0)
	}
	for range 100 {
		if err := <-w; err != nil {
			t.Fatal(err)
		}
	}
	sub := connect(t, r.Broker, "")
	sub.subscribe(Subscription{Destination: a})
	wantBodies(t, sub.deliveries(2), "durable", "transient")
}

func TestRepetitionsAreKnownAfterARestartAndAfterAKill(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Policies = []policy.Entry{{Pattern: message.Queue(">"), Apply: func(p *policy.Policy) { p.Duplicates.Window = 100 }}}
	})
	send := func() {
		c := connect(t, r.Broker, "")
		for i := range uint64(20) {
			c.once(c.message(a, "x"), SendID{"p", i})
			c.once(c.message(a, "y", func(e *message.Envelope) { e.MessageID = fmt.Sprint(i) }), SendID{})
		}
	}
	send()
	for i := range uint64(3) {
		if i == 1 {
			r.restart()
		} else {
			r.kill(i)
		}
		send()
		if s := r.Stats(); s.Messages != 40 || s.Duplicates != 40 {
			t.Fatalf("after restart %d: %d messages, %d duplicates", i, s.Messages, s.Duplicates)
		}
	}
}

func TestATransactionLeavesOutWhatWasSentBefore(t *testing.T) {
	r := newRig(t)
	c := connect(t, r.Broker, "")
	commit := func(end func(*Transaction), seqs ...uint64) {
		tx := c.Begin()
		for _, seq := range seqs {
			if err := tx.PublishOnce(c.message(a, fmt.Sprint(seq)), SendID{"p", seq}); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Publish(c.message(a, "plain")); err != nil {
			t.Fatal(err)
		}
		end(tx)
	}
	safe := func(tx *Transaction) {
		w := make(waiter, 1)
		tx.Commit(w, 0)
		if err := <-w; err != nil {
			t.Fatal(err)
		}
	}
	commit(safe, 1, 2)
	commit((*Transaction).Rollback, 3, 4)
	commit(safe, 3, 1, 5, 5)
	sub := connect(t, r.Broker, "")
	sub.subscribe(Subscription{Destination: a})
	wantBodies(t, sub.deliveries(6), "1", "2", "plain", "3", "5", "plain")
}

func TestASendToSeveralDestinationsIsRepeatedAsAWhole(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Policies = []policy.Entry{{Pattern: message.Queue("watched"), Apply: func(p *policy.Policy) { p.Duplicates.Window = 100 }}}
	})
	c := connect(t, r.Broker, "")
	for _, edit := range []func(*message.Envelope){func(*message.Envelope) {}, nonPersistent} {
		id := fmt.Sprintf("%p", edit)
		named := func(e *message.Envelope) { edit(e); e.MessageID = id }
		c.once(c.message(message.Queue("watched"), "", named), SendID{})
		for range 2 { // watched knows the message, the others don't
			c.once(c.message(message.Queue("watched,plain,queue://other"), "", named), SendID{id, 1})
		}
	}
	for name, want := range map[string]int{"watched": 2, "plain": 2, "other": 2} {
		if n, _ := r.queues.get(message.Queue(name)).Waiting(); n != want {
			t.Errorf("%s has %d messages, want %d", name, n, want)
		}
	}
}

func TestMessageIDsAreKnownInAWindow(t *testing.T) {
	r := newRig(t, func(o *Options) {
		o.Policies = []policy.Entry{{Pattern: message.Queue("a"), Apply: func(p *policy.Policy) { p.Duplicates.Window = 3 }}}
	})
	c := connect(t, r.Broker, "")
	send := func(d message.Destination, id string, props ...message.Property) {
		if props == nil {
			c.once(c.message(d, id, func(e *message.Envelope) { e.MessageID = id }), SendID{})
			return
		}
		e := message.Envelope{ID: c.NewID(), Destination: d, Durable: true, Priority: 4, Timestamp: 1, MessageID: id}
		c.once(message.NewView(&e, &message.View{Properties: props, Body: message.TextBody(id)}), SendID{})
	}
	for _, id := range []string{"1", "2", "1", "3", "4", "2", "1", "4"} {
		send(a, id)
	}
	send(message.Queue("b"), "1")
	send(message.Queue("b"), "1")
	send(a, "", text("_AMQ_DUPL_ID", "1")) // the property says the same
	send(a, "x", text("_AMQ_DUPL_ID", "1"))
	send(a, "") // without an id there are no repetitions
	send(a, "")
	sub := connect(t, r.Broker, "")
	sub.subscribe(Subscription{Destination: a})
	wantBodies(t, sub.deliveries(7), "1", "2", "3", "4", "1", "", "")
	if n, _ := r.queues.get(message.Queue("b")).Waiting(); n != 2 {
		t.Errorf("b has %d messages, want 2", n)
	}
}

func TestARepetitionMakesNoRoomForItself(t *testing.T) {
	r := withPolicy(t, limited(2, policy.DropOldest))
	c := connect(t, r.Broker, "")
	for _, seq := range []uint64{1, 2, 3, 3, 2, 1} {
		c.once(c.message(a, fmt.Sprint(seq)), SendID{"p", seq})
	}
	sub := connect(t, r.Broker, "")
	sub.subscribe(Subscription{Destination: a})
	wantBodies(t, sub.deliveries(2), "2", "3")
}

func TestALongProducerIDIsRefused(t *testing.T) {
	r := newRig(t)
	c, w := connect(t, r.Broker, ""), make(waiter, 1)
	c.PublishOnce(c.message(a, "x"), SendID{strings.Repeat("p", MaxProducer+1), 1}, w, 0)
	wantCode(t, <-w, CodeInvalid, "send: the producer's id is longer than 512 bytes")
	wantCode(t, c.Begin().PublishOnce(c.message(a, "x"), SendID{strings.Repeat("p", MaxProducer+1), 1}), CodeInvalid, "send: the producer's id")
}

// TestSendsAreWhatTheModelSays: sets of numbers, lists of ids, and the same
// again after they were stored and loaded.
func TestSendsAreWhatTheModelSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, stored := newSends(), map[string][]byte{}
		numbers, lists := map[string]map[uint64]bool{}, map[uint64][]byte{}
		const window = 5
		t.Repeat(map[string]func(*rapid.T){
			"producer": func(t *rapid.T) {
				name, seq := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"), rapid.Uint64Range(0, 60).Draw(t, "seq")
				if numbers[name] == nil {
					numbers[name] = map[uint64]bool{}
				}
				if isNew := s.add(sendKey{producer: name, seq: seq}); isNew == numbers[name][seq] {
					t.Fatalf("%s %d is new: %v", name, seq, isNew)
				}
				numbers[name][seq] = true
			},
			"message": func(t *rapid.T) {
				scope, id := rapid.Uint64Range(1, 2).Draw(t, "scope"), rapid.Byte().Draw(t, "id")%12
				before := strings.IndexByte(string(lists[scope]), id) >= 0
				if isNew := s.add(sendKey{scope: scope, id: [16]byte{id}, window: window}); isNew == before {
					t.Fatalf("%d at %d is new: %v", id, scope, isNew)
				}
				if !before {
					lists[scope] = append(lists[scope], id)
					lists[scope] = lists[scope][max(0, len(lists[scope])-window):]
				}
			},
			"store": func(t *rapid.T) {
				for _, c := range s.freeze(nil) {
					if delete(stored, c.name); !c.remove {
						stored[c.name] = c.value
					}
				}
				s = newSends()
				for name, value := range stored {
					if err := s.load(name, value); err != nil {
						t.Fatal(err)
					}
				}
				s.sort()
			},
		})
		for name, seqs := range numbers {
			for seq := range uint64(70) {
				if s.has(sendKey{producer: name, seq: seq}) != seqs[seq] {
					t.Fatalf("%s %d", name, seq)
				}
			}
		}
	})
}

func TestMemoryOfSendsIsBounded(t *testing.T) {
	s := newSends()
	for i := range uint64(maxProducers + 100) {
		s.add(sendKey{producer: fmt.Sprint(i), seq: 1})
	}
	if len(s.producers) != maxProducers || s.has(sendKey{producer: "0", seq: 1}) || !s.has(sendKey{producer: "100", seq: 1}) {
		t.Errorf("%d producers", len(s.producers))
	}
	for i := range uint64(10 * maxRanges) { // every second one is missing
		s.add(sendKey{producer: "gaps", seq: 2 * i})
	}
	p := s.producers["gaps"]
	if len(p.ranges) != maxRanges || !s.has(sendKey{producer: "gaps", seq: 1}) || s.has(sendKey{producer: "gaps", seq: 20*maxRanges - 3}) {
		t.Errorf("%d ranges", len(p.ranges))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range maxMessages + 100 {
		k := sendKey{scope: uint64(i % 1000), window: 1 << 20}
		for j := range k.id {
			k.id[j] = byte(rnd.Uint32())
		}
		s.add(k)
	}
	if len(s.ids) != maxMessages {
		t.Errorf("%d messages", len(s.ids))
	}
}

func FuzzGuardsNeverPanic(f *testing.F) {
	f.Add((&sendKey{producer: "p", seq: 7}).guard(2, producerLevel))
	f.Add((&sendKey{scope: 1, window: 9}).guard(0, messageLevel))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, n, level, ok := parseGuard(b); ok {
			again, m, l, ok := parseGuard(k.guard(n, level))
			if !ok || again != k || m != n || l != level {
				t.Errorf("%+v %d %d became %+v %d %d", k, n, level, again, m, l)
			}
		}
		s := newSends()
		_ = s.load("Pp", b)
		_ = s.load(string(b), []byte{1})
		s.sort()
		if c := s.freeze(nil); len(c) > 0 {
			t.Errorf("what was loaded has changed: %v", c)
		}
	})
}

var _ loadedPart = (*duplicates)(nil)

func BenchmarkPublishOnce(b *testing.B) {
	d := &duplicates{b: &Broker{}, logged: newSends()}
	ops := make([]store.Op, 2)
	for i := range b.N {
		ops[1] = store.Op{Kind: store.OpPublish}
		guard(ops, sendKey{producer: "ID:host-1234-1:1:1:1", seq: uint64(i)}, producerLevel)
		d.apply(ops[0].Data)
	}
}
