package amqp

import (
	"bytes"
	"fmt"
	"testing"

	goamqp "github.com/Azure/go-amqp"
)

func TestMessagesOfAQueueArriveInOrder(t *testing.T) {
	r := newRig(t, nil)
	s := r.session(r.dial("c"))
	out := r.sender(s, "queue://a", nil)
	in := r.receiver(s, "a", &goamqp.ReceiverOptions{Credit: 7})
	const n = 50
	go func() {
		for i := range n {
			if err := out.Send(r.ctx, goamqp.NewMessage(fmt.Append(nil, i)), nil); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for i := range n {
		m := r.receive(in)
		if got := string(m.GetData()); got != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, got)
		}
		r.accept(in, m)
	}
	r.empties("a")
}

func TestLargeMessagesTravelInManyFrames(t *testing.T) {
	r := newRig(t, nil)
	c, err := goamqp.Dial(r.ctx, "amqp://"+r.address, &goamqp.ConnOptions{ContainerID: "c", MaxFrameSize: 1024})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := r.session(c)
	out, in := r.sender(s, "a", nil), r.receiver(s, "a", nil)
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for range 3 {
		go func() { _ = out.Send(r.ctx, goamqp.NewMessage(body), nil) }()
		m := r.receive(in)
		if !bytes.Equal(m.GetData(), body) {
			t.Fatalf("%d bytes came, %d were sent", len(m.GetData()), len(body))
		}
		r.accept(in, m)
	}
}

// empties waits until a queue holds nothing.
func (r *rig) empties(name string) {
	r.t.Helper()
	r.eventually("queue "+name+" is empty", func() bool {
		q, err := r.broker.Queue(name)
		return err == nil && q.Messages == 0
	})
}

func TestOutcomesDecideWhatBecomesOfAMessage(t *testing.T) {
	r := newRig(t, nil)
	s := r.session(r.dial("c"))
	out, in := r.sender(s, "a", nil), r.receiver(s, "a", nil)
	r.send(out, &goamqp.Message{Header: &goamqp.MessageHeader{Durable: true}, Data: [][]byte{[]byte("1")}})

	m := r.receive(in)
	if m.Header.DeliveryCount != 0 || !m.Header.FirstAcquirer {
		t.Errorf("first delivery has header %+v", m.Header)
	}
	if err := in.ReleaseMessage(r.ctx, m); err != nil {
		t.Fatal(err)
	}
	if m = r.receive(in); m.Header.DeliveryCount != 0 {
		t.Errorf("released message has delivery-count %d", m.Header.DeliveryCount)
	}
	if err := in.ModifyMessage(r.ctx, m, &goamqp.ModifyMessageOptions{DeliveryFailed: true}); err != nil {
		t.Fatal(err)
	}
	if m = r.receive(in); m.Header.DeliveryCount != 1 || m.Header.FirstAcquirer {
		t.Errorf("message that failed has header %+v", m.Header)
	}
	if err := in.RejectMessage(r.ctx, m, &goamqp.Error{Condition: "app:bad", Description: "no good"}); err != nil {
		t.Fatal(err)
	}
	dead := r.receive(r.receiver(s, "ActiveMQ.DLQ", nil))
	if got := dead.Annotations["x-opt-dlqDeliveryFailureCause"]; got != "rejected by the consumer: app:bad: no good" {
		t.Errorf("dead letter's cause is %v; annotations %v", got, dead.Annotations)
	}
	if string(dead.GetData()) != "1" {
		t.Errorf("dead letter holds %q", dead.GetData())
	}
}

func TestSettledMessagesNeedNoAnswer(t *testing.T) {
	r := newRig(t, nil)
	s := r.session(r.dial("c"))
	out := r.sender(s, "a", &goamqp.SenderOptions{SettlementMode: goamqp.SenderSettleModeSettled.Ptr()})
	in := r.receiver(s, "a", &goamqp.ReceiverOptions{RequestedSenderSettleMode: goamqp.SenderSettleModeSettled.Ptr(), Credit: 10})
	for i := range 30 {
		r.send(out, goamqp.NewMessage(fmt.Append(nil, i)))
	}
	for i := range 30 {
		if m := r.receive(in); string(m.GetData()) != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, m.GetData())
		}
	}
	r.empties("a")
}

func TestReceiverThatSettlesSecondIsToldWhenItsOutcomeIsSafe(t *testing.T) {
	r := newRig(t, nil)
	s := r.session(r.dial("c"))
	out := r.sender(s, "a", nil)
	in := r.receiver(s, "a", &goamqp.ReceiverOptions{SettlementMode: goamqp.ReceiverSettleModeSecond.Ptr()})
	r.send(out, &goamqp.Message{Header: &goamqp.MessageHeader{Durable: true}, Data: [][]byte{[]byte("x")}})
	r.accept(in, r.receive(in)) // waits for the broker's disposition
	if q, err := r.broker.Queue("a"); err != nil || q.Messages != 0 {
		t.Errorf("queue holds %d messages, %v", q.Messages, err)
	}
}

