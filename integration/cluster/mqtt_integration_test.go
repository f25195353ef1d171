//go:build integration

package cluster

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/entrepot-mq/entrepot/integration/harness"
	"github.com/entrepot-mq/entrepot/integration/mqtt"
)

// run keeps a client's session connected to whichever node answers, until ctx
// ends.
func (r *rig) run(ctx context.Context, c *mqtt.Client, at int) {
	for ; ctx.Err() == nil; at++ {
		if err := c.Run(ctx, r.Nodes[at%len(r.Nodes)].MQTT); err != nil {
			r.t.Error(err)
			return
		}
		rest(ctx)
	}
}

// subscribed keeps a subscriber connected and returns once its session exists.
func (r *rig) subscribed(ctx context.Context, clients *sync.WaitGroup, c *mqtt.Client) {
	r.t.Helper()
	there := make(chan struct{})
	c.Subscribed = sync.OnceFunc(func() { close(there) })
	clients.Go(func() { r.run(ctx, c, 0) })
	select {
	case <-there:
	case <-time.After(time.Minute):
		r.t.Fatal("the subscription was not answered")
	}
}

// TestSessionsOfMQTTSurviveFailovers ends masters under clients of MQTT that
// keep their sessions: of what was confirmed nothing is lost, and nothing of
// QoS 2 comes twice.
func TestSessionsOfMQTTSurviveFailovers(t *testing.T) {
	r := newRig(t)
	l := mqtt.NewLedger()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients sync.WaitGroup
	r.subscribed(ctx, &clients, l.Subscriber("subscriber", "failover/#"))
	for i, name := range []string{"one", "two", "three"} {
		qos := byte(min(i+1, 2))
		clients.Go(func() { r.run(ctx, l.Publisher("failover", name, qos), i) })
	}
	enough := func(what string) {
		t.Helper()
		before := l.Confirmed()
		r.ok(harness.Until(ctx, time.Minute, what, func() bool { return l.Confirmed() >= before+200 }))
	}
	faults := []string{"kill -9 of the broker", "the death of the node", "a pause longer than the lease", "kill -9 of all"}
	n := 0
	for range many(t, 5) {
		for _, what := range faults {
			enough("publishes are confirmed before " + what)
			r.breakOnce(what)
			n++
		}
	}
	enough("publishes are confirmed at the end")
	l.Stop()
	if err := harness.Until(ctx, 2*time.Minute, "everything arrives", l.Settled); err != nil {
		t.Error(err)
	}
	cancel()
	clients.Wait()
	v := l.Verdict()
	t.Logf("%d failovers: %s", n, v)
	if err := v.Err(); err != nil {
		t.Error(err)
	}
	r.finish()
}

// testament is a client of MQTT 5 with a will.
type testament struct {
	id    string
	delay uint32 // seconds
	conn  net.Conn
}

func (w *testament) connect(ctx context.Context, r *rig) error {
	conn, err := net.DialTimeout("tcp", r.master().MQTT, patience)
	if err != nil {
		return err
	}
	w.conn = conn
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	expiry, topic := uint32(600), "wills/"+w.id
	c := paho.NewClient(paho.ClientConfig{ClientID: w.id, Conn: conn})
	_, err = c.Connect(ctx, &paho.Connect{
		ClientID: w.id, KeepAlive: 0, Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry},
		WillMessage:    &paho.WillMessage{Topic: topic, QoS: 2, Payload: []byte(w.id)},
		WillProperties: &paho.WillProperties{WillDelayInterval: &w.delay},
	})
	return err
}

// wills counts those that came, by client.
type wills struct {
	mu  sync.Mutex
	got map[string]int
}

func (w *wills) of(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got[id]
}

