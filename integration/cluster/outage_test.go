package cluster

import (
	"strconv"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
	"github.com/entrepot-mq/entrepot/integration/wire"
)

// confirmations counts the sends that are confirmed within a time.
func (r *rig) confirmations(within time.Duration) int64 {
	before := r.load.Confirmed()
	time.Sleep(within) // nothing is to happen in it
	return r.load.Confirmed() - before
}

func TestWithoutAMajorityNothingIsConfirmedAndServiceComesBackByItself(t *testing.T) {
	r := newRig(t)
	m := r.master()
	for _, n := range r.Nodes {
		if n != m {
			r.ok(n.Pause())
		}
	}
	// The group's configuration can't be reached, so the lease runs out.
	r.ok(harness.Until(t.Context(), 4*r.Lease+10*time.Second, "the master steps down", func() bool {
		s, err := m.Status(t.Context())
		return err == nil && s.Role != "master"
	}))
	if n := r.confirmations(500 * time.Millisecond); n != 0 {
		t.Errorf("%d sends were confirmed by one node of three", n)
	}
	for _, n := range r.Nodes {
		if n != m {
			r.ok(n.Resume())
		}
	}
	r.goesOn("an outage of two nodes")
	r.finish()
}

// A message that is scheduled before a failover comes once after it, in time.
func TestAScheduledMessageComesOnceAfterAFailover(t *testing.T) {
	r := newRig(t)
	const delay = 6 * time.Second
	standby := r.Nodes[0]
	if standby == r.master() {
		standby = r.Nodes[1]
	}
	const slow = 30 * time.Second // a machine that does much else
	c, err := wire.Open(standby.Stomp, slow)
	r.ok(err)
	defer c.Close()
	f := wire.New("SEND", "destination", "/queue/later", "persistent", "true", "receipt", "s",
		"AMQ_SCHEDULED_DELAY", strconv.FormatInt(delay.Milliseconds(), 10))
	f.Body = []byte("later")
	due := time.Now().Add(delay) // the broker counts from a moment later
	r.ok(c.Send(f))
	_, err = c.Expect("RECEIPT", slow)
	r.ok(err)
	r.breakOnce("kill -9 of the broker")
	var d *wire.Conn
	r.ok(harness.Until(t.Context(), time.Minute, "a consumer connects", func() bool {
		d, err = wire.Open(r.Nodes[2].Stomp, patience)
		return err == nil && d.Send(wire.New("SUBSCRIBE", "id", "s", "destination", "/queue/later", "ack", "auto")) == nil
	}))
	defer d.Close()
	ready := time.Now()
	got, err := d.Read(delay + slow)
	r.ok(err)
	late := time.Since(due)
	if string(got.Body) != "later" || late < 0 {
		t.Errorf("%s %q came %v after its time", got.Command, got.Body, late)
	}
	if ready.Before(due) { // there was somebody to come to
		t.Logf("it came %v after its time", late.Round(time.Millisecond))
	}
	if again, err := d.Read(time.Second); err == nil {
		t.Errorf("it came again: %s %q", again.Command, again.Body)
	}
	r.finish()
}
