package broker

import (
	"fmt"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
)

// prepareOne prepares a transaction that takes "in" from queue a and sends
// "out" to queue b, and returns the delivery of "in".
func prepareOne(t *testing.T, c *client, name string) Delivery {
	t.Helper()
	c.send(a, "in")
	c.subscribe(Subscription{Destination: a})
	d := c.deliveries(1)[0]
	tx := c.Begin()
	if err := tx.Publish(c.message(message.Queue("b"), "out")); err != nil {
		t.Fatal(err)
	}
	if err := tx.Settle(d.Consumer, d.Tag, Accepted); err != nil {
		t.Fatal(err)
	}
	w := make(waiter, 1)
	empty, err := tx.Prepare(name, w, 0)
	if err != nil || empty {
		t.Fatalf("prepare: empty %v, %v", empty, err)
	}
	if err := <-w; err != nil {
		t.Fatal(err)
	}
	return d
}

func (c *client) endPrepared(name string, commit bool) {
	c.t.Helper()
	w := make(waiter, 1)
	if err := c.EndPrepared(name, commit, w, 0); err != nil {
		c.t.Fatal(err)
	}
	if err := <-w; err != nil {
		c.t.Fatal(err)
	}
}

func TestAPreparedTransactionWaitsForItsEndThroughEverything(t *testing.T) {
	for name, between := range map[string]func(r *rig, c *client) *client{
		"nothing":        func(_ *rig, c *client) *client { return c },
		"another client": func(r *rig, c *client) *client { c.Close(); return connect(t, r.Broker, "") },
		"a restart":      func(r *rig, _ *client) *client { r.restart(); return connect(t, r.Broker, "") },
		"a kill":         func(r *rig, _ *client) *client { r.kill(1); return connect(t, r.Broker, "") },
		"two kills":      func(r *rig, _ *client) *client { r.kill(1); r.kill(2); return connect(t, r.Broker, "") },
		"a restart and a kill": func(r *rig, _ *client) *client {
			r.restart()
			r.kill(1)
			return connect(t, r.Broker, "")
		},
	} {
		for _, commit := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, commit %v", name, commit), func(t *testing.T) {
				r := newRig(t)
				c := connect(t, r.Broker, "")
				prepareOne(t, c, "x")
				c = between(r, c)
				watch := connect(t, r.Broker, "")
				watch.subscribe(Subscription{Destination: a})
				watch.subscribe(Subscription{Destination: message.Queue("b")})
				if names := c.Prepared(); len(names) != 1 || names[0] != "x" {
					t.Fatalf("prepared: %q", names)
				}
				c.send(message.Queue("b"), "before")
				wantBodies(t, watch.deliveries(1), "before")
				c.endPrepared("x", commit)
				if commit {
					wantBodies(t, watch.deliveries(2), "before", "out")
				} else {
					c.Close() // if it still has the delivery, it goes on
					wantBodies(t, watch.deliveries(2), "before", "in")
				}
				c = connect(t, r.Broker, "")
				if err := c.EndPrepared("x", commit, nil, 0); CodeOf(err) != CodeNotFound {
					t.Errorf("a second end: %v", err)
				}
				r.kill(3)
				c = connect(t, r.Broker, "")
				if names := c.Prepared(); len(names) != 0 {
					t.Errorf("prepared after its end: %q", names)
				}
				want := "in"
				if commit {
					want = "out"
				}
				watch = connect(t, r.Broker, "")
				watch.subscribe(Subscription{Destination: message.Queue(">")})
				got := map[string]bool{}
				for _, d := range watch.deliveries(2) {
					got[string(d.Message.Payload())] = true
				}
				if !got[want] || !got["before"] {
					t.Errorf("waits at the end: %v, want %q and before", got, want)
				}
			})
		}
	}
}

func TestARolledBackPreparedTransactionLeavesItsDeliveriesWithTheirConsumer(t *testing.T) {
	r := newRig(t)
	c := connect(t, r.Broker, "")
	d := prepareOne(t, c, "x")
	c.endPrepared("x", false)
	c.accept(d)
	eventually(t, "empty queue", func() bool { return r.Stats().Messages == 0 })
}

func TestPreparationsThatMakeNoSenseAreRefused(t *testing.T) {
	r := newRig(t)
	c := connect(t, r.Broker, "")
	if empty, err := c.Begin().Prepare("empty", nil, 0); !empty || err != nil {
		t.Errorf("of nothing: %v, %v", empty, err)
	}
	prepareOne(t, c, "x")
	for name, code := range map[string]Code{"x": CodeExists, "": CodeInvalid, string(make([]byte, 300)): CodeInvalid} {
		if _, err := c.Begin().Prepare(name, nil, 0); CodeOf(err) != code {
			t.Errorf("%.10q: %v, want %v", name, err, code)
		}
	}
	tx := c.Begin()
	tx.Rollback()
	if _, err := tx.Prepare("y", nil, 0); CodeOf(err) != CodeState {
		t.Errorf("of a finished one: %v", err)
	}
	if err := c.EndPrepared("z", true, nil, 0); CodeOf(err) != CodeNotFound {
		t.Errorf("end of an unknown one: %v", err)
	}
}

func FuzzParseBranch(f *testing.F) {
	m := message.New(&message.Envelope{Destination: a, Durable: true}, message.EncodingSTOMP, []byte("x"))
	f.Add(branchOp(branchPrepare, "name", "user", []store.Op{{Kind: store.OpAck, Queue: 1, Pos: 2}, {Kind: store.OpPublish, Msg: m}}).Data)
	f.Add(branchOp(branchCommit, "name", "", nil).Data)
	f.Fuzz(func(t *testing.T, data []byte) {
		change, name, br, err := parseBranch(data)
		if err != nil {
			return
		}
		var user string
		var ops []store.Op
		if br != nil {
			user, ops = br.user, br.ops
		}
		again, name2, br2, err := parseBranch(branchOp(change, name, user, ops).Data)
		if err != nil || again != change || name2 != name || br2 != nil && len(br2.ops) != len(ops) {
			t.Fatalf("%x: %v", data, err)
		}
	})
}
