package queue

import (
	"fmt"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
)

// sendTo sends a message of a group.
func (a *alone) sendTo(group, id string, seq int32) {
	a.EnqueueTransient(message.New(&message.Envelope{
		Destination: a.dest, Priority: 4, CorrelationID: id, GroupID: group, GroupSeq: seq,
	}, message.EncodingSTOMP))
}

func settleAll(t *testing.T, c *Consumer, o Outcome) {
	t.Helper()
	if err := c.SettleThrough(1<<40, o, nil, 0); err != nil {
		t.Fatal(err)
	}
}

func TestAGroupStaysWithItsConsumerAndOthersPassIt(t *testing.T) {
	a := newAlone()
	one, two := a.consumer(t, "one", nil, 2), a.consumer(t, "two", nil, 2)
	for i := range 3 {
		a.sendTo("x", fmt.Sprint("x", i), 0)
	}
	a.sendTo("y", "y0", 0)
	a.sendTo("", "alone", 0)
	a.wantGot(t, "one x0", "one x1", "two y0", "two alone")
	settleAll(t, two, Accepted) // has room, but x isn't its group
	a.sendTo("y", "y1", 0)
	a.wantGot(t, "two y1")
	settleAll(t, one, Accepted)
	a.wantGot(t, "one x2")
	if n := a.Stats().Groups; n != 2 {
		t.Errorf("%d groups, want 2", n)
	}
}

func TestAGroupGoesToAnotherConsumerWhenAllOfItIsBack(t *testing.T) {
	a := newAlone()
	one := a.consumer(t, "one", nil, 2)
	for i := range 4 {
		a.sendTo("x", fmt.Sprint("x", i), 0)
	}
	a.wantGot(t, "one x0", "one x1")
	a.consumer(t, "two", nil, 10)
	a.wantGot(t)
	in, _ := one.Enlist(1, Accepted, false)
	a.wantGot(t, "one x2")
	one.Close() // x1 comes back; x0 if the transaction says so
	a.wantGot(t)
	a.sendTo("y", "y0", 0)
	a.wantGot(t, "two y0")
	in[0].Rollback()
	a.wantGot(t, "two x0", "two x1", "two x2", "two x3")
}

func TestTheFirstMessageForAConsumerSaysSo(t *testing.T) {
	a := newAlone()
	one := a.consumer(t, "one", nil, 10)
	a.sendTo("x", "x0", 0)
	a.sendTo("x", "x1", 0)
	a.sendTo("y", "y0", 0)
	if got := fmt.Sprint(a.firsts); got != "[true false true]" {
		t.Error(got)
	}
	a.firsts = nil
	a.consumer(t, "two", nil, 10)
	one.Close()
	if got := fmt.Sprint(a.firsts); got != "[true false true]" {
		t.Error(got)
	}
}

func TestANegativeSequenceEndsAGroup(t *testing.T) {
	a := newAlone()
	a.consumer(t, "one", nil, 10)
	a.consumer(t, "two", nil, 10)
	a.sendTo("x", "x0", 0)
	a.sendTo("x", "x1", 1)
	a.sendTo("x", "end", -1)
	a.sendTo("x", "x2", 0)
	a.sendTo("x", "x3", 0)
	a.wantGot(t, "one x0", "one x1", "one end", "two x2", "two x3")
	if got := fmt.Sprint(a.firsts); got != "[true false false true false]" {
		t.Error(got)
	}
}

func TestAFailedMessageIsNotOvertakenByItsGroup(t *testing.T) {
	a := newAlone()
	a.fate = Fate{Due: 99} // until GiveBack
	c := a.consumer(t, "c", nil, 1)
	for i := range 3 {
		a.sendTo("x", fmt.Sprint("x", i), 0)
	}
	a.sendTo("y", "y0", 0)
	a.wantGot(t, "c x0")
	settleAll(t, c, Modified)
	a.wantGot(t, "c y0")
	settleAll(t, c, Accepted)
	a.wantGot(t)
	a.GiveBack(a.delayed)
	a.wantGot(t, "c x0")
	settleAll(t, c, Accepted)
	a.wantGot(t, "c x1")
}

func TestQuietGroupsAreForgottenWhenThereAreTooMany(t *testing.T) {
	a := newAlone()
	a.groups = GroupSettings{Most: 10}
	c := a.consumer(t, "c", nil, 5)
	for i := range 1000 {
		a.sendTo(fmt.Sprint(i), "m", 0)
		if i%5 == 4 {
			settleAll(t, c, Accepted)
		}
	}
	if n, open := len(a.Queue.groups.by), len(a.Queue.groups.open); n > 10 || open != 0 || len(a.got) != 1000 {
		t.Errorf("%d groups and %d deliveries are kept, %d messages came", n, open, len(a.got))
	}
}

func TestGroupsInBucketsShareTheirConsumer(t *testing.T) {
	a := newAlone()
	a.groups = GroupSettings{Most: 1, Buckets: true}
	a.consumer(t, "one", nil, 10)
	a.consumer(t, "two", nil, 10)
	for _, g := range []string{"x", "y", "z"} {
		a.sendTo(g, g, 0)
	}
	a.wantGot(t, "one x", "one y", "one z")
}