// TestWillsOfMQTTSurviveFailoversAndComeOnce ends masters that hold clients with
// wills, and the next master while it publishes them. Wills of those who came
// back in time don't come at all.
func TestWillsOfMQTTSurviveFailoversAndComeOnce(t *testing.T) {
	r := newRig(t)
	w := &wills{got: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients sync.WaitGroup
	r.subscribed(ctx, &clients, &mqtt.Client{
		ID: "heir", Filter: "wills/#", Publish: func() *mqtt.Message { return nil }, Confirmed: func(*mqtt.Message) {},
		Received: func(_, body string, _ byte) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.got[body]++
		},
	})
	const some = 10
	var gone, back []*testament
	for round := range many(t, 4) {
		var leaving, returning []*testament
		for i := range some {
			leaving = append(leaving, &testament{id: fmt.Sprintf("gone-%d-%d", round, i), delay: 1 + uint32(i%3)})
			returning = append(returning, &testament{id: fmt.Sprintf("back-%d-%d", round, i), delay: 600})
		}
		for _, x := range append(leaving, returning...) {
			r.ok(harness.Until(ctx, time.Minute, "a client connects", func() bool { return x.connect(ctx, r) == nil }))
		}
		r.breakOnce("kill -9 of the broker")
		for _, x := range returning {
			r.ok(harness.Until(ctx, time.Minute, "a client returns", func() bool { return x.connect(ctx, r) == nil }))
		}
		r.ok(harness.Until(ctx, time.Minute, "the first will", func() bool {
			for _, x := range leaving {
				if w.of(x.id) > 0 {
					return true
				}
			}
			return false
		}))
		r.breakOnce("the death of the node")
		r.ok(harness.Until(ctx, time.Minute, "all wills of those who have gone", func() bool {
			for _, x := range leaving {
				if w.of(x.id) == 0 {
					return false
				}
			}
			return true
		}))
		gone, back = append(gone, leaving...), append(back, returning...)
	}
	r.breakOnce("kill -9 of all")
	end := &mqtt.Client{
		ID: "end", Window: 1, Confirmed: func(*mqtt.Message) {}, Received: func(string, string, byte) {},
	}
	sent := false
	end.Publish = func() *mqtt.Message {
		if sent {
			return nil
		}
		sent = true
		return &mqtt.Message{Topic: "wills/end", Body: "end", QoS: 1}
	}
	clients.Go(func() { r.run(ctx, end, 0) })
	r.ok(harness.Until(ctx, time.Minute, "the end", func() bool { return w.of("end") > 0 }))
	cancel()
	clients.Wait()
	for _, x := range gone {
		if n := w.of(x.id); n != 1 {
			t.Errorf("the will of %s, with a delay of %d s, came %d times", x.id, x.delay, n)
		}
		_ = x.conn.Close()
	}
	for _, x := range back {
		if n := w.of(x.id); n != 0 {
			t.Errorf("%s had come back, and its will came %d times", x.id, n)
		}
		_ = x.conn.Close()
	}
	t.Logf("%d wills came once each, %d did not because their clients came back", len(gone), len(back))
	r.finish()
}

// TestAStandbyTellsClientsOfMQTT5WhereTheMasterIs follows the server reference
// of CONNACK, before and after a failover.
func TestAStandbyTellsClientsOfMQTT5WhereTheMasterIs(t *testing.T) {
	r := newRigOf(t, Shape{Settings: []string{"cluster.standby=redirect"}})
	ask := func(at string) *paho.Connack {
		conn, err := net.DialTimeout("tcp", at, patience)
		if err != nil {
			return nil
		}
		defer conn.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		ack, _ := paho.NewClient(paho.ClientConfig{Conn: conn}).Connect(ctx, &paho.Connect{ClientID: "asks", CleanStart: true})
		return ack // which comes with an error if it refuses
	}
	check := func() {
		t.Helper()
		m := r.master()
		for _, n := range r.Nodes {
			var ack *paho.Connack
			r.ok(harness.Until(t.Context(), time.Minute, n.Name+" answers", func() bool {
				ack = ask(n.MQTT)
				return ack != nil && (n == m && ack.ReasonCode == 0 || n != m && ack.ReasonCode == 0x9c && ack.Properties.ServerReference == m.MQTT)
			}))
		}
	}
	check()
	r.ok(r.master().KillBroker())
	r.goesOn("kill -9 of the broker")
	r.ok(r.Start(t.Context()))
	r.ok(r.Whole(t.Context(), time.Minute))
	check()
	r.finish()
}