func TestDrainEndsWithWhatThereIs(t *testing.T) {
	r := newRig(t, nil)
	s := r.session(r.dial("c"))
	out := r.sender(s, "a", nil)
	in := r.receiver(s, "a", &goamqp.ReceiverOptions{Credit: -1})
	for i := range 3 {
		r.send(out, goamqp.NewMessage(fmt.Append(nil, i)))
	}
	for round := range 2 {
		if err := in.IssueCredit(10); err != nil {
			t.Fatal(err)
		}
		first := r.receive(in) // the library forgets credit that it has not sent when it drains
		if err := in.DrainCredit(r.ctx, nil); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			m := first
			if i > 0 {
				m = in.Prefetched()
			}
			if m == nil || string(m.GetData()) != fmt.Sprint(i) {
				t.Fatalf("round %d: prefetched %v, want message %d", round, m, i)
			}
			r.accept(in, m)
		}
		if m := in.Prefetched(); m != nil {
			t.Errorf("a fourth message came: %q", m.GetData())
		}
		for i := range 3 {
			r.send(out, goamqp.NewMessage(fmt.Append(nil, i)))
		}
	}
}

func TestSelectorsSelect(t *testing.T) {
	r := newRig(t, nil)
	s := r.session(r.dial("c"))
	out := r.sender(s, "a", nil)
	in := r.receiver(s, "a", &goamqp.ReceiverOptions{Filters: []goamqp.LinkFilter{goamqp.NewSelectorFilter("colour = 'red' AND n > 1")}})
	for i, colour := range []string{"red", "blue", "red"} {
		r.send(out, &goamqp.Message{Data: [][]byte{[]byte(colour)}, ApplicationProperties: map[string]any{"colour": colour, "n": int32(i)}})
	}
	m := r.receive(in)
	if m.ApplicationProperties["n"] != int32(2) {
		t.Errorf("got %v", m.ApplicationProperties)
	}
	if _, err := s.NewReceiver(r.ctx, "a", &goamqp.ReceiverOptions{Filters: []goamqp.LinkFilter{goamqp.NewSelectorFilter("colour =")}}); err == nil {
		t.Error("a selector that makes no sense was taken")
	} else {
		t.Log(err)
	}
}

func TestBrowsingChangesNothing(t *testing.T) {
	r := newRig(t, nil)
	s := r.session(r.dial("c"))
	out := r.sender(s, "a", nil)
	for i := range 3 {
		r.send(out, goamqp.NewMessage(fmt.Append(nil, i)))
	}
	in := r.receiver(s, "a", &goamqp.ReceiverOptions{SourceDistributionMode: goamqp.SourceDistributionModeCopy, Credit: -1})
	if err := in.IssueCredit(100); err != nil {
		t.Fatal(err)
	}
	first := r.receive(in)
	if err := in.DrainCredit(r.ctx, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		m := first
		if i > 0 {
			m = in.Prefetched()
		}
		if m == nil || string(m.GetData()) != fmt.Sprint(i) {
			t.Fatalf("browsed %v, want message %d", m, i)
		}
		r.accept(in, m)
	}
	if q, err := r.broker.Queue("a"); err != nil || q.Messages != 3 {
		t.Errorf("queue holds %d messages, %v", q.Messages, err)
	}
}

func TestDurableSubscriptionOutlivesItsLink(t *testing.T) {
	r := newRig(t, nil)
	options := &goamqp.ReceiverOptions{Name: "sub", SourceDurability: goamqp.DurabilityUnsettledState, SourceExpiryPolicy: goamqp.ExpiryPolicyNever}
	c := r.dial("client")
	s := r.session(c)
	r.receiver(s, "topic://news", options)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = r.dial("client")
	s = r.session(c)
	r.send(r.sender(s, "topic://news", nil), goamqp.NewMessage([]byte("while away")))
	in := r.receiver(s, "topic://news", options)
	m := r.receive(in)
	if string(m.GetData()) != "while away" {
		t.Errorf("got %q", m.GetData())
	}
	r.accept(in, m)
	if err := in.Close(r.ctx); err != nil { // closed, not detached: the subscription goes
		t.Fatal(err)
	}
	if left := r.broker.Durables(); len(left) != 0 {
		t.Errorf("durable subscriptions that are left: %v", left)
	}
}

func TestAnonymousRelayTakesMessagesForAnywhere(t *testing.T) {
	r := newRig(t, nil)
	s := r.session(r.dial("c"))
	out := r.sender(s, "", nil)
	for _, to := range []string{"queue://a", "b"} {
		r.send(out, &goamqp.Message{Properties: &goamqp.MessageProperties{To: &to}, Data: [][]byte{[]byte(to)}})
		if m := r.receive(r.receiver(s, to, nil)); string(m.GetData()) != to {
			t.Errorf("%s got %q", to, m.GetData())
		}
	}
	if err := out.Send(r.ctx, goamqp.NewMessage(nil), nil); err == nil {
		t.Error("a message without address was taken")
	}
}

func TestDynamicQueueLivesAsLongAsItsLink(t *testing.T) {
	r := newRig(t, nil)
	s := r.session(r.dial("c"))
	in := r.receiver(s, "", &goamqp.ReceiverOptions{DynamicAddress: true})
	out := r.sender(r.session(r.dial("d")), in.Address(), nil)
	r.send(out, goamqp.NewMessage([]byte("x")))
	r.accept(in, r.receive(in))
	if err := in.Close(r.ctx); err != nil {
		t.Fatal(err)
	}
	if err := out.Send(r.ctx, goamqp.NewMessage([]byte("y")), nil); err == nil {
		t.Error("a message for a temporary queue that is gone was taken")
	}
}
