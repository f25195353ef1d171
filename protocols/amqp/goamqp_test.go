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
	q, err := r.broker.Queue("a")
	if err != nil || q.Messages != 0 {
		t.Errorf("queue holds %d messages, %v", q.Messages, err)
	}
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
