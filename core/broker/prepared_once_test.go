package broker

import "testing"

// A producer that learns nothing of a prepared transaction's end sends again in
// another one: its messages are there once, also after a restart.
func TestWhatAPreparedTransactionSendsAgainIsThereOnce(t *testing.T) {
	r := newRig(t)
	prepare := func(name, without string) {
		c := connect(t, r.Broker, "")
		tx := c.Begin()
		must(t, tx.Publish(c.message(a, without)))
		must(t, tx.PublishOnce(c.message(a, "1"), SendID{"p", 1}))
		must(t, tx.PublishOnce(c.message(a, "2", nonPersistent), SendID{"p", 2}))
		w := make(waiter, 1)
		empty, err := tx.Prepare(name, w, 0)
		must(t, err)
		if empty {
			t.Fatal("there was nothing to prepare")
		}
		must(t, <-w)
	}
	commit := func(name string) {
		c, w := connect(t, r.Broker, ""), make(waiter, 1)
		must(t, c.EndPrepared(name, true, w, 0))
		must(t, <-w)
	}
	prepare("one", "first")
	prepare("two", "second")
	commit("one")
	r.restart() // what isn't persistent goes
	commit("two")
	c := connect(t, r.Broker, "")
	c.once(c.message(a, "again"), SendID{"p", 1})
	c.subscribe(Subscription{Destination: a})
	wantBodies(t, c.deliveries(4), "first", "1", "second", "2")
}
