package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

// session is a client with a stored session that hears topic t.
func (r *rig) session(id string) (*client, *Stored) {
	r.t.Helper()
	c := connect(r.t, r.Broker, id)
	st, _, err := c.Store(StoreOptions{Expiry: 100})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := st.Subscribe([]StoredSubscription{{Topic: "t", Queued: true}}, []bool{false}); err != nil {
		r.t.Fatal(err)
	}
	return c, st
}

func TestAStoredSessionKeepsTheLatestWithinItsLimits(t *testing.T) {
	const body = 1000
	size := int64(len(connect(t, newRig(t).Broker, "").message(message.Topic("t"), strings.Repeat("x", body)).Raw()))
	for name, limits := range map[string]StoredLimits{
		"messages": {Messages: 10}, "bytes": {Bytes: 10*size + size/2}, "both": {Messages: 10, Bytes: 100 * size},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *Options) { o.Stored = limits })
			c, st := r.session("s")
			st.End(100, false)
			c.Close()
			p := connect(t, r.Broker, "p")
			var want []string
			for i := range 50 {
				text := fmt.Sprintf("%04d%s", i, strings.Repeat("x", body-4))
				p.send(message.Topic("t"), text)
				want = append(want, text)
			}
			eventually(t, "end of the trimming", func() bool { return r.Stats().Discarded == 40 })
			late := connect(t, r.Broker, "s")
			again, present, err := late.Store(StoreOptions{Expiry: 100})
			if err != nil || !present {
				t.Fatalf("%v, %v", present, err)
			}
			eventually(t, "room", func() bool { return again.Waiting() == 10 })
			k, err := again.Consume(100, nil)
			if err != nil {
				t.Fatal(err)
			}
			k.Start()
			wantBodies(t, late.deliveries(10), want[40:]...)
			if n := r.Stats().Discarded; n != 40 {
				t.Errorf("%d were discarded, want 40", n)
			}
		})
	}
}

func TestWhatAClientHasDoesNotCountAsWaiting(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Stored = StoredLimits{Messages: 10} })
	c, st := r.session("s")
	k, err := st.Consume(1000, nil)
	if err != nil {
		t.Fatal(err)
	}
	k.Start()
	p := connect(t, r.Broker, "p")
	for i := range 50 {
		p.send(message.Topic("t"), fmt.Sprint(i))
		c.deliveries(i + 1) // it acknowledges nothing
	}
	if n := r.Stats().Discarded; n != 0 {
		t.Errorf("%d were discarded", n)
	}
}

func TestStoredSessionsAndTheirSubscriptionsHaveLimits(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Stored = StoredLimits{Sessions: 2, Subscriptions: 2} })
	_, st := r.session("one")
	r.session("two")
	_, _, err := connect(t, r.Broker, "three").Store(StoreOptions{Expiry: 100})
	wantCode(t, err, CodeLimit, "sessions.max")
	subs := func(topics ...string) (out []StoredSubscription) {
		for _, topic := range topics {
			out = append(out, StoredSubscription{Topic: topic, Queued: true})
		}
		return out
	}
	must(t, st.Subscribe(subs("u"), []bool{false}))
	wantCode(t, st.Subscribe(subs("v"), []bool{false}), CodeLimit, "sessions.maxSubscriptions")
	if n := len(st.Subscriptions()); n != 2 {
		t.Errorf("it has %d subscriptions", n)
	}
}