func TestGroupsAreSharedOutAnewWhenAConsumerJoins(t *testing.T) {
	a := newAlone()
	a.groups = GroupSettings{Most: 10, Rebalance: true}
	one := a.consumer(t, "one", nil, 10)
	for _, g := range []string{"x", "y"} {
		a.sendTo(g, g+"0", 0)
	}
	a.wantGot(t, "one x0", "one y0")
	a.consumer(t, "two", nil, 10)
	for _, g := range []string{"x", "y"} {
		a.sendTo(g, g+"1", 0) // waits for the one before it
	}
	a.wantGot(t)
	settleAll(t, one, Accepted)
	a.wantGot(t, "one x1", "two y1")
}

func TestAnExclusiveConsumerTakesOverTheGroups(t *testing.T) {
	a := newAlone()
	one := a.consumer(t, "one", nil, 1)
	a.sendTo("x", "x0", 0)
	a.sendTo("x", "x1", 0)
	a.wantGot(t, "one x0")
	sole := NewConsumer(a, ConsumerOptions{Window: 10, Ref: "sole", Target: a})
	a.Subscribe(sole, nil, 0, true)
	a.wantGot(t)
	settleAll(t, one, Accepted)
	a.wantGot(t, "sole x1")
}

func TestAMessageThatItsGroupsOwnerDoesNotSelectGoesToWhoDoes(t *testing.T) {
	a := newAlone()
	a.consumer(t, "one", newSelecting("JMSCorrelationID LIKE 'x%'"), 1)
	a.sendTo("g", "x0", 0)
	a.consumer(t, "two", newSelecting("JMSCorrelationID LIKE '_1' OR JMSCorrelationID = 'y2'"), 10)
	a.sendTo("g", "x1", 0)
	a.sendTo("g", "y1", 0)
	a.sendTo("g", "y2", 0)
	a.wantGot(t, "one x0", "two y1", "two y2")
}

func TestAnOwnerThatReadsNothingHoldsUpOthersOnlyBeyondALimit(t *testing.T) {
	a := newAlone()
	stuck := a.consumer(t, "stuck", nil, 1)
	a.sendTo("x", "x", 0)
	a.wantGot(t, "stuck x")
	a.consumer(t, "other", nil, 1<<20)
	const more = 10
	for range maxLeft + more {
		a.sendTo("x", "x", 0)
	}
	a.sendTo("y", "y", 0)
	a.wantGot(t)
	for i := range uint64(more) {
		if err := stuck.Settle(i+1, Accepted, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(a.got); n != more+1 || a.got[n-1] != "other y" && a.got[n-2] != "other y" {
		t.Errorf("%d came: %v", n, a.got)
	}
}

func TestAQueueWaitsForItsConsumers(t *testing.T) {
	a := newAlone()
	a.start = StartSettings{Consumers: 2}
	a.send("0")
	one := a.consumer(t, "one", nil, 10)
	a.wantGot(t)
	a.consumer(t, "two", nil, 10)
	a.wantGot(t, "one 0")
	one.Close() // it has begun
	a.wantGot(t, "two 0")
}

func TestAQueueWaitsForItsConsumersNoLongerThanAsked(t *testing.T) {
	a := newAlone()
	a.start = StartSettings{Consumers: 2, Wait: 20 * time.Millisecond}
	a.send("0")
	came := make(chan Delivery, 1)
	began := time.Now()
	c := NewConsumer(a, ConsumerOptions{Window: 1, Target: channel(came)})
	a.Subscribe(c, nil, 0, false)
	select {
	case <-came:
		if d := time.Since(began); d < 15*time.Millisecond {
			t.Errorf("served after %v", d)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("never served")
	}
	c.Close()
	if a.Queue.start.waits || a.Queue.start.timer != nil {
		t.Error("a queue without consumers waits for them")
	}
}

// channel is a connection that hands on what it gets.
type channel chan Delivery

// Deliver implements Target.
func (c channel) Deliver(d Delivery) { c <- d }

func TestATransientMessageDoesNotOvertakeADurableOneOfItsGroup(t *testing.T) {
	w := newWorld(t, 1<<40)
	w.groups = GroupSettings{Most: 10}
	q := w.queues[1]
	var got numbers
	one := NewConsumer(w, ConsumerOptions{Window: 10, Target: &got})
	q.Subscribe(one, nil, 5, false)
	q.Subscribe(NewConsumer(w, ConsumerOptions{Window: 10, Target: &numbers{}}), nil, 5, false)
	w.publish(grouped(w.message(true, 4, 8, 0), "c", 0), 1)
	w.apply(1)
	q.EnqueueTransient(grouped(w.message(false, 4, 8, 0), "c", 0))
	settleAll(t, one, Modified)
	w.log[0].Done = nil
	for _, op := range w.log[0].Ops {
		w.applyReal(&op)
	}
	q.Pump()
	if fmt.Sprint(got.got) != "[1 2 1 2]" {
		t.Errorf("got %v", got.got)
	}
}

func TestWhatTheEndOfAGroupLetsGoIsDeliveredAtOnce(t *testing.T) {
	a := newAlone()
	one := a.consumer(t, "one", nil, 1)
	a.sendTo("x", "x0", 0)
	a.consumer(t, "two", nil, 10)
	a.sendTo("x", "end", -1)
	a.sendTo("x", "x1", 0)
	a.wantGot(t, "one x0")
	settleAll(t, one, Accepted)
	a.wantGot(t, "one end", "two x1")
}
